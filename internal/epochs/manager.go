// Package epochs runs the epochs of the core: it opens the first one, rotates them,
// replaces one that has failed, and closes all when the core stops.
//
// An epoch has one key set, in two child processes: a signer and a tagger. Its
// lifecycle is [lifecycle.StepEpoch], and that of an opening [lifecycle.StepOpening].
// The manager applies what it has learnt as events and carries out the effects:
//
//	the open leaf is committed  -> ACTIVE
//	the next epoch is to open   -> DRAINING: issue is held, the ML-DSA key is wiped,
//	                               the signer signs its last root, the log and the
//	                               hand-over; it ends when the next epoch is ACTIVE,
//	                               the tagger when nothing is pending; then the close leaf
//	the core stops              -> DRAINING: the ML-DSA key is wiped, sessions are
//	                               invalidated; then the close leaf, the last
//	                               checkpoint, the end of both children
//	the log is to be sealed     -> DRAINING: the ML-DSA key is wiped; when nothing is
//	                               pending, the close leaf, the seal leaf, the last
//	                               checkpoint, the end of both children
//	a child has exited, or
//	core and tagger disagree,
//	or an operator forces it    -> DESTROYED: children killed, sessions invalidated,
//	                               close leaf; the next epoch opens
//
// One goroutine, [Manager.Run], opens epochs, one at a time; it has one more for each
// epoch that is open, which ends it. The open leaf records how well both children are
// protected. If children exit too often, acceptance is frozen; see [Config].
//
// If an acceptance races with the end of its epoch, the journal decides. It refuses
// every acceptance after the close leaf.
package epochs

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
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
	Handover(ctx context.Context, next protocol.EpochID, number uint64, key [32]byte) (protocol.SignedRoot, error)
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
	EpochCloseLeaf(ctx context.Context, id protocol.EpochID) (journal.Entry, bool, error)
	SaveAttestation(ctx context.Context, epoch protocol.EpochID, evidence []byte) error
}

// Ledger asks the newest epoch to sign its checkpoints; openIndex is the index of
// that epoch's open leaf. UnsetSigner takes an epoch away, unless another one has
// replaced it; without a signer nothing is published. Await returns once a published
// checkpoint covers the leaf.
type Ledger interface {
	SetSigner(s ledger.Signer, openIndex uint64)
	UnsetSigner(s ledger.Signer)
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

	// Differs is called when a signer has signed another tree than that of the core: the
	// "log", or the tree of what was "issued". May be nil.
	Differs func(tree string)

	// Attest, if set, asks hardware for evidence about each new epoch and returns it
	// with a sentence about it. With MustAttest no epoch opens without evidence.
	// Otherwise Attest runs while the epoch is ACTIVE, and a failure is logged. It may
	// take as long as AttestTimeout; 0 means 10 s.
	Attest        func(ctx context.Context, e *protocol.EpochOpen) (evidence []byte, verdict string, err error)
	MustAttest    bool
	AttestTimeout time.Duration

	// MaxIssued bounds the requests that one epoch issues, and with them the
	// issued tree in memory (64 bytes each); 0 means 2^20. When an eighth of them is
	// left, the epoch is rotated.
	MaxIssued uint64

	// Sealed means that the log is sealed: no epoch opens.
	Sealed bool

	Schedule Schedule         // of rotations
	Random   func() float64   // from 0 to 1, for the schedule; nil means crypto/rand
	Now      func() time.Time // nil means time.Now

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
	ready   chan struct{}  // closed when the first epoch is ACTIVE
	over    chan struct{}  // closed when Run returns
	keepers sync.WaitGroup // goroutines that end epochs, awaited by Run
	reaped  sync.WaitGroup // ends of children, awaited by Run
	trouble atomic.Pointer[Trouble]
	asking  chan struct{}  // one element while hardware is asked for a quote
	asked   sync.WaitGroup // calls for evidence, awaited by Run

	orders  chan *order
	endings chan ending   // from the keepers
	crowded chan struct{} // one element when an epoch has issued nearly as many as it may

	forced  atomic.Uint64           // forced rotations so far
	sealing atomic.Pointer[sealing] // nil until a seal is asked for
	sealNow chan struct{}           // closed when it is

	mu      sync.Mutex // guards the change of turn
	turn    atomic.Pointer[turn]
	waiting atomic.Int64              // requests in Begin
	began   atomic.Pointer[time.Time] // when Run began what it does now; nil while it waits

	// Of Run alone.
	deaths   deaths
	due      bool      // a freeze is due
	troubles int       // epochs in a row that did not open or failed soon
	ended    time.Time // when the last ACTIVE epoch failed
	floor    uint64    // the greatest number that was handed over to
	queue    []*order  // rotations that wait
	missed   int       // scheduled rotations in a row that were not begun
	notEarly time.Time // no scheduled rotation is begun before
}

