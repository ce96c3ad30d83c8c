//go:build unix

package fsutil_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/fsutil"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, second := open(), open()
	defer second.Close()
	if !fsutil.Lock(first) || fsutil.Lock(second) {
		t.Fatal("the lock is not exclusive")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !fsutil.Lock(second) {
		t.Error("a closed file keeps its lock")
	}
}
