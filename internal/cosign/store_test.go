package cosign_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/cosign"
	"github.com/terradourada/td/receipt"
)

func newStore(t *testing.T) (*cosign.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cosigner.db")
	if err := cosign.Create(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return openStore(t, path), path
}

func someHead(size uint64, key byte) receipt.Head {
	return receipt.Head{Size: size, Root: [32]byte{byte(size)}, Key: [32]byte{key}}
}

// TestStore: what was written is there after the file is opened again.
func TestStore(t *testing.T) {
	s, path := newStore(t)
	for _, err := range []error{
		s.Add(t.Context(), "b", "https://b", someHead(5, 1), now),
		s.Add(t.Context(), "a", "https://a", someHead(1<<40, 2), now),
		s.Advance(t.Context(), "b", someHead(5, 1), someHead(6, 3), now),
		s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	logs, err := openStore(t, path).Logs(t.Context())
	want := []cosign.Log{
		{Origin: "a", Server: "https://a", Head: someHead(1<<40, 2), Since: now.UTC()},
		{Origin: "b", Server: "https://b", Head: someHead(6, 3), Since: now.UTC()},
	}
	if err != nil || len(logs) != 2 || logs[0] != want[0] || logs[1] != want[1] {
		t.Errorf("%+v, %v", logs, err)
	}
}

// TestAdvance: the head moves from the very one that was read, forward, and to no key
// that was replaced.
func TestAdvance(t *testing.T) {
	s, path := newStore(t)
	other := openStore(t, path) // as another process
	steps := []struct {
		store    *cosign.Store
		from, to receipt.Head
		ok       bool
	}{
		{s, someHead(5, 1), someHead(6, 1), true},
		{other, someHead(5, 1), someHead(7, 1), false},                                                     // overtaken
		{other, someHead(6, 1), someHead(5, 1), false},                                                     // back
		{other, receipt.Head{Size: 6, Root: [32]byte{9}, Key: [32]byte{1}}, someHead(7, 1), false},         // another root
		{other, receipt.Head{Size: 6, Root: someHead(6, 1).Root, Key: [32]byte{9}}, someHead(7, 9), false}, // another key
		{other, someHead(6, 1), someHead(7, 2), true},
		{s, someHead(7, 2), someHead(8, 1), false}, // the first key again
		{s, someHead(7, 2), someHead(8, 9), true},  // a key whose transaction failed above
	}
	if err := s.Add(t.Context(), "a", "https://a", steps[0].from, now); err != nil {
		t.Fatal(err)
	}
	want := steps[0].from
	for i, step := range steps {
		err := step.store.Advance(t.Context(), "a", step.from, step.to, now)
		if (err == nil) != step.ok {
			t.Errorf("step %d: %v", i, err)
		}
		if step.ok {
			want = step.to
		}
		if l, err := s.Log(t.Context(), "a"); err != nil || l.Head != want {
			t.Fatalf("step %d: head %+v, %v", i, l.Head, err)
		}
	}
	if err := s.Add(t.Context(), "a", "https://a", someHead(9, 7), now); !errors.Is(err, cosign.ErrKnownLog) {
		t.Errorf("the log was added again: %v", err)
	}
}

// TestRelativeDirectory: a cosigner is made and opened in a directory with a relative name.
func TestRelativeDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"cosigner", "./a/b"} {
		if _, err := cosign.Init(t.Context(), dir, "c.example"); err != nil {
			t.Fatal(err)
		}
		s, err := cosign.OpenDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	}
}

// TestCreateAgain: a file that could not be completed is removed, so that a second try works.
func TestCreateAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cosigner.db")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if cosign.Create(ended, path) == nil {
		t.Fatal("made in spite of an ended context")
	}
	if err := cosign.Create(t.Context(), path); err != nil {
		t.Error(err)
	}
}

// TestOpen: a store that is missing, foreign or readable by others is refused, and one
// that exists is not made again.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	open := func(path string) error {
		s, err := cosign.Open(t.Context(), path)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	if err := open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	_, path := newStore(t)
	if err := cosign.Create(t.Context(), path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if open(path) == nil {
		t.Error("a file that others can read was opened")
	}
	for name, content := range map[string]string{"empty": "", "foreign": "SQLite format 4"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if open(path) == nil {
			t.Errorf("%s file was opened", name)
		}
	}
}
