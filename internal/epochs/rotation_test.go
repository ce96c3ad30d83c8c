package epochs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// telling is a ledger that sends each signer a log.
type telling struct{ *world }

func (l telling) SetSigner(s ledger.Signer, index uint64) {
	l.world.SetSigner(s, index)
	_ = s.Begin(context.Background(), protocol.Range{})
	_ = s.Extend(context.Background(), []protocol.Digest{{1}, {2}})
}

// startRotating runs a manager over a ledger that sends the signers a log.
func startRotating(t *testing.T, w *world, change func(*epochs.Config)) (m *epochs.Manager, stop func()) {
	t.Helper()
	return startWith(t, w, func(c *epochs.Config) {
		c.Ledger = telling{w}
		c.Random = func() float64 { return 0.5 }
		if change != nil {
			change(c)
		}
	})
}

func mustRotate(t *testing.T, m *epochs.Manager, how epochs.How) epochs.Rotated {
	t.Helper()
	r, err := m.Rotate(t.Context(), how)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return r
}

// phases lists numbers and phases of the epochs that have not ended.
func phases(m *epochs.Manager) (s string) {
	for _, e := range m.Status() {
		s += fmt.Sprintf("%d %v %d/%d;", e.Number, e.Phase, e.Pending, e.Issued)
	}
	return s
}

// TestRotate: the next epoch starts first. Then the order is that of section 11. The
// epoch before ends when its last request has ended, with the root of all it issued, and
// the next epoch keeps signing the log.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		first := issue(t, m)
		w.take()
		r := mustRotate(t, m, epochs.Drain)
		sameSteps(t, "rotation", w.take(), "wipe", "no signer", "handover", "wipe checkpoint key", "epoch-open", "signer set", "close signer")
		if r.Number != 2 || r.ID != w.signers[1].id || r.Index != 1 {
			t.Errorf("rotated to %+v", r)
		}
		if got := phases(m); got != "1 DRAINING 1/1;2 ACTIVE 0/0;" {
			t.Errorf("after the rotation: %s", got)
		}
		if e, live := m.Find(first.ID()); !live || e != first {
			t.Error("the draining epoch is not found")
		}
		open := w.leaves[1].(*protocol.EpochOpen)
		if open.Previous != first.ID() || open.Handover.Signature != [64]byte{open.ID[0]} || open.Handover.Size != 2 {
			t.Errorf("open leaf: %+v", open.Handover)
		}
		if e := issue(t, m); e.Number() != 2 {
			t.Errorf("issued by epoch %d", e.Number())
		}
		first.Ended(lifecycle.PhaseAccepted)
		synctest.Wait()
		sameSteps(t, "end of the first", w.take(), "epoch-close", "close tagger", "close signer")
		c := w.lastClose(t)
		if c.ID != first.ID() || c.Reason != protocol.CloseRotated || c.Issued.Size != 1 || c.Accepted != 1 || c.Invalidated != 0 {
			t.Errorf("close leaf: %+v", c)
		}
		if w.signs == nil {
			t.Error("the end of the first epoch has taken the signer of the second away")
		}
		stop()
	})
}

// TestLateLeaves: what a ledger sends between the last checkpoint and the hand-over is
// refused, because the signer hands over the tree of that checkpoint.
func TestLateLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first *epochs.Epoch
		var signed atomic.Bool // the last checkpoint, and nothing was sent after it
		var refused error
		w := &world{}
		w.strike = func(step string) (effect bool, err error) {
			if step == "checkpoint" {
				signed.Store(true)
			}
			return true, nil
		}
		m, stop := startRotating(t, w, func(c *epochs.Config) {
			c.Differs = func(tree string) { t.Errorf("signer and core differ about the %s", tree) }
			c.Now = func() time.Time { // is asked at the start of each step
				if signed.CompareAndSwap(true, false) {
					refused = first.Extend(t.Context(), []protocol.Digest{{3}})
				}
				return time.Now()
			}
		})
		first = issue(t, m)
		mustRotate(t, m, epochs.Drain)
		if !errors.Is(refused, protocol.CodeInternal) {
			t.Errorf("leaves after the last checkpoint: %v", refused)
		}
		if open := w.leaves[1].(*protocol.EpochOpen); open.Handover.Size != 2 {
			t.Errorf("hand-over of a tree of %d leaves, want 2", open.Handover.Size)
		}
		if got := phases(m); got != "1 DRAINING 1/1;2 ACTIVE 0/0;" {
			t.Errorf("after the rotation: %s", got)
		}
		first.Ended(lifecycle.PhaseAccepted)
		stop()
	})
}

