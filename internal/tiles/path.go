package tiles

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

const (
	// Width is the number of hashes in a full tile, and of entries in a full bundle.
	Width = torchwood.TileWidth
	// Entries is the level of entry bundles.
	Entries = -1
	// Checkpoint is the path of the checkpoint.
	Checkpoint = "checkpoint"

	// MaxTile and MaxBundle bound the bytes of well-formed files.
	MaxTile   = Width * tlog.HashSize
	MaxBundle = Width * (2 + protocol.MaxLeafSize)
)

// ErrMalformed is a log whose files are malformed.
var ErrMalformed = errors.New("the log is malformed")

// Malformed returns an [ErrMalformed].
func Malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Path returns the path of a tile or bundle.
func Path(t tlog.Tile) string { return torchwood.TilePath(t) }

// ParsePath parses a path that [Path] returns, and no other one.
func ParsePath(name string) (tlog.Tile, error) {
	t, err := torchwood.ParseTilePath(name)
	if err == nil && Path(t) != name {
		err = errors.New("the path of the tile is not canonical")
	}
	return t, err
}

// Edge returns the partial tile at the end of a level in the tree of a size. Its
// width is 0 if the level ends with a full tile.
func Edge(level int, size uint64) tlog.Tile {
	count := size >> (torchwood.TileHeight * max(level, 0))
	return tlog.Tile{H: torchwood.TileHeight, L: level, N: int64(count / Width), W: int(count % Width)}
}

// At returns tile n of a level as the tree of a size has it. Its width is 0 if the
// tree has no such tile.
func At(level int, n, size uint64) tlog.Tile {
	t := Edge(level, size)
	switch last := uint64(t.N); {
	case n < last:
		t.W = Width
	case n > last:
		t.W = 0
	}
	t.N = int64(n)
	return t
}

// Head returns what the first two lines of a checkpoint state. Nothing about it is
// verified.
func Head(note []byte) (origin string, size uint64, err error) {
	lines := bytes.SplitN(note, []byte("\n"), 3)
	if len(lines) == 3 {
		size, err = strconv.ParseUint(string(lines[1]), 10, 64)
		if err == nil && size <= protocol.MaxTreeSize {
			return string(lines[0]), size, nil
		}
	}
	return "", 0, Malformed("the checkpoint has no size")
}
