package node

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

// The types here fit the services to the interfaces that gate and control
// declare. None of them decides anything.

// gateJournal is the journal as the gate sees it.
type gateJournal struct{ *journal.Journal }

func (j gateJournal) Accept(ctx context.Context, now time.Time, a *gate.Acceptance) (uint64, error) {
	entry, err := j.Journal.Accept(ctx, now, &journal.Acceptance{
		Leaf:         a.Leaf,
		Claim:        a.Claim,
		Scope:        a.Scope,
		Nullifier:    a.Nullifier,
		HasNullifier: a.HasNullifier,
		ProofDigest:  a.ProofDigest,
	})
	return entry.Seq, gateError(err)
}

// gateError is an error of the journal as the gate knows it.
func gateError(err error) error {
	if errors.Is(err, journal.ErrUnknown) {
		return errors.Join(gate.ErrUnknown, err)
	}
	return err
}

func (j gateJournal) Accepted(ctx context.Context, id protocol.RequestID) (gate.Record, error) {
	found, ok, err := j.Journal.Accepted(ctx, id)
	return record(found.Entry, ok, gateError(err))
}

func (j gateJournal) ClaimLeaf(ctx context.Context, vk protocol.Digest) (gate.Record, error) {
	return record(j.Journal.ClaimLeaf(ctx, vk))
}

func (j gateJournal) EpochLeaf(ctx context.Context, id protocol.EpochID) (gate.Record, error) {
	return record(j.Journal.EpochLeaf(ctx, id))
}

func (j gateJournal) EpochLeafByKey(ctx context.Context, key [32]byte) (gate.Record, error) {
	return record(j.Journal.EpochLeafByKey(ctx, key))
}

func (j gateJournal) Leaf(ctx context.Context, seq uint64) (gate.Record, error) {
	return record(j.Journal.Leaf(ctx, seq))
}

func (j gateJournal) Withdrawals(ctx context.Context, epoch protocol.EpochID, vk protocol.Digest, below uint64, most int) ([]gate.Record, error) {
	entries, err := j.Journal.Withdrawals(ctx, epoch, vk, below, most)
	records := make([]gate.Record, len(entries))
	for i, e := range entries {
		records[i] = gate.Record(e)
	}
	return records, err
}

func record(e journal.Entry, ok bool, err error) (gate.Record, error) {
	if err == nil && !ok {
		err = protocol.Fail(protocol.CodeNotFound, "no such leaf")
	}
	return gate.Record(e), err
}

// holds is the control state, which the journal keeps in memory; its own
// transactions decide.
type holds struct{ *journal.Journal }

// held fails closed: a state that cannot be had holds everything.
func (h holds) held(op journal.Operation, vk protocol.Digest) bool {
	s, err := h.State(context.Background())
	return err != nil || s.Check(op, vk) != nil
}

func (h holds) IssueHeld(vk protocol.Digest) bool  { return h.held(journal.Issue, vk) }
func (h holds) AcceptHeld(vk protocol.Digest) bool { return h.held(journal.Accept, vk) }

// gateLedger is the ledger as the gate sees it.
type gateLedger struct{ *ledger.Ledger }

// Lag counts a projection that has stopped as behind without end, so that
// nothing is accepted any more, whether the freeze is committed or not.
func (l gateLedger) Lag() uint64 {
	if l.Admit() != nil {
		return math.MaxUint64
	}
	return l.Ledger.Lag()
}

func (l gateLedger) Await(ctx context.Context, seq uint64) (gate.Published, error) {
	cp, err := l.Ledger.Await(ctx, seq)
	return gate.Published(cp), err
}

func (l gateLedger) Proof(ctx context.Context, cp gate.Published, seq uint64) (string, error) {
	return l.Ledger.Proof(ctx, ledger.Checkpoint(cp), seq)
}

// gateProver is the local pool as the gate sees it.
type gateProver struct{ *prover.Pool }

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
	return answer.Proof, answer.Tag, err
}

// gateEpochs is the epoch manager as the gate sees it.
type gateEpochs struct{ *control.Manager }

func (m gateEpochs) Active() (gate.Epoch, error) {
	e, err := m.Manager.Active()
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (m gateEpochs) Find(id protocol.EpochID) (gate.Epoch, bool) {
	e, ok := m.Manager.Find(id)
	if !ok {
		return nil, false
	}
	return e, true
}

// controlJournal is the journal as the epoch manager sees it.
type controlJournal struct{ *journal.Journal }

func (j controlJournal) Append(ctx context.Context, now time.Time, body protocol.LeafBody) (uint64, error) {
	entry, err := j.Journal.Append(ctx, now, body)
	return entry.Seq, err
}

// controlLedger is the ledger as the epoch manager sees it.
type controlLedger struct{ *ledger.Ledger }

func (l controlLedger) SetSigner(e *control.Epoch, openSeq uint64) {
	if e == nil {
		l.Ledger.SetSigner(nil, 0)
		return
	}
	l.Ledger.SetSigner(e, openSeq)
}

func (l controlLedger) Await(ctx context.Context, seq uint64) error {
	_, err := l.Ledger.Await(ctx, seq)
	return err
}

// ledgerSource is the journal as the ledger reads it.
type ledgerSource struct{ *journal.Journal }

// Size counts all rows, also those that this process did not write: the ledger looks
// for them.
func (s ledgerSource) Size(ctx context.Context) (uint64, error) { return s.Rows(ctx) }

func (s ledgerSource) Leaves(ctx context.Context, from uint64, most int) ([][]byte, error) {
	entries, err := s.Journal.Leaves(ctx, from, most)
	return journal.LeavesOf(entries), err
}
