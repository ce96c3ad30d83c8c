package epochs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// sealer is the owner of the control state: it ends what is pending and commits the seal
// leaf.
type sealer struct {
	w       *world
	pending []*epochs.Epoch // ended by Stop
	fails   int             // commits that fail
}

func (s *sealer) seal(drain time.Duration) epochs.Seal {
	return epochs.Seal{
		Drain: drain,
		Stop: func() {
			s.w.add("stop")
			for _, e := range s.pending {
				e.Ended(lifecycle.PhaseInvalidated)
			}
		},
		Commit: func(context.Context) (uint64, error) {
			if s.fails--; s.fails >= 0 {
				return 0, errors.New("the journal cannot be written")
			}
			e, err := s.w.append(&protocol.Control{Action: protocol.ActionSeal})
			return e.Seq, err
		},
	}
}

// asked has the log sealed and returns where its result arrives.
func asked(t *testing.T, m *epochs.Manager, s epochs.Seal) chan uint64 {
	t.Helper()
	sealed := make(chan uint64, 1)
	go func() {
		index, err := m.Seal(t.Context(), s)
		if err != nil {
			t.Error(err)
		}
		sealed <- index
	}()
	synctest.Wait()
	return sealed
}

// mustRest checks that no epoch follows.
func mustRest(t *testing.T, w *world, m *epochs.Manager) {
	t.Helper()
	started := w.started()
	if r, err := m.Rotate(t.Context(), epochs.Drain); !errors.Is(err, protocol.CodeFrozen) {
		t.Errorf("a rotation after the seal: %+v, %v", r, err)
	}
	if r, err := m.Rotate(t.Context(), epochs.Now); !errors.Is(err, protocol.CodeFrozen) {
		t.Errorf("a forced rotation after the seal: %+v, %v", r, err)
	}
	if _, err := m.Begin(t.Context(), time.Minute); !errors.Is(err, protocol.CodeDraining) {
		t.Errorf("a request after the seal: %v", err)
	}
	time.Sleep(time.Hour)
	if got := phases(m); got != "" || w.started() != started {
		t.Errorf("after the seal: %q, %d signers started", got, w.started()-started)
	}
}

// TestSeal: pending requests of all epochs are decided, then the leaves follow in the
// order of section 11, each epoch's close before the seal, and no epoch follows.
func TestSeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		first := issue(t, m)
		mustRotate(t, m, epochs.Drain)
		second := issue(t, m)
		w.take()
		s := &sealer{w: w, fails: 2}
		sealed := asked(t, m, s.seal(time.Minute))
		sameSteps(t, "drain", w.take(), "wipe")
		second.Ended(lifecycle.PhaseAccepted)
		synctest.Wait()
		sameSteps(t, "while an earlier epoch drains", w.take())
		first.Ended(lifecycle.PhaseExpired)
		index := <-sealed
		synctest.Wait()
		sameSteps(t, "seal", w.take(), "epoch-close", "close tagger", "close signer",
			"epoch-close", "checkpoint", "stop", "control", "close tagger", "checkpoint", "no signer", "close signer")
		if last := uint64(len(w.leaves) - 1); index != last {
			t.Errorf("sealed with leaf %d of %d", index, last)
		}
		c, ok := w.leaves[index-1].(*protocol.EpochClose)
		if !ok || c.Reason != protocol.CloseShutdown || c.Issued.Size != 1 || c.Accepted != 1 {
			t.Errorf("leaf before the seal: %+v", w.leaves[index-1])
		}
		again, err := m.Seal(t.Context(), epochs.Seal{Stop: func() {}})
		if again != index || err != nil {
			t.Errorf("a second seal: %d, %v", again, err)
		}
		mustRest(t, w, m)
		stop()
		if len(w.open) > 0 || uint64(len(w.leaves)-1) != index {
			t.Errorf("after the end: %d leaves, %d open epochs", len(w.leaves), len(w.open))
		}
	})
}

// TestSealEndsPending: what is pending when the drain is over is invalidated.
func TestSealEndsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		s := &sealer{w: w, pending: []*epochs.Epoch{issue(t, m)}}
		before := time.Now()
		<-asked(t, m, s.seal(time.Minute))
		if took := time.Since(before); took != time.Minute {
			t.Errorf("took %v", took)
		}
		if c, ok := w.leaves[1].(*protocol.EpochClose); !ok || c.Invalidated != 1 {
			t.Errorf("close leaf: %+v", w.leaves[1])
		}
		mustRest(t, w, m)
		stop()
	})
}

