package epochs_test

import (
	"context"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/testdata/proctest"
	"github.com/terradourada/td/protocol"
)

// steady issues without pause and ends each request after a moment.
type steady struct {
	callers
	mu   sync.Mutex
	took []time.Duration
}

func (s *steady) run(ctx context.Context) {
	for ctx.Err() == nil {
		begun := time.Now()
		e, err := s.m.Begin(ctx, time.Minute)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.failed.Add(1)
		case s.one(ctx, e):
			s.mu.Lock()
			s.took = append(s.took, time.Since(begun))
			s.mu.Unlock()
			e.Ended(lifecycle.PhaseExpired)
		}
	}
}

// realRotations runs a manager with real keyholders under load.
func realRotations(t *testing.T) (w *world, s *steady, stop func()) {
	t.Helper()
	w = &world{}
	cfg := realWorld(w)
	cfg.Ledger = telling{w}
	s = &steady{callers: callers{m: epochs.New(cfg)}}
	ctx, cancel := context.WithCancel(t.Context())
	load, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.m.Run(ctx) }()
	<-s.m.Ready()
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() { s.run(load) })
	}
	return w, s, func() {
		end()
		all.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// TestRotateUnderLoad: rotations of real keyholders under load cost no request, and each
// epoch is handed over by the key before it.
func TestRotateUnderLoad(t *testing.T) {
	const rotations = 20
	w, s, stop := realRotations(t)
	for range rotations {
		before := s.done.Load()
		until(t, "load", func() bool { return s.done.Load() > before+50 })
		if _, err := s.m.Rotate(t.Context(), epochs.Drain); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if n := s.failed.Load() + s.foreign.Load(); n != 0 {
		t.Errorf("%d of %d requests failed", n, s.done.Load())
	}
	slices.Sort(s.took)
	t.Logf("%d requests: median %v, p99 %v, greatest %v", len(s.took), s.took[len(s.took)/2], s.took[len(s.took)*99/100], s.took[len(s.took)-1])
	var last *protocol.EpochOpen
	rotated, left := 0, uint64(0)
	for _, l := range w.leaves {
		switch b := l.(type) {
		case *protocol.EpochOpen:
			if last != nil {
				if err := b.VerifyHandover("terradourada/test", last.CheckpointKey); err != nil || b.Handover.Size != 2 {
					t.Errorf("epoch %d: %v, over %d leaves", b.Number, err, b.Handover.Size)
				}
			}
			last = b
		case *protocol.EpochClose:
			if b.Reason == protocol.CloseRotated {
				rotated++
			}
			// At the end of the load each caller leaves one request behind at most.
			if left += b.Invalidated; b.Issued.Size != b.Expired+b.Invalidated {
				t.Errorf("epoch %d closes with %d issued and %d ended", b.Number, b.Issued.Size, b.Expired)
			}
		}
	}
	if rotated != rotations || left > crowd {
		t.Errorf("%d epochs are closed as rotated, and %d requests were invalidated", rotated, left)
	}
}

// TestKillInRotation: kill -9 of any keyholder at any moment of a rotation leaves an
// ACTIVE epoch soon and no epoch open in the end.
func TestKillInRotation(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	w, s, stop := realRotations(t)
	for round := range rounds {
		before := s.done.Load()
		until(t, "load", func() bool { return s.done.Load() > before+20 })
		rotated := make(chan error, 1)
		go func() {
			_, err := s.m.Rotate(t.Context(), epochs.Drain)
			rotated <- err
		}()
		time.Sleep(time.Duration(round) * 5 * time.Millisecond) // another moment in each round
		kind := []string{"signer", "tagger"}[round%2]
		if pid := proctest.Children(os.Getpid())[kind]; pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-rotated // it may have failed
		until(t, "an epoch", func() bool { _, err := s.m.Active(); return err == nil })
	}
	stop()
	if n := len(w.open); n != 0 {
		t.Errorf("%d epochs are left open", n)
	}
}
