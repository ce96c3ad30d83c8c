package ledger_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"filippo.io/torchwood"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

func TestNoSignerNoCheckpointButProjection(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	r.commit(someLeaves("x", 20)...)
	waitSize(t, l, 20)
	if _, ok := l.Latest(); ok {
		t.Fatal("a checkpoint without a signer")
	}
	if _, err := l.Read(t.Context(), "checkpoint"); !errors.Is(err, protocol.CodeNotFound) {
		t.Fatalf("Read: %v", err)
	}
	s := newSigner(t)
	index := l.newEpoch(s)
	if cp := l.await(index); cp.Key != s.Key() {
		t.Error("another key signed")
	}
}

// waitSize waits until the projection holds n entries, by way of the lag that
// a reader of it would poll.
func waitSize(t *testing.T, l *running, n uint64) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for l.Size() < n {
		select {
		case <-deadline:
			t.Fatalf("size stays at %d, want %d", l.Size(), n)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestCheckpointCoversItsOwnEpochLeaf(t *testing.T) {
	r := &rows{leaves: someLeaves("old", 10)}
	l := start(t, t.TempDir(), r, nil)
	s := newSigner(t)
	l.SetSigner(s, 10) // its leaf is not committed yet
	waitSize(t, l, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, 0); err == nil || s.asked() != 0 {
		t.Fatalf("signed %d times before the epoch-open leaf was in the log", s.asked())
	}
	r.commit([]byte("epoch-open"))
	if cp := l.await(10); cp.Size != 11 {
		t.Errorf("size %d", cp.Size)
	}
}

// TestDamagedTileIsNotTold: leaf hashes that do not have the root never reach the
// signer, so that a tile that reads wrong once does not end an epoch.
func TestDamagedTileIsNotTold(t *testing.T) {
	r := &rows{leaves: someLeaves("old", 10)}
	l := start(t, t.TempDir(), r, nil)
	waitSize(t, l, 10)
	tile := l.dir + "/tile/0/000.p/10"
	flip(t, tile, 40)
	s := newSigner(t)
	l.SetSigner(s, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, 9); err == nil || s.asked() != 0 || s.begun {
		t.Fatalf("told or asked over a damaged tile: %v", err)
	}
	flip(t, tile, 40)
	if cp := l.await(9); cp.Size != 10 {
		t.Errorf("size %d", cp.Size)
	}
}

func TestRotationUnderLoad(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, func(c *ledger.Config) { c.Interval = time.Millisecond })
	open := map[[32]byte]uint64{}
	stop, seen := make(chan struct{}), make(chan []ledger.Checkpoint)
	go func() { seen <- watch(l, stop) }()
	var last uint64
	for range 8 {
		s := newSigner(t)
		open[s.Key()] = l.newEpoch(s)
		for range 30 {
			last = r.commit(someLeaves("load", 2)...)
		}
		l.await(last - 20)
	}
	check(t, l.dir, r, l.await(last))
	close(stop)
	keys := map[[32]byte]bool{}
	for _, cp := range <-seen {
		index, known := open[cp.Key]
		if !known || cp.Size <= index {
			t.Fatalf("checkpoint of size %d under a key opened at %d (known: %v)", cp.Size, index, known)
		}
		if _, _, err := torchwood.VerifyCheckpoint(cp.Note, policy(verifierOf(t, cp.Key))); err != nil {
			t.Fatal(err)
		}
		keys[cp.Key] = true
	}
	if len(keys) < 2 {
		t.Errorf("saw %d keys only", len(keys))
	}
}

// watch collects what is shown to readers until told to stop.
func watch(l *running, stop chan struct{}) (all []ledger.Checkpoint) {
	var index uint64
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		cp, err := l.Await(ctx, index)
		cancel()
		if err == nil {
			all, index = append(all, cp), cp.Size
		}
		select {
		case <-stop:
			return all
		default:
		}
	}
}

func TestNewSignerPublishesWithoutGrowth(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	first, second := newSigner(t), newSigner(t)
	l.newEpoch(first)
	index := r.commit([]byte("second epoch-open"))
	l.await(index) // signed by the first: its last word
	l.SetSigner(second, index)
	deadline := time.After(10 * time.Second)
	for {
		if cp, _ := l.Latest(); cp.Key == second.Key() {
			check(t, l.dir, r, cp)
			return
		}
		select {
		case <-deadline:
			t.Fatal("the second signer never signs")
		case <-time.After(time.Millisecond):
		}
	}
}

