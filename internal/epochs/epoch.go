package epochs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

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
	differs func(tree string)
	suspect chan struct{} // closed by Destroy
	once    sync.Once
	idle    chan struct{} // closed when a DRAINING epoch has nothing left to do
	jitter  float64       // of its rotation by age, from 0 to 1

	maxIssued uint64 // how many requests it may issue
	soon      uint64 // how many it issues before it is rotated
	crowded   func() // is called when it has issued so many
	logFull   sync.Once

	closed   uint64 // sequence of the close leaf or, if sealed, of the seal leaf; the next three are used by the manager alone
	sealed   bool   // its end sealed the log
	unsigned error  // why the last checkpoint is missing

	forces  uint64         // forced rotations before its keyholders were started
	telling sync.Mutex     // held while the signer is sent the log or signs it; guards the next two
	told    protocol.Range // the log that the signer was sent
	last    bool           // its last checkpoint was asked for: it learns no more of the log, and signs only the hand-over

	mu       sync.Mutex // guards what follows; held for memory operations only
	state    lifecycle.EpochState
	since    time.Time // in this phase
	index    uint64    // of its open leaf
	counts   counts
	begun    uint64        // requests that may have been anchored
	issuing  int           // requests between Begin and the answer of Anchor
	quiet    chan struct{} // closed when issuing becomes 0; nil if no call waits
	pending  int           // requests that have begun and not ended
	forced   bool          // an operator has ended it
	released bool          // no opening needs it any more
	rooted   bool
	root     protocol.SignedRoot // of its whole issued tree, if rooted
}

// step applies an event to the lifecycle and returns the effects.
func (e *Epoch) step(now time.Time, event lifecycle.EpochEvent) ([]lifecycle.EpochEffect, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	state, effects, code := lifecycle.StepEpoch(e.state, event)
	if code != protocol.CodeNone {
		return nil, fmt.Errorf("epoch in phase %v cannot take this step: %w", e.state.Phase, code)
	}
	if state.Phase != e.state.Phase {
		e.since = now
	}
	e.state = state
	e.settle()
	return effects, nil
}

// settle closes idle when the epoch drains and nothing is left to do. The lock is held.
func (e *Epoch) settle() {
	if e.state.Phase != lifecycle.EpochDraining || !e.released || e.pending > 0 {
		return
	}
	select {
	case <-e.idle:
	default:
		close(e.idle)
	}
}

// release says that no opening needs the epoch any more.
func (e *Epoch) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.released = true
	e.settle()
}

// destroyed reports whether [Epoch.Destroy] was called.
func (e *Epoch) destroyed() bool { return isClosed(e.suspect) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// phase returns the phase of the epoch: DESTROYED once [Epoch.Destroy] was called, even
// before the manager has ended it.
func (e *Epoch) phase() lifecycle.EpochPhase {
	if e.destroyed() {
		return lifecycle.EpochDestroyed
	}
	return e.ownPhase()
}

// ownPhase returns the phase that the manager has brought the epoch to.
func (e *Epoch) ownPhase() lifecycle.EpochPhase {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Phase
}

func (e *Epoch) reason() protocol.CloseReason {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Reason
}

// isLast reports whether the log is sealed when the epoch has drained.
func (e *Epoch) isLast() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Last
}

func (e *Epoch) isReleased() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.released
}

func (e *Epoch) wasForced() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forced
}

// admission is whether an epoch takes one more request.
type admission uint8

const (
	admitted admission = iota
	full               // it has issued as many as it may
	inactive
)

// enter counts a new request. If it is admitted, exactly one of these follows: an error
// of Issue or Anchor, or Ended.
func (e *Epoch) enter() admission {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.state.Phase != lifecycle.EpochActive || e.destroyed():
		return inactive
	case e.begun >= e.maxIssued:
		return full
	}
	e.begun++
	e.issuing++
	e.pending++
	if e.begun == e.soon {
		e.crowded()
	}
	return admitted
}

// leave counts a request that is no longer being issued, or has failed there.
func (e *Epoch) leave(failed, anchored bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.issuing--; e.issuing == 0 && e.quiet != nil {
		close(e.quiet)
		e.quiet = nil
	}
	if !anchored {
		e.begun--
	}
	if failed {
		e.pending--
		e.settle()
	}
}

// awaitQuiet waits until no request is being issued.
func (e *Epoch) awaitQuiet(ctx context.Context) {
	e.mu.Lock()
	if e.issuing > 0 && e.quiet == nil {
		e.quiet = make(chan struct{})
	}
	quiet := e.quiet
	e.mu.Unlock()
	if quiet == nil {
		return
	}
	select {
	case <-quiet:
	case <-ctx.Done():
	case <-e.signer.Done():
	case <-e.tagger.Done():
	}
}

// ID returns the id of the epoch, which follows from the keys of its signer.
func (e *Epoch) ID() protocol.EpochID { return e.id }

// Number returns the number of the epoch; the epochs of a log count from 1.
func (e *Epoch) Number() uint64 { return e.number }

// Issue sends the draft of a request that [Manager.Begin] has let in to the tagger,
// which numbers and tags it. After an error the request is over.
func (e *Epoch) Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	issued := false // after a panic, too, it is over
	defer func() {
		if !issued {
			e.leave(true, false)
		}
	}()
	payload, tag, err := e.tagger.Issue(ctx, draft)
	issued = err == nil
	return payload, tag, err
}

