// Package control runs the epochs of the core: it opens the first one, replaces
// one that died, and closes the last one in order.
//
// An epoch is the life of one key set: a signer and a tagger, two child
// processes that hold one key each. The epoch becomes ACTIVE when its
// epoch-open leaf is committed, and ends with an epoch-close leaf:
//
//	STARTING --leaf 2 committed--> ACTIVE --stop--> DESTROYED (shutdown)
//	                                  |--child died--> DESTROYED (died)
//	                                  `--suspicion---> DESTROYED (suspect)
//
// Ending an epoch always goes in this order: nothing new is issued, the
// children end (which destroys the keys), the journal marks the epoch dead in
// the transaction of its close leaf, and only then are its sessions
// invalidated. An acceptance that races with it is decided by the journal: the
// leaf of a dead epoch is refused there.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/protocol"
)

// Signer is the core's side of one signer process. Done closes when the
// process is gone; every call fails from then on and none hangs.
type Signer interface {
	EpochID() protocol.EpochID
	PublicKey() [protocol.MLDSAPublicKeySize]byte
	CheckpointKey() [32]byte
	Anchor(ctx context.Context, p *protocol.EncodedPayload) (protocol.Anchor, error)
	Checkpoint(ctx context.Context, size uint64, root [32]byte) ([64]byte, error)
	Done() <-chan struct{}
	Close() error
}

// Tagger is the core's side of one tagger process, under the same rules.
type Tagger interface {
	Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error)
	Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error)
	Cancel(ctx context.Context, id protocol.RequestID) error
	CancelAll(ctx context.Context) error
	Done() <-chan struct{}
	Close() error
}

// Journal is where epochs begin and end. Append commits one leaf and gives its
// sequence number; an epoch-open leaf makes its epoch live and an epoch-close
// leaf makes it dead, in the same transaction.
type Journal interface {
	Append(ctx context.Context, now time.Time, body protocol.LeafBody) (seq uint64, err error)
	OpenEpochs(ctx context.Context) ([]protocol.EpochOpen, error)
	LastEpoch(ctx context.Context) (number uint64, id protocol.EpochID, err error)
	SaveIssued(ctx context.Context, epoch protocol.EpochID, digests []protocol.Digest) error
}

// Ledger signs its checkpoints with the signer of the epoch in force; openSeq
// is the sequence number of that epoch's open leaf. Await returns once a
// published checkpoint covers the leaf.
type Ledger interface {
	SetSigner(s Signer, openSeq uint64)
	Await(ctx context.Context, seq uint64) error
}

// Config is what a [Manager] needs; every field is required unless it says
// otherwise.
type Config struct {
	StartSigner func(ctx context.Context, number uint64) (Signer, error)
	StartTagger func(ctx context.Context, id protocol.EpochID, number uint64) (Tagger, error)
	Journal     Journal
	Ledger      Ledger
	Instance    protocol.InstanceID
	Build       protocol.Digest // SHA-256 of the executable
	Log         *slog.Logger

	// Ended is called once an epoch is dead in the journal, so that its
	// sessions can be invalidated. May be nil.
	Ended func(id protocol.EpochID)

	// CloseGrace bounds how long an orderly end waits for the last checkpoint;
	// 0 means 3 s.
	CloseGrace time.Duration
}

// Backoff between epochs that die young: the first replacement is immediate.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 10 * time.Second
	longLife     = time.Minute
)

// Manager owns the epochs of one core. [Manager.Run] must run for it to have
// any.
type Manager struct {
	cfg    Config
	active atomic.Pointer[Epoch]
	ready  chan struct{} // closed when the first epoch is ACTIVE
	once   sync.Once
}

// New makes a manager; it starts nothing.
func New(cfg Config) *Manager {
	if cfg.CloseGrace == 0 {
		cfg.CloseGrace = 3 * time.Second
	}
	if cfg.Ended == nil {
		cfg.Ended = func(protocol.EpochID) {}
	}
	return &Manager{cfg: cfg, ready: make(chan struct{})}
}

// Ready is closed when the first epoch is ACTIVE.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Active is the epoch that issues now; draining if there is none at the moment.
func (m *Manager) Active() (*Epoch, error) {
	if e := m.active.Load(); e != nil {
		return e, nil
	}
	return nil, protocol.Fail(protocol.CodeDraining, "no epoch is active; a new one opens by itself")
}

// Find is the epoch with this id if it is alive.
func (m *Manager) Find(id protocol.EpochID) (*Epoch, bool) {
	e := m.active.Load()
	if e == nil || e.id != id {
		return nil, false
	}
	return e, true
}

// Run closes what an earlier process left open, then keeps one epoch ACTIVE
// until ctx ends; the last one is closed in order before Run returns.
func (m *Manager) Run(ctx context.Context) error {
	if err := m.closeLost(ctx); err != nil {
		return fmt.Errorf("close lost epochs: %w", err)
	}
	troubles := 0 // in a row: epochs that did not open or died young
	for sleep(ctx, backoff(troubles)) {
		e, err := m.open(ctx)
		if err != nil && ctx.Err() == nil {
			troubles = max(troubles, 1) + 1 // no first one for free
			m.cfg.Log.Error("epoch did not open", "retry_in_ms", backoff(troubles).Milliseconds(), "err", err)
		}
		if err != nil {
			continue
		}
		born := time.Now()
		reason := m.watch(ctx, e)
		if err := m.end(e, reason); err != nil {
			return err
		}
		if reason == protocol.CloseShutdown {
			return nil
		}
		if troubles++; time.Since(born) > longLife {
			troubles = 1
		}
	}
	return nil
}