// TestHeldRequestsWait: while issue is held requests wait, within their time, and are
// issued by the next epoch. One that is being issued is anchored before the wipe.
func TestHeldRequestsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		slow := begin(t, m)
		rotated := make(chan epochs.Rotated, 1)
		go func() { rotated <- mustRotate(t, m, epochs.Drain) }()
		synctest.Wait()
		if !m.Held() || w.signers[0].wiped {
			t.Fatalf("held %t, wiped %t while a request is being issued", m.Held(), w.signers[0].wiped)
		}
		_, err := m.Begin(t.Context(), time.Second)
		if !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("after its time: %v", err)
		}
		const most = 128
		waits := make(chan uint64, most)
		for range most {
			go func() { waits <- begin(t, m).Number() }()
		}
		synctest.Wait()
		before := time.Now()
		if _, err := m.Begin(t.Context(), time.Minute); !errors.Is(err, protocol.CodeDraining) || time.Since(before) > 0 {
			t.Errorf("one more than may wait: %v", err)
		}
		if _, _, err := slow.Issue(t.Context(), &protocol.EncodedPayload{}); err != nil {
			t.Error(err)
		}
		if _, _, err := slow.Anchor(t.Context(), &protocol.EncodedPayload{}); err != nil {
			t.Error(err)
		}
		for range most {
			if n := <-waits; n != 2 {
				t.Errorf("one that waited is issued by epoch %d", n)
			}
		}
		<-rotated
		stop()
		for _, l := range w.leaves {
			if c, ok := l.(*protocol.EpochClose); ok && c.Number == 1 && (c.Reason != protocol.CloseRotated || c.Invalidated != 1 || c.Issued.Size != 1) {
				t.Errorf("close leaf of an epoch that was draining at the end: %+v", c)
			}
		}
	})
}

// TestPanicWhileIssued: a request is over if issuing it panics, so the epoch drains.
func TestPanicWhileIssued(t *testing.T) {
	for _, step := range []string{"issue", "anchor"} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{strike: func(s string) (bool, error) {
				if s == step {
					panic("planted")
				}
				return true, nil
			}}
			m, stop := startRotating(t, w, nil)
			e := begin(t, m)
			func() {
				defer func() { _ = recover() }()
				_, _, _ = e.Issue(t.Context(), &protocol.EncodedPayload{})
				_, _, _ = e.Anchor(t.Context(), &protocol.EncodedPayload{})
			}()
			before := time.Now()
			mustRotate(t, m, epochs.Drain)
			if got := phases(m); got != "2 ACTIVE 0/0;" || time.Since(before) > 0 {
				t.Errorf("after a panic of %s: %s %v", step, got, time.Since(before))
			}
			stop()
		})
	}
}

// TestForced: every keyholder is ended at once, and every pending request with it.
func TestForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		for range 2 {
			issue(t, m)
			mustRotate(t, m, epochs.Drain)
		}
		issue(t, m)
		w.take()
		for n := range uint64(5) {
			if r := mustRotate(t, m, epochs.Now); r.Number != 4+n {
				t.Errorf("rotated to %+v", r)
			}
			if n == 0 {
				if steps := w.take(); count(steps, "invalidate") != 3 || count(steps, "epoch-close") != 3 || count(steps, "handover") != 0 {
					t.Errorf("steps: %q", steps)
				}
			}
		}
		for i := range 3 {
			if !w.signers[i].closed.Load() || !w.taggers[i].closed.Load() {
				t.Errorf("a keyholder of epoch %d lives", i+1)
			}
		}
		for _, l := range w.leaves {
			if c, ok := l.(*protocol.EpochClose); ok && c.Reason != protocol.CloseSuspect {
				t.Errorf("close leaf: %+v", c)
			}
		}
		stop()
	})
}

