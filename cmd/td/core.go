package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/attest"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/node"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// core is the server without its listeners: the organs, wired. It holds no key
// of the protocol.
type core struct {
	cfg      *config.Config
	log      *slog.Logger
	journal  *journal.Journal
	ledger   *ledger.Ledger
	control  *control.Manager
	gate     *gate.Gate
	pool     *prover.Pool // nil if the server does not prove
	claims   []gate.Claim
	attestor attest.Attestor
	children *process.Launcher // nil if this build has none
	holders  holders
	build    protocol.Digest
	confined sandbox.Probe // what the core has given up
	instance protocol.InstanceID

	organs []*organ // in the order they were started
}

// organ is one running part. Parts are stopped one by one, last started first:
// each finds the ones it needs still alive.
type organ struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done closes
}

// openCore opens what is on disk, checks everything that can be checked without
// a key, and starts the organs. On an error nothing is left running. If ctx ends
// meanwhile, it is not ready, and there is no error if all ended in order.
func openCore(ctx context.Context, c *core) (ready bool, err error) {
	if c.children != nil {
		c.start("launcher", c.children.Run)
	}
	_, _ = rand.Read(c.instance[:]) // never returns an error, see crypto/rand
	if err := c.open(ctx); err != nil {
		return false, errors.Join(unlessCalledOff(ctx, c.log, err), c.close())
	}
	return true, nil
}

// closeChildren ends the launcher of a core that was not opened.
func (c *core) closeChildren() error {
	if c.children == nil {
		return nil
	}
	return c.children.Close()
}

// unlessCalledOff is err, or nil if somebody has asked for a stop: a start that
// ends early then is as orderly as any other stop. What else was wrong will be
// there at the next start.
func unlessCalledOff(ctx context.Context, log *slog.Logger, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	log.Info("stopped before it was ready", "at", err.Error())
	return nil
}

func (c *core) open(ctx context.Context) error {
	if err := c.openRecords(ctx); err != nil {
		return err
	}
	if err := c.registerClaims(ctx); err != nil {
		return err
	}
	if err := c.openMachine(); err != nil {
		return err
	}
	return c.awaitEpoch(ctx)
}

// openRecords opens journal and ledger and starts both.
func (c *core) openRecords(ctx context.Context) (err error) {
	c.journal, err = journal.Open(ctx, journal.Config{
		Path:      filepath.Join(c.cfg.Data, "journal.db"),
		Origin:    c.cfg.Origin,
		Log:       c.log,
		MustExist: c.hasLog(),
		Committed: func(entries []journal.Entry) {
			// Nothing is appended before the ledger is there: see registerClaims.
			c.ledger.Committed(entries[0].Seq, journal.LeavesOf(entries))
			if len(entries) == 1 { // as each control action is
				c.holders.note(entries[0])
			}
		},
	})
	if err != nil {
		hint := journal.CauseOf(err).Remedy()
		if hint == "" {
			hint = "td doctor looks at the data directory, and whether a server runs on it; --data names another one"
		}
		return fault.New(fault.Config, fmt.Sprintf("the journal does not open: %s", strings.TrimPrefix(err.Error(), "journal: ")), hint)
	}
	if err := c.openLedger(ctx); err != nil {
		return err
	}
	if err := c.holders.load(ctx, c.journal); err != nil {
		return err
	}
	c.start("journal", c.journal.Run)
	c.start("ledger", c.ledger.Run)
	return nil
}

// hasLog reports whether the data directory holds a log that has entries, or may
// hold one that cannot be looked at.
func (c *core) hasLog() bool {
	_, err := os.Stat(filepath.Join(c.cfg.Data, "ledger", "checkpoint"))
	return !errors.Is(err, fs.ErrNotExist)
}

// openLedger compares the log with the journal, and both with what was published
// before: a damaged journal must not grow, nor be published.
func (c *core) openLedger(ctx context.Context) error {
	known, err := c.published()
	if err != nil {
		return c.trustFailure(err)
	}
	c.ledger, err = ledger.Open(ctx, ledger.Config{
		Dir:    filepath.Join(c.cfg.Data, "ledger"),
		Origin: c.journal.Origin(),
		Source: ledgerSource{c.journal},
		Known:  known,
		MaxLag: c.cfg.MaxLag,
		Log:    c.log,
	})
	if err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the ledger does not open: %s", strings.TrimPrefix(err.Error(), "ledger: ")), "it is a projection of the journal: see docs/operate.md before you move anything")
	}
	return nil
}

// published is the greatest checkpoint that an earlier process of this data
// directory has recorded; nil if there is none.
func (c *core) published() (*ledger.Head, error) {
	trust, err := c.trust()
	if err != nil {
		return nil, err
	}
	size, root, ok, err := trust.Newest(c.journal.Origin())
	if err != nil || !ok {
		return nil, err
	}
	return &ledger.Head{Size: size, Root: root}, nil
}

