package epochs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/sandbox"
	"github.com/terradourada/td/protocol"
)

// child is a keyholder that a test can kill.
type child struct {
	id     protocol.EpochID
	done   chan struct{}
	once   sync.Once
	slow   bool // to end
	closed atomic.Bool
	trail  *trail
	name   string

	posture sandbox.Posture
	tree    protocol.Range // that the signer was sent
	signed  protocol.Range // of its last checkpoint
	skewed  bool           // it signs another tree
	anchors uint64
	wiped   bool
	gave    []protocol.EpochID // hand-overs
	mute    bool               // it returns no issued root
	strike  func(step string) (effect bool, err error)
	full    *atomic.Bool // a tagger issues nothing
}

// slowEnd is how long a slow child takes to end.
const slowEnd = time.Second

func (c *child) Close() error {
	name := "close " + c.name
	if c.slow {
		time.Sleep(slowEnd)
		name = "close" // the order of the two children is not fixed
	}
	c.trail.add(name)
	c.closed.Store(true)
	c.kill()
	return nil
}

func (c *child) kill()                     { c.once.Do(func() { close(c.done) }) }
func (c *child) Done() <-chan struct{}     { return c.done }
func (c *child) EpochID() protocol.EpochID { return c.id }
func (c *child) PublicKey() [protocol.MLDSAPublicKeySize]byte {
	return [protocol.MLDSAPublicKeySize]byte{c.id[0]}
}
func (c *child) Posture() sandbox.Posture { return c.posture }
func (c *child) CheckpointKey() [32]byte  { return [32]byte{c.id[0]} }

func (c *child) Anchor(context.Context, *protocol.EncodedPayload) (protocol.Anchor, uint64, error) {
	_, _ = c.hit("anchor")
	if c.wiped {
		return protocol.Anchor{}, 0, protocol.Fail(protocol.CodeInvalidated, "wiped")
	}
	c.anchors++
	return protocol.Anchor{1}, c.anchors - 1, nil
}

func (c *child) Issued(_ context.Context, position uint64) (protocol.Issued, error) {
	return protocol.Issued{Position: position}, nil
}

func (c *child) IssuedRoot(context.Context) (protocol.SignedRoot, error) {
	if c.mute {
		return protocol.SignedRoot{}, errors.New("gone")
	}
	if _, err := c.hit("root"); err != nil {
		return protocol.SignedRoot{}, err
	}
	return protocol.SignedRoot{Size: c.anchors, Root: protocol.Digest{7}, Signature: [64]byte{8}}, nil
}

func (c *child) Begin(_ context.Context, tree protocol.Range) error {
	c.tree = tree.Clone()
	return nil
}

func (c *child) Extend(_ context.Context, leafHashes []protocol.Digest) error {
	for _, h := range leafHashes {
		c.tree.Append(h)
	}
	return nil
}

func (c *child) Checkpoint(context.Context) (protocol.SignedRoot, error) {
	if c.skewed {
		c.tree.Append(protocol.Digest{9})
	}
	if _, err := c.hit("checkpoint"); err != nil {
		return protocol.SignedRoot{}, err
	}
	c.signed = c.tree.Clone()
	return protocol.SignedRoot{Size: c.tree.Size(), Root: c.tree.Root(), Signature: [64]byte{6}}, nil
}

func (c *child) Handover(_ context.Context, next protocol.EpochID, _ uint64, _ [32]byte) (protocol.SignedRoot, error) {
	effect, err := c.hit("handover")
	if effect {
		c.trail.add("handover")
		c.gave = append(c.gave, next)
	}
	if err != nil {
		return protocol.SignedRoot{}, err
	}
	return protocol.SignedRoot{Size: c.signed.Size(), Root: c.signed.Root(), Signature: [64]byte{next[0]}}, nil
}

// hit reports whether a call has its effect, and how it fails. A child that was killed
// answers nothing.
func (c *child) hit(step string) (effect bool, err error) {
	effect = true
	if c.strike != nil {
		effect, err = c.strike(step)
	}
	select {
	case <-c.done:
		return effect, errors.New("gone")
	default:
		return effect, err
	}
}

func (c *child) Issue(_ context.Context, d *protocol.EncodedPayload) (protocol.EncodedPayload, protocol.Tag, error) {
	_, _ = c.hit("issue")
	if c.full != nil && c.full.Load() {
		return protocol.EncodedPayload{}, protocol.Tag{}, protocol.Fail(protocol.CodeOverloaded, "full")
	}
	return *d, protocol.Tag{}, nil
}