// TestForcedWhileOpening: a forced rotation at any step of another one ends the keys that
// exist at that moment, also those of the epoch that opens.
func TestForcedWhileOpening(t *testing.T) {
	var steps []string
	synctest.Test(t, func(t *testing.T) {
		var noted atomic.Bool
		w := &world{strike: func(step string) (bool, error) {
			if noted.Load() && !slices.Contains(steps, step) {
				steps = append(steps, step)
			}
			return true, nil
		}}
		m, stop := startRotating(t, w, nil)
		noted.Store(true)
		mustRotate(t, m, epochs.Drain)
		noted.Store(false)
		stop()
	})
	if len(steps) < 5 {
		t.Fatalf("steps: %q", steps)
	}
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m *epochs.Manager
				var armed atomic.Bool
				var old int
				struck := make(chan func(context.Context) (epochs.Rotated, error), 1)
				w := &world{}
				w.strike = func(step string) (bool, error) {
					if step == at && armed.CompareAndSwap(true, false) {
						old = len(w.signers)
						struck <- m.EndAll()
					}
					return true, nil
				}
				var stop func()
				m, stop = startRotating(t, w, nil)
				armed.Store(true)
				_, _ = m.Rotate(t.Context(), epochs.Drain)
				await := <-struck
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				r, err := await(ctx)
				if err != nil || int(r.ID[0]) <= old {
					t.Errorf("rotated to %+v, %v, and %d signers are older", r, err, old)
				}
				synctest.Wait() // a process is reaped beside the next start
				for i := range old {
					if !w.signers[i].closed.Load() {
						t.Errorf("signer %d lives", i+1)
					}
				}
				stop()
			})
		})
	}
}

// TestForcedWithoutJournal: keys are destroyed also while nothing can be written.
func TestForcedWithoutJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		w := &world{strike: func(string) (bool, error) {
			if down.Load() {
				return false, protocol.Fail(protocol.CodeLedgerUnavailable, "down")
			}
			return true, nil
		}}
		m, stop := startRotating(t, w, nil)
		down.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Rotate(ctx, epochs.Now); !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("got %v", err)
		}
		if !w.signers[0].closed.Load() || !w.taggers[0].closed.Load() {
			t.Error("a keyholder lives")
		}
		down.Store(false)
		time.Sleep(time.Minute)
		if _, err := m.Active(); err != nil {
			t.Error(err)
		}
		stop()
	})
}

// TestTooManyDrain: a rotation beyond the bound waits until an epoch has ended.
func TestTooManyDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		first := issue(t, m)
		for range lifecycle.MaxDraining {
			mustRotate(t, m, epochs.Drain)
			issue(t, m)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := m.Rotate(ctx, epochs.Drain); !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("ninth: %v", err)
		}
		cancel()
		done := make(chan epochs.Rotated, 1)
		go func() { done <- mustRotate(t, m, epochs.Drain) }()
		time.Sleep(time.Hour)
		if len(done) != 0 || len(m.Status()) != lifecycle.MaxDraining+1 {
			t.Errorf("it does not wait: %s", phases(m))
		}
		first.Ended(lifecycle.PhaseExpired)
		if r := <-done; r.Number != lifecycle.MaxDraining+2 {
			t.Errorf("rotated to %+v", r)
		}
		stop()
	})
}

// TestMaxIssued: an epoch is rotated before it has issued as many requests as it may, and
// no request is refused. A draft that the tagger refuses does not count.
func TestMaxIssued(t *testing.T) {
	for _, most := range []uint64{1, 3, 16} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			m, stop := startRotating(t, w, func(c *epochs.Config) { c.MaxIssued = most })
			w.full.Store(true)
			for range 40 {
				if _, _, err := begin(t, m).Issue(t.Context(), &protocol.EncodedPayload{}); !errors.Is(err, protocol.CodeOverloaded) {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			if most == 16 && w.started() != 1 {
				t.Errorf("%d epochs were opened for requests that were refused", w.started())
			}
			w.full.Store(false)
			for range 64 {
				issue(t, m).Ended(lifecycle.PhaseExpired)
			}
			synctest.Wait()
			for i, s := range w.signers {
				if s.anchors > most {
					t.Errorf("most %d: signer %d has anchored %d", most, i, s.anchors)
				}
			}
			stop()
		})
	}
}

