package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

func TestDivergence(t *testing.T) {
	for name, tt := range map[string]struct {
		harm   func(l *running)
		reason string
	}{
		"announcement skips a row": {func(l *running) {
			l.Committed(l.Size()+1, [][]byte{[]byte("x")})
		}, "row 22 was announced where row 21 was due"},
		"announcement repeats a row": {func(l *running) {
			l.Committed(l.Size()-1, [][]byte{[]byte("x")})
		}, "row 20 was announced where row 21 was due"},
		"row written by another process": {func(l *running) {
			l.rows.insert([]byte("foreign"))
		}, "the journal has 22 rows and the core knows of 21"},
		"row written by another process before the core's next": {func(l *running) {
			l.rows.insert([]byte("foreign"))
			l.rows.commit([]byte("own"))
		}, "row 22 was announced where row 21 was due"},
		"row changed after the commit": {func(l *running) {
			l.rows.set(func(r *rows) {
				r.rewrite = func(i uint64, b []byte) []byte { return append([]byte("!"), b...) }
			})
			l.rows.commit([]byte("own"))
		}, "row 21 is not the row that was committed"},
		"rows gone": {func(l *running) {
			l.rows.set(func(r *rows) { r.size = func(n uint64) uint64 { return n - 1 } })
		}, "the journal has 20 rows of 21 that were committed"},
		"row too long for an entry": {func(l *running) {
			l.rows.commit(make([]byte, protocol.MaxLeafSize+1))
		}, "row 21 is longer than an entry can be"},
		"tiles changed on disk": {func(l *running) {
			flip(l.t, l.dir+"/tile/0/000.p/21", 5)
			l.rows.commit([]byte("own"))
		}, "the root at 22 entries is not that of the rows"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rows{}
			l := start(t, t.TempDir(), r, nil)
			s := newSigner(t)
			l.newEpoch(s)
			good := l.await(r.commit(someLeaves("good", 20)...))
			waiter := make(chan error, 1)
			go func() { _, err := l.Await(context.Background(), 10_000); waiter <- err }()

			tt.harm(l)

			err := l.ended()
			if !errors.Is(err, ledger.ErrDiverged) || !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("Run: %v", err)
			}
			select {
			case <-l.Diverged():
			default:
				t.Error("Diverged is not closed")
			}
			if err := <-waiter; !errors.Is(err, ledger.ErrDiverged) || !errors.Is(err, protocol.CodeLedgerUnavailable) {
				t.Errorf("waiter: %v", err)
			}
			if err := l.Admit(); !errors.Is(err, protocol.CodeLedgerUnavailable) {
				t.Errorf("Admit: %v", err)
			}
			if cp, _ := l.Latest(); cp.Size != good.Size {
				t.Errorf("a checkpoint of size %d was published", cp.Size)
			}
			if s.tree.Size() != good.Size {
				t.Errorf("the signer received a tree of size %d", s.tree.Size())
			}
			if _, err := l.Read(t.Context(), "checkpoint"); err != nil {
				t.Errorf("reads end with the projection: %v", err)
			}
		})
	}
}

// A commit whose announcement is late is not a foreign row.
func TestLateAnnouncement(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, func(c *ledger.Config) { c.SurveyEvery = 150 * time.Millisecond })
	l.newEpoch(newSigner(t))
	l.await(0)
	leaf := []byte("late")
	first := r.insert(leaf)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Await(ctx, first); err == nil {
		t.Fatal("projected before it was announced")
	}
	l.Committed(first, [][]byte{leaf})
	l.await(first)
}

func flip(tb testing.TB, path string, at int) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// TestForeignFiles: what another process writes into the directory beyond the
// log's end is written over, with what the journal has.
func TestForeignFiles(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	l.await(r.commit(someLeaves("good", 20)...))
	for _, name := range []string{"/tile/entries/000.p/22", "/tile/0/000.p/22"} {
		write(t, l.dir+name, "intruder")
	}
	check(t, l.dir, r, l.await(r.commit([]byte("own"))))
}

