package epochs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// counts holds the numbers of sessions of an epoch by how they ended. All other issued
// ones are invalidated.
type counts struct{ Accepted, Rejected, Expired uint64 }

// Epoch is one key set.
type Epoch struct {
	number  uint64
	id      protocol.EpochID
	signer  Signer
	tagger  Tagger
	log     *slog.Logger
	suspect chan struct{} // closed by Destroy
	once    sync.Once

	maxIssued uint64        // how many requests it may issue
	begun     atomic.Uint64 // requests that may have been anchored
	logFull   sync.Once     // guards the log line about reaching maxIssued

	closed uint64 // sequence of the close leaf; used by the manager alone

	mu     sync.Mutex // guards what follows; held for memory operations only
	state  lifecycle.EpochState
	counts counts
}

// step applies an event to the lifecycle and returns the effects.
func (e *Epoch) step(event lifecycle.EpochEvent) ([]lifecycle.EpochEffect, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state, effects, code := lifecycle.StepEpoch(e.state, event)
	if code != protocol.CodeNone {
		return nil, fmt.Errorf("epoch in phase %v cannot take this step: %w", e.state.Phase, code)
	}
	e.state = state
	return effects, nil
}

// phase returns the phase of the epoch: DESTROYED once [Epoch.Destroy] was called, even
// before the manager has ended it.
func (e *Epoch) phase() lifecycle.EpochPhase {
	select {
	case <-e.suspect:
		return lifecycle.EpochDestroyed
	default:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Phase
}

func (e *Epoch) reason() protocol.CloseReason {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Reason
}

func (m *Manager) newEpoch(number uint64, s Signer, t Tagger) *Epoch {
	return &Epoch{
		number: number, id: s.EpochID(), signer: s, tagger: t, log: m.cfg.Log, maxIssued: m.cfg.MaxIssued,
		suspect: make(chan struct{}),
	}
}

// ID returns the id of the epoch, which its signer has drawn.
func (e *Epoch) ID() protocol.EpochID { return e.id }

// Number returns the number of the epoch; the epochs of a log count from 1.
func (e *Epoch) Number() uint64 { return e.number }

// Issue sends a draft to the tagger, which numbers and tags it. An epoch that has
// reached MaxIssued refuses with draining.
func (e *Epoch) Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	if e.begun.Add(1) > e.maxIssued {
		e.begun.Add(^uint64(0))
		e.logFull.Do(func() {
			e.log.Warn("epoch has reached max_issued; new requests are refused until the server is restarted",
				"number", e.number, "max_issued", e.maxIssued)
		})
		return protocol.EncodedPayload{}, protocol.Tag{}, protocol.Fail(protocol.CodeDraining, "the epoch has issued as many requests as it may")
	}
	payload, tag, err := e.tagger.Issue(ctx, draft)
	if err != nil {
		e.begun.Add(^uint64(0)) // it is not anchored
	}
	return payload, tag, err
}

// Anchor returns the signer's anchor of a payload and its position in the issued tree.
func (e *Epoch) Anchor(ctx context.Context, p *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error) {
	return e.signer.Anchor(ctx, p)
}

// Issued returns the place of a position in the issued tree under a signed root that
// covers it. It fails with invalidated if the signer has exited and no such root is
// stored.
func (e *Epoch) Issued(ctx context.Context, position uint64) (protocol.Issued, error) {
	return e.signer.Issued(ctx, position)
}

// Key returns the Ed25519 key that signs the epoch's checkpoints.
func (e *Epoch) Key() [32]byte { return e.signer.CheckpointKey() }

// Begin sends the signer the tree of the log before the epoch-open leaf.
func (e *Epoch) Begin(ctx context.Context, tree protocol.Range) error {
	return e.signer.Begin(ctx, tree)
}

// Extend sends the signer the hashes of the leaves that follow.
func (e *Epoch) Extend(ctx context.Context, leafHashes []protocol.Digest) error {
	return e.signer.Extend(ctx, leafHashes)
}

// Checkpoint returns the signer's signature of the tree that it was sent. If that is
// not the tree of this size and root, signer and core disagree about the log, and the
// epoch is destroyed.
func (e *Epoch) Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error) {
	signed, err := e.signer.Checkpoint(ctx)
	if err != nil {
		return [64]byte{}, err
	}
	if signed.Size != size || signed.Root != root {
		e.log.Error("core and signer disagree about the log; epoch destroyed", "epoch", e.id.String(), "size", size, "signed_size", signed.Size)
		e.Destroy()
		return [64]byte{}, protocol.Fail(protocol.CodeInternal, "the signer signed another tree than the log's")
	}
	return signed.Signature, nil
}

// Redeem asks the tagger to redeem the tag of a payload, which it does at most once.
func (e *Epoch) Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error) {
	return e.tagger.Redeem(ctx, p, tag)
}

// Cancel cancels the tag of a request at the tagger.
func (e *Epoch) Cancel(ctx context.Context, id protocol.RequestID) error {
	return e.tagger.Cancel(ctx, id)
}

// Destroy ends the epoch at once and for good, because core and keyholder disagree.
func (e *Epoch) Destroy() { e.once.Do(func() { close(e.suspect) }) }

// Ended counts the end of a session. Issued requests that did not end as accepted,
// rejected or expired count as invalidated.
func (e *Epoch) Ended(how lifecycle.Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch how {
	case lifecycle.PhaseAccepted:
		e.counts.Accepted++
	case lifecycle.PhaseRejected:
		e.counts.Rejected++
	case lifecycle.PhaseExpired:
		e.counts.Expired++
	default:
	}
}

// ended returns the counts so far.
func (e *Epoch) ended() counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts
}