// TestRotationOff: without rotation a full epoch refuses new requests until an operator
// rotates it.
func TestRotationOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, func(c *epochs.Config) {
			c.MaxIssued, c.Schedule = 2, epochs.Schedule{Off: true, MaxAge: time.Hour}
		})
		issue(t, m)
		issue(t, m)
		time.Sleep(24 * time.Hour)
		if _, err := m.Begin(t.Context(), time.Minute); !errors.Is(err, protocol.CodeDraining) {
			t.Errorf("full epoch: %v", err)
		}
		if r := mustRotate(t, m, epochs.Drain); r.Number != 2 {
			t.Errorf("rotated to %+v", r)
		}
		issue(t, m)
		stop()
	})
}

// TestMaxAge: an epoch is rotated when it has its age, with jitter.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, func(c *epochs.Config) { c.Schedule.MaxAge = 10 * time.Hour })
		time.Sleep(9*time.Hour + 29*time.Minute)
		if n := w.started(); n != 1 {
			t.Errorf("%d epochs too early", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if e, err := m.Active(); err != nil || e.Number() != 2 {
			t.Errorf("not rotated: %v", err)
		}
		w.refuse(errors.New("no signer today"))
		time.Sleep(24 * time.Hour)
		if e, err := m.Active(); err != nil || e.Number() != 2 {
			t.Errorf("the epoch does not stay while the next one cannot start: %v", err)
		}
		w.refuse(nil)
		time.Sleep(time.Minute)
		if e, err := m.Active(); err != nil || e.Number() != 3 {
			t.Errorf("not rotated when it can be: %v", err)
		}
		stop()
	})
}

// faultsOfRotation is how a step can go wrong.
var faultsOfRotation = map[string]func(w *world) (effect bool, err error){
	"error":               func(*world) (bool, error) { return false, errors.New("planted") },
	"error but done":      func(*world) (bool, error) { return true, errors.New("planted") },
	"signer exits":        func(w *world) (bool, error) { w.signers[0].kill(); return false, errors.New("gone") },
	"signer exits, done":  func(w *world) (bool, error) { w.signers[0].kill(); return true, nil },
	"tagger exits":        func(w *world) (bool, error) { w.taggers[0].kill(); return true, nil },
	"next signer exits":   func(w *world) (bool, error) { w.signers[len(w.signers)-1].kill(); return true, nil },
	"next tagger exits":   func(w *world) (bool, error) { w.taggers[len(w.taggers)-1].kill(); return true, nil },
	"next exits and fail": func(w *world) (bool, error) { w.signers[len(w.signers)-1].kill(); return false, errors.New("planted") },
}

// TestRotationFaults: whatever fails at whatever step, an epoch is ACTIVE soon, a key
// hands over to one epoch at most and after its wipe, requests that wait are issued, and
// every open leaf has one close leaf in the end.
func TestRotationFaults(t *testing.T) {
	for _, step := range []string{"start tagger", "wipe", "root", "checkpoint", "handover", "wipe checkpoint key", "append epoch-open", "last", "append epoch-close"} {
		for name, fault := range faultsOfRotation {
			for _, times := range []int{1, 3} {
				t.Run(fmt.Sprintf("%s/%s/%d", step, name, times), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { rotateWith(t, step, times, fault) })
				})
			}
		}
	}
}

