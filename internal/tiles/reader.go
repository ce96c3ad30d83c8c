package tiles

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// Files are the files of a log.
type Files interface {
	// Read returns the content of a file. Its error is fs.ErrNotExist if there is no
	// such file. No well-formed file has more than limit bytes, so a longer one need not
	// be read.
	Read(ctx context.Context, name string, limit int64) ([]byte, error)
}

// Lister is implemented by [Files] that list directories. The partial tiles of other
// files are found by trying all widths.
type Lister interface {
	ReadDir(name string) (names []string, err error)
}

// Reader reads tiles and entry bundles. Its methods may be called concurrently.
//
// A tile only grows, so the front of a wider tile is the narrower one. If a file is
// missing, a Reader returns the front of any other file of the same tile that is
// wide enough: the log may have removed a partial tile, and a copy of a growing log
// may lack some widths. The error for a tile that has no such file is fs.ErrNotExist.
//
// Where a method takes a size, it is that of the tree that the files are probably
// of. Files of this tree are read first.
type Reader struct {
	files Files
	kept  *cache
}

// NewReader returns a reader of these files. It keeps up to keep tiles of hashes,
// because a proof reads most of those that another one has read. It also keeps which
// file of a tile was found.
func NewReader(files Files, keep int) Reader {
	return Reader{files, &cache{most: keep, files: map[tlog.Tile]keptFile{}}}
}

// Read returns a tile or bundle of exactly the width of t.
func (r Reader) Read(ctx context.Context, t tlog.Tile, size uint64) ([]byte, error) {
	if t.L == Entries {
		entries, data, err := r.bundle(ctx, t, size)
		length := 0
		for _, entry := range entries {
			length += 2 + len(entry) // a length of two bytes before each entry
		}
		return data[:length], err
	}
	_, data, err := r.tile(ctx, t, size)
	if err != nil {
		return nil, err
	}
	return data[:t.W*tlog.HashSize], nil
}

// tile returns a tile of hashes that is at least as wide as t, and its width.
func (r Reader) tile(ctx context.Context, t tlog.Tile, size uint64) (tlog.Tile, []byte, error) {
	found, data, err := r.file(ctx, t, size, MaxTile)
	if err != nil {
		return t, nil, err
	}
	if len(data) != found.W*tlog.HashSize {
		return t, nil, Malformed("%s does not hold %d hashes", name(t), found.W)
	}
	r.kept.put(found, data)
	return found, data, nil
}

// Entries returns the entries of a bundle, as many as the width of t.
func (r Reader) Entries(ctx context.Context, t tlog.Tile, size uint64) ([][]byte, error) {
	entries, _, err := r.bundle(ctx, t, size)
	return entries, err
}

// bundle returns the first t.W entries of a bundle, and a file that begins with them.
func (r Reader) bundle(ctx context.Context, t tlog.Tile, size uint64) (entries [][]byte, data []byte, err error) {
	found, data, err := r.file(ctx, t, size, MaxBundle)
	if err != nil {
		return nil, nil, err
	}
	entries = make([][]byte, found.W)
	rest := data
	for i := range entries {
		if entries[i], rest, err = torchwood.ReadTileEntry(rest); err != nil {
			break
		}
	}
	if err != nil || len(rest) > 0 {
		return nil, nil, Malformed("%s does not hold %d entries", name(t), found.W)
	}
	r.kept.put(found, nil)
	return entries[:t.W], data, nil
}

// name returns the path of the full tile, which names the tile in errors.
func name(t tlog.Tile) string {
	t.W = Width
	return Path(t)
}

// file reads a file of a tile that is at least as wide as t, and returns its width.
func (r Reader) file(ctx context.Context, t tlog.Tile, size uint64, limit int64) (tlog.Tile, []byte, error) {
	kept := r.kept.get(t)
	if kept.data != nil && kept.width >= t.W {
		t.W = kept.width
		return t, kept.data, nil
	}
	likely := At(t.L, uint64(t.N), size).W
	found, data, err := r.first(ctx, t, []int{kept.width, likely, t.W, Width}, limit)
	if t.W == Width || !errors.Is(err, fs.ErrNotExist) {
		return found, data, err
	}
	widths, werr := r.Partials(t)
	if werr != nil {
		return t, nil, werr
	}
	// A full tile replaces partial ones, perhaps while they are looked for.
	found, data, rerr := r.first(ctx, t, append(widths, Width), limit)
	if errors.Is(rerr, fs.ErrNotExist) {
		rerr = err // names the file that should be there
	}
	return found, data, rerr
}

// first reads the first file that exists of those widths that suffice, and else returns
// the first error.
func (r Reader) first(ctx context.Context, t tlog.Tile, widths []int, limit int64) (tlog.Tile, []byte, error) {
	var missing error
	least := t.W
	for _, t.W = range slices.Compact(widths) {
		if t.W < least {
			continue
		}
		data, err := r.files.Read(ctx, Path(t), limit)
		if !errors.Is(err, fs.ErrNotExist) {
			return t, data, err
		}
		if missing == nil {
			missing = err
		}
	}
	return t, nil, missing
}

// Partials returns the widths of the partial tiles that are wider than t, widest
// first: all that could exist if the files cannot be listed.
func (r Reader) Partials(t tlog.Tile) (widths []int, err error) {
	var names []string
	lister, listed := r.files.(Lister)
	if listed {
		if names, err = lister.ReadDir(name(t) + ".p"); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	for w := Width - 1; w > t.W; w-- {
		if !listed || slices.Contains(names, strconv.Itoa(w)) {
			widths = append(widths, w)
		}
	}
	return widths, err
}

// Hashes returns the hashes in the tiles as they are.
func (r Reader) Hashes(ctx context.Context, size uint64) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		hashes = make([]tlog.Hash, len(indexes))
		var have tlog.Tile // whose content is data
		var data []byte
		for i, index := range indexes {
			want := tlog.TileForIndex(torchwood.TileHeight, index)
			if want.L != have.L || want.N != have.N || want.W > have.W {
				if have, data, err = r.tile(ctx, want, size); err != nil {
					return nil, err
				}
			}
			if hashes[i], err = tlog.HashFromTile(have, data, index); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// Verified returns the hashes of a tree, and an error if the tiles do not have its root
// or when ctx has ended.
func (r Reader) Verified(ctx context.Context, tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, tileReader{r, ctx, uint64(tree.N)})
}

// tileReader is the [tlog.TileReader] of one tree.
type tileReader struct {
	Reader
	ctx  context.Context
	size uint64
}

func (r tileReader) Height() int { return torchwood.TileHeight }

func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r tileReader) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	data, err := make([][]byte, len(want)), r.ctx.Err()
	for i := 0; i < len(want) && err == nil; i++ {
		data[i], err = r.Read(r.ctx, want[i], r.size)
	}
	return data, err
}