// turn is which epochs there are. It does not change; [Manager.change] replaces it.
type turn struct {
	active  *Epoch        // that issues, or that is being drained; nil if there is none
	live    []*Epoch      // all that have not ended, in order of their numbers
	held    bool          // issue waits for the next epoch
	over    bool          // no epoch follows
	changed chan struct{} // closed when it is replaced
}

// New returns a manager. It starts nothing.
func New(cfg Config) *Manager {
	cfg.CloseGrace = cmp.Or(cfg.CloseGrace, 3*time.Second)
	cfg.MaxIssued = cmp.Or(cfg.MaxIssued, 1<<20)
	cfg.AttestTimeout = cmp.Or(cfg.AttestTimeout, 10*time.Second)
	if cfg.Invalidate == nil {
		cfg.Invalidate = func(protocol.EpochID) {}
	}
	if cfg.Differs == nil {
		cfg.Differs = func(string) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = random
	}
	m := &Manager{
		cfg: cfg, ready: make(chan struct{}), over: make(chan struct{}), asking: make(chan struct{}, 1),
		orders: make(chan *order), endings: make(chan ending), crowded: make(chan struct{}, 1),
		sealNow: make(chan struct{}),
	}
	m.turn.Store(&turn{over: cfg.Sealed, changed: make(chan struct{})})
	return m
}

// random returns a random number from 0 to 1.
func random() float64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never returns an error, see crypto/rand
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// change replaces the turn by one that differs as do says.
func (m *Manager) change(do func(*turn)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.turn.Load()
	now := &turn{active: was.active, live: slices.Clone(was.live), held: was.held, over: was.over, changed: make(chan struct{})}
	do(now)
	m.turn.Store(now)
	close(was.changed)
}

// Ready is closed when the first epoch is ACTIVE.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Active returns the epoch that is ACTIVE. It fails with draining if there is none.
func (m *Manager) Active() (*Epoch, error) {
	if e := m.turn.Load().active; e != nil && e.phase() == lifecycle.EpochActive {
		return e, nil
	}
	return nil, noEpoch()
}

func noEpoch() error {
	return protocol.Fail(protocol.CodeDraining, "no epoch is active; a new one opens by itself")
}

// Held reports whether new requests wait for the next epoch of a rotation.
func (m *Manager) Held() bool { return m.turn.Load().held }

// maxWaiting bounds the requests that wait for the next epoch. A server has room for
// twice as many at once, so that it goes on reading and accepting however long the next
// epoch takes.
const maxWaiting = 128

// Busy returns how long the manager has been at one step of its work, which is bounded by
// its timeouts; 0 while it waits for work. A pause between two attempts counts to a step.
func (m *Manager) Busy() time.Duration {
	began := m.began.Load()
	if began == nil {
		return 0
	}
	return m.cfg.Now().Sub(*began)
}

// begin notes that a step begins.
func (m *Manager) begin() {
	now := m.cfg.Now()
	m.began.Store(&now)
}

// Begin lets a new request in and returns the epoch that is to issue it. During a
// rotation, or when the epoch has issued as many as it may, it waits for the next
// epoch, as long as within and ctx allow. It fails with draining.
func (m *Manager) Begin(ctx context.Context, within time.Duration) (*Epoch, error) {
	var late <-chan time.Time
	for {
		t := m.turn.Load()
		if t.active != nil {
			switch t.active.enter() {
			case admitted:
				return t.active, nil
			case full:
				if m.cfg.Schedule.Off {
					return nil, m.refuseFull(t.active)
				}
			case inactive:
				if t != m.turn.Load() {
					continue // it was active when the turn was read
				}
				if !t.held {
					return nil, noEpoch()
				}
			}
		} else if !t.held {
			return nil, noEpoch()
		}
		if late == nil {
			defer m.waiting.Add(-1)
			if m.waiting.Add(1) > maxWaiting {
				return nil, noEpoch()
			}
			timer := time.NewTimer(within)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-t.changed:
		case <-late:
			return nil, noEpoch()
		case <-ctx.Done():
			return nil, noEpoch()
		}
	}
}