// opening is what one case of TestOpenRefusals spoils before it opens.
type opening struct {
	ledger.Config
	t    *testing.T
	rows *rows
}

func TestOpenRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(o *opening)
		want error
	}{
		"log ahead of the journal": {func(o *opening) {
			o.rows.leaves = o.rows.leaves[:len(o.rows.leaves)-1]
		}, ledger.ErrAhead},
		"another origin": {func(o *opening) {
			o.Origin = "terradourada/ffffffffffffffff"
		}, ledger.ErrOrigin},
		"origin file gone": {func(o *opening) {
			remove(o.t, o.Dir+"/origin")
		}, ledger.ErrMismatch},
		"checkpoint of another origin": {func(o *opening) {
			flip(o.t, o.Dir+"/checkpoint", 0)
		}, ledger.ErrOrigin},
		"malformed checkpoint": {func(o *opening) {
			write(o.t, o.Dir+"/checkpoint", "nonsense")
		}, ledger.ErrMismatch},
		"another root published": {func(o *opening) {
			write(o.t, o.Dir+"/checkpoint", origin+"\n300\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x y\n")
		}, ledger.ErrMismatch},
		"more published than there is": {func(o *opening) {
			write(o.t, o.Dir+"/checkpoint", origin+"\n302\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x y\n")
		}, ledger.ErrMismatch},
		"more published than a tree can hold": {func(o *opening) {
			write(o.t, o.Dir+"/checkpoint", origin+"\n4611686018427387904\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x y\n")
		}, ledger.ErrMismatch},
		"far more published than there is": {func(o *opening) {
			write(o.t, o.Dir+"/checkpoint", origin+"\n4611686018427387903\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— x y\n")
		}, ledger.ErrMismatch},
		"last row differs": {func(o *opening) {
			o.rows.leaves[300] = []byte("another")
		}, ledger.ErrMismatch},
		"first row of the last bundle differs": {func(o *opening) {
			o.rows.leaves[256] = []byte("another")
		}, ledger.ErrMismatch},
		"last bundle damaged": {func(o *opening) {
			flip(o.t, o.Dir+"/tile/entries/001.p/45", 3)
		}, ledger.ErrMismatch},
		"last bundle gone": {func(o *opening) {
			remove(o.t, o.Dir+"/tile/entries/001.p/45")
		}, ledger.ErrMismatch},
		"last tile damaged": {func(o *opening) {
			flip(o.t, o.Dir+"/tile/0/001.p/45", 3)
		}, ledger.ErrMismatch},
		"more entries than rows, not published": {func(o *opening) {
			write(o.t, o.Dir+"/tile/entries/001.p/46", "")
		}, ledger.ErrAhead},
		"a full bundle of more entries than rows": {func(o *opening) {
			write(o.t, o.Dir+"/tile/entries/001", "")
		}, ledger.ErrAhead},
		"upper tile damaged": {func(o *opening) {
			flip(o.t, o.Dir+"/tile/1/000.p/1", 3)
		}, ledger.ErrMismatch},
		"known tree is larger": {func(o *opening) {
			o.Known = &ledger.Head{Size: 302}
		}, ledger.ErrSplit},
		"known tree is another": {func(o *opening) {
			o.Known = &ledger.Head{Size: 200, Root: [32]byte{1}}
		}, ledger.ErrSplit},
		"first row differs and the log is rebuilt": {func(o *opening) {
			o.Known = &ledger.Head{Size: 300, Root: treeHash(o.t, o.rows.hashes(300))}
			o.rows.leaves[0] = []byte("another")
			o.Dir = o.t.TempDir()
		}, ledger.ErrSplit},
		"journal unreadable": {func(o *opening) {
			o.rows.fail = errInjected
		}, errInjected},
	} {
		t.Run(name, func(t *testing.T) {
			dir, r := t.TempDir(), &rows{}
			l := start(t, dir, r, nil)
			l.newEpoch(newSigner(t))
			if cp := l.await(r.commit(someLeaves("x", 300)...)); cp.Size != 301 {
				t.Fatalf("size %d", cp.Size)
			}
			if err := l.halt(); err != nil {
				t.Fatal(err)
			}
			o := &opening{t: t, rows: r, Config: ledger.Config{Dir: dir, Origin: origin, Source: r}}
			tt.harm(o)
			bad, err := ledger.Open(t.Context(), o.Config)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				_ = bad.Close()
			}
		})
	}
}

