package ledger_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/internal/ledger"
)

// TestLookBesideTheProjector: a look sees what is published while another
// process holds the directory.
func TestLookBesideTheProjector(t *testing.T) {
	dir, r := t.TempDir(), &rows{}
	if _, err := ledger.Look(t.Context(), filepath.Join(dir, "none"), origin, r); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if _, err := ledger.Look(t.Context(), dir, origin, r); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	l := start(t, dir, r, nil)
	if size, err := ledger.Look(t.Context(), dir, origin, r); size != 0 || err != nil {
		t.Errorf("a log that has published nothing: %d, %v", size, err)
	}
	l.newEpoch(newSigner(t))
	for n := range 3 {
		cp := l.await(r.commit(someLeaves(string(rune('a'+n)), 130)...))
		if size, err := ledger.Look(t.Context(), dir, origin, r); size < cp.Size || err != nil {
			t.Errorf("published %d, seen %d, %v", cp.Size, size, err)
		}
	}
}

func TestLookRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(t *testing.T, dir string, r *rows)
		want error
	}{
		"log ahead of the journal": {func(_ *testing.T, _ string, r *rows) { r.leaves = r.leaves[:300] }, ledger.ErrAhead},
		"another origin":           {func(t *testing.T, dir string, _ *rows) { t.Helper(); write(t, dir+"/origin", "x\n") }, ledger.ErrOrigin},
		"origin file gone":         {func(t *testing.T, dir string, _ *rows) { t.Helper(); remove(t, dir+"/origin") }, ledger.ErrMismatch},
		"malformed checkpoint":     {func(t *testing.T, dir string, _ *rows) { t.Helper(); write(t, dir+"/checkpoint", "x") }, ledger.ErrMismatch},
		"last row differs":         {func(_ *testing.T, _ string, r *rows) { r.leaves[300] = []byte("another") }, ledger.ErrMismatch},
		"upper tile damaged":       {func(t *testing.T, dir string, _ *rows) { t.Helper(); flip(t, dir+"/tile/1/000.p/1", 3) }, ledger.ErrMismatch},
		"journal unreadable":       {func(_ *testing.T, _ string, r *rows) { r.fail = errInjected }, errInjected},
	} {
		t.Run(name, func(t *testing.T) {
			dir, r := t.TempDir(), &rows{}
			l := start(t, dir, r, nil)
			l.newEpoch(newSigner(t))
			l.await(r.commit(someLeaves("x", 300)...))
			if err := l.halt(); err != nil {
				t.Fatal(err)
			}
			if size, err := ledger.Look(t.Context(), dir, origin, r); size != 301 || err != nil {
				t.Fatalf("before: %d, %v", size, err)
			}
			tt.harm(t, dir, r)
			if _, err := ledger.Look(t.Context(), dir, origin, r); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
