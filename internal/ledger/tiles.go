package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// tiles reads the log's tiles from its directory. It is a [tlog.TileReader].
// A tile grows at its end only, so a wider one contains every narrower one.
type tiles struct{ storage }

// Height is the height of all tiles of tlog-tiles.
func (t tiles) Height() int { return torchwood.TileHeight }

// SaveTiles does nothing: the tiles are on disk already.
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles reads hash tiles, each cut to the width asked for.
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(want))
	for i, tile := range want {
		var err error
		if data[i], err = t.hashes(tile); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (t tiles) hashes(tile tlog.Tile) ([]byte, error) {
	b, err := t.read(tile)
	if err != nil {
		return nil, err
	}
	if len(b)%tlog.HashSize != 0 || len(b) < tile.W*tlog.HashSize {
		return nil, fmt.Errorf("ledger: tile %s is short", torchwood.TilePath(tile))
	}
	return b[:tile.W*tlog.HashSize], nil
}

// read returns the content of a tile, or of a wider one if a partial tile was
// removed.
func (t tiles) read(tile tlog.Tile) ([]byte, error) {
	b, err := t.ReadFile(torchwood.TilePath(tile))
	if tile.W == torchwood.TileWidth || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	width, err := t.widest(tile)
	if err != nil {
		return nil, err
	}
	tile.W = max(tile.W, width)
	if b, err = t.ReadFile(torchwood.TilePath(tile)); errors.Is(err, fs.ErrNotExist) {
		tile.W = torchwood.TileWidth // last: the directory is removed only when this one is there
		b, err = t.ReadFile(torchwood.TilePath(tile))
	}
	return b, err
}

// widest returns the greatest width of the partial tiles on the disk, 0 if there
// are none.
func (t tiles) widest(tile tlog.Tile) (width int, err error) {
	tile.W = 1
	dir := path.Dir(torchwood.TilePath(tile))
	names, err := t.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, name := range names {
		if found, err := torchwood.ParseTilePath(dir + "/" + name); err == nil {
			width = max(width, found.W)
		}
	}
	return width, err
}

// entries reads the leaves of bundle n in a log of the given size.
func (t tiles) entries(n, size uint64) ([][]byte, error) {
	width := min(size-n*torchwood.TileWidth, torchwood.TileWidth)
	b, err := t.read(tlog.Tile{H: torchwood.TileHeight, L: -1, N: int64(n), W: int(width)})
	if err != nil {
		return nil, err
	}
	return cutEntries(b, int(width))
}

// cut returns a tile of hashes or entries at exactly the width asked for.
func (t tiles) cut(tile tlog.Tile) ([]byte, error) {
	if tile.L >= 0 {
		return t.hashes(tile)
	}
	b, err := t.read(tile)
	if err != nil {
		return nil, err
	}
	leaves, err := cutEntries(b, tile.W)
	size := 0
	for _, leaf := range leaves {
		size += 2 + len(leaf) // a length of two bytes before each entry
	}
	return b[:size], err
}

// cutEntries splits the first n entries off a bundle.
func cutEntries(b []byte, n int) (leaves [][]byte, err error) {
	leaves = make([][]byte, n)
	for i := range leaves {
		if leaves[i], b, err = torchwood.ReadTileEntry(b); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// compactRange reads the compact range of the first n leaves from the tiles of a
// tree of the given size, which the projection must have reached. Nothing is
// checked but lengths: the caller compares the root.
func (t tiles) compactRange(n, size uint64) (protocol.Range, error) {
	var nodes []protocol.Digest
	var have tlog.Tile // whose content is data
	var data []byte
	for _, index := range torchwood.RightEdge(int64(n)) {
		tile := widen(tlog.TileForIndex(torchwood.TileHeight, index), size)
		if tile != have {
			var err error
			if data, err = t.hashes(tile); err != nil {
				return protocol.Range{}, err
			}
			have = tile
		}
		h, err := tlog.HashFromTile(tile, data, index)
		if err != nil {
			return protocol.Range{}, err
		}
		nodes = append(nodes, protocol.Digest(h))
	}
	return protocol.NewRange(n, nodes)
}

// leafHashes reads the hashes of the leaves from, from+1, ... of a tree of the
// given size.
func (t tiles) leafHashes(from, size uint64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, size-from)
	for from < size {
		tile := widen(tlog.Tile{H: torchwood.TileHeight, N: int64(from / torchwood.TileWidth)}, size)
		data, err := t.hashes(tile)
		if err != nil {
			return nil, err
		}
		for data = data[from%torchwood.TileWidth*tlog.HashSize:]; len(data) > 0; data = data[tlog.HashSize:] {
			hashes = append(hashes, tlog.Hash(data))
			from++
		}
	}
	return hashes, nil
}

// widen returns a tile with the width that it has in a tree of the given size,
// which is in the name of its file.
func widen(t tlog.Tile, size uint64) tlog.Tile {
	count := int64(size >> (torchwood.TileHeight * t.L))
	t.W = int(min(count-t.N*torchwood.TileWidth, torchwood.TileWidth))
	return t
}
