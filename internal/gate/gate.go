package gate

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Epoch is one key set. Once a keyholder has exited, calls fail; they never hang.
//
// A request that Epochs.Begin has let in is pending in the epoch until it is withdrawn,
// until Issue or Anchor fails, or until Ended counts its end. A DRAINING epoch ends when
// none is.
type Epoch interface {
	ID() protocol.EpochID
	Number() uint64
	Issue(ctx context.Context, draft *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error)
	// Anchor returns the anchor of a payload and its position in the issued tree.
	Anchor(ctx context.Context, p *protocol.EncodedPayload) (a protocol.Anchor, position uint64, err error)
	// Issued returns the place of a position in the issued tree under a root that
	// the signer has signed. It fails with invalidated if the signer has exited and no
	// such root is stored.
	Issued(ctx context.Context, position uint64) (protocol.Issued, error)
	Redeem(ctx context.Context, p *protocol.EncodedPayload, tag protocol.Tag) (protocol.Redemption, error)
	Cancel(ctx context.Context, id protocol.RequestID) error
	// Withdraw ends a request that was let in and will not be issued.
	Withdraw()
	// Ended counts the end of one of its anchored requests.
	Ended(how lifecycle.Phase)
	// Destroy ends the epoch at once, because core and tagger disagree.
	Destroy()
}

// Epochs holds the key sets of this instance. Begin lets a new request in and returns
// the epoch that issues it. While a rotation holds issue, it waits, no longer than
// within; it fails with draining if no epoch is ACTIVE. Find returns an epoch that is
// ACTIVE or DRAINING.
type Epochs interface {
	Begin(ctx context.Context, within time.Duration) (Epoch, error)
	Find(id protocol.EpochID) (Epoch, bool)
}

// Journal is the truth about what was accepted. [journal.Journal] has the contract
// of each method.
type Journal interface {
	Accept(ctx context.Context, now time.Time, a *journal.Acceptance) (journal.Entry, error)
	Accepted(ctx context.Context, id protocol.RequestID) (e journal.Entry, found bool, err error)
	ClaimLeaf(ctx context.Context, vk protocol.Digest) (e journal.Entry, found bool, err error)
	EpochLeaf(ctx context.Context, id protocol.EpochID) (e journal.Entry, found bool, err error)
	EpochLeafByKey(ctx context.Context, checkpointKey [32]byte) (e journal.Entry, found bool, err error)
	Leaf(ctx context.Context, seq uint64) (e journal.Entry, found bool, err error)
	Withdrawals(ctx context.Context, epoch protocol.EpochID, vk protocol.Digest, below uint64, most int) ([]journal.Entry, error)
}

// Holds answers from memory. Check refuses an operation on a claim that is held, and
// Writable reports whether the journal takes writes. The transaction of an acceptance
// checks both again.
type Holds interface {
	Check(op journal.Operation, vk protocol.Digest) error
	Writable() bool
}

// Ledger is the projection of the journal. Admit refuses while it cannot follow
// further acceptances. Await returns a published checkpoint that covers the leaf.
// Proof returns the C2SP tlog-proof text of a leaf under a checkpoint.
type Ledger interface {
	Admit() error
	Await(ctx context.Context, seq uint64) (ledger.Checkpoint, error)
	Proof(ctx context.Context, cp ledger.Checkpoint, seq uint64) (string, error)
}

// Job is what a prover gets. Section 9 says what a prover learns from it.
type Job struct {
	Statement  *claim.Statement
	Inputs     []protocol.Element
	Assignment *claim.Assignment
	Tag        protocol.Tag
	Deadline   time.Time
}

// Format writes "redacted" for every verb and flag.
func (Job) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// Prover proves a job and returns the proof and the tag. Errors carry
// overloaded, prover_timeout or prover_bad_response.
type Prover interface {
	Prove(ctx context.Context, job *Job) (proof []byte, tag protocol.Tag, err error)
}

// Claim is one claim that this server offers. Its leaf is committed.
type Claim struct {
	ID          claim.ID
	List        *claim.List // nil for claims without one
	Key         *claim.VerifyingKey
	Fingerprint protocol.Digest
}

func (c *Claim) key() claimKey {
	if c.List == nil {
		return claimKey{id: c.ID}
	}
	return claimKey{c.ID, c.List.ID()}
}

// Outcome is the outcome of one call, or of a request that expired, for logs, metrics
// and detectors. It holds no part of the event, no tag and no proof.
// [telemetry.CauseOf] reads the cause of a refusal from its error.
type Outcome struct {
	Operation string // open, accept, push, expire
	Code      protocol.Code
	Claim     string // of this build, "" if it is not known
	RequestID protocol.RequestID
	Err       error // for the log
}

