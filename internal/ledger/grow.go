package ledger

import (
	"context"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
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
func (l *Ledger) grow(ctx context.Context, rows [][]byte, hashes []protocol.Digest) (files []file, bundle []byte, err error) {
	size := l.edge.Size()
	files, bundle, _ = extend(tiles.Edge(tiles.Entries, size), l.bundle, len(rows), func(data []byte, i int) []byte {
		return appendEntry(data, rows[i])
	})
	for level := 0; len(hashes) > 0; level++ {
		edge := tiles.Edge(level, size)
		var begun []byte
		if edge.W > 0 {
			if begun, err = l.tiles.Read(ctx, edge, size); err != nil {
				return nil, nil, err
			}
		}
		grown, _, full := extend(edge, begun, len(hashes), func(data []byte, i int) []byte {
			return append(data, hashes[i][:]...)
		})
		files = append(files, grown...)
		hashes = nil
		for _, data := range full {
			hashes = append(hashes, tileRoot(data))
		}
	}
	return files, bundle, nil
}

// extend appends n items to a level that ends with a tile; begun is the content of
// that tile. It returns the files to write, the content of the last tile if it is
// partial, and the contents of the full tiles.
func extend(tile tlog.Tile, begun []byte, n int, add func(data []byte, i int) []byte) (files []file, rest []byte, full [][]byte) {
	for i := range n {
		begun = add(begun, i)
		tile.W++
		whole := tile.W == tiles.Width
		if whole || i == n-1 {
			files = append(files, file{tiles.Path(tile), begun})
		}
		if whole {
			full, begun = append(full, begun), nil
			tile.N, tile.W = tile.N+1, 0
		}
	}
	return files, begun, full
}

// appendEntry appends an entry, whose length was checked, to a bundle.
func appendEntry(bundle, entry []byte) []byte {
	bundle, err := torchwood.AppendTileEntry(bundle, entry)
	if err != nil {
		panic("ledger: internal error: an entry whose length was checked: " + err.Error())
	}
	return bundle
}

// tileRoot returns the hash of a full tile in the level above.
func tileRoot(data []byte) protocol.Digest {
	var r protocol.Range
	for ; len(data) > 0; data = data[tlog.HashSize:] {
		r.Append(protocol.Digest(data[:tlog.HashSize]))
	}
	return r.Root()
}