func (c *child) Redeem(context.Context, *protocol.EncodedPayload, protocol.Tag) (protocol.Redemption, error) {
	return protocol.RedeemOK, nil
}

func (c *child) Wipe(context.Context) error {
	step := "wipe"
	if len(c.gave) > 0 {
		step = "wipe checkpoint key"
	}
	effect, err := c.hit(step)
	if effect {
		c.trail.add(step)
		c.wiped = true
	}
	return err
}

func (c *child) Cancel(context.Context, protocol.RequestID) error { return nil }

// trail records what happened, in order.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (t *trail) add(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, s)
}

func (t *trail) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.steps
	t.steps = nil
	return s
}

// world is everything that a manager uses; a test makes parts of it fail.
type world struct {
	trail
	journal          sync.Mutex // guards leaves and open
	signers, taggers []*child
	leaves           []protocol.LeafBody
	open             []protocol.EpochOpen
	full             atomic.Bool // taggers issue nothing
	failStart        int         // how many starts of a signer fail
	failOpen         int         // how many epoch-open leaves are refused
	writtenAnyway    bool        // refused ones are in the journal nevertheless
	last             uint64      // number of the newest lost epoch
	failFreeze       int         // how many freezes are refused
	failClose        bool        // an orderly close is refused
	refusal          error
	deathLimit       int
	posture          sandbox.Posture
	evidence         map[protocol.EpochID][]byte
	failSave         bool
	signs            ledger.Signer
	strike           func(step string) (effect bool, err error)
}

