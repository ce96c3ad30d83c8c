package journal_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/journal"
)

// TestViewBesideTheWriter: a view sees what is committed, blocks no writer and
// leaves the database file as it is.
func TestViewBesideTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for range 3 {
		l.addClaim()
		size, err := v.Size(t.Context())
		if err != nil || size != uint64(len(l.told)) || v.Origin() != l.Origin() {
			t.Fatalf("size %d, origin %s, %v; want %d, %s", size, v.Origin(), err, len(l.told), l.Origin())
		}
		entries, err := v.Leaves(t.Context(), 0, 100)
		if err != nil || uint64(len(entries)) != size {
			t.Fatalf("%d leaves, %v", len(entries), err)
		}
		for i, e := range entries {
			if e.Seq != uint64(i) || string(e.Leaf) != string(l.told[i].Leaf) {
				t.Errorf("leaf %d differs", i)
			}
		}
		if err := v.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	l.restart() // the lock is free for a writer
}

// TestViewChangesNothing: opening a view does not create a file that is
// missing.
func TestViewChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	if _, err := journal.OpenView(t.Context(), path); err == nil || fileExists(path) {
		t.Fatalf("a journal that is not there: %v", err)
	}
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.stop()
	before := sum(t, path)
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := v.Size(t.Context()); err != nil || size != 2 {
		t.Errorf("size %d, %v", size, err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if sum(t, path) != before {
		t.Error("the file has changed")
	}
}

func TestViewRefusesOthers(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"text": strings.Repeat("not a database\n", 100), "empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := journal.OpenView(t.Context(), path); err == nil {
			t.Errorf("%s is taken for a journal", name)
		}
	}
}

func TestViewFindsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	for range 20 {
		l.mustAccept(l.acceptance())
	}
	l.stop()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 * 3; i < len(b); i += 4096 {
		copy(b[i:], strings.Repeat("x", 64))
	}
	overwrite(t, path, b)
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		return // found at once
	}
	defer v.Close()
	if err := v.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the check says %v", err)
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func sum(t *testing.T, path string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}
