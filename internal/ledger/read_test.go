package ledger_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

// grow makes a log in steps and returns the checkpoint of each step.
func grow(tb testing.TB, steps ...int) (*running, []ledger.Checkpoint) {
	tb.Helper()
	r := &rows{}
	l := start(tb, tb.TempDir(), r, nil)
	l.newEpoch(newSigner(tb))
	var cps []ledger.Checkpoint
	for _, n := range steps {
		cps = append(cps, l.await(r.commit(someLeaves(strconv.Itoa(n), n)...)))
	}
	return l, cps
}

func TestProofsByTwoVerifiers(t *testing.T) {
	l, cps := grow(t, 1, 5, 250, 1, 600)
	for _, cp := range cps {
		hashes := l.rows.hashes(cp.Size)
		for index := uint64(0); index < cp.Size; index += 1 + index/40 {
			text, err := l.Proof(t.Context(), cp, index)
			if err != nil {
				t.Fatal(err)
			}
			verifyBoth(t, text, cp, index, hashes[index])
		}
		last := cp.Size - 1
		text, err := l.Proof(t.Context(), cp, last)
		if err != nil {
			t.Fatal(err)
		}
		verifyBoth(t, text, cp, last, hashes[last])
		if err := torchwood.VerifyProof(policy(verifierOf(t, cp.Key)), hashes[0], []byte(text)); err == nil {
			t.Error("the proof of another entry verifies")
		}
	}
}

