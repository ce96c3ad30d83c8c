package ledger_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/torchwood"

	"github.com/terradourada/td/internal/ledger"
)

// mostFiles is how many files a log of this size may have: the full tiles, and
// the partial ones, at three levels, of so many sizes.
func mostFiles(size uint64, sizes int) int {
	full := int(size/256)*2 + int(size/65536)
	return full + 3*sizes + len("checkpoint, origin")
}

// TestPartialTilesDoNotPileUp: a log that is restarted every few seconds keeps
// the partial tiles of its checkpoint and of the one before.
func TestPartialTilesDoNotPileUp(t *testing.T) {
	starts := 300
	if testing.Short() {
		starts = 60
	}
	synctest.Test(t, func(t *testing.T) {
		m, r := newModel(), &rows{}
		var before ledger.Checkpoint
		for range starts {
			l := startOn(t, m, r, nil)
			l.newEpoch(newSigner(t))
			cp := l.await(r.commit(someLeaves("x", 5)...))
			if before.Note != nil {
				checkTree(t, m.files(), r, before.Size) // of who has read it just now
			}
			if err := l.halt(); err != nil {
				t.Fatal(err)
			}
			before = cp
		}
		checkFS(t, m.files(), r, before)
		if n, most := len(m.files()), mostFiles(before.Size, 4); n > most {
			t.Errorf("%d files for %d leaves, want at most %d", n, before.Size, most)
		}
	})
}

// TestPartialTilesOfManyBatches: in one process the partial tiles of the newest
// checkpoints stay, with a signer and without.
func TestPartialTilesOfManyBatches(t *testing.T) {
	batches := 1500
	if testing.Short() {
		batches = 300
	}
	for name, signed := range map[string]bool{"signed": true, "without a signer": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, r := newModel(), &rows{}
				l := startOn(t, m, r, nil)
				if signed {
					l.newEpoch(newSigner(t))
				}
				var shown []ledger.Checkpoint
				for i := range batches {
					last := r.commit(someLeaves(fmt.Sprint(i), 1)...)
					if time.Sleep(time.Second); signed {
						shown = append(shown, l.await(last))
					} else {
						waitSize(t, l, last+1)
					}
				}
				if n, most := len(m.files()), mostFiles(l.Size(), ledger.KeepCheckpoints+ledger.PruneEvery+2); n > most {
					t.Errorf("%d files for %d leaves, want at most %d", n, l.Size(), most)
				}
				for _, cp := range shown[max(len(shown)-ledger.KeepCheckpoints, 0):] {
					checkEdge(t, m.files(), cp.Size)
				}
				if len(shown) > 0 {
					checkFS(t, m.files(), r, shown[len(shown)-1])
				}
			})
		})
	}
}

// TestPartialTilesOfTheTreeBeingSigned stay, however long the signer takes.
func TestPartialTilesOfTheTreeBeingSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newModel(), &rows{}
		l := startOn(t, m, r, func(c *ledger.Config) { c.SignTimeout = time.Hour })
		s := newSigner(t)
		s.answer = func(_ context.Context, honest func() ([64]byte, error)) ([64]byte, error) {
			time.Sleep(5 * time.Second)
			return honest()
		}
		l.newEpoch(s)
		for range 3 * ledger.PruneEvery {
			r.commit([]byte("meanwhile"))
			time.Sleep(100 * time.Millisecond)
		}
		cp := l.await(0)
		if cp.Size > 2 {
			t.Fatalf("size %d", cp.Size)
		}
		checkFS(t, m.files(), r, cp)
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPruningBelievesNoCheckpointOfAnotherProcess: the renaming of a checkpoint
// may be lost after a failed sync, although the next process sees it. Then the
// tiles of the older one are still needed.
func TestPruningBelievesNoCheckpointOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newModel(), &rows{}
		l := startOn(t, m, r, nil)
		l.newEpoch(newSigner(t))
		l.await(r.commit(someLeaves("old", 20)...))
		m.set(func(m *model) {
			m.fault = func(op, name string) (error, bool) {
				if op == "SyncDir" && name == "." {
					return syscall.EIO, true
				}
				return nil, false
			}
		})
		r.commit(someLeaves("new", 3)...)
		time.Sleep(time.Minute)
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
		l = startOn(t, m, r, nil) // the device still fails
		for range 2 {             // the second syncs what the first has removed
			waitSize(t, l, r.commit(someLeaves("newer", 3)...)+1)
			time.Sleep(time.Minute)
		}
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
		m = m.cut(rand.New(rand.NewPCG(1, 1)), 0)
		checkTree(t, m.files(), r, 21)
		l = startOn(t, m, r, nil)
		l.newEpoch(newSigner(t))
		l.await(30)
	})
}

// checkEdge looks for the partial tiles of a size by their own names.
func checkEdge(t *testing.T, files fs.FS, size uint64) {
	t.Helper()
	for level := range 3 {
		count := size >> (8 * level)
		if count%256 == 0 {
			continue
		}
		name := fmt.Sprintf("tile/%d/%03d.p/%d", level, count/256, count%256)
		if _, err := fs.Stat(files, name); err != nil {
			t.Errorf("%v", err)
		}
		if _, err := torchwood.ParseTilePath(name); err != nil {
			t.Fatal(err)
		}
	}
}