func (w *world) config() epochs.Config {
	return epochs.Config{
		StartSigner: func(context.Context, uint64) (epochs.Signer, error) {
			if w.failStart > 0 {
				w.failStart--
				return nil, errors.New("no signer today")
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refusal != nil {
				return nil, w.refusal
			}
			c := &child{id: protocol.EpochID{byte(len(w.signers) + 1)}, done: make(chan struct{}), trail: &w.trail, name: "signer", posture: w.posture, strike: w.strike}
			w.signers = append(w.signers, c)
			return c, nil
		},
		StartTagger: func(_ context.Context, id protocol.EpochID, _ uint64) (epochs.Tagger, error) {
			if w.strike != nil {
				if _, err := w.strike("start tagger"); err != nil {
					return nil, err
				}
			}
			c := &child{id: id, done: make(chan struct{}), trail: &w.trail, name: "tagger", strike: w.strike, full: &w.full}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.taggers = append(w.taggers, c)
			return c, nil
		},
		Journal:    w,
		Ledger:     w,
		Log:        slog.New(slog.DiscardHandler),
		Invalidate: func(protocol.EpochID) { w.add("invalidate") },

		DeathLimit:  w.deathLimit,
		DeathWindow: 10 * time.Minute,
		Freeze: func(context.Context) error {
			if w.failFreeze > 0 {
				w.failFreeze--
				w.add("freeze fails")
				return errors.New("journal cannot be written")
			}
			w.add("freeze")
			return nil
		},
	}
}

func (w *world) Append(_ context.Context, _ time.Time, body protocol.LeafBody) (journal.Entry, error) {
	if w.strike != nil {
		effect, err := w.strike("append " + body.LeafType().String())
		if effect && err != nil {
			_, _ = w.append(body)
		}
		if err != nil {
			return journal.Entry{}, err
		}
	}
	return w.append(body)
}

func (w *world) append(body protocol.LeafBody) (journal.Entry, error) {
	if body.LeafType() == protocol.LeafEpochOpen && w.failOpen > 0 {
		w.failOpen--
		if w.writtenAnyway {
			w.leaves = append(w.leaves, body)
			w.open = append(w.open, *body.(*protocol.EpochOpen))
		}
		return journal.Entry{}, errors.New("journal cannot be written")
	}
	w.journal.Lock()
	defer w.journal.Unlock()
	if err := w.refuses(body); err != nil {
		return journal.Entry{}, err
	}
	if c, ok := body.(*protocol.EpochClose); ok && c.Reason == protocol.CloseShutdown && w.failClose {
		return journal.Entry{}, protocol.Fail(protocol.CodeInternal, "less was issued than accepted")
	}
	w.add(body.LeafType().String())
	if c, ok := body.(*protocol.EpochClose); ok {
		w.open = slices.DeleteFunc(w.open, func(o protocol.EpochOpen) bool { return o.ID == c.ID })
		w.last = c.Number
	}
	if e, ok := body.(*protocol.EpochOpen); ok {
		kept := *e
		body = &kept
		w.open = append(w.open, kept)
	}
	w.leaves = append(w.leaves, body)
	return journal.Entry{Seq: uint64(len(w.leaves) - 1)}, nil
}

// refuses is the part of the journal's rules that epochs depend on.
func (w *world) refuses(body protocol.LeafBody) error {
	switch b := body.(type) {
	case *protocol.EpochOpen:
		for _, l := range w.leaves {
			if o, ok := l.(*protocol.EpochOpen); ok && o.Number >= b.Number {
				return protocol.Fail(protocol.CodeConflict, "the epoch is not a new one")
			}
		}
	case *protocol.EpochClose:
		if !slices.ContainsFunc(w.open, func(o protocol.EpochOpen) bool { return o.ID == b.ID }) {
			return protocol.Fail(protocol.CodeConflict, "the epoch was closed before")
		}
	}
	return nil
}

func (w *world) OpenEpochs(context.Context) ([]protocol.EpochOpen, error) {
	w.journal.Lock()
	defer w.journal.Unlock()
	return slices.Clone(w.open), nil
}

func (w *world) LastEpoch(context.Context) (uint64, protocol.EpochID, uint64, error) {
	if w.strike != nil {
		if _, err := w.strike("last"); err != nil {
			return 0, protocol.EpochID{}, 0, err
		}
	}
	w.journal.Lock()
	defer w.journal.Unlock()
	for i := len(w.leaves) - 1; i >= 0; i-- {
		if e, ok := w.leaves[i].(*protocol.EpochOpen); ok {
			return e.Number, e.ID, uint64(i), nil
		}
	}
	return w.last, protocol.EpochID{}, 0, nil
}

func (w *world) EpochCloseLeaf(_ context.Context, id protocol.EpochID) (journal.Entry, bool, error) {
	w.journal.Lock()
	defer w.journal.Unlock()
	for i, l := range w.leaves {
		if c, ok := l.(*protocol.EpochClose); ok && c.ID == id {
			return journal.Entry{Seq: uint64(i)}, true, nil
		}
	}
	return journal.Entry{}, false, nil
}

func (w *world) SaveAttestation(_ context.Context, id protocol.EpochID, evidence []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failSave {
		return errors.New("journal cannot be written")
	}
	if w.evidence == nil {
		w.evidence = map[protocol.EpochID][]byte{}
	}
	w.evidence[id] = evidence
	return nil
}

func (w *world) SetSigner(s ledger.Signer, _ uint64) {
	w.mu.Lock()
	w.signs = s
	w.mu.Unlock()
	w.add("signer set")
}

func (w *world) UnsetSigner(s ledger.Signer) {
	w.mu.Lock()
	is := w.signs == s
	if is {
		w.signs = nil
	}
	w.mu.Unlock()
	if is {
		w.add("no signer")
	}
}

// refuse makes the next starts of a signer fail with err; nil makes them succeed.
func (w *world) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = err
}

func (w *world) Await(context.Context, uint64) (ledger.Checkpoint, error) {
	w.add("checkpoint")
	return ledger.Checkpoint{}, nil
}

func (w *world) started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.signers)
}

func (w *world) lastClose(t *testing.T) *protocol.EpochClose {
	t.Helper()
	c, ok := w.leaves[len(w.leaves)-1].(*protocol.EpochClose)
	if !ok {
		t.Fatalf("the last leaf is %v, want an epoch-close leaf", w.leaves[len(w.leaves)-1].LeafType())
	}
	return c
}

// start runs a manager in the bubble of the test and waits for its first epoch.
func start(t *testing.T, w *world) (m *epochs.Manager, stop func()) {
	t.Helper()
	return startWith(t, w, func(*epochs.Config) {})
}

func startWith(t *testing.T, w *world, change func(*epochs.Config)) (m *epochs.Manager, stop func()) {
	t.Helper()
	cfg := w.config()
	change(&cfg)
	m = epochs.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	<-m.Ready()
	synctest.Wait()
	return m, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func sameSteps(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: got %q, want %q", what, got, want)
		}
	}
}