// trust records the checkpoints that this server publishes.
func (c *core) trust() (*receipt.TrustStore, error) {
	return receipt.OpenTrust(c.trustDir())
}

// trustDir is not "trust": the default trust store of this user's clients stands
// beside the default data directory, and the two must not share a file.
func (c *core) trustDir() string { return filepath.Join(c.cfg.Data, node.PublishedDir) }

// trustFailure says what the record of the checkpoints is before somebody takes
// it for a cache and removes it.
func (c *core) trustFailure(err error) error {
	if split := new(receipt.ContradictionError); errors.As(err, &split) {
		return fault.New(fault.Config, fmt.Sprintf("possible split view: the log contradicts the checkpoint of size %d that this server recorded in %s", split.Size, split.File),
			"keep journal, ledger and that file as they are, and see docs/operate.md")
	}
	return fault.New(fault.Config, fmt.Sprintf("the record of what this server has published, %s, cannot be used: %v", c.trustDir(), err),
		"it is what notices a second history of this log: keep it as it is, and see docs/operate.md before you move anything")
}

// registerClaims commits the claim leaf of every claim that has none yet: a
// claim may be issued once its leaf is committed (section 12).
func (c *core) registerClaims(ctx context.Context) error {
	for i := range c.claims {
		cl := &c.claims[i]
		_, known, err := c.journal.ClaimLeaf(ctx, cl.Fingerprint)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		leaf := &protocol.ClaimLeaf{ClaimID: string(cl.ID), SRS: claim.SRSDigest(), VK: cl.Key.Encode()}
		if cl.List != nil {
			leaf.List = cl.List.ID()
		}
		if _, err := c.journal.Append(ctx, time.Now(), leaf); err != nil {
			return fmt.Errorf("commit claim leaf: %w", err)
		}
	}
	return nil
}

// openMachine wires gate, epochs and prover, and starts them.
func (c *core) openMachine() error {
	least, err := sandbox.ParseGrade(c.cfg.MinGrade)
	if err != nil {
		return err
	}
	provers := prover.PoolConfig{Workers: c.cfg.ProverWorkers, Queue: c.cfg.ProverQueue, Log: c.log, Starter: node.Starter(c.children, c.cfg)}
	keys := keyholder.Config{Log: c.log, Capacity: uint32(c.cfg.MaxSessions) * 2, MinGrade: least, Core: c.confined, Starter: node.Starter(c.children, c.cfg)}
	c.control = control.New(control.Config{
		StartSigner: func(ctx context.Context, number uint64) (control.Signer, error) {
			return keyholder.StartSigner(ctx, keys, keyholder.SignerStart{Origin: c.journal.Origin(), Number: number, Instance: c.instance})
		},
		StartTagger: func(ctx context.Context, id protocol.EpochID, number uint64) (control.Tagger, error) {
			return keyholder.StartTagger(ctx, keys, id, number)
		},
		Journal:    controlJournal{c.journal},
		Ledger:     controlLedger{c.ledger},
		Instance:   c.instance,
		Build:      c.build,
		Log:        c.log,
		Invalidate: func(id protocol.EpochID) { c.gate.EpochEnded(id) },
		MaxIssued:  c.cfg.MaxIssued,

		DeathLimit:  c.cfg.DeathLimit,
		DeathWindow: c.cfg.DeathWindow,
		Freeze:      func(ctx context.Context) error { return c.freeze(ctx, reasonDeaths) },

		Attest:     c.attest(),
		MustAttest: c.cfg.Attestation != attest.WantAuto,
	})
	g := gate.Config{
		Epochs:        gateEpochs{c.control},
		Sessions:      session.New(session.Config{MaxPending: c.cfg.MaxSessions}),
		Journal:       gateJournal{c.journal},
		Holds:         holds{c.journal},
		Ledger:        gateLedger{c.ledger},
		Claims:        c.claims,
		Instance:      c.instance,
		Policy:        1,
		Log:           c.log,
		DefaultTTL:    c.cfg.TTL(),
		MaxLag:        c.cfg.MaxLag,
		VerifyWorkers: c.cfg.VerifyWorkers,
	}
	if c.cfg.Prover == config.ProverLocal {
		c.pool = prover.NewPool(provers)
		g.Prover = gateProver{c.pool}
		g.MaxPush = c.cfg.ProverQueue
	}
	c.gate = gate.New(g)
	if c.pool != nil {
		c.start("prover", c.pool.Run)
	}
	c.start("control", c.control.Run)
	c.start("gate", c.gate.Run)
	c.start("watch on the ledger", c.freezeOnDivergence)
	return nil
}

