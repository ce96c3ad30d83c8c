package fsutil_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/fsutil"
)

// check compares a file and its permissions, and wants nothing else beside it.
func check(t *testing.T, path, content string, perm fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != content {
		t.Errorf("it holds %q, %v, want %q", got, err, content)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != perm {
		t.Errorf("%v, %v, want %v", info, err, perm)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("the directory holds %v, %v", all, err)
	}
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Fatalf("%v is no error for people", err)
	}
	return f.Exit
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, content := range []string{"first", "second, longer", ""} {
		if err := fsutil.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		check(t, path, content, 0o640)
	}
	if err := fsutil.WriteFile(filepath.Join(path, "below"), nil, 0o600); exitOf(t, err) != fault.Unexpected {
		t.Error(err)
	}
}

// TestWriteFileFails: a write that fails leaves the file as it was, and nothing
// beside it.
func TestWriteFileFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	if err := os.MkdirAll(filepath.Join(path, "in use"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.WriteFile(path, []byte("x"), 0o600); exitOf(t, err) != fault.Unexpected {
		t.Error(err)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("the directory holds %v, %v", all, err)
	}
}

func TestNewPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := fsutil.NewPrivate(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.NewPrivate(path, []byte("two")); exitOf(t, err) != fault.Usage {
		t.Error(err)
	}
	check(t, path, "one", 0o600)
}

func TestCheckPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := fsutil.CheckPrivate(path); err != nil {
		t.Errorf("a file that does not exist: %v", err)
	}
	if err := fsutil.NewPrivate(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.CheckPrivate(path); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.CheckPrivate(path); exitOf(t, err) != fault.Denied {
		t.Error(err)
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := fsutil.ReadFile(path, 4); err != nil || string(b) != "four" {
		t.Errorf("%q, %v", b, err)
	}
	for _, c := range []struct {
		path  string
		limit int64
		want  int
	}{
		{path, 3, fault.Usage},
		{path + "x", 4, fault.NotFound},
		{filepath.Dir(path), 4, fault.Unexpected},
	} {
		if _, err := fsutil.ReadFile(c.path, c.limit); exitOf(t, err) != c.want {
			t.Errorf("%s, at most %d bytes: %v", c.path, c.limit, err)
		}
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil || !fsutil.Exists(path) {
		t.Fatal(err)
	}
	for range 2 {
		if err := fsutil.Remove(path); err != nil || fsutil.Exists(path) {
			t.Errorf("%v, or it is still there", err)
		}
	}
	if err := os.MkdirAll(filepath.Join(path, "in use"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.Remove(path); err == nil {
		t.Error("what cannot be removed is taken for removed")
	}
}
