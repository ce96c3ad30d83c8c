package ledger

import (
	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// file is a file of the log that is to be written.
type file struct {
	name string
	data []byte
}

// grow returns the complete entry bundles and hash tiles that the rows add to, and
// the content of the last bundle if it is partial. The tiles that are extended are
// read from the disk, so that the comparison that follows covers what readers see.
func (l *Ledger) grow(rows [][]byte, hashes []tlog.Hash) (files []file, bundle []byte, err error) {
	size := l.edge.Size()
	files, bundle, _ = extend(-1, size, l.bundle, len(rows), func(data []byte, i int) []byte {
		if data, err = torchwood.AppendTileEntry(data, rows[i]); err != nil {
			panic("ledger: internal error: an entry whose length was checked: " + err.Error())
		}
		return data
	})
	for level := 0; len(hashes) > 0; level++ {
		count := size >> (torchwood.TileHeight * level)
		var begun []byte
		if tile := tileAt(level, count); tile.W > 0 {
			if begun, err = l.tiles.hashes(tile); err != nil {
				return nil, nil, err
			}
		}
		tiles, _, full := extend(level, count, begun, len(hashes), func(data []byte, i int) []byte {
			return append(data, hashes[i][:]...)
		})
		files = append(files, tiles...)
		hashes = nil
		for _, data := range full {
			hashes = append(hashes, tileRoot(data))
		}
	}
	return files, bundle, nil
}

// tileAt returns the partial tile at the end of a level with count hashes or
// entries; its width is 0 if the level ends with a full tile.
func tileAt(level int, count uint64) tlog.Tile {
	return tlog.Tile{H: torchwood.TileHeight, L: level, N: int64(count / torchwood.TileWidth), W: int(count % torchwood.TileWidth)}
}

// extend appends n items to a level that holds count of them; begun is the content
// of its last partial tile. It returns the files to write, the content of the last
// tile if it is partial, and the contents of the full tiles.
func extend(level int, count uint64, begun []byte, n int, add func(data []byte, i int) []byte) (files []file, rest []byte, full [][]byte) {
	for i := range n {
		begun = add(begun, i)
		tile := tileAt(level, count)
		tile.W++
		count++
		if whole := tile.W == torchwood.TileWidth; whole || i == n-1 {
			files = append(files, file{torchwood.TilePath(tile), begun})
			if whole {
				full, begun = append(full, begun), nil
			}
		}
	}
	return files, begun, full
}

// tileRoot returns the hash of a full tile in the level above.
func tileRoot(data []byte) tlog.Hash {
	var r protocol.Range
	for ; len(data) > 0; data = data[tlog.HashSize:] {
		r.Append(protocol.Digest(data[:tlog.HashSize]))
	}
	return tlog.Hash(r.Root())
}
