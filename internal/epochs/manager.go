// Package epochs runs the epochs of the core: it opens the first one, replaces one
// that has failed, and closes the last one when the core stops.
//
// An epoch has one key set, in two child processes: a signer and a tagger. Its
// lifecycle is [lifecycle.StepEpoch]. The manager applies what it has learnt as events
// and carries out the effects:
//
//	the open leaf is committed  -> ACTIVE
//	the core stops              -> DRAINING: the ML-DSA key is wiped, sessions are
//	                               invalidated; then the close leaf, the last
//	                               checkpoint, the end of both children
//	a child has exited, or
//	core and tagger disagree    -> DESTROYED: children killed, sessions invalidated,
//	                               close leaf; the next epoch opens
//
// The open leaf records how well both children are protected. If children exit too
// often, acceptance is frozen; see [Config].
//
// If an acceptance races with the end of its epoch, the journal decides. It refuses
// every acceptance after the close leaf.
package epochs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// Signer is the core's side of one signer process. Done is closed when the process has
// exited; from then on every call fails, and none hangs.
type Signer interface {
	EpochID() protocol.EpochID
	PublicKey() [protocol.MLDSAPublicKeySize]byte
	CheckpointKey() [32]byte
	Anchor(ctx context.Context, p *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error)
	Issued(ctx context.Context, position uint64) (protocol.Issued, error)
	IssuedRoot(ctx context.Context) (protocol.SignedRoot, error)
	Begin(ctx context.Context, tree protocol.Range) error
	Extend(ctx context.Context, leafHashes []protocol.Digest) error
	Checkpoint(ctx context.Context) (protocol.SignedRoot, error)
	Wipe(ctx context.Context) error // of the ML-DSA key
	Posture() sandbox.Posture
	Done() <-chan struct{}
	Close() error
}

// Tagger is the core's side of one tagger process, with the same contract.
type Tagger interface {
	Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error)
	Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error)
	Cancel(ctx context.Context, id protocol.RequestID) error
	Posture() sandbox.Posture
	Done() <-chan struct{}
	Close() error
}

// Journal is where epochs begin and end. [journal.Journal] has the contract of each
// method.
type Journal interface {
	Append(ctx context.Context, now time.Time, body protocol.LeafBody) (journal.Entry, error)
	OpenEpochs(ctx context.Context) ([]protocol.EpochOpen, error)
	LastEpoch(ctx context.Context) (number uint64, id protocol.EpochID, index uint64, err error)
	SaveAttestation(ctx context.Context, epoch protocol.EpochID, evidence []byte) error
}

// Ledger asks the current epoch to sign its checkpoints; openIndex is the index of
// that epoch's open leaf. With a nil signer it publishes nothing. Await returns once
// a published checkpoint covers the leaf.
type Ledger interface {
	SetSigner(s ledger.Signer, openIndex uint64)
	Await(ctx context.Context, index uint64) (ledger.Checkpoint, error)
}

// Config is what a [Manager] needs; fields are required unless they say otherwise.
type Config struct {
	StartSigner func(ctx context.Context, number uint64) (Signer, error)
	StartTagger func(ctx context.Context, id protocol.EpochID, number uint64) (Tagger, error)
	Journal     Journal
	Ledger      Ledger
	Instance    protocol.InstanceID
	Build       protocol.Digest // SHA-256 of the executable
	Log         *slog.Logger

	// Invalidate ends every session of an epoch that is still ISSUED. May be nil.
	Invalidate func(id protocol.EpochID)

	// If DeathLimit keyholders exit within DeathWindow, Freeze is called, which stops
	// acceptance; no epoch opens while it fails. With DeathLimit 0 it is never
	// called and may be nil.
	DeathLimit  int
	DeathWindow time.Duration
	Freeze      func(ctx context.Context) error

	// Attest, if set, asks hardware for evidence about each new epoch and returns it
	// with a sentence about it. With MustAttest no epoch opens without evidence.
	// Otherwise Attest runs while the epoch is ACTIVE, and a failure is logged. It may
	// take as long as AttestTimeout; 0 means 10 s.
	Attest        func(ctx context.Context, e *protocol.EpochOpen) (evidence []byte, verdict string, err error)
	MustAttest    bool
	AttestTimeout time.Duration

	// MaxIssued bounds the requests that one epoch issues, and with them the
	// issued tree in memory (64 bytes each); 0 means 2^20.
	MaxIssued uint64

	// CloseGrace is how long an orderly end waits for the last checkpoint; 0 means 3 s.
	CloseGrace time.Duration
}

