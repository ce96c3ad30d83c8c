package failpoints_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// core is one process of the server without its HTTP listener: everything that is lost
// when it is killed.
type core struct {
	p        *points
	dir      string
	journal  *journal.Journal
	ledger   *ledger.Ledger
	sessions *session.Table
	epochs   *epochs.Manager
	gate     *gate.Gate
	services []*service // in the order of their start

	leaves []journal.Entry // at the end

	attempts map[uint64]int // starts of a signer, by number, also in earlier processes

	mu      sync.Mutex
	signers []*signer
	taggers []*tagger
}

type service struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// newCore opens what is on disk and starts the services up to the epochs, as node does.
func newCore(t *testing.T, p *points, dir string, attempts map[uint64]int) *core {
	t.Helper()
	c := &core{p: p, dir: dir, attempts: attempts, sessions: session.New(session.Config{MaxPending: 16})}
	var err error
	c.journal, err = journal.Open(t.Context(), journal.Config{
		Path: filepath.Join(dir, "journal.db"), Origin: logtest.Origin, Log: quiet,
		Committed: func(e []journal.Entry) { c.ledger.Committed(e[0].Seq, journal.LeavesOf(e)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.ledger, err = ledger.Open(t.Context(), ledger.Config{
		Dir: filepath.Join(dir, "ledger"), Origin: logtest.Origin, Source: source{c.journal, p}, Log: quiet, SurveyEvery: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.epochs = epochs.New(epochs.Config{
		StartSigner: c.startSigner, StartTagger: c.startTagger,
		Journal: epochsJournal{c.journal, p}, Ledger: epochsLedger{c.ledger, p},
		Log: quiet, Random: func() float64 { return 0.5 },
		Invalidate: func(id protocol.EpochID) {
			_ = p.pass("sessions of an epoch end", func() error { c.gate.EpochEnded(id); return nil })
		},
	})
	c.gate = gate.New(gate.Config{
		Epochs: gateEpochs{c.epochs, p}, Sessions: c.sessions, Journal: gateJournal{c.journal, p},
		Holds: gateHolds{c.journal, p}, Ledger: gateLedger{c.ledger, p}, Prover: prover{t, p},
		Claims: []gate.Claim{openClaim()}, Log: quiet, VerifyWorkers: 1,
		Now: func() time.Time { return time.Now().Truncate(clockStep) },
	})
	c.start("journal", c.journal.Run)
	c.start("ledger", c.ledger.Run)
	c.addClaim(t)
	c.start("epochs", c.epochs.Run)
	c.start("gate", c.gate.Run)
	return c
}

// quiet is the log of all components. TD_FAILPOINTS_LOG=1 shows it.
var quiet = func() *slog.Logger {
	if os.Getenv("TD_FAILPOINTS_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}()

func openClaim() gate.Claim {
	vk, _ := claim.KnownKey(claim.Open)
	return gate.Claim{ID: claim.Open, Key: vk, Fingerprint: vk.Fingerprint(claim.Open, protocol.ListID{})}
}

func (c *core) addClaim(t *testing.T) {
	t.Helper()
	one := openClaim()
	if _, known, err := c.journal.ClaimLeaf(t.Context(), one.Fingerprint); err != nil || known {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	leaf := &protocol.ClaimLeaf{ClaimID: string(one.ID), SRS: claim.SRSDigest(), VK: one.Key.Encode()}
	if _, err := c.journal.Append(t.Context(), time.Now(), leaf); err != nil {
		t.Fatal(err)
	}
}

func (c *core) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{name: name, cancel: cancel, done: make(chan struct{})}
	c.services = append(c.services, s)
	go func() { defer close(s.done); s.err = run(ctx) }()
}

// service cancels a service.
func (c *core) cancel(name string) {
	for _, s := range c.services {
		if s.name == name {
			s.cancel()
		}
	}
}

// stop stops the services in order and closes what is on disk. It returns the errors of
// the services.
func (c *core) stop(t *testing.T) (errs []error) {
	t.Helper()
	for i := len(c.services) - 1; i >= 0; i-- {
		s := c.services[i]
		s.cancel()
		<-s.done
		if s.err != nil {
			errs = append(errs, s.err)
		}
	}
	var err error
	if c.leaves, err = c.journal.Leaves(context.Background(), 0, 4096); err != nil {
		t.Errorf("journal: %v", err)
	}
	if err := c.ledger.Close(); err != nil {
		t.Errorf("ledger: %v", err)
	}
	if err := c.journal.Close(); err != nil {
		t.Errorf("journal: %v", err)
	}
	return errs
}

func (c *core) startSigner(_ context.Context, number uint64) (s epochs.Signer, err error) {
	var one *signer
	err = c.p.pass("StartSigner", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		one = newSigner(c.p, number, c.attempts[number])
		c.attempts[number]++
		c.signers = append(c.signers, one)
		return nil
	})
	if err != nil {
		if one != nil {
			one.exit() // a start that fails leaves no process
		}
		return nil, err
	}
	return one, nil
}

func (c *core) startTagger(context.Context, protocol.EpochID, uint64) (epochs.Tagger, error) {
	one := newTagger(c.p)
	if err := c.p.pass("StartTagger", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taggers = append(c.taggers, one)
		return nil
	}); err != nil {
		one.exit()
		return nil, err
	}
	return one, nil
}

// children returns all keyholders that were started.
func (c *core) children() (signers []*signer, taggers []*tagger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(signers, c.signers...), append(taggers, c.taggers...)
}

// The types below are the services as gate, epochs and ledger see them: each call passes
// a failpoint.

type gateJournal struct {
	*journal.Journal
	p *points
}

func (j gateJournal) Accept(ctx context.Context, now time.Time, a *journal.Acceptance) (e journal.Entry, err error) {
	err = j.p.pass("journal.Accept", func() (err error) { e, err = j.Journal.Accept(ctx, now, a); return err })
	return e, err
}

func (j gateJournal) Accepted(ctx context.Context, id protocol.RequestID) (e journal.Entry, found bool, err error) {
	err = j.p.pass("journal.Accepted", func() (err error) { e, found, err = j.Journal.Accepted(ctx, id); return err })
	return e, found, err
}

type gateHolds struct {
	*journal.Journal
	p *points
}

func (h gateHolds) Check(op journal.Operation, vk protocol.Digest) error {
	return h.p.pass("holds.Check", func() error { return h.Journal.Check(op, vk) })
}

func (h gateHolds) Writable() bool {
	writable := false
	err := h.p.pass("holds.Writable", func() error { writable = h.Journal.Writable(); return nil })
	return err == nil && writable
}

type gateLedger struct {
	*ledger.Ledger
	p *points
}

func (l gateLedger) Admit() error { return l.p.pass("ledger.Admit", l.Ledger.Admit) }

type gateEpochs struct {
	*epochs.Manager
	p *points
}

func (m gateEpochs) Begin(ctx context.Context, within time.Duration) (e gate.Epoch, err error) {
	err = m.p.pass("epochs.Begin", func() error {
		one, err := m.Manager.Begin(ctx, within)
		e = gateEpoch{one, m.p}
		return err
	})
	return e, err
}

func (m gateEpochs) Find(id protocol.EpochID) (e gate.Epoch, live bool) {
	_ = m.p.pass("epochs.Find", func() error {
		var one *epochs.Epoch
		one, live = m.Manager.Find(id)
		e = gateEpoch{one, m.p}
		return nil
	})
	return e, live
}

type gateEpoch struct {
	*epochs.Epoch
	p *points
}

func (e gateEpoch) Ended(how lifecycle.Phase) {
	e.Epoch.Ended(how) // first: a count that a panic prevents is never made up
	_ = e.p.pass("epoch.Ended", func() error { return nil })
}

func (e gateEpoch) Destroy() {
	_ = e.p.pass("epoch.Destroy", func() error { e.Epoch.Destroy(); return nil })
}

type epochsJournal struct {
	*journal.Journal
	p *points
}

func (j epochsJournal) Append(ctx context.Context, now time.Time, body protocol.LeafBody) (e journal.Entry, err error) {
	err = j.p.pass("journal.Append "+body.LeafType().String(), func() (err error) { e, err = j.Journal.Append(ctx, now, body); return err })
	return e, err
}

func (j epochsJournal) OpenEpochs(ctx context.Context) (open []protocol.EpochOpen, err error) {
	err = j.p.pass("journal.OpenEpochs", func() (err error) { open, err = j.Journal.OpenEpochs(ctx); return err })
	return open, err
}

func (j epochsJournal) LastEpoch(ctx context.Context) (number uint64, id protocol.EpochID, index uint64, err error) {
	err = j.p.pass("journal.LastEpoch", func() (err error) { number, id, index, err = j.Journal.LastEpoch(ctx); return err })
	return number, id, index, err
}

func (j epochsJournal) EpochCloseLeaf(ctx context.Context, id protocol.EpochID) (e journal.Entry, found bool, err error) {
	err = j.p.pass("journal.EpochCloseLeaf", func() (err error) { e, found, err = j.Journal.EpochCloseLeaf(ctx, id); return err })
	return e, found, err
}

type epochsLedger struct {
	*ledger.Ledger
	p *points
}

func (l epochsLedger) SetSigner(s ledger.Signer, openIndex uint64) {
	_ = l.p.pass("ledger.SetSigner", func() error { l.Ledger.SetSigner(s, openIndex); return nil })
}

func (l epochsLedger) UnsetSigner(s ledger.Signer) {
	_ = l.p.pass("ledger.UnsetSigner", func() error { l.Ledger.UnsetSigner(s); return nil })
}

func (l epochsLedger) Await(ctx context.Context, index uint64) (cp ledger.Checkpoint, err error) {
	err = l.p.pass("ledger.Await", func() (err error) { cp, err = l.Ledger.Await(ctx, index); return err })
	return cp, err
}

// source is the journal as the ledger reads it.
type source struct {
	journal *journal.Journal
	p       *points
}

func (s source) Size(ctx context.Context) (n uint64, err error) {
	err = s.p.pass("source.Size", func() (err error) { n, err = s.journal.Rows(ctx); return err })
	return n, err
}

func (s source) Leaves(ctx context.Context, from uint64, most int) (leaves [][]byte, err error) {
	err = s.p.pass("source.Leaves", func() error {
		entries, err := s.journal.Leaves(ctx, from, most)
		leaves = journal.LeavesOf(entries)
		return err
	})
	return leaves, err
}

// copyData copies a data directory as a killed process leaves it: as it was at one moment,
// although others go on writing. A copy during which a file has changed is made again.
func copyData(from, to string) (err error) {
	for range 1000 {
		before := stampOf(from)
		if err = copyOnce(from, to); err == nil && stampOf(from) == before {
			return nil
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	return errors.Join(errors.New("the directory does not stay as it is"), err)
}

// stampOf returns what changes with every file of a directory.
func stampOf(dir string) string {
	var text strings.Builder
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it vanished: the text is another one
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(&text, name, info.Size(), info.ModTime())
		}
		return nil
	})
	return text.String()
}

func copyOnce(from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, name)
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case filepath.Ext(name) == ".lock" || d.Name() == "lock" || filepath.Ext(name) == ".db-shm":
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}