// begin lets a request in.
func begin(t *testing.T, m *epochs.Manager) *epochs.Epoch {
	t.Helper()
	e, err := m.Begin(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// issue has a request issued, which is then pending.
func issue(t *testing.T, m *epochs.Manager) *epochs.Epoch {
	t.Helper()
	e := begin(t, m)
	if _, _, err := e.Issue(t.Context(), &protocol.EncodedPayload{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Anchor(t.Context(), &protocol.EncodedPayload{}); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOrderlyLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := start(t, w)
		sameSteps(t, "start", w.take(), "epoch-open", "signer set")
		e, err := m.Active()
		if err != nil || e.Number() != 1 || e.ID() != w.signers[0].id {
			t.Fatalf("active epoch: got %+v, %v", e, err)
		}
		for range 2 {
			issue(t, m)
		}
		begin(t, m)
		if _, _, err := e.Issue(t.Context(), &protocol.EncodedPayload{}); err != nil { // it is never anchored
			t.Fatal(err)
		}
		e.Ended(lifecycle.PhaseAccepted)
		stop()
		sameSteps(t, "end", w.take(), "wipe", "invalidate", "epoch-close", "close tagger", "checkpoint", "no signer", "close signer")
		c := w.lastClose(t)
		want := protocol.SignedRoot{Size: 2, Root: protocol.Digest{7}, Signature: [64]byte{8}}
		if c.Reason != protocol.CloseShutdown || c.Issued != want || c.Accepted != 1 || c.Invalidated != 1 {
			t.Errorf("close leaf: got %+v", c)
		}
		if _, err := m.Active(); !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("after the end: got %v, want draining", err)
		}
	})
}

// TestNoLastRoot: if the signer does not return the last issued root, the end is not
// orderly, and the journal fills in the root of the close leaf.
func TestNoLastRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := start(t, w)
		for range 3 {
			issue(t, m)
		}
		w.signers[0].mute = true
		stop()
		c := w.lastClose(t)
		if c.Reason != protocol.CloseDied || c.Issued != (protocol.SignedRoot{}) || c.Invalidated != 3 {
			t.Errorf("close leaf: got %+v", c)
		}
	})
}

// TestLessIssuedThanAccepted: the journal refuses an orderly close that
// contradicts what it accepted; the epoch is then closed as suspect.
func TestLessIssuedThanAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{failClose: true}
		_, stop := start(t, w)
		stop()
		if c := w.lastClose(t); c.Reason != protocol.CloseSuspect || c.Issued != (protocol.SignedRoot{}) {
			t.Errorf("close leaf: got %+v", c)
		}
	})
}

// TestSignerOfAnotherTree: a signer whose tree is not the log's ends the epoch.
func TestSignerOfAnotherTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := start(t, w)
		e, _ := m.Active()
		var tree protocol.Range
		if err := e.Begin(t.Context(), tree); err != nil {
			t.Fatal(err)
		}
		leaf := protocol.Digest{1}
		tree.Append(leaf)
		if err := e.Extend(t.Context(), []protocol.Digest{leaf}); err != nil {
			t.Fatal(err)
		}
		if sig, err := e.Checkpoint(t.Context(), tree.Size(), tree.Root()); err != nil || sig != [64]byte{6} {
			t.Fatalf("the log's own tree: %v", err)
		}
		w.signers[0].skewed = true
		if _, err := e.Checkpoint(t.Context(), tree.Size(), tree.Root()); !errors.Is(err, protocol.CodeInternal) {
			t.Errorf("another tree: %v", err)
		}
		synctest.Wait()
		if _, live := m.Find(e.ID()); live {
			t.Error("the epoch is still live")
		}
		if c, ok := w.leaves[1].(*protocol.EpochClose); !ok || c.Reason != protocol.CloseSuspect {
			t.Errorf("second leaf: %+v", w.leaves[1])
		}
		stop()
	})
}

// unpublished is a ledger whose last checkpoint never comes.
type unpublished struct{ *world }

func (unpublished) Await(ctx context.Context, _ uint64) (ledger.Checkpoint, error) {
	<-ctx.Done()
	return ledger.Checkpoint{}, ctx.Err()
}

// TestStopSaysWhatIsMissing: an end without the last checkpoint is an error, within
// CloseGrace.
func TestStopSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		cfg := w.config()
		cfg.Ledger = unpublished{w}
		m := epochs.New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		<-m.Ready()
		began := time.Now()
		cancel()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "last checkpoint") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if !w.signers[0].closed.Load() || !w.taggers[0].closed.Load() {
			t.Error("a child was left behind")
		}
	})
}