// Withdraw ends a request that was let in and will not be issued.
func (e *Epoch) Withdraw() { e.leave(true, false) }

// Anchor returns the signer's anchor of a payload that was issued, and its position in
// the issued tree. After an error the request is over; else [Epoch.Ended] ends it.
func (e *Epoch) Anchor(ctx context.Context, p *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error) {
	anchored := false // after a panic, too, it is over
	defer func() { e.leave(!anchored, true) }()
	a, position, err = e.signer.Anchor(ctx, p)
	anchored = err == nil
	return a, position, err
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
	e.telling.Lock()
	defer e.telling.Unlock()
	if e.last {
		return errHandsOver()
	}
	e.told = tree.Clone()
	return e.signer.Begin(ctx, tree)
}

// Extend sends the signer the hashes of the leaves that follow.
func (e *Epoch) Extend(ctx context.Context, leafHashes []protocol.Digest) error {
	e.telling.Lock()
	defer e.telling.Unlock()
	if e.last {
		return errHandsOver()
	}
	for _, h := range leafHashes {
		e.told.Append(h)
	}
	return e.signer.Extend(ctx, leafHashes)
}

// Checkpoint returns the signer's signature of the tree that it was sent. If that is
// not the tree of this size and root, signer and core disagree about the log, and the
// epoch is destroyed.
func (e *Epoch) Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error) {
	e.telling.Lock()
	defer e.telling.Unlock()
	if e.last {
		return [64]byte{}, errHandsOver()
	}
	return e.checkpoint(ctx, size, root)
}

// errHandsOver refuses what a ledger still asks for after the last checkpoint. The hand-over
// is over that checkpoint: with more leaves, the tree of the signer would differ from told.
func errHandsOver() error {
	return protocol.Fail(protocol.CodeInternal, "the epoch hands over")
}

func (e *Epoch) checkpoint(ctx context.Context, size uint64, root protocol.Digest) ([64]byte, error) {
	signed, err := e.signer.Checkpoint(ctx)
	if err != nil {
		return [64]byte{}, err
	}
	return signed.Signature, e.agree(&signed, size, root)
}

// agree destroys the epoch if its signer has signed another tree than the log's.
func (e *Epoch) agree(signed *protocol.SignedRoot, size uint64, root protocol.Digest) error {
	if signed.Size == size && signed.Root == root {
		return nil
	}
	e.log.Error("core and signer disagree about the log; epoch destroyed", "epoch", e.id.String(), "size", size, "signed_size", signed.Size)
	e.differs("log")
	e.Destroy()
	return protocol.Fail(protocol.CodeInternal, "the signer signed another tree than the log's")
}

// lastCheckpoint has the signer sign the log that it was sent, and ends that. An epoch
// that was sent none hands over the empty tree.
func (e *Epoch) lastCheckpoint(ctx context.Context) error {
	e.telling.Lock()
	defer e.telling.Unlock()
	e.last = true
	if e.told.Size() == 0 {
		return nil
	}
	_, err := e.checkpoint(ctx, e.told.Size(), e.told.Root())
	return err
}

// handover has the signer hand over to the next epoch, over its last checkpoint.
func (e *Epoch) handover(ctx context.Context, next *protocol.EpochOpen) (protocol.SignedRoot, error) {
	e.telling.Lock()
	defer e.telling.Unlock()
	signed, err := e.signer.Handover(ctx, next.ID, next.Number, next.CheckpointKey)
	if err == nil {
		err = e.agree(&signed, e.told.Size(), e.told.Root())
	}
	if err != nil {
		return protocol.SignedRoot{}, err
	}
	return signed, nil
}

// keepRoot keeps the root of the whole issued tree.
func (e *Epoch) keepRoot(root protocol.SignedRoot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.root, e.rooted = root, true
}

// lastRoot returns the root of the whole issued tree, if the signer has signed it.
func (e *Epoch) lastRoot() (root protocol.SignedRoot, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.root, e.rooted
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

// force is Destroy by an operator.
func (e *Epoch) force() {
	e.mu.Lock()
	e.forced = true
	e.mu.Unlock()
	e.Destroy()
}

// Ended counts the end of a request that was anchored. Issued requests that did not end
// as accepted, rejected or expired count as invalidated.
func (e *Epoch) Ended(how lifecycle.Phase) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending--
	e.settle()
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

// closeLeaf returns the close leaf of an epoch that has ended, without its issued root; issued counts the
// requests that may have been anchored.
func (e *Epoch) closeLeaf() (leaf *protocol.EpochClose, issued uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &protocol.EpochClose{
		ID: e.id, Number: e.number, Reason: e.state.Reason,
		Accepted: e.counts.Accepted, Rejected: e.counts.Rejected, Expired: e.counts.Expired,
	}, e.begun
}

// State describes one epoch.
type State struct {
	Number  uint64
	ID      protocol.EpochID
	Phase   lifecycle.EpochPhase
	Since   time.Time // in this phase
	Index   uint64    // of its open leaf
	Pending int       // requests that are not decided
	Issued  uint64    // requests that it has issued
}

// status returns the state of the epoch.
func (e *Epoch) status() State {
	phase := e.phase()
	e.mu.Lock()
	defer e.mu.Unlock()
	return State{
		Number: e.number, ID: e.id, Phase: phase, Since: e.since, Index: e.index,
		Pending: e.pending, Issued: e.begun,
	}
}