// verifyBoth checks a proof text by torchwood, and by x/mod with a parser of
// the test's own.
func verifyBoth(t *testing.T, text string, cp ledger.Checkpoint, index uint64, leaf tlog.Hash) {
	t.Helper()
	v := verifierOf(t, cp.Key)
	if err := torchwood.VerifyProof(policy(v), leaf, []byte(text)); err != nil {
		t.Fatalf("torchwood: entry %d at %d: %v", index, cp.Size, err)
	}
	head, signed, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "index "+strconv.FormatUint(index, 10) || signed != string(cp.Note) {
		t.Fatalf("text is %q", text)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := tlog.ParseTree([]byte(strings.Replace(n.Text, origin, "go.sum database tree", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var p tlog.RecordProof
	for _, line := range lines[2:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, h)
	}
	if err := tlog.CheckRecord(p, tree.N, tree.Hash, int64(index), leaf); err != nil {
		t.Fatalf("x/mod: entry %d at %d: %v", index, cp.Size, err)
	}
}

// TestReadCutsPartialTiles: also from another partial tile.
func TestReadCutsPartialTiles(t *testing.T) {
	l, cps := grow(t, 100, 40)
	for _, name := range []string{"tile/0/000.p/101", "tile/entries/000.p/101"} {
		want, err := l.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		remove(t, filepath.Join(l.dir, name))
		if b, err := l.Read(t.Context(), name); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	text, err := l.Proof(t.Context(), cps[0], 7)
	if err != nil {
		t.Fatal(err)
	}
	verifyBoth(t, text, cps[0], 7, l.rows.hashes(101)[7])
}

// TestProofsWithoutPartialTiles: a wider tile stands in for one that is gone, for
// proofs and for readers.
func TestProofsWithoutPartialTiles(t *testing.T) {
	l, cps := grow(t, 100, 40, 5, 300)
	was := map[string][]byte{}
	for _, name := range []string{"tile/0/000.p/101", "tile/entries/000.p/101", "tile/0/000.p/141", "tile/entries/000.p/141"} {
		b, err := l.Read(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		was[name] = b
	}
	gone := func(name string) {
		if err := os.RemoveAll(l.dir + name); err != nil {
			t.Fatal(err)
		}
		for name, want := range was {
			if b, err := l.Read(t.Context(), name); err != nil || !bytes.Equal(b, want) {
				t.Errorf("%s: %d bytes, %v", name, len(b), err)
			}
		}
	}
	gone("/tile/0/000.p/101")
	gone("/tile/entries/000.p/101")
	gone("/tile/entries/000.p")
	gone("/tile/0/000.p")
	hashes := l.rows.hashes(cps[3].Size)
	for _, cp := range cps {
		text, err := l.Proof(t.Context(), cp, 7)
		if err != nil {
			t.Fatal(err)
		}
		verifyBoth(t, text, cp, 7, hashes[7])
	}
}

func TestProofRefusals(t *testing.T) {
	l, cps := grow(t, 20)
	cp := cps[0]
	if _, err := l.Proof(t.Context(), cp, cp.Size); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("beyond the checkpoint: %v", err)
	}
	if _, err := l.Proof(t.Context(), ledger.Checkpoint{}, 0); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("empty checkpoint: %v", err)
	}
	flip(t, l.dir+"/tile/0/000.p/21", 40)
	if _, err := l.Proof(t.Context(), cp, 0); !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("damaged tile: %v", err)
	}
}

func TestPrefix(t *testing.T) {
	l, cps := grow(t, 3, 251, 1, 2, 300)
	for i, older := range cps {
		for _, newer := range cps[i:] {
			p, err := l.Prefix(t.Context(), older.Size, newer.Size)
			if err != nil || !consistent(p, older, newer) {
				t.Errorf("%d to %d: %d hashes, %v", older.Size, newer.Size, len(p), err)
			}
		}
	}
	last := cps[len(cps)-1].Size
	for _, tt := range [][2]uint64{{2, 1}, {0, 1}, {0, last}, {1, last + 1}, {1, 1 << 63}, {1 << 63, 1 << 63}} {
		if _, err := l.Prefix(t.Context(), tt[0], tt[1]); !errors.Is(err, protocol.CodeNotFound) {
			t.Errorf("%d to %d: %v", tt[0], tt[1], err)
		}
	}
	// A size that no checkpoint ever had.
	p, err := l.Prefix(t.Context(), 100, last)
	at := ledger.Checkpoint{Size: 100, Root: treeHash(t, l.rows.hashes(100))}
	if err != nil || !consistent(p, at, cps[len(cps)-1]) {
		t.Errorf("from an unpublished size: %v", err)
	}
}

func TestEntry(t *testing.T) {
	l, cps := grow(t, 3, 251, 300)
	for _, cp := range cps {
		for _, index := range []uint64{0, 1, cp.Size / 2, cp.Size - 1} {
			leaf, path, err := l.Entry(t.Context(), index, cp.Size)
			proof := make(tlog.RecordProof, len(path))
			for i, h := range path {
				proof[i] = h
			}
			if err != nil || tlog.CheckRecord(proof, int64(cp.Size), cp.Root, int64(index), tlog.RecordHash(leaf)) != nil {
				t.Errorf("entry %d of %d is not proved: %v", index, cp.Size, err)
			}
		}
	}
	last := cps[len(cps)-1].Size
	for _, tt := range [][2]uint64{{last, last}, {1, 1}, {0, last + 1}} {
		if _, _, err := l.Entry(t.Context(), tt[0], tt[1]); !errors.Is(err, protocol.CodeNotFound) {
			t.Errorf("entry %d of %d: %v", tt[0], tt[1], err)
		}
	}
}

func TestReadServesWhatIsThere(t *testing.T) {
	l, cps := grow(t, 299)
	if b, err := l.Read(t.Context(), "checkpoint"); err != nil || !bytes.Equal(b, cps[0].Note) {
		t.Errorf("checkpoint: %q, %v", b, err)
	}
	for _, path := range []string{"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"} {
		want, err := os.ReadFile(filepath.Join(l.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.Read(t.Context(), path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", path, len(got), err)
		}
	}
}

func TestReadRefusesEverythingElse(t *testing.T) {
	l, _ := grow(t, 299)
	for _, path := range []string{
		"", "/", ".", "..", "/checkpoint", "checkpoint/", "checkpoint.tmp", "origin", "lock", ".state/treeState", "tile",
		"tile/", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile//0/000", "tile/0//000", "tile/00/000",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/000.p", "tile/0/000.p/", "tile/0/001.p/0",
		"tile/0/001.p/044", "tile/0/001.p/+44", "tile/0/001.p/256", "tile/0/001.p/300", "tile/-1/000", "tile/64/000",
		"tile/data/000", "tile/data/001.p/44", "tile/8/0/000", "tile/8/data/000", "tile/entries", "tile/entries/",
		"tile/entries/../0/000", "tile/0/../entries/000", "tile/0/000/../000", "tile/0/..", "tile/../origin",
		"tile/0/000\x00", "tile/0/000?x", "tile/0/%30%30%30", `tile\0\000`, "TILE/0/000", "tile/0/002", "tile/1/001",
		"tile/0/x999/x999/x999/x999/x999/x999/999", "tile/0/000 ", " tile/0/000", strings.Repeat("tile/", 1000),
	} {
		if b, err := l.Read(t.Context(), path); !errors.Is(err, protocol.CodeNotFound) {
			t.Errorf("%q: %d bytes, %v", path, len(b), err)
		}
	}
	// Not even where such a file is.
	if err := errors.Join(os.Mkdir(l.dir+"/tile/data", 0o750), os.WriteFile(l.dir+"/tile/data/000", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), "tile/data/000"); !errors.Is(err, protocol.CodeNotFound) {
		t.Errorf("a file that is not of the layout: %v", err)
	}
	// Not even where a link leads out of the directory.
	if err := os.Symlink("/etc/hostname", l.dir+"/tile/0/007"); err != nil {
		t.Fatal(err)
	}
	if b, err := l.Read(t.Context(), "tile/0/007"); err == nil {
		t.Errorf("a link out of the directory gave %d bytes", len(b))
	}
}

// FuzzRead: whatever Read answers is the file of that very name under tile/, the
// front of a wider one beside it, or the checkpoint.
func FuzzRead(f *testing.F) {
	l, _ := grow(f, 299)
	known := map[string]bool{"checkpoint": true}
	err := filepath.WalkDir(l.dir+"/tile", func(path string, d fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(l.dir, path); rerr == nil && !d.IsDir() {
			known[rel] = true
			f.Add(rel)
		}
		return err
	})
	if err != nil || len(known) < 5 {
		f.Fatalf("%d files, %v", len(known), err)
	}
	f.Add("tile/0/../../origin")
	f.Add("tile/data/000")
	f.Fuzz(func(t *testing.T, path string) {
		b, err := l.Read(t.Context(), path)
		switch {
		case err == nil && !known[path] && !isFront(l.dir, path, b):
			t.Fatalf("%q gave %d bytes", path, len(b))
		case err != nil && (known[path] || !errors.Is(err, protocol.CodeNotFound)):
			t.Fatalf("%q: %v", path, err)
		}
	})
}

// isFront reports whether b is the front of the full tile, or of a partial one,
// that the path belongs to.
func isFront(dir, path string, b []byte) bool {
	tile, _, partial := strings.Cut(path, ".p/")
	wider, _ := filepath.Glob(dir + "/" + tile + ".p/*")
	for _, name := range append(wider, dir+"/"+tile) {
		if whole, err := os.ReadFile(name); err == nil && partial && len(b) > 0 && bytes.HasPrefix(whole, b) {
			return true
		}
	}
	return false
}