// watch waits for the end of an active epoch and says why it came.
func (m *Manager) watch(ctx context.Context, e *Epoch) protocol.CloseReason {
	select {
	case <-ctx.Done():
		return protocol.CloseShutdown
	case <-e.signer.Done():
		return protocol.CloseDied
	case <-e.tagger.Done():
		return protocol.CloseDied
	case <-e.suspect:
		return protocol.CloseSuspect
	}
}

// closeLost writes the close leaf of every epoch whose process ended without
// one (section 12).
func (m *Manager) closeLost(ctx context.Context) error {
	open, err := m.cfg.Journal.OpenEpochs(ctx)
	if err != nil {
		return err
	}
	for i := range open {
		lost := &protocol.EpochClose{ID: open[i].ID, Number: open[i].Number, Reason: protocol.CloseLost}
		if _, err := m.cfg.Journal.Append(ctx, time.Now(), lost); err != nil {
			return err
		}
		m.cfg.Log.Warn("epoch of an earlier process closed as lost", "epoch", open[i].ID.String(), "number", open[i].Number)
	}
	return nil
}

// open starts both children and commits the epoch-open leaf; on any failure
// both children are gone again.
func (m *Manager) open(ctx context.Context) (*Epoch, error) {
	last, previous, err := m.cfg.Journal.LastEpoch(ctx)
	if err != nil {
		return nil, err
	}
	number := last + 1
	signer, err := m.cfg.StartSigner(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("start signer: %w", err)
	}
	tagger, err := m.cfg.StartTagger(ctx, signer.EpochID(), number)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start tagger: %w", err), signer.Close())
	}
	e := newEpoch(number, signer, tagger)
	seq, err := m.cfg.Journal.Append(ctx, time.Now(), &protocol.EpochOpen{
		Number:        number,
		ID:            e.id,
		Instance:      m.cfg.Instance,
		PublicKey:     signer.PublicKey(),
		Build:         m.cfg.Build,
		CheckpointKey: signer.CheckpointKey(),
		Previous:      previous,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("commit epoch-open leaf: %w", err), signer.Close(), tagger.Close())
	}
	m.cfg.Ledger.SetSigner(signer, seq)
	m.active.Store(e)
	m.once.Do(func() { close(m.ready) })
	m.cfg.Log.Info("epoch active", "epoch", e.id.String(), "number", number, "seq", seq)
	return e, nil
}

// end takes an epoch from ACTIVE to DESTROYED. It does not stop half-way when
// the run's context has ended: an epoch without its close leaf is the case
// "lost", which is for processes that died.
func (m *Manager) end(e *Epoch, reason protocol.CloseReason) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.CloseGrace)
	defer cancel()
	m.active.Store(nil)
	orderly := reason == protocol.CloseShutdown
	// The tagger goes first: without it nothing of the epoch can be redeemed.
	// The signer of an orderly end stays to sign the last checkpoint.
	if err := e.tagger.Close(); err != nil && orderly {
		m.cfg.Log.Warn("tagger did not end in order", "err", err)
	}
	if !orderly {
		m.cfg.Ledger.SetSigner(nil, 0)
		_ = e.signer.Close() // it is dead or distrusted; its exit status says nothing more
	}
	counts, issued := e.finish()
	if err := m.cfg.Journal.SaveIssued(ctx, e.id, issued); err != nil {
		m.cfg.Log.Error("digests of the issued requests not saved", "epoch", e.id.String(), "err", err)
	}
	seq, err := m.cfg.Journal.Append(ctx, time.Now(), &protocol.EpochClose{
		ID:          e.id,
		Number:      e.number,
		Reason:      reason,
		Issued:      counts.Issued,
		Accepted:    counts.Accepted,
		Rejected:    counts.Rejected,
		Expired:     counts.Expired,
		Invalidated: counts.Issued - counts.Accepted - counts.Rejected - counts.Expired,
		Root:        protocol.MerkleRoot(issued),
	})
	m.cfg.Ended(e.id)
	m.cfg.Log.Info("epoch ended", "epoch", e.id.String(), "number", e.number, "reason", reason.String(), "issued", counts.Issued, "accepted", counts.Accepted)
	if err != nil {
		return errors.Join(fmt.Errorf("commit epoch-close leaf: %w", err), m.dropSigner(e, orderly))
	}
	if orderly {
		if err := m.cfg.Ledger.Await(ctx, seq); err != nil {
			m.cfg.Log.Warn("last checkpoint of the epoch not published", "err", err)
		}
	}
	return m.dropSigner(e, orderly)
}

func (m *Manager) dropSigner(e *Epoch, orderly bool) error {
	if !orderly {
		return nil
	}
	m.cfg.Ledger.SetSigner(nil, 0)
	if err := e.signer.Close(); err != nil {
		m.cfg.Log.Warn("signer did not end in order", "err", err)
	}
	return nil
}

// backoff is how long to wait after so many troubles in a row: not at all for
// the first, then twice as long each time.
func backoff(troubles int) time.Duration {
	if troubles < 2 {
		return 0
	}
	return min(backoffFirst<<min(troubles-2, 16), backoffMax)
}

// sleep waits for d and reports false when ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
