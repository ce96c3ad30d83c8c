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

// counts are the numbers of sessions of an epoch by how they ended. What was
// issued and is in none of them is invalidated.
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

	maxIssued uint64        // requests that it may issue
	begun     atomic.Uint64 // requests that may have been anchored
	logFull   sync.Once     // guards the log line about reaching maxIssued

	closed uint64 // of the close leaf; the manager's alone

	mu     sync.Mutex // guards what follows; held for memory operations only
	state  lifecycle.EpochState
	counts counts
}

// step puts an event to the lifecycle.
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

// phase is where the epoch stands. One under suspicion is over, whether the
// manager has got to it or not.
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

// ID names the epoch; its signer drew it.
func (e *Epoch) ID() protocol.EpochID { return e.id }

// Number counts the epochs of a deployment from 1.
func (e *Epoch) Number() uint64 { return e.number }

// Issue has the tagger number and tag a draft. An epoch that has issued as many
// requests as it may refuses with draining.
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
		e.begun.Add(^uint64(0)) // it will not be anchored
	}
	return payload, tag, err
}

// Anchor has the signer anchor a payload; position is its place in the issued
// tree.
func (e *Epoch) Anchor(ctx context.Context, p *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error) {
	return e.signer.Anchor(ctx, p)
}

// Issued returns the place of a position in the issued tree under a signed root
// that covers it; code invalidated if the signer is gone and none is held.
func (e *Epoch) Issued(ctx context.Context, position uint64) (protocol.Issued, error) {
	return e.signer.Issued(ctx, position)
}

// Key is the Ed25519 key that signs the epoch's checkpoints.
func (e *Epoch) Key() [32]byte { return e.signer.CheckpointKey() }

// Begin sends the signer the tree of the log before the epoch-open leaf.
func (e *Epoch) Begin(ctx context.Context, tree protocol.Range) error {
	return e.signer.Begin(ctx, tree)
}

// Extend sends the signer the hashes of the leaves that follow.
func (e *Epoch) Extend(ctx context.Context, leafHashes []protocol.Digest) error {
	return e.signer.Extend(ctx, leafHashes)
}

// Checkpoint returns the signer's signature of the tree that it was sent, which
// must be the one of this size and root. If it is another, signer and core
// disagree about the log, and the epoch is destroyed.
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

// Redeem has the tagger redeem a payload's tag, at most once.
func (e *Epoch) Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error) {
	return e.tagger.Redeem(ctx, p, tag)
}

// Cancel makes the tagger forget a request.
func (e *Epoch) Cancel(ctx context.Context, id protocol.RequestID) error {
	return e.tagger.Cancel(ctx, id)
}

// Destroy ends the epoch on suspicion, at once and for good.
func (e *Epoch) Destroy() { e.once.Do(func() { close(e.suspect) }) }

// Ended counts the end of a session. Whatever was issued and did not end as
// accepted, rejected or expired is invalidated.
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
