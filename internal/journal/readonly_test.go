package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// TestReadOnly: a journal that is open for reading only has all that was committed, also
// what a killed process has left in its write-ahead log, and refuses every write. Without
// such a log nothing in the directory changes.
func TestReadOnly(t *testing.T) {
	for _, killed := range []bool{false, true} {
		from := filepath.Join(t.TempDir(), "journal.db")
		l := newLog(t, sqliteAt(from), journal.Config{})
		a := l.acceptance()
		want := l.mustAccept(a)
		l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
		if !killed {
			l.stop()
		}
		dir := copyFiles(t, filepath.Dir(from))
		before := listing(t, dir)
		j, err := journal.Open(t.Context(), journal.Config{Path: filepath.Join(dir, "journal.db"), ReadOnly: true})
		if err != nil {
			t.Fatalf("killed %t: %v", killed, err)
		}
		payload, _ := protocol.ParsePayload(a.Leaf.Payload[:])
		e, found, err := j.Accepted(t.Context(), payload.RequestID)
		if err != nil || !found || e.Seq != want.Seq || j.Origin() != l.Origin() {
			t.Errorf("killed %t: acceptance %d, %t, %v", killed, e.Seq, found, err)
		}
		if s, err := j.State(t.Context()); err != nil || len(s.Holds) != 1 {
			t.Errorf("killed %t: state %+v, %v", killed, s, err)
		}
		if _, err := j.Accept(context.Background(), l.now, l.acceptance()); !errors.Is(err, protocol.CodeLedgerUnavailable) || errors.Is(err, journal.ErrUnknown) || j.Writable() {
			t.Errorf("killed %t: a write: %v, writable %t", killed, err, j.Writable())
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if after := listing(t, dir); !killed && after != before {
			t.Errorf("the directory has changed: %s, before %s", after, before)
		}
	}
}

// TestReadOnlyRefuses: nothing is created or recovered, and damage is found.
func TestReadOnlyRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	open := func() error {
		j, err := journal.Open(t.Context(), journal.Config{Path: path, ReadOnly: true})
		if err == nil {
			return j.Close()
		}
		return err
	}
	if err := open(); err == nil || fileExists(path) {
		t.Errorf("a journal that is not there: %v", err)
	}
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.stop()
	if err := os.WriteFile(path+".copy", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil {
		t.Error("a journal beside its copy is opened")
	}
	if err := os.Remove(path + ".copy"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)/2:], strings.Repeat("x", 4096))
	overwrite(t, path, b)
	if err := open(); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}

// copyFiles copies the files of a directory to a new one.
func copyFiles(t *testing.T, from string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// listing returns the names of the files in a directory.
func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
