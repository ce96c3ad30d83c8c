package ledger_test

import (
	"archive/zip"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/ledger"
)

// TestDirectoryOfTheLibrary: a directory that the Tessera library has projected
// into, 270 entries published and 5 more written, is taken over as it is.
func TestDirectoryOfTheLibrary(t *testing.T) {
	archive, err := zip.OpenReader("testdata/tessera.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	dir, r := t.TempDir()+"/ledger", &rows{}
	if err := os.CopyFS(dir, archive); err != nil {
		t.Fatal(err)
	}
	for i := range 275 {
		r.insert([]byte("old-" + string(rune('a'+i%26)) + "-" + string(rune('a'+i/26))))
	}
	s := &signer{private: ed25519.NewKeyFromSeed(make([]byte, 32))} // its key
	note, err := os.ReadFile(dir + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	check(t, dir, r, ledger.Checkpoint{Note: note, Size: 270, Root: treeHash(t, r.hashes(270)), Key: s.Key()})

	l := start(t, dir, r, nil)
	l.SetSigner(s, 0)
	check(t, dir, r, l.await(r.commit(someLeaves("new", 300)...)))
	if _, err := os.Stat(dir + "/.state"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the library's own files are left: %v", err)
	}
	if left, err := filepath.Glob(dir + "/tile/*/000.p/*00"); err != nil || len(left) > 0 {
		t.Errorf("partial tiles of a full one are left: %v, %v", left, err)
	}
}
