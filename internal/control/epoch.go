package control

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/terradourada/td/protocol"
)

// Counts are the figures of an epoch-close leaf.
type Counts struct {
	Issued, Accepted, Rejected, Expired uint64
}

// Epoch is one key set and what it has issued.
type Epoch struct {
	number  uint64
	id      protocol.EpochID
	signer  Signer
	tagger  Tagger
	suspect chan struct{} // closed by Destroy
	once    sync.Once

	closed uint64 // of the close leaf; the manager's alone

	mu       sync.Mutex // guards what follows; held for memory operations only
	state    protocol.EpochState
	issued   []issued
	counts   Counts
	finished bool
}

// issued is one request that was handed out; seq is the tagger's word.
type issued struct {
	seq    uint64
	digest protocol.Digest
}

// step puts an event to the lifecycle.
func (e *Epoch) step(event protocol.EpochEvent) ([]protocol.EpochEffect, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state, effects, code := protocol.StepEpoch(e.state, event)
	if code != protocol.CodeNone {
		return nil, fmt.Errorf("epoch in phase %v cannot take this step: %w", e.state.Phase, code)
	}
	e.state = state
	return effects, nil
}

// phase is where the epoch stands. One under suspicion is over, whether the
// manager has got to it or not.
func (e *Epoch) phase() protocol.EpochPhase {
	select {
	case <-e.suspect:
		return protocol.EpochDestroyed
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

func newEpoch(number uint64, s Signer, t Tagger) *Epoch {
	return &Epoch{number: number, id: s.EpochID(), signer: s, tagger: t, suspect: make(chan struct{})}
}

// ID names the epoch; its signer drew it.
func (e *Epoch) ID() protocol.EpochID { return e.id }

// Number counts the epochs of a deployment from 1.
func (e *Epoch) Number() uint64 { return e.number }

// Issue has the tagger number and tag a draft.
func (e *Epoch) Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	return e.tagger.Issue(ctx, draft)
}

// Anchor has the signer anchor a payload.
func (e *Epoch) Anchor(ctx context.Context, p *protocol.EncodedPayload) (protocol.Anchor, error) {
	return e.signer.Anchor(ctx, p)
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

// Issued records a request that got its tag and anchor; seq is its number in
// the epoch, counted from 1. It reports false when the epoch has already
// ended: the request must not be handed out.
func (e *Epoch) Issued(seq uint64, d protocol.Digest) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished {
		return false
	}
	e.issued = append(e.issued, issued{seq, d})
	e.counts.Issued++
	return true
}

// Ended counts the end of a session. Whatever was issued and did not end as
// accepted, rejected or expired is invalidated.
func (e *Epoch) Ended(how protocol.Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch how {
	case protocol.PhaseAccepted:
		e.counts.Accepted++
	case protocol.PhaseRejected:
		e.counts.Rejected++
	case protocol.PhaseExpired:
		e.counts.Expired++
	default:
	}
}

// finish gives the figures of the close leaf and the digests in seq order;
// nothing is issued after it. Numbers the tagger gave out to requests that never
// got an anchor are left out.
func (e *Epoch) finish() (Counts, []protocol.Digest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = true
	slices.SortFunc(e.issued, func(a, b issued) int { return cmp.Compare(a.seq, b.seq) })
	digests := make([]protocol.Digest, len(e.issued))
	for i := range e.issued {
		digests[i] = e.issued[i].digest
	}
	return e.counts, digests
}