func TestReplacement(t *testing.T) {
	ends := map[string]struct {
		end    func(*world, *epochs.Epoch)
		reason protocol.CloseReason
	}{
		"signer killed": {func(w *world, _ *epochs.Epoch) { w.signers[0].kill() }, protocol.CloseDied},
		"tagger killed": {func(w *world, _ *epochs.Epoch) { w.taggers[0].kill() }, protocol.CloseDied},
		"suspicion":     {func(_ *world, e *epochs.Epoch) { e.Destroy(); e.Destroy() }, protocol.CloseSuspect},
	}
	for name, c := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{}
				m, stop := start(t, w)
				first, _ := m.Active()
				w.signers[0].slow, w.taggers[0].slow = true, true
				w.take()
				c.end(w, first)
				synctest.Wait()
				sameSteps(t, "replacement", w.take(), "no signer", "invalidate", "epoch-close", "epoch-open", "signer set")
				if w.signers[0].closed.Load() || w.taggers[0].closed.Load() {
					t.Error("the next epoch has waited for the children of the last one")
				}
				time.Sleep(slowEnd)
				synctest.Wait()
				sameSteps(t, "end of the children", w.take(), "close", "close")
				if !w.signers[0].closed.Load() || !w.taggers[0].closed.Load() {
					t.Error("a child of the ended epoch was not closed")
				}
				if got := w.leaves[1].(*protocol.EpochClose).Reason; got != c.reason {
					t.Errorf("got reason %v, want %v", got, c.reason)
				}
				if _, ok := m.Find(first.ID()); ok {
					t.Error("the ended epoch is still found")
				}
				second, err := m.Active()
				if err != nil || second.Number() != 2 {
					t.Fatalf("second epoch: got %+v, %v", second, err)
				}
				if opened := w.leaves[2].(*protocol.EpochOpen); opened.Previous != first.ID() || opened.PreviousIndex != 0 || opened.Handover != (protocol.SignedRoot{}) {
					t.Errorf("open leaf after a death: got previous %v at %d, hand-over %x", opened.Previous, opened.PreviousIndex, opened.Handover)
				}
				stop()
			})
		})
	}
}

// TestBackoff: the first replacement is immediate, the later ones wait.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		_, stop := start(t, w)
		begin := time.Now()
		for i := range 4 {
			w.signers[i].kill()
			for w.started() < i+2 {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
		}
		if took := time.Since(begin); took < 700*time.Millisecond || took > 2*time.Second {
			t.Errorf("four deaths in a row were replaced after %v, want 0 + 100 + 200 + 400 ms or so", took)
		}
		stop()
	})
}

func TestStartFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{failStart: 2, failOpen: 1}
		m, stop := start(t, w)
		if e, err := m.Active(); err != nil || e.Number() != 1 {
			t.Fatalf("got %+v, %v", e, err)
		}
		if len(w.signers) != 1 || len(w.leaves) != 1 {
			t.Errorf("%d signers and %d leaves; the leaf that was refused is written again", len(w.signers), len(w.leaves))
		}
		stop()
	})
}

// TestUnknownOpen: an epoch whose open leaf was committed with an unknown outcome opens
// once the leaf is found.
func TestUnknownOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{failOpen: 1, writtenAnyway: true}
		m, stop := start(t, w)
		if e, _ := m.Active(); e.Number() != 1 || len(w.leaves) != 1 || len(w.signers) != 1 {
			t.Errorf("got epoch number %d, %d leaves, %d signers", e.Number(), len(w.leaves), len(w.signers))
		}
		stop()
	})
}

// TestSuspected: a destroyed epoch is not found any more, even before the manager has
// ended it.
func TestSuspected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, stop := start(t, &world{})
		e, _ := m.Active()
		e.Destroy()
		if _, live := m.Find(e.ID()); live {
			t.Error("the epoch is still found")
		}
		if now, err := m.Active(); err == nil && now == e {
			t.Error("the epoch is still active")
		}
		stop()
	})
}

func TestLostEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{open: []protocol.EpochOpen{{Number: 1, ID: protocol.EpochID{9}}}}
		m, stop := start(t, w)
		c, ok := w.leaves[0].(*protocol.EpochClose)
		if !ok || c.Reason != protocol.CloseLost || c.ID != (protocol.EpochID{9}) || c.Issued != (protocol.SignedRoot{}) {
			t.Errorf("first leaf after a crash: got %+v", w.leaves[0])
		}
		if e, _ := m.Active(); e.Number() != 2 {
			t.Errorf("got epoch number %d, want 2", e.Number())
		}
		stop()
	})
}