// TestOpenGoesOn: what no checkpoint covers is written again from the journal,
// in whatever state it was left.
func TestOpenGoesOn(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"last tile damaged and nothing published": func(t *testing.T, dir string) {
			t.Helper()
			flip(t, dir+"/tile/0/001.p/45", 3)
			remove(t, dir+"/checkpoint")
		},
		"torn files": func(t *testing.T, dir string) {
			t.Helper()
			for _, name := range []string{"entries/001.p/50", "0/001.p/50", "1/000.p/1", "entries/001.p/48"} {
				write(t, dir+"/tile/"+name, "torn")
			}
			write(t, dir+"/tile/1/000.p/1", "")
			remove(t, dir+"/checkpoint")
		},
		"temporary files": func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir+"/.new-1", "half")
			write(t, dir+"/tile/0/.new-2", "half")
			write(t, dir+"/tile/entries/001.p/.new-999", "half")
		},
		"empty directories": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.MkdirAll(dir+"/tile/0/002.p", 0o750); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, r := t.TempDir(), &rows{}
			l := start(t, dir, r, nil)
			l.newEpoch(newSigner(t))
			l.await(r.commit(someLeaves("x", 300)...))
			if err := l.halt(); err != nil {
				t.Fatal(err)
			}
			r.insert(someLeaves("while down", 20)...)
			harm(t, dir)
			l = start(t, dir, r, nil)
			l.newEpoch(newSigner(t))
			check(t, dir, r, l.await(r.commit(someLeaves("y", 300)...)))
			for _, at := range []string{"/.new-*", "/*/*/.new-*", "/*/*/*/.new-*"} {
				if left, err := filepath.Glob(dir + at); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
			}
		})
	}
}

// TestOpenWithKnownTree: whether the known tree ends in the log, at its end, or
// in what is projected later, a sound journal opens.
func TestOpenWithKnownTree(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	l.newEpoch(newSigner(t))
	l.await(r.commit(someLeaves("x", 300)...))
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{l.dir, t.TempDir()} {
		for _, size := range []uint64{0, 1, 256, 300, 301} {
			known := &ledger.Head{Size: size, Root: treeHash(t, r.hashes(size))}
			again, err := ledger.Open(t.Context(), ledger.Config{Dir: dir, Origin: origin, Source: r, BatchSize: 7, Known: known})
			if err != nil {
				t.Fatalf("known size %d: %v", size, err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOpenAfterAKillAtFirstStart: a process was killed between writing the first file
// and giving it its name. The next start succeeds.
func TestOpenAfterAKillAtFirstStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".new-1"), []byte("terra"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := start(t, dir, &rows{}, nil)
	if names, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	if err := l.halt(); err != nil {
		t.Error(err)
	}
}

func TestOpenIsExclusive(t *testing.T) {
	r := &rows{}
	l := start(t, t.TempDir(), r, nil)
	if _, err := open(t, l.dir, r, nil); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("second: %v", err)
	}
}

func TestOpenRefusesNamesThatAreNoOrigins(t *testing.T) {
	for _, name := range []string{"", "two words", "a+b", "line\nbreak"} {
		_, err := ledger.Open(t.Context(), ledger.Config{Dir: t.TempDir(), Origin: name, Source: &rows{}})
		if err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