// Config is what a [Gate] needs; fields are required unless they say otherwise.
type Config struct {
	Epochs   Epochs
	Sessions *session.Table
	Journal  Journal
	Holds    Holds
	Ledger   Ledger
	Prover   Prover // nil: push is refused with forbidden
	Claims   []Claim
	Instance protocol.InstanceID
	Policy   uint32 // revision of claims and limits, goes into payloads; see SetPolicy
	Log      *slog.Logger

	Now           func() time.Time // nil means time.Now
	DefaultTTL    time.Duration    // 0 means protocol.DefaultTTL
	VerifyWorkers int              // challenges issued and proofs verified at a time; 0 means one per processor
	MaxPush       int              // pushed events at a time; 0 means 64
	Calculate     func(func())     // makes a long calculation, a panic of which is its own; nil means the caller does

	Marks *telemetry.Marker // nil: reports of requests have no marks

	// Observe is called once for each call with its outcome, and for each request that
	// expires. May be nil.
	Observe func(Outcome)
}

// Gate opens, accepts and pushes requests. It is safe for concurrent use.
type Gate struct {
	cfg    Config
	claims map[claimKey]*Claim
	decoy  *session.Session // stands in for unknown ids, which cost the same
	push   chan struct{}    // one place for each pushed event

	admission *admission

	destroyed sync.Map // ids of the epochs that the gate has destroyed

	ctx      context.Context // ends when the gate stops; for work that outlives its call
	stop     context.CancelFunc
	work     sync.WaitGroup
	draining atomic.Bool // see Drain
	policy   atomic.Uint32
}

type claimKey struct {
	id   claim.ID
	list protocol.ListID
}

// What marks are of.
const (
	markProof byte = iota + 1
	markAnchor
	markPlace
)

// New returns a gate. It starts nothing; [Gate.Run] must run.
func New(cfg Config) *Gate {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.DefaultTTL = cmp.Or(cfg.DefaultTTL, protocol.DefaultTTL*time.Millisecond)
	cfg.VerifyWorkers = cmp.Or(cfg.VerifyWorkers, runtime.GOMAXPROCS(0))
	cfg.MaxPush = cmp.Or(cfg.MaxPush, 64)
	if cfg.Calculate == nil {
		cfg.Calculate = func(do func()) { do() }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Outcome) {}
	}
	g := &Gate{
		cfg:    cfg,
		claims: make(map[claimKey]*Claim, len(cfg.Claims)),
		decoy:  &session.Session{Client: randomDigest(), Salt: protocol.Salt(randomDigest()), TagHash: protocol.TagElement(protocol.Tag(randomDigest()))},
		push:   make(chan struct{}, cfg.MaxPush),

		admission: newAdmission(cfg.VerifyWorkers, cfg.Now),
	}
	for i := range cfg.Claims {
		c := &cfg.Claims[i]
		g.claims[c.key()] = c
	}
	g.SetPolicy(cfg.Policy)
	g.ctx, g.stop = context.WithCancel(context.Background())
	return g
}

// SetPolicy sets the revision of claims and limits that new payloads name.
func (g *Gate) SetPolicy(revision uint32) { g.policy.Store(revision) }

// sweepEvery is how often deadlines are checked. A session may live that much longer
// in the core, never in the tagger.
const sweepEvery = 200 * time.Millisecond

// Run expires sessions until ctx ends. Then it stops pushed events and the lookups of
// unknown commits, and waits for them. The caller must first wait for its own calls.
func (g *Gate) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.stop()
			g.work.Wait()
			return nil
		case <-tick.C:
			g.expire(g.cfg.Now())
		}
	}
}

// Drain refuses new requests with draining and waits for the pushed events. When ctx
// ends it ends the remaining ones with draining, waits for their outcomes, and returns
// how many it ended. It may be called once, while Run runs.
func (g *Gate) Drain(ctx context.Context) (ended int) {
	g.draining.Store(true)
	over := ctx.Done()
	for taken := 0; taken < cap(g.push); { // when all places are taken, no event is left
		select {
		case g.push <- struct{}{}:
			taken++
		case <-over:
			ended, over = len(g.push)-taken, nil
			g.stop()
		}
	}
	return ended
}

func stopping() error {
	return protocol.Fail(protocol.CodeDraining, "the server stops; ask again when it is back")
}

func (g *Gate) expire(now time.Time) {
	for _, s := range g.cfg.Sessions.Due(now) {
		open := s.View().Open
		state, _ := g.run(g.ctx, s, lifecycle.EventExpire{}, &attempt{})
		if open != nil && state.Phase == lifecycle.PhaseExpired {
			g.observe("expire", s.ID, claim.ID(open.Claim), protocol.CodeExpired)
		}
	}
}

// observe reports the outcome of one call.
func (g *Gate) observe(op string, id protocol.RequestID, c claim.ID, err error) {
	g.cfg.Observe(Outcome{Operation: op, Code: protocol.CodeOf(err), Claim: known(c), RequestID: id, Err: err})
}
