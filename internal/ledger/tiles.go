package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// tiles reads the log's tiles from its directory. It is a [tlog.TileReader].
// Hash tiles only ever grow at their end, so a full tile stands in for every
// partial one: Tessera removes partial tiles once the full one exists.
type tiles struct{ dir *os.Root }

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

// read reads a tile's file, or the full tile where the partial one is gone.
func (t tiles) read(tile tlog.Tile) ([]byte, error) {
	b, err := t.dir.ReadFile(torchwood.TilePath(tile))
	if errors.Is(err, fs.ErrNotExist) && tile.W < torchwood.TileWidth {
		tile.W = torchwood.TileWidth
		b, err = t.dir.ReadFile(torchwood.TilePath(tile))
	}
	return b, err
}

// entries reads the leaves of bundle n in a log of the given size.
func (t tiles) entries(n, size uint64) ([][]byte, error) {
	width := min(size-n*torchwood.TileWidth, torchwood.TileWidth)
	b, err := t.read(tlog.Tile{H: torchwood.TileHeight, L: -1, N: int64(n), W: int(width)})
	if err != nil {
		return nil, err
	}
	leaves := make([][]byte, width)
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
	for _, index := range torchwood.RightEdge(int64(n)) {
		tile := widen(tlog.TileForIndex(torchwood.TileHeight, index), size)
		data, err := t.hashes(tile)
		if err != nil {
			return protocol.Range{}, err
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

// replace writes a file whole or not at all, and durably.
func replace(dir *os.Root, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := dir.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := dir.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
