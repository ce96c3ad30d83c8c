package tiles_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// memory is a log in memory. It counts the reads, and fails on demand.
type memory struct {
	files map[string][]byte
	fail  map[string]error
	reads []string
}

func (m *memory) Read(_ context.Context, name string, limit int64) ([]byte, error) {
	m.reads = append(m.reads, name)
	if err := m.fail[name]; err != nil {
		return nil, err
	}
	b, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if int64(len(b)) > limit {
		return nil, errors.New("too long")
	}
	return b, nil
}

// listed is a memory that lists directories.
type listed struct{ *memory }

func (l listed) ReadDir(name string) (names []string, err error) {
	if err := l.fail[name]; err != nil {
		return nil, err
	}
	for file := range l.files {
		if below, ok := strings.CutPrefix(file, name+"/"); ok {
			names = append(names, below)
		}
	}
	if names == nil {
		return nil, fs.ErrNotExist
	}
	return names, nil
}

func entry(i int) []byte { return fmt.Append(nil, "entry ", i) }

func hashes(n int) []protocol.Digest {
	all := make([]protocol.Digest, n)
	for i := range all {
		all[i] = protocol.LeafHash(entry(i))
	}
	return all
}

// filesOf returns the tiles and bundles of trees of these sizes.
func filesOf(t *testing.T, sizes ...int) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, size := range sizes {
		var tree tiles.Tree
		for _, h := range hashes(size) {
			tree.Append(h)
		}
		err := tree.Tiles(func(level int, n uint64, hashes []protocol.Digest) error {
			var tile, bundle []byte
			for i, h := range hashes {
				tile = append(tile, h[:]...)
				bundle, _ = torchwood.AppendTileEntry(bundle, entry(int(n)*tiles.Width+i))
			}
			files[tiles.Path(tiles.At(level, n, uint64(size)))] = tile
			if level == 0 {
				files[tiles.Path(tiles.At(tiles.Entries, n, uint64(size)))] = bundle
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestPaths(t *testing.T) {
	for _, tt := range []struct {
		level   int
		n, size uint64
		want    string // "" if the tree has no such tile
	}{
		{0, 0, 0, ""},
		{0, 0, 1, "tile/0/000.p/1"},
		{0, 0, 255, "tile/0/000.p/255"},
		{0, 0, 256, "tile/0/000"},
		{0, 1, 256, ""},
		{0, 0, 300, "tile/0/000"},
		{0, 1, 300, "tile/0/001.p/44"},
		{0, 2, 300, ""},
		{tiles.Entries, 1, 300, "tile/entries/001.p/44"},
		{1, 0, 255, ""},
		{1, 0, 300, "tile/1/000.p/1"},
		{2, 0, 1 << 16, "tile/2/000.p/1"},
		{0, 1234067, 1 << 40, "tile/0/x001/x234/067"},
		{7, 0, 1 << 62, "tile/7/000.p/64"},
		{7, 1, 1 << 62, ""},
		{8, 0, 1 << 62, ""},
		{0, 1 << 62, 1 << 62, ""},
	} {
		got := tiles.At(tt.level, tt.n, tt.size)
		if got.W == 0 && tt.want == "" {
			continue
		}
		if got.W == 0 || tiles.Path(got) != tt.want {
			t.Errorf("tile %d of level %d at size %d is %+v, want %q", tt.n, tt.level, tt.size, got, tt.want)
		} else if back, err := tiles.ParsePath(tt.want); err != nil || back != got {
			t.Errorf("%s is parsed as %+v, %v", tt.want, back, err)
		}
	}
}

// TestWiderAndNarrowerFiles: any file of a tile serves that is wide enough.
func TestWiderAndNarrowerFiles(t *testing.T) {
	for _, tt := range []struct {
		have []int // sizes of the trees whose files are there
		want int   // width
		size uint64
		from int // width of the file that is read, 0 if there is none
	}{
		{[]int{100}, 100, 100, 100},
		{[]int{100, 180, 256}, 100, 100, 100}, // the file of the tree
		{[]int{100, 180, 256}, 100, 180, 180}, // that of the newest tree first
		{[]int{100, 180, 256}, 100, 0, 100},
		{[]int{180}, 100, 100, 180}, // a partial tile was removed
		{[]int{256}, 100, 100, 256}, // and replaced by a full one
		{[]int{180, 256}, 100, 100, 256},
		{[]int{120, 180}, 100, 300, 180}, // the full one is not here yet
		{[]int{99}, 100, 100, 0},
		{[]int{99}, 100, 300, 0},
		{[]int{255}, 256, 300, 0},
		{nil, 1, 1, 0},
	} {
		for _, level := range []int{0, tiles.Entries} {
			m := &memory{files: filesOf(t, tt.have...)}
			for kind, files := range map[string]tiles.Files{"tried": m, "listed": listed{m}} {
				want := tlog.Tile{H: torchwood.TileHeight, L: level, W: tt.want}
				m.reads = nil
				b, err := tiles.NewReader(files, 0).Read(t.Context(), want, tt.size)
				what := fmt.Sprintf("%v, width %d, size %d, level %d, %s", tt.have, tt.want, tt.size, level, kind)
				if tt.from == 0 {
					if !errors.Is(err, fs.ErrNotExist) || len(b) > 0 {
						t.Errorf("%s: %d bytes, %v", what, len(b), err)
					}
					if len(m.reads) > 3+tiles.Width {
						t.Errorf("%s: %d reads", what, len(m.reads))
					}
					continue
				}
				last := tlog.Tile{H: torchwood.TileHeight, L: level, W: tt.from}
				if exact := filesOf(t, tt.want); err != nil || string(b) != string(exact[tiles.Path(want)]) || m.reads[len(m.reads)-1] != tiles.Path(last) {
					t.Errorf("%s: %d bytes, %v, after %q", what, len(b), err, m.reads)
				}
			}
		}
	}
}

// TestKept: a reader that keeps tiles searches for a file once, and reads a tile of
// hashes once.
func TestKept(t *testing.T) {
	m := &memory{files: filesOf(t, 180, 600)}
	remove(m, 256)
	r := tiles.NewReader(m, 2)
	read := func(level, width, most int) {
		t.Helper()
		m.reads = nil
		want := tlog.Tile{H: torchwood.TileHeight, L: level, W: width}
		b, err := r.Read(t.Context(), want, 300)
		if exact := filesOf(t, width); err != nil || string(b) != string(exact[tiles.Path(want)]) {
			t.Errorf("level %d, width %d: %d bytes, %v", level, width, len(b), err)
		}
		if len(m.reads) > most {
			t.Errorf("level %d, width %d: %d reads", level, width, len(m.reads))
		}
	}
	for _, level := range []int{0, tiles.Entries} {
		read(level, 100, tiles.Width)
		for _, width := range []int{180, 100, 7} {
			read(level, width, -level)
		}
	}
	if _, err := r.Read(t.Context(), tiles.At(0, 0, 200), 300); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a wider one than what is kept: %v", err)
	}
	maps.Copy(m.files, filesOf(t, 256)) // the copy goes on
	read(0, 200, 1)
	read(tiles.Entries, 200, 1)
	if _, err := r.Read(t.Context(), tiles.At(0, 2, 600), 600); err != nil { // the third tile
		t.Error(err)
	}
	read(0, 100, 1)
}

// TestNoFileStandsInForAFault: what is there and cannot be read, or is malformed, is
// reported as that.
func TestNoFileStandsInForAFault(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		spoil func(m *memory)
		is    error
	}{
		"unreadable": {func(m *memory) {
			m.fail = map[string]error{"tile/0/000.p/100": broken, "tile/entries/000.p/100": broken}
		}, broken},
		"unreadable listed": {func(m *memory) {
			remove(m, 100, 256)
			m.fail = map[string]error{"tile/0/000.p": broken, "tile/entries/000.p": broken}
		}, broken},
		"short":           {func(m *memory) { each(m, 100, func(b []byte) []byte { return b[:len(b)-1] }) }, tiles.ErrMalformed},
		"long":            {func(m *memory) { each(m, 100, func(b []byte) []byte { return append(b, 0) }) }, tiles.ErrMalformed},
		"one more":        {func(m *memory) { each(m, 100, func(b []byte) []byte { return append(b, make([]byte, 32)...) }) }, tiles.ErrMalformed},
		"empty":           {func(m *memory) { each(m, 100, func([]byte) []byte { return nil }) }, tiles.ErrMalformed},
		"wider and short": {func(m *memory) { remove(m, 100, 256); each(m, 180, func(b []byte) []byte { return b[:len(b)-1] }) }, tiles.ErrMalformed},
	} {
		for _, level := range []int{0, tiles.Entries} {
			m := &memory{files: filesOf(t, 100, 180, 256)}
			tt.spoil(m)
			want := tlog.Tile{H: torchwood.TileHeight, L: level, W: 100}
			r := tiles.NewReader(listed{m}, 0)
			b, err := r.Read(t.Context(), want, 100)
			if !errors.Is(err, tt.is) || len(b) > 0 {
				t.Errorf("%s, level %d: %d bytes, %v", name, level, len(b), err)
			}
			if level == tiles.Entries {
				if entries, err := r.Entries(t.Context(), want, 100); !errors.Is(err, tt.is) || len(entries) > 0 {
					t.Errorf("%s: %d entries, %v", name, len(entries), err)
				}
			}
		}
	}
}

func each(m *memory, width int, f func([]byte) []byte) {
	for name, b := range m.files {
		if t, err := tiles.ParsePath(name); err == nil && t.W == width {
			m.files[name] = f(slices.Clone(b))
		}
	}
}

func remove(m *memory, widths ...int) {
	maps.DeleteFunc(m.files, func(name string, _ []byte) bool {
		t, err := tiles.ParsePath(name)
		return err == nil && slices.Contains(widths, t.W)
	})
}

// TestProofs compares proofs and ranges of every size from tiles of one size with
// those of the definition.
func TestProofs(t *testing.T) {
	const newest = 70
	all := hashes(600)
	for _, size := range []int{newest, 600} {
		m := &memory{files: filesOf(t, size)}
		root := slowRoot(all[:size])
		r := tiles.NewReader(m, 0)
		for name, reader := range map[string]tlog.HashReader{
			"as it is": r.Hashes(t.Context(), uint64(size)),
			"verified": r.Verified(t.Context(), tlog.Tree{N: int64(size), Hash: tlog.Hash(root)}),
		} {
			for n := uint64(1); n <= uint64(size); n += 1 + n/newest*37 {
				wantProofs(t, name, reader, all[:size], n)
			}
			got, err := tiles.Leaves(reader, 3, uint64(size))
			if err != nil || len(got) != size-3 || got[0] != all[3] || got[size-4] != all[size-1] {
				t.Errorf("%s: %d leaves, %v", name, len(got), err)
			}
		}
		each(m, tiles.At(0, 0, uint64(size)).W, func(b []byte) []byte { b[0] ^= 1; return b })
		verified := r.Verified(t.Context(), tlog.Tree{N: int64(size), Hash: tlog.Hash(root)})
		if _, err := tiles.Leaves(verified, 0, uint64(size)); err == nil {
			t.Error("a damaged tile is verified")
		}
	}
	for _, tt := range [][2]uint64{{0, 0}, {0, 5}, {6, 5}} {
		if p, err := tiles.Prefix(nil, tt[0], tt[1]); err == nil {
			t.Errorf("a proof from %d to %d: %v", tt[0], tt[1], p)
		}
	}
}

func wantProofs(t *testing.T, name string, r tlog.HashReader, all []protocol.Digest, n uint64) {
	t.Helper()
	size := uint64(len(all))
	root := tlog.Hash(slowRoot(all))
	path, err := tiles.Inclusion(r, n-1, size)
	proof := make(tlog.RecordProof, len(path))
	for i, h := range path {
		proof[i] = h
	}
	if err != nil || tlog.CheckRecord(proof, int64(size), root, int64(n-1), tlog.Hash(all[n-1])) != nil {
		t.Errorf("%s: leaf %d of %d is not proved: %v", name, n-1, size, err)
	}
	prefix, err := tiles.Prefix(r, n, size)
	if want := slowPrefix(n, all); err != nil || !cmp.Equal(prefix, want) {
		t.Errorf("%s: from %d to %d: %d hashes, %v, want %d", name, n, size, len(prefix), err, len(want))
	}
	compact, err := tiles.Range(r, n)
	if err != nil || compact.Root() != slowRoot(all[:n]) {
		t.Errorf("%s: the range of %d leaves has another root, %v", name, n, err)
	}
}

// slowPrefix is SUBPROOF(n, D, false) of RFC 6962 section 2.1.2.
func slowPrefix(n uint64, d []protocol.Digest) [][32]byte {
	if n == uint64(len(d)) {
		return [][32]byte{slowRoot(d)}
	}
	k := uint64(1)
	for 2*k < uint64(len(d)) {
		k *= 2
	}
	if n <= k {
		return append(slowPrefix(n, d[:k]), slowRoot(d[k:]))
	}
	return append(slowPrefix(n-k, d[k:]), slowRoot(d[:k]))
}

func TestHead(t *testing.T) {
	for note, want := range map[string]string{
		"a\n5\nroot\n": "a 5", "a\n0\n": "a 0", "a\n4611686018427387904\n": "a 4611686018427387904",
		"": "", "a": "", "a\n5": "", "a\n-1\n": "", "a\n\n": "", "a\nx\n": "", "a\n4611686018427387905\n": "", "a\n18446744073709551616\n": "",
	} {
		origin, size, err := tiles.Head([]byte(note))
		if got := fmt.Sprint(origin, " ", size); (err == nil) != (want != "") || err == nil && got != want || err != nil && !errors.Is(err, tiles.ErrMalformed) {
			t.Errorf("%q: %q, %v", note, got, err)
		}
	}
}
