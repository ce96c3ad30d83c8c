package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenRecord: each start has a file of its own with the next number, none is
// overwritten, and all together are bounded in size and number.
func TestOpenRecord(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "events.jsonl")
	open := func(what, want string, left int64) {
		t.Helper()
		f, n, err := openRecord(name, 100)
		if want == "" {
			if !errors.Is(err, errNoRecord) {
				t.Errorf("%s: %v, %v", what, f, err)
			}
			return
		}
		if err != nil || f.Name() != want || n != left {
			t.Fatalf("%s: %v, %d bytes left, %v", what, f, n, err)
		}
		info, err := f.Stat()
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != 0 {
			t.Errorf("%s: %v, %v", what, info, err)
		}
		if _, err := f.WriteString("0123456789"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open("the first start", name, 100)
	open("the second", name+".1", 90)
	open("the third", name+".2", 80)
	for _, old := range []string{name, name + ".1"} {
		if b, err := os.ReadFile(old); string(b) != "0123456789" {
			t.Errorf("%s: %q, %v", old, b, err)
		}
		if err := os.Remove(old); err != nil {
			t.Fatal(err)
		}
	}
	open("former files are gone", name+".3", 90)
	if err := os.WriteFile(name+".9", make([]byte, 79), 0o600); err != nil {
		t.Fatal(err)
	}
	open("a byte is left", name+".10", 1)
	open("no byte is left", "", 0)
	if err := os.Truncate(name+".9", 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", name+".98"); err != nil { // it is not followed, and counts
		t.Fatal(err)
	}
	open("the last number", name+".99", 62)
	open("no number is left", "", 0)
	if _, _, err := openRecord(filepath.Join(t.TempDir(), "none", "x"), 100); err == nil || errors.Is(err, errNoRecord) {
		t.Errorf("no such directory: %v", err)
	}
}