// refuseFull returns the refusal of an epoch that has issued as many requests as it may.
func (m *Manager) refuseFull(e *Epoch) error {
	e.logFull.Do(func() {
		m.cfg.Log.Warn("epoch has reached max_issued; new requests are refused until it is rotated",
			"number", e.number, "max_issued", e.maxIssued)
	})
	return protocol.Fail(protocol.CodeDraining, "the epoch has issued as many requests as it may")
}

// Find returns the epoch with this id if it is ACTIVE or DRAINING.
func (m *Manager) Find(id protocol.EpochID) (*Epoch, bool) {
	for _, e := range m.turn.Load().live {
		if e.id == id {
			return e, e.phase().Live()
		}
	}
	return nil, false
}

// Status lists the epochs that have not ended, in order of their numbers.
func (m *Manager) Status() []State {
	live := m.turn.Load().live
	all := make([]State, len(live))
	for i, e := range live {
		all[i] = e.status()
	}
	return all
}

// draining returns the number of epochs that are DRAINING.
func (m *Manager) draining() (n int) {
	for _, e := range m.turn.Load().live {
		if e.phase() == lifecycle.EpochDraining {
			n++
		}
	}
	return n
}

// Run keeps one epoch ACTIVE until ctx ends, and closes all in order before it returns.
// Epochs left open by an earlier process are closed as lost before an epoch opens.
func (m *Manager) Run(ctx context.Context) error {
	defer close(m.over)
	defer m.reaped.Wait()
	defer m.asked.Wait()
	for ctx.Err() == nil {
		m.begin()
		if m.turn.Load().over {
			m.rest(ctx)
			continue
		}
		if _, err := m.Active(); err != nil {
			if err := m.replace(ctx); err != nil && ctx.Err() == nil {
				return errors.Join(err, m.shutdown())
			}
			continue
		}
		if s := m.sealing.Load(); s != nil {
			m.sealEpochs(ctx, s)
			continue
		}
		if o := m.nextOrder(); o != nil {
			m.rotate(ctx, o)
			continue
		}
		if m.due {
			_ = m.settleDeaths(ctx) // it is logged, and tried again
		}
		timer := time.NewTimer(m.untilDue())
		m.began.Store(nil)
		select {
		case <-ctx.Done():
		case end := <-m.endings:
			m.note(ctx, end)
		case o := <-m.orders:
			m.queue = append(m.queue, o)
		case <-m.crowded:
		case <-m.sealNow:
		case <-timer.C:
		}
		timer.Stop()
	}
	return m.shutdown()
}

// replace opens an epoch where none is ACTIVE. An error is one that trying again cannot
// help, or that of ctx.
func (m *Manager) replace(ctx context.Context) error {
	// The keeper of the epoch before ends it first, so that its close leaf comes first.
	for e := m.turn.Load().active; e != nil; e = m.turn.Load().active {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case end := <-m.endings:
			m.note(ctx, end)
		}
	}
	e, err := m.open(ctx)
	if e != nil && !m.ended.IsZero() {
		m.cfg.Log.Info("epoch replaced", "number", e.number, "gap_ms", m.cfg.Now().Sub(m.ended).Milliseconds())
	}
	return err
}

// neverReady reports whether no epoch has been ACTIVE yet.
func (m *Manager) neverReady() bool { return !isClosed(m.ready) }

// closeLost writes the close leaf of every epoch that ended without one (section 12):
// those of earlier processes, and those of this one whose close leaf was refused.
func (m *Manager) closeLost(ctx context.Context) error {
	open, err := m.cfg.Journal.OpenEpochs(ctx)
	if err != nil {
		return err
	}
	live := m.turn.Load().live
	for i := range open {
		if slices.ContainsFunc(live, func(e *Epoch) bool { return e.id == open[i].ID }) {
			continue // it is open, or being closed
		}
		lost := &protocol.EpochClose{ID: open[i].ID, Number: open[i].Number, Reason: protocol.CloseLost}
		if _, err := m.cfg.Journal.Append(ctx, m.cfg.Now(), lost); err != nil {
			return err
		}
		m.cfg.Log.Warn("epoch closed as lost", "epoch", open[i].ID.String(), "number", open[i].Number)
	}
	return nil
}

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