func rotateWith(t *testing.T, step string, times int, fault func(*world) (bool, error)) {
	t.Helper()
	w := &world{}
	armed := 0
	w.strike = func(s string) (bool, error) {
		w.mu.Lock()
		hit := s == step && armed > 0
		if hit {
			armed--
		}
		w.mu.Unlock()
		if hit {
			return fault(w)
		}
		return true, nil
	}
	m, stop := startRotating(t, w, nil)
	first := issue(t, m)
	w.mu.Lock()
	armed = times
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, rotateErr := m.Rotate(ctx, epochs.Drain)
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	e, err := m.Active()
	if err != nil || m.Held() {
		t.Fatalf("no epoch is active: %v, held %t, %s", err, m.Held(), phases(m))
	}
	if rotateErr == nil && e == first {
		t.Error("it says that it has rotated")
	}
	issue(t, m)
	if _, live := m.Find(first.ID()); live {
		first.Ended(lifecycle.PhaseAccepted)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	stop()
	checkLeaves(t, w)
	for i, c := range w.signers {
		if !c.closed.Load() || len(c.gave) > 1 || len(c.gave) == 1 && !c.wiped {
			t.Errorf("signer %d: closed %t, wiped %t, handed over to %v", i, c.closed.Load(), c.wiped, c.gave)
		}
	}
	for i, c := range w.taggers {
		if !c.closed.Load() {
			t.Errorf("tagger %d was left behind", i)
		}
	}
}

// checkLeaves checks the leaves of a world that has ended.
func checkLeaves(t *testing.T, w *world) {
	t.Helper()
	var last *protocol.EpochOpen
	open := map[protocol.EpochID]bool{}
	for i, l := range w.leaves {
		switch b := l.(type) {
		case *protocol.EpochOpen:
			if last != nil && (b.Number <= last.Number || b.Previous != last.ID) {
				t.Errorf("leaf %d: epoch %d after %d names %v", i, b.Number, last.Number, b.Previous)
			}
			if b.Handover != (protocol.SignedRoot{}) && (b.Handover.Signature != [64]byte{b.ID[0]} || !handedBy(w, b)) {
				t.Errorf("leaf %d shows the hand-over %v", i, b.Handover.Signature[0])
			}
			last, open[b.ID] = b, true
		case *protocol.EpochClose:
			if !open[b.ID] {
				t.Errorf("leaf %d closes an epoch that is not open", i)
			}
			delete(open, b.ID)
		}
	}
	if len(open) > 0 {
		t.Errorf("%d epochs are left open", len(open))
	}
}

func handedBy(w *world, b *protocol.EpochOpen) bool {
	for _, c := range w.signers {
		if c.id == b.Previous {
			return len(c.gave) == 1 && c.gave[0] == b.ID
		}
	}
	return false
}

// TestCallerLeaves: a rotation that has begun goes on without its caller; one that has
// not is withdrawn.
func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{strike: func(s string) (bool, error) {
			if s == "root" {
				time.Sleep(time.Second)
			}
			return true, nil
		}}
		m, stop := startRotating(t, w, nil)
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
				defer cancel()
				if _, err := m.Rotate(ctx, epochs.Drain); !errors.Is(err, protocol.CodeDraining) {
					t.Errorf("got %v", err)
				}
			})
		}
		callers.Wait()
		time.Sleep(time.Minute)
		if e, err := m.Active(); err != nil || e.Number() != 2 {
			t.Errorf("one rotation has begun: %v, %s", err, phases(m))
		}
		stop()
	})
}

// TestStopInRotation: the end of the core during a rotation leaves nothing open.
func TestStopInRotation(t *testing.T) {
	for _, step := range []string{"start tagger", "wipe", "root", "handover", "append epoch-open", "last"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{}
				var armed atomic.Bool
				reached := make(chan struct{}, 1)
				w.strike = func(s string) (bool, error) {
					if s == step && armed.CompareAndSwap(true, false) {
						reached <- struct{}{}
						time.Sleep(time.Second)
					}
					return true, nil
				}
				m, stop := startRotating(t, w, nil)
				issue(t, m)
				armed.Store(true)
				go func() { _, _ = m.Rotate(t.Context(), epochs.Drain) }()
				<-reached
				stop()
				checkLeaves(t, w)
				if _, err := m.Begin(t.Context(), time.Minute); !errors.Is(err, protocol.CodeDraining) {
					t.Errorf("after the end: %v", err)
				}
				if _, err := m.Rotate(t.Context(), epochs.Now); !errors.Is(err, protocol.CodeDraining) {
					t.Errorf("after the end: %v", err)
				}
			})
		})
	}
}