// TestUnsetSigner: only the signer itself is taken away, not its successor.
func TestUnsetSigner(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	first, second := newSigner(t), newSigner(t)
	l.newEpoch(first)
	l.UnsetSigner(second)
	l.await(r.commit([]byte("by the first")))
	index := r.commit([]byte("second epoch-open"))
	l.SetSigner(second, index)
	l.UnsetSigner(first)
	l.await(index)
	cp := l.await(r.commit([]byte("by the second")))
	if cp.Key != second.Key() {
		t.Error("the successor does not sign")
	}
	l.UnsetSigner(second)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, r.commit([]byte("by no one"))); err == nil {
		t.Error("a checkpoint without a signer")
	}
}

func TestBadSigners(t *testing.T) {
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	type answer = func(context.Context, func() ([64]byte, error)) ([64]byte, error)
	for name, bad := range map[string]answer{
		"dead": func(context.Context, func() ([64]byte, error)) ([64]byte, error) {
			return [64]byte{}, errors.New("signer: gone")
		},
		"silent": func(ctx context.Context, _ func() ([64]byte, error)) ([64]byte, error) {
			<-ctx.Done()
			return [64]byte{}, ctx.Err()
		},
		"deaf": func(context.Context, func() ([64]byte, error)) ([64]byte, error) {
			<-stuck
			return [64]byte{}, nil
		},
		"zero": func(context.Context, func() ([64]byte, error)) ([64]byte, error) {
			return [64]byte{}, nil
		},
		"wrong": func(_ context.Context, honest func() ([64]byte, error)) ([64]byte, error) {
			sig, err := honest()
			sig[17] ^= 1
			return sig, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rows{}
			l := start(t, t.TempDir(), r, nil)
			s := newSigner(t)
			s.answer = bad
			l.newEpoch(s)
			last := r.commit(someLeaves("x", 10)...)
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			if cp, err := l.Await(ctx, 0); err == nil {
				t.Fatalf("shown: %s", cp.Note)
			}
			if _, err := os.Stat(l.dir + "/checkpoint"); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("written: %v", err)
			}
			if s.asked() == 0 || l.Size() != last+1 || l.Admit() != nil {
				t.Fatalf("asked %d, size %d, admit %v", s.asked(), l.Size(), l.Admit())
			}
			if name == "deaf" && s.asked() != 1 {
				t.Errorf("asked %d times while the first call had not returned", s.asked())
			}
			good := newSigner(t)
			index := l.newEpoch(good)
			if cp := l.await(index); cp.Key != good.Key() {
				t.Error("the next signer did not take over")
			}
			check(t, l.dir, r, l.await(last))
		})
		t.Run(name+" at shutdown", func(t *testing.T) {
			r := &rows{}
			l := start(t, t.TempDir(), r, nil)
			s := newSigner(t)
			s.answer = bad
			l.newEpoch(s)
			r.commit(someLeaves("x", 10)...)
			waitSize(t, l, 11)
			begun := time.Now()
			if err := l.halt(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("shutdown took %v", took)
			}
		})
	}
}

// A signer that is asked for one tree while another takes its place must not
// have its signature filed under the other's key, or the reverse.
func TestSwapWhileSigning(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, func(c *ledger.Config) { c.SignTimeout = 5 * time.Second })
	asked, release := make(chan struct{}), make(chan struct{})
	slow := newSigner(t)
	slow.answer = func(_ context.Context, honest func() ([64]byte, error)) ([64]byte, error) {
		asked <- struct{}{}
		<-release
		return honest()
	}
	l.newEpoch(slow)
	<-asked
	next := newSigner(t)
	index := l.newEpoch(next)
	cp := l.await(index) // although the slow one has not answered
	close(release)
	if cp.Key != next.Key() {
		t.Error("wrong key")
	}
	check(t, l.dir, r, cp)
}

func TestLastCheckpointAtShutdown(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, func(c *ledger.Config) { c.Interval = time.Hour })
	l.newEpoch(newSigner(t))
	l.await(0) // the hour begins
	last := r.commit(someLeaves("x", 3)...)
	waitSize(t, l, last+1)
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	cp, ok := l.Latest()
	if !ok || cp.Size != last+1 {
		t.Errorf("last checkpoint covers %d of %d", cp.Size, last+1)
	}
	check(t, l.dir, r, cp)
}
