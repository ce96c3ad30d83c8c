package server

import (
	"context"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Gate performs the operations that change something. Its errors carry a
// protocol.Code and a detail fit for the client. The context ends when the
// client goes away or the request's time is over; it then finishes a request
// that it has already claimed.
type Gate interface {
	// Payer returns to whom the challenges of a source are charged.
	Payer(s limit.Source) limit.Payer
	// Busy refuses, with code overloaded, an Open or a Push that would be refused now for
	// lack of capacity. It is called before the body is read.
	Busy(by limit.Payer) error
	// Open issues a challenge.
	Open(ctx context.Context, req gate.OpenRequest) (*gate.Challenge, error)
	// Accept judges an answer and returns the index of the accepted leaf. The same
	// proof may be sent again, with the same result.
	Accept(ctx context.Context, a gate.Answer) (index uint64, err error)
	// Push opens and queues an event. The second result waits for the outcome
	// within its context; the request goes on without it.
	Push(ctx context.Context, req gate.PushRequest) (*gate.Pushed, func(context.Context) (index uint64, err error), error)
	// Receipt waits within the context for the receipt of a request; not_found
	// if there is none, or the context's error if there may be one later.
	Receipt(ctx context.Context, id protocol.RequestID) (*receipt.Receipt, error)
}

// Records returns what the journal holds. Nothing here calls control: reading
// continues during a freeze.
type Records interface {
	// Claims lists every verifying key in the log, in log order.
	Claims(ctx context.Context) ([]api.Claim, error)
	// Epochs lists at most max epochs, newest first.
	Epochs(ctx context.Context, max int) ([]api.Epoch, error)
	// Epoch returns one epoch with its public key; not_found.
	Epoch(ctx context.Context, number uint64) (api.Epoch, error)
	// Attestation returns the evidence of hardware about an epoch; not_found if
	// there is none, or no such epoch.
	Attestation(ctx context.Context, number uint64) ([]byte, error)
	// Status returns the state of the service.
	Status(ctx context.Context) (api.Status, error)
}

// Ledger returns the bytes of the log's public files: "checkpoint" and
// "tile/…" of C2SP tlog-tiles. A file that does not exist is not_found.
type Ledger interface {
	Read(ctx context.Context, path string) ([]byte, error)
}