// Backoff between epochs that fail soon; the first replacement is immediate.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMax   = 10 * time.Second
	longLife     = time.Minute
)

// Manager owns the epochs of one core. [Manager.Run] opens and closes them.
type Manager struct {
	cfg     Config
	current atomic.Pointer[Epoch] // the one that is ACTIVE or DRAINING, or was last
	ready   chan struct{}         // closed when the first epoch is ACTIVE
	once    sync.Once
	reaped  sync.WaitGroup // ends of children, awaited by Run
	trouble atomic.Pointer[Trouble]
	asking  chan struct{}  // one element while hardware is asked for a quote
	asked   sync.WaitGroup // calls for evidence, awaited by Run
}

// New returns a manager. It starts nothing.
func New(cfg Config) *Manager {
	cfg.CloseGrace = cmp.Or(cfg.CloseGrace, 3*time.Second)
	cfg.MaxIssued = cmp.Or(cfg.MaxIssued, 1<<20)
	cfg.AttestTimeout = cmp.Or(cfg.AttestTimeout, 10*time.Second)
	if cfg.Invalidate == nil {
		cfg.Invalidate = func(protocol.EpochID) {}
	}
	return &Manager{cfg: cfg, ready: make(chan struct{}), asking: make(chan struct{}, 1)}
}

// Ready is closed when the first epoch is ACTIVE.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Active returns the epoch that is ACTIVE. It fails with draining if there is none.
func (m *Manager) Active() (*Epoch, error) {
	if e := m.current.Load(); e != nil && e.phase() == lifecycle.EpochActive {
		return e, nil
	}
	return nil, protocol.Fail(protocol.CodeDraining, "no epoch is active; a new one opens by itself")
}

// Find returns the epoch with this id if it is ACTIVE or DRAINING.
func (m *Manager) Find(id protocol.EpochID) (*Epoch, bool) {
	e := m.current.Load()
	if e == nil || e.id != id || !e.phase().Live() {
		return nil, false
	}
	return e, true
}

// Run keeps one epoch ACTIVE until ctx ends, and closes the last one in order before
// it returns. Epochs left open by an earlier process, or by a commit whose outcome was
// unknown, are closed as lost before an epoch opens.
func (m *Manager) Run(ctx context.Context) error {
	defer m.reaped.Wait()
	defer m.asked.Wait()
	troubles := 0 // epochs in a row that did not open or failed soon
	var d deaths
	var ended time.Time // of the last epoch
	settled := true     // no freeze is due before the next one
	for sleep(ctx, backoff(troubles)) {
		if settled = settled || m.freeze(ctx, &d); !settled {
			troubles++
			continue
		}
		e, err := m.open(ctx)
		if m.neverReady() && errors.As(err, new(*sandbox.Refusal)) {
			return err // trying again cannot help
		}
		if err != nil && ctx.Err() == nil {
			troubles = max(troubles, 1) + 1 // no immediate replacement
			if m.note(kindOf(err)) {
				m.cfg.Log.Error("epoch did not open", "retry_in_ms", backoff(troubles).Milliseconds(), "err", err)
			}
		}
		if err != nil {
			continue
		}
		m.clear()
		born := time.Now()
		if !ended.IsZero() {
			m.cfg.Log.Info("epoch replaced", "number", e.number, "gap_ms", born.Sub(ended).Milliseconds())
		}
		reason := m.watch(ctx, e)
		ended = time.Now()
		err = m.end(e, reason)
		if reason == protocol.CloseShutdown {
			return err
		}
		if err != nil {
			// The close leaf is written before the next epoch opens, as lost.
			m.cfg.Log.Error("epoch not closed in the journal", "epoch", e.id.String(), "err", err)
		}
		if troubles++; time.Since(born) > longLife {
			troubles = 1
		}
		settled = m.supervise(ctx, &d, reason)
	}
	return nil
}

// neverReady reports whether no epoch has been ACTIVE yet.
func (m *Manager) neverReady() bool { return m.current.Load() == nil }

// watch waits for the end of an active epoch and returns the reason.
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

// closeLost writes the close leaf of every epoch that ended without one
// (section 12). No epoch of this process may be open.
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
		m.cfg.Log.Warn("epoch closed as lost", "epoch", open[i].ID.String(), "number", open[i].Number)
	}
	return nil
}

