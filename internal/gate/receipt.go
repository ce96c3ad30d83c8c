package gate

import (
	"context"
	"errors"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var errNoReceipt = protocol.Fail(protocol.CodeNotFound, "no accepted request has this id")

// Receipt derives the receipt of a request (section 13). Within ctx it waits for the
// request to be decided and for a published checkpoint that covers it. It returns
// not_found for an unknown request, and the code of a request that was not accepted.
// It checks neither holds nor epochs.
func (g *Gate) Receipt(ctx context.Context, id protocol.RequestID) (*receipt.Receipt, error) {
	entry, found, err := g.cfg.Journal.Accepted(ctx, id)
	if errors.Is(err, journal.ErrUnknown) || err == nil && !found {
		if err := g.waitEnded(ctx, id, protocol.MaxTTL*time.Millisecond); err != nil {
			return nil, err
		}
		entry, found, err = g.cfg.Journal.Accepted(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoReceipt
	}
	return g.derive(ctx, entry)
}

// waitEnded returns once the session is terminal: nil if it was accepted, else its
// refusal.
func (g *Gate) waitEnded(ctx context.Context, id protocol.RequestID, longest time.Duration) error {
	s, known := g.cfg.Sessions.Get(id)
	if !known {
		return errNoReceipt
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for {
		state := s.View().State
		if code, done := state.Outcome(); done && code != protocol.CodeNone {
			return refusal(code)
		} else if done {
			return nil
		}
		if err := s.AwaitChange(ctx, state.Phase); err != nil {
			return err
		}
	}
}

// derive proves every leaf of a receipt under one checkpoint, so that all log
// texts hold the same note.
func (g *Gate) derive(ctx context.Context, entry journal.Entry) (*receipt.Receipt, error) {
	leaf, err := protocol.ParseLeaf(entry.Leaf)
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "", err)
	}
	body, ok := leaf.Body.(*protocol.Accepted)
	if !ok {
		return nil, protocol.Fail(protocol.CodeInternal, "")
	}
	payload, err := protocol.ParsePayload(body.Payload[:])
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "", err)
	}
	cp, err := g.cfg.Ledger.Await(ctx, entry.Seq)
	if err != nil {
		return nil, err
	}
	flags, err := g.cfg.Journal.Withdrawals(ctx, payload.EpochID, payload.VK, cp.Size, maxFlags)
	if err != nil {
		return nil, err
	}
	cp = fitting(cp, 5+len(flags)) // the entry, its claim and epoch, the signer, the last leaf
	pair := func(e journal.Entry, found bool, err error) (receipt.Pair, error) {
		if err == nil && !found {
			err = protocol.Fail(protocol.CodeInternal, "") // every accepted leaf has it
		}
		if err != nil {
			return receipt.Pair{}, err
		}
		return g.pair(ctx, cp, e)
	}
	r := &receipt.Receipt{Version: receipt.Version}
	if r.Pair, err = g.pair(ctx, cp, entry); err != nil {
		return nil, err
	}
	if r.Claim, err = pair(g.cfg.Journal.ClaimLeaf(ctx, payload.VK)); err != nil {
		return nil, err
	}
	if r.Epoch, err = pair(g.cfg.Journal.EpochLeaf(ctx, payload.EpochID)); err != nil {
		return nil, err
	}
	if r.Signer, err = pair(g.cfg.Journal.EpochLeafByKey(ctx, cp.Key)); err != nil {
		return nil, err
	}
	if r.Last, err = pair(g.cfg.Journal.Leaf(ctx, cp.Size-1)); err != nil {
		return nil, err
	}
	for _, e := range flags {
		flag, err := g.pair(ctx, cp, e)
		if err != nil {
			return nil, err
		}
		r.Flags = append(r.Flags, flag)
	}
	return r, nil
}

// maxFlags is how many withdrawals a log may have for a receipt to list all of them.
// In a log with more, a receipt lists those of its own epoch and claim; the count in
// the last leaf then shows that there are others.
const maxFlags = 64

// maxNotes bounds the bytes of the checkpoints in a receipt, one for each pair. A receipt
// that would have more has them without cosignatures, so that it stays below
// [receipt.MaxSize].
const maxNotes = receipt.MaxSize / 2

// fitting returns the checkpoint as so many pairs can hold it.
func fitting(cp ledger.Checkpoint, pairs int) ledger.Checkpoint {
	if pairs*len(cp.Note) > maxNotes {
		return cp.Plain()
	}
	return cp
}

func (g *Gate) pair(ctx context.Context, cp ledger.Checkpoint, e journal.Entry) (receipt.Pair, error) {
	text, err := g.cfg.Ledger.Proof(ctx, cp, e.Seq)
	if err != nil {
		return receipt.Pair{}, err
	}
	return receipt.Pair{Leaf: e.Leaf, Log: text}, nil
}
