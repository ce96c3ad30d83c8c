package journal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// plan breaks operations: each fails as often as its count says.
type plan struct {
	mu    sync.Mutex
	count map[string]int
	at    map[string]func() // runs before an operation
}

func (p *plan) hook(op string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.at[op]; f != nil {
		f()
	}
	if p.count[op] > 0 {
		p.count[op]--
		return false, errDisk
	}
	return true, nil
}

func (p *plan) set(count map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = count
}

func plannedLog(t *testing.T) (*log, *plan, string) {
	t.Helper()
	p := &plan{}
	path := filepath.Join(t.TempDir(), "journal.db")
	return newLog(t, sqliteAt(path), journal.WithFault(journal.Config{}, p.hook)), p, path
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// writable waits until the writer has recovered by itself. Reading continues
// meanwhile.
func (l *log) writable() {
	l.Helper()
	for end := time.Now().Add(30 * time.Second); !l.Writable(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("still not writable: %+v", l.Condition())
		}
		if _, err := l.Leaves(l.Context(), 0, 9); err != nil {
			l.Fatalf("reading meanwhile: %v", err)
		}
	}
}

// After a failed COMMIT nothing is acknowledged until the journal is in a new file.
// Each step to that may fail; reading continues, and the caller receives the outcome
// in the end.
func TestReplaced(t *testing.T) {
	for _, step := range []string{"copy", "verify", "complete", "swap", "settle", "settled"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			l, p, path := plannedLog(t)
			kept := l.acceptance()
			l.mustAccept(kept)
			before := inode(t, path)
			p.set(map[string]int{"commit": 1, step: 2})
			a := l.acceptance()
			if err := l.accept(a); !errors.Is(err, journal.ErrUnknown) {
				t.Errorf("the caller received %v", err)
			}
			c := l.Condition()
			if c.Writable || c.Cause != journal.CauseDevice || time.Since(c.Since) > time.Minute {
				t.Errorf("condition %+v", c)
			}
			want(t, "another", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
			if _, ok, err := l.Accepted(t.Context(), request(kept)); !ok || err != nil {
				t.Errorf("reading meanwhile: %v, %v", ok, err)
			}
			if n, err := l.Leaves(t.Context(), 0, 9); len(n) != 3 || err != nil {
				t.Errorf("reading meanwhile: %d leaves, %v", len(n), err)
			}
			l.writable()
			if c := l.Condition(); c != (journal.Condition{Writable: true}) {
				t.Errorf("condition %+v", c)
			}
			if inode(t, path) == before {
				t.Error("it goes on in the old file")
			}
			l.outcome(a, errors.Join(protocol.CodeLedgerUnavailable, journal.ErrUnknown), true, false)
			l.mustAccept(a)
			l.check(4)
			l.restart()
			l.check(4)
			l.stop()
			if left, _ := filepath.Glob(path + "?*"); len(left) != 1 { // the lock
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A checkpoint that fails loses nothing that was acknowledged, but the journal
// continues in a new file nevertheless; one that succeeds keeps the log short.
func TestCheckpoint(t *testing.T) {
	l, p, path := plannedLog(t)
	var checkpoints int
	p.at = map[string]func(){"checkpoint": func() { checkpoints++ }}
	before := inode(t, path)
	size := uint64(2)
	grow := func(until int) {
		for seen := 0; seen < until; size++ {
			l.mustAccept(l.acceptance())
			p.mu.Lock()
			seen = checkpoints
			p.mu.Unlock()
		}
	}
	grow(2)
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > 8<<20 {
		t.Errorf("the write-ahead log has %d bytes (%v)", info.Size(), err)
	}
	if inode(t, path) != before {
		t.Error("replaced without a failure")
	}
	p.set(map[string]int{"checkpoint": 1})
	grow(3)
	for end := time.Now().Add(30 * time.Second); inode(t, path) == before; time.Sleep(10 * time.Millisecond) { // the checkpoint is made after the answer
		if time.Now().After(end) {
			t.Fatal("it goes on in the old file")
		}
	}
	l.writable()
	l.check(size)
	l.restart()
	l.check(size)
}

// A copy in which an acknowledged entry is missing is never put in place.
func TestCopyIsVerified(t *testing.T) {
	l, p, path := plannedLog(t)
	l.mustAccept(l.acceptance())
	before := inode(t, path)
	p.at = map[string]func(){"copy": func() { // everything that follows from the last leaf is missing too
		execRaw(t, path, `PRAGMA foreign_keys = 0; DROP TRIGGER leaves_kept; DROP TRIGGER accepted_kept;
			DELETE FROM leaves WHERE seq = 2; DELETE FROM accepted; UPDATE epochs SET accepted = 0, issued = NULL;
			UPDATE counter SET next = 2, time = 1800000000000`)
		p.at = nil
	}}
	p.set(map[string]int{"commit": 1})
	if err := l.accept(l.acceptance()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the caller received %v", err)
	}
	if c := l.Condition(); c.Writable || c.Cause != journal.CauseDamaged {
		t.Errorf("condition %+v", c)
	}
	want(t, "another", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	if inode(t, path) != before {
		t.Error("the copy was put in place")
	}
}

// A full disk loses nothing and leaves nothing partly done: the journal
// continues in the same file.
func TestFull(t *testing.T) {
	l, p, path := plannedLog(t)
	before := inode(t, path)
	limit := "PRAGMA max_page_count = 1"
	p.mu.Lock()
	p.at = map[string]func(){"begin": func() {
		if err := l.WriterExec(limit); err != nil {
			t.Error(err)
		}
	}}
	p.mu.Unlock()
	size := uint64(2)
	for l.accept(l.acceptance()) == nil {
		size++
	}
	if c := l.Condition(); c.Cause != journal.CauseFull && c.Cause != journal.CauseNone { // touching needs no page
		t.Errorf("condition %+v", c)
	}
	p.mu.Lock()
	limit = "PRAGMA max_page_count = 1000000"
	p.mu.Unlock()
	l.writable()
	l.mustAccept(l.acceptance())
	if inode(t, path) != before {
		t.Error("the file was replaced")
	}
	l.check(size + 1)
}

// A stop before the journal is in a new file leaves the write-ahead log, from
// which the next start knows.
func TestStopBeforeCopy(t *testing.T) {
	l, p, path := plannedLog(t)
	a := l.acceptance()
	l.mustAccept(a)
	p.set(map[string]int{"commit": 1, "copy": 1_000_000})
	if err := l.accept(l.acceptance()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the caller received %v", err)
	}
	l.stop()
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Errorf("the write-ahead log is gone: %v", err)
	}
	p.set(nil)
	l.start()
	l.check(3)
	l.stop()
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an orderly close leaves the log: %v", err)
	}
}