// open starts both children and commits the epoch-open leaf. If it fails, both
// children have ended.
func (m *Manager) open(ctx context.Context) (*Epoch, error) {
	if err := m.closeLost(ctx); err != nil {
		return nil, fmt.Errorf("close lost epochs: %w", err)
	}
	last, previous, index, err := m.cfg.Journal.LastEpoch(ctx)
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
	e := m.newEpoch(number, signer, tagger)
	signs, tags := signer.Posture(), tagger.Posture()
	leaf := &protocol.EpochOpen{
		Number:        number,
		ID:            e.id,
		Instance:      m.cfg.Instance,
		PublicKey:     signer.PublicKey(),
		Build:         m.cfg.Build,
		SignerGrade:   uint8(signs.Grade()),
		TaggerGrade:   uint8(tags.Grade()),
		Posture:       PostureDigest(signs, tags),
		CheckpointKey: signer.CheckpointKey(),
		Previous:      previous,
		PreviousIndex: index,
	}
	seq, err := m.commitOpen(ctx, leaf)
	if err != nil {
		return nil, errors.Join(err, signer.Close(), tagger.Close())
	}
	m.cfg.Ledger.SetSigner(e, seq)
	if _, err := e.step(lifecycle.EpochOpened{}); err != nil {
		return nil, errors.Join(err, signer.Close(), tagger.Close())
	}
	m.current.Store(e)
	m.once.Do(func() { close(m.ready) })
	m.cfg.Log.Info("epoch active", "epoch", e.id.String(), "number", number, "seq", seq,
		"signer_grade", signs.Grade().String(), "tagger_grade", tags.Grade().String())
	m.cfg.Log.Info("posture", "number", number, "digest", PostureDigest(signs, tags).String())
	signs.Log(m.cfg.Log, "signer", "number", number)
	tags.Log(m.cfg.Log, "tagger", "number", number)
	m.attestLater(ctx, e, leaf)
	return e, nil
}

// PostureDigest returns the posture of an epoch as in its open leaf:
// D("TD-V1-posture", text of the signer's posture, text of the tagger's).
func PostureDigest(signer, tagger sandbox.Posture) protocol.Digest {
	return protocol.D("TD-V1-posture", []byte(signer.Text()), []byte(tagger.Text()))
}

// end takes an epoch from ACTIVE to DESTROYED. It does not use the context of Run,
// which may have ended: an epoch without a close leaf would be closed as lost.
func (m *Manager) end(e *Epoch, reason protocol.CloseReason) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.CloseGrace)
	defer cancel()
	if reason != protocol.CloseShutdown {
		return m.apply(ctx, e, lifecycle.EpochFailed{Reason: reason})
	}
	if err := m.apply(ctx, e, lifecycle.EpochDrain{Reason: reason}); err != nil {
		return err
	}
	// The server has stopped before the manager, so the pending requests will never
	// be answered.
	m.cfg.Invalidate(e.id)
	return m.apply(ctx, e, lifecycle.EpochIdle{})
}

// apply applies an event to an epoch and carries out the effects, in order. It goes on
// after an effect that fails.
func (m *Manager) apply(ctx context.Context, e *Epoch, event lifecycle.EpochEvent) error {
	effects, err := e.step(event)
	for _, effect := range effects {
		switch effect {
		case lifecycle.EpochEffectWipe:
			if wipeErr := e.signer.Wipe(ctx); wipeErr != nil {
				m.cfg.Log.Warn("ML-DSA key not wiped before its process ends", "err", wipeErr)
			}
		case lifecycle.EpochEffectInvalidate:
			m.cfg.Invalidate(e.id)
		case lifecycle.EpochEffectKill:
			m.cfg.Ledger.SetSigner(nil, 0)
			m.reap(e)
		case lifecycle.EpochEffectClose:
			e.closed, err = m.writeClose(ctx, e)
		case lifecycle.EpochEffectStop:
			err = errors.Join(err, m.stopChildren(ctx, e, err == nil))
		default:
			panic("epochs: internal error: unknown effect on an epoch")
		}
	}
	return err
}

// reap ends both children of a DESTROYED epoch while the next one opens. They have
// exited or are not trusted, so their errors are ignored.
func (m *Manager) reap(e *Epoch) {
	m.reaped.Go(func() { _ = e.tagger.Close() })
	m.reaped.Go(func() { _ = e.signer.Close() })
}

