package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// onDisk copies the files that a process killed now would leave.
func onDisk(t *testing.T, path string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(path))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".lock", "-shm"} { // the system's own, or made again
		if err := os.Remove(filepath.Join(dir, filepath.Base(path)+name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, filepath.Base(path))
}

// files are the names and contents in the directory of a journal, without the lock
// and SQLite's index, which hold nothing.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(filepath.Dir(path))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".lock") || strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		b, rerr := os.ReadFile(filepath.Join(filepath.Dir(path), e.Name()))
		all[e.Name()], err = string(b), errors.Join(err, rerr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantRefused opens a journal that must be refused for a cause, without a
// change to any file.
func wantRefused(t *testing.T, path string, cfg journal.Config, cause journal.Cause) {
	t.Helper()
	before := files(t, path)
	cfg.Path = path
	j, err := journal.Open(t.Context(), cfg)
	if err == nil {
		closeJournal(t, j)
	}
	if journal.CauseOf(err) != cause {
		t.Errorf("open: %v, want %q", err, cause)
	}
	after := files(t, path)
	for name, content := range before {
		if after[name] != content {
			t.Errorf("%s was changed or removed", name)
		}
	}
	for name := range after {
		if _, known := before[name]; !known {
			t.Errorf("%s was made", name)
		}
	}
}

// TestStrayCopy: a file that a person gave the name of the server's own copy
// never replaces the journal, neither at a start nor after a failure.
func TestStrayCopy(t *testing.T) {
	l, p, path := plannedLog(t)
	l.mustAccept(l.acceptance())
	database, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"of the database": string(database), "empty": "", "garbage": strings.Repeat("garbage ", 1024)} {
		t.Run(name, func(t *testing.T) {
			at := onDisk(t, path)
			if err := os.WriteFile(at+".copy", []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, at, journal.Config{}, journal.CauseStrayCopy)
			if err := os.Remove(at + ".copy"); err != nil {
				t.Fatal(err)
			}
			j := sqliteAt(at)(t, journal.Config{})
			if n := len(checkLog(t, j)); n != 3 {
				t.Errorf("%d leaves, want 3", n)
			}
			closeJournal(t, j)
		})
	}
	if err := os.WriteFile(path+".copy", database, 0o600); err != nil {
		t.Fatal(err)
	}
	p.set(map[string]int{"commit": 1})
	if err := l.accept(l.acceptance()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("told %v", err)
	}
	if c := l.Condition(); c.Cause != journal.CauseStrayCopy {
		t.Errorf("condition %+v", c)
	}
	if got, err := os.ReadFile(path + ".copy"); err != nil || string(got) != string(database) {
		t.Errorf("the file of the operator was changed: %v", err)
	}
}

// TestHollowJournal: SQLite treats an empty file as a new database and removes
// the write-ahead log beside it, which may hold everything.
func TestHollowJournal(t *testing.T) {
	l, _, path := plannedLog(t)
	l.mustAccept(l.acceptance())
	for name, change := range map[string]func(string) error{
		"empty":    func(at string) error { return os.Truncate(at, 0) },
		"one byte": func(at string) error { return os.WriteFile(at, []byte{0}, 0o600) },
		"missing":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			at := onDisk(t, path)
			if err := change(at); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, at, journal.Config{}, journal.CauseMissing)
			if err := os.Remove(at + "-wal"); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, at, journal.Config{MustExist: true}, journal.CauseMissing)
		})
	}
}

// TestLockRemoved: if the lock file is removed, the journal may have another
// writer. It is not written any more, and no file of the other writer is
// replaced.
func TestLockRemoved(t *testing.T) {
	l, p, path := plannedLog(t)
	l.mustAccept(l.acceptance())
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	want(t, "without the lock", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	if c := l.Condition(); c.Cause != journal.CauseForeign {
		t.Errorf("condition %+v", c)
	}
	before := inode(t, path)
	p.set(map[string]int{})
	want(t, "later", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	if inode(t, path) != before {
		t.Error("the journal was replaced")
	}
}

// TestLockRemovedMeanwhile: an entry that is written without the lock is not
// acknowledged.
func TestLockRemovedMeanwhile(t *testing.T) {
	l, p, path := plannedLog(t)
	l.mustAccept(l.acceptance())
	p.mu.Lock()
	p.at = map[string]func(){"commit": func() { _ = os.Remove(path + ".lock") }}
	p.mu.Unlock()
	if err := l.accept(l.acceptance()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("answered %v, want unknown", err)
	}
	if c := l.Condition(); c.Cause != journal.CauseForeign {
		t.Errorf("condition %+v", c)
	}
	want(t, "later", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
}

// TestLogRemoved: what is written to a write-ahead log without a name would be
// lost with the process. The journal continues in a copy that has all of it.
func TestLogRemoved(t *testing.T) {
	for _, name := range []string{"-wal", ""} {
		t.Run("journal.db"+name, func(t *testing.T) {
			l, _, path := plannedLog(t)
			for range 5 {
				l.mustAccept(l.acceptance())
			}
			if err := os.Remove(path + name); err != nil {
				t.Fatal(err)
			}
			_ = l.accept(l.acceptance()) // may be refused or unknown
			l.writable()
			l.mustAccept(l.acceptance())
			j := sqliteAt(onDisk(t, path))(t, journal.Config{})
			if n := len(checkLog(t, j)); n < 8 {
				t.Errorf("%d leaves after a kill, want 8 at least", n)
			}
			closeJournal(t, j)
		})
	}
}