// TestSealAfterFailure: if the last epoch fails before the seal is in the log, another
// one opens, since only an epoch can sign the last checkpoint.
func TestSealAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		m, stop := startRotating(t, w, nil)
		e := issue(t, m)
		s := &sealer{w: w}
		sealed := asked(t, m, s.seal(time.Minute))
		w.signers[0].kill()
		synctest.Wait()
		e.Ended(lifecycle.PhaseInvalidated)
		index := <-sealed
		if c := w.leaves[1].(*protocol.EpochClose); c.Reason != protocol.CloseDied {
			t.Errorf("first epoch closed as %v", c.Reason)
		}
		if len(w.leaves) != 5 || index != 4 || w.leaves[3].(*protocol.EpochClose).Reason != protocol.CloseShutdown {
			t.Errorf("%d leaves, sealed with %d", len(w.leaves), index)
		}
		mustRest(t, w, m)
		stop()
	})
}

// deaf publishes no checkpoint before it is switched on.
type deaf struct {
	telling
	on atomic.Bool
}

func (l *deaf) Await(ctx context.Context, index uint64) (ledger.Checkpoint, error) {
	if !l.on.Load() {
		return ledger.Checkpoint{}, errors.New("nothing is published")
	}
	return l.telling.Await(ctx, index)
}

// TestSealWaitsForCheckpoint: the seal is not committed before a checkpoint covers what
// is before it.
func TestSealWaitsForCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		l := &deaf{telling: telling{w}}
		m, stop := startWith(t, w, func(c *epochs.Config) { c.Ledger = l })
		s := &sealer{w: w}
		sealed := asked(t, m, s.seal(0))
		time.Sleep(time.Minute)
		synctest.Wait() // what has been written is seen here
		if len(w.leaves) != 2 {
			t.Fatalf("%d leaves before anything is published", len(w.leaves))
		}
		l.on.Store(true)
		if index := <-sealed; index != 2 {
			t.Errorf("sealed with leaf %d", index)
		}
		stop()
	})
}

// awaited keeps the index that was waited for first.
type awaited struct {
	telling
	first atomic.Uint64
}

func (l *awaited) Await(ctx context.Context, index uint64) (ledger.Checkpoint, error) {
	l.first.CompareAndSwap(0, index)
	return l.telling.Await(ctx, index)
}

// TestSealAfterUnknownClose: if the close leaf was committed with an unknown outcome, the
// seal waits for the checkpoint that covers it all the same.
func TestSealAfterUnknownClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost atomic.Bool // the outcome of the first close
		w := &world{}
		w.strike = func(step string) (effect bool, err error) {
			if step == "append epoch-close" && lost.CompareAndSwap(false, true) {
				return true, errors.New("the outcome is not known")
			}
			return true, nil
		}
		l := &awaited{telling: telling{w}}
		m, stop := startWith(t, w, func(c *epochs.Config) { c.Ledger = l })
		s := &sealer{w: w}
		if index := <-asked(t, m, s.seal(0)); index != 2 {
			t.Errorf("sealed with leaf %d", index)
		}
		if c, ok := w.leaves[1].(*protocol.EpochClose); !ok || c.Reason != protocol.CloseShutdown || l.first.Load() != 1 {
			t.Errorf("leaf 1 is %+v, and the seal waited for leaf %d", w.leaves[1], l.first.Load())
		}
		stop()
	})
}

// TestStopBeforeSeal: the end of the core completes a seal that was asked for, if it can.
func TestStopBeforeSeal(t *testing.T) {
	for name, fails := range map[string]int{"sealed": 0, "lost": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{}
				ctx, cancel := context.WithCancel(t.Context())
				m := epochs.New(w.config())
				done := make(chan error, 1)
				go func() { done <- m.Run(ctx) }()
				<-m.Ready()
				issue(t, m)
				s := &sealer{w: w, fails: fails}
				short, over := context.WithTimeout(t.Context(), time.Second)
				defer over()
				if _, err := m.Seal(short, s.seal(time.Hour)); !errors.Is(err, protocol.CodeDraining) {
					t.Errorf("a seal that waits: %v", err)
				}
				cancel()
				err := <-done
				_, sealed := w.leaves[len(w.leaves)-1].(*protocol.Control)
				if sealed != (fails == 0) || fails == 0 && err != nil {
					t.Errorf("sealed %t, %v", sealed, err)
				}
				if _, err := m.Seal(t.Context(), s.seal(0)); (err == nil) != sealed {
					t.Errorf("after the end: %v", err)
				}
			})
		})
	}
}

// TestSealedStart: over a sealed log no epoch opens.
func TestSealedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		cfg := w.config()
		cfg.Sealed = true
		m := epochs.New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		mustRest(t, w, m)
		cancel()
		if err := <-done; err != nil || len(w.leaves) > 0 || w.started() > 0 {
			t.Errorf("%v, %d leaves, %d signers", err, len(w.leaves), w.started())
		}
	})
}