// awaitEpoch waits for the first epoch, or for the organ that died instead.
func (c *core) awaitEpoch(ctx context.Context) error {
	died, stop := c.anyDone()
	defer stop()
	select {
	case <-c.control.Ready():
		return nil
	case o := <-died:
		if refusal := new(sandbox.Refusal); errors.As(o.err, &refusal) {
			return fault.New(fault.Config, refusal.Error(), "td doctor shows what this machine offers; --min-grade asks for less")
		}
		return fmt.Errorf("%s ended at start: %w", o.name, o.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		why := "signer or tagger has not answered"
		if trouble := c.control.Trouble(); trouble != nil {
			why = trouble.Why
		}
		return fault.New(fault.Unexpected, "no epoch opened within a minute: "+why, "the log above says more: look for epoch did not open")
	}
}

// freezeOnDivergence halts acceptance when journal and log disagree. Reading
// goes on; thawing is for a human being.
func (c *core) freezeOnDivergence(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.ledger.Diverged():
	}
	c.log.Error("journal and log disagree; acceptance is frozen")
	for {
		err := c.freeze(ctx, reasonDivergence)
		if err == nil {
			<-ctx.Done()
			return nil
		}
		c.log.Error("freeze not committed", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(freezeAgain):
		}
	}
}

// freezeAgain is the pause before a freeze that was not committed is tried
// again. Until then nothing is accepted in this process, see gateLedger.Lag.
const freezeAgain = time.Minute

// freeze halts acceptance, even while the server stops.
func (c *core) freeze(ctx context.Context, reason uint16) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := c.journal.Control(ctx, time.Now(), protocol.Control{Action: protocol.ActionFreezeAccept, Reason: reason})
	return err
}

// Reason codes of a freeze by the core itself.
const (
	reasonDivergence = 1 // journal and log disagree
	reasonDeaths     = 2 // signer or tagger died too often
)

// start runs one organ beside the others.
func (c *core) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	o := &organ{name: name, cancel: cancel, done: make(chan struct{})}
	c.organs = append(c.organs, o)
	go func() {
		defer close(o.done)
		o.err = run(ctx)
	}()
}

// anyDone gives the first organ that ends by itself. The projector that has
// found a disagreement does not count: acceptance is frozen, and reading goes
// on without it.
func (c *core) anyDone() (died <-chan *organ, stop func()) {
	ch, quit := make(chan *organ, len(c.organs)), make(chan struct{})
	for _, o := range c.organs {
		go func() {
			select {
			case <-o.done:
				if !errors.Is(o.err, ledger.ErrDiverged) {
					ch <- o
				}
			case <-quit:
			}
		}()
	}
	return ch, func() { close(quit) }
}

// close stops the organs, last started first, and closes what is on disk.
func (c *core) close() error {
	var errs []error
	for i := len(c.organs) - 1; i >= 0; i-- {
		o := c.organs[i]
		o.cancel()
		<-o.done
		if o.err != nil && !errors.Is(o.err, ledger.ErrDiverged) {
			errs = append(errs, fmt.Errorf("%s: %w", o.name, o.err))
		}
	}
	if c.ledger != nil {
		errs = append(errs, c.ledger.Close())
	}
	if c.journal != nil {
		errs = append(errs, c.journal.Close())
	}
	return errors.Join(errs...)
}

// loadClaims makes the claims in force: the six fixed ones and one for each
// member list. The self-test of the verifier runs beside it.
func loadClaims(lists []*claim.List) ([]gate.Claim, error) {
	var claims []gate.Claim
	for _, id := range claim.IDs() {
		if key, ok := claim.KnownKey(id); ok {
			claims = append(claims, gate.Claim{ID: id, Key: key, Fingerprint: key.Fingerprint(id, protocol.ListID{})})
		}
	}
	of := make([]gate.Claim, len(lists))
	var group errgroup.Group
	group.Go(claim.SelfTest)
	for i, l := range lists {
		group.Go(func() error {
			key, err := l.VerifyingKey()
			if err != nil {
				return err
			}
			of[i] = gate.Claim{ID: claim.Group, List: l, Key: key, Fingerprint: key.Fingerprint(claim.Group, l.ID())}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return append(claims, of...), nil
}

// buildDigest is the SHA-256 of the running executable, even if its file has
// been replaced meanwhile, where the system has a name for it.
func buildDigest() (protocol.Digest, error) {
	f, err := os.Open("/proc/self/exe")
	if errors.Is(err, os.ErrNotExist) {
		var path string
		if path, err = os.Executable(); err == nil {
			f, err = os.Open(path)
		}
	}
	if err != nil {
		return protocol.Digest{}, fmt.Errorf("read own executable: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return protocol.Digest{}, fmt.Errorf("read own executable: %w", err)
	}
	return protocol.Digest(h.Sum(nil)), nil
}