// writeClose commits the close leaf.
func (m *Manager) writeClose(ctx context.Context, e *Epoch) (seq uint64, err error) {
	// The leaf has its own timeout, however long the children took to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	leaf := m.closeLeaf(ctx, e)
	entry, err := m.cfg.Journal.Append(ctx, time.Now(), leaf)
	if errors.Is(err, protocol.CodeInternal) && leaf.Reason == protocol.CloseShutdown {
		// The signer's root covers less than was accepted.
		m.cfg.Log.Error("core and signer disagree about what was issued", "epoch", e.id.String(), "err", err)
		leaf.Reason, leaf.Issued = protocol.CloseSuspect, protocol.SignedRoot{}
		entry, err = m.cfg.Journal.Append(ctx, time.Now(), leaf)
	}
	if err != nil {
		return 0, fmt.Errorf("commit epoch-close leaf: %w", err)
	}
	m.cfg.Log.Info("epoch ended", "epoch", e.id.String(), "number", e.number, "reason", leaf.Reason.String(),
		"accepted", leaf.Accepted, "rejected", leaf.Rejected, "expired", leaf.Expired, "invalidated", leaf.Invalidated, "seq", entry.Seq)
	return entry.Seq, nil
}

// closeLeaf returns the close leaf of an epoch that has ended. After an orderly end it
// holds the root of everything issued. If the signer does not return that, the reason
// becomes died. After any other end the journal fills in the issued root.
func (m *Manager) closeLeaf(ctx context.Context, e *Epoch) *protocol.EpochClose {
	ends := e.ended()
	leaf := &protocol.EpochClose{
		ID: e.id, Number: e.number, Reason: e.reason(),
		Accepted: ends.Accepted, Rejected: ends.Rejected, Expired: ends.Expired,
	}
	issued := e.begun.Load() // includes requests that got no anchor
	if leaf.Reason == protocol.CloseShutdown {
		root, err := m.lastRoot(ctx, e)
		if err == nil {
			leaf.Issued, issued = root, root.Size
		} else {
			m.cfg.Log.Error("signer did not return the root of the issued tree", "epoch", e.id.String(), "err", err)
			leaf.Reason = protocol.CloseDied
		}
	}
	leaf.Invalidated = issued - min(issued, ends.Accepted+ends.Rejected+ends.Expired)
	return leaf
}

// lastRoot asks the signer of an epoch that issues no more for the root of the issued
// tree.
func (m *Manager) lastRoot(ctx context.Context, e *Epoch) (protocol.SignedRoot, error) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.CloseGrace)
	defer cancel()
	return e.signer.IssuedRoot(ctx)
}

// errUnpublished means that the stop was not orderly: the last checkpoint is missing.
var errUnpublished = errors.New("epochs: the last checkpoint of the epoch is not published; the next epoch signs the tail of the log")

// stopChildren ends both children in order. If the close leaf was written, the signer
// runs until a checkpoint covers it.
func (m *Manager) stopChildren(ctx context.Context, e *Epoch, written bool) (err error) {
	if closeErr := e.tagger.Close(); closeErr != nil {
		m.cfg.Log.Warn("tagger did not end in order", "err", closeErr)
	}
	if written {
		if awaitErr := m.awaitLast(ctx, e.closed); awaitErr != nil {
			m.cfg.Log.Warn("last checkpoint of the epoch not published", "err", awaitErr)
			err = errUnpublished
		}
	}
	m.cfg.Ledger.SetSigner(nil, 0)
	if closeErr := e.signer.Close(); closeErr != nil {
		m.cfg.Log.Warn("signer did not end in order", "err", closeErr)
	}
	return err
}

// awaitLast waits for the last checkpoint, with its own timeout.
func (m *Manager) awaitLast(ctx context.Context, seq uint64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.CloseGrace)
	defer cancel()
	_, err := m.cfg.Ledger.Await(ctx, seq)
	return err
}

// closeTimeout bounds the commit of a close leaf.
const closeTimeout = 10 * time.Second

// backoff returns how long to wait after this many failures in a row: not at all after
// the first, then twice as long each time.
func backoff(troubles int) time.Duration {
	if troubles < 2 {
		return 0
	}
	return min(backoffFirst<<min(troubles-2, 16), backoffMax)
}

// sleep waits for d. It reports false if ctx ends first.
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
