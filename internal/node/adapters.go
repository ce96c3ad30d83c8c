package node

import (
	"context"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// The types here fit the services to the interfaces that gate, epochs and ledger
// declare. None of them decides anything.

// gateProver is the local pool as the gate sees it. It reports how long proofs took.
type gateProver struct {
	*prover.Pool
	report func(kind telemetry.Kind, subject string, value float64)
}

func (p gateProver) Prove(ctx context.Context, job *gate.Job) ([]byte, protocol.Tag, error) {
	answer, err := p.Pool.Prove(ctx, &prover.Job{
		Claim:      job.Statement.Claim(),
		Params:     job.Statement.Params().Bytes(),
		Commitment: job.Statement.Commitment(),
		Inputs:     job.Inputs,
		Assignment: job.Assignment,
		Tag:        job.Tag,
		Deadline:   job.Deadline,
	})
	if err == nil {
		p.report(telemetry.ProofReturned, string(job.Statement.Claim()), answer.Took.Seconds())
	}
	return answer.Proof, answer.Tag, err
}

// gateEpochs is the epoch manager as the gate sees it. The gate uses an epoch only
// if there is no error.
type gateEpochs struct{ *epochs.Manager }

func (m gateEpochs) Begin(ctx context.Context, within time.Duration) (gate.Epoch, error) {
	return m.Manager.Begin(ctx, within)
}

func (m gateEpochs) Find(id protocol.EpochID) (gate.Epoch, bool) { return m.Manager.Find(id) }

// ledgerSource is the journal as the ledger reads it.
type ledgerSource struct{ *journal.Journal }

// Size counts all rows, also those that this process did not write: the ledger looks
// for them.
func (s ledgerSource) Size(ctx context.Context) (uint64, error) { return s.Rows(ctx) }

func (s ledgerSource) Leaves(ctx context.Context, from uint64, most int) ([][]byte, error) {
	entries, err := s.Journal.Leaves(ctx, from, most)
	return journal.LeavesOf(entries), err
}
