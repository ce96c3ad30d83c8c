package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Log reads the public files of a log: the newest checkpoint and the tiles of
// C2SP tlog-tiles. It is the receipt.Log of `--log URL|DIR`. What it reads is
// verified by whoever uses the proofs made of it, not here.
type Log struct {
	// read gives the bytes of "checkpoint" or of a path that begins with
	// "tile/"; what does not exist is protocol.CodeNotFound.
	read func(ctx context.Context, path string) ([]byte, error)
}

var _ receipt.Log = (*Log)(nil)

// NewLog reads the log of a server.
func NewLog(c *Client) *Log {
	return &Log{func(ctx context.Context, path string) ([]byte, error) {
		if path == "checkpoint" {
			return c.Checkpoint(ctx)
		}
		return c.getBytes(ctx, "/"+path, "application/octet-stream", tileSize)
	}}
}

// NewLogDir reads a log in a directory: the server's own, or a copy of it.
func NewLogDir(dir string) *Log {
	return &Log{func(_ context.Context, path string) ([]byte, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		f, err := root.Open(filepath.FromSlash(path))
		if errors.Is(err, os.ErrNotExist) {
			return nil, protocol.Wrap(protocol.CodeNotFound, "the log has no such file", err)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readAtMost(f, receipt.MaxLogSize)
	}}
}

// A tile has up to 2^tileHeight hashes (C2SP tlog-tiles).
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileSize   = tileWidth * protocol.DigestSize
)

// Size is the size that the newest checkpoint states, unverified.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	note, err := l.read(ctx, "checkpoint")
	if err != nil {
		return 0, err
	}
	lines := bytes.SplitN(note, []byte("\n"), 3)
	if len(lines) == 3 {
		if n, err := strconv.ParseInt(string(lines[1]), 10, 64); err == nil && n >= 0 {
			return uint64(n), nil
		}
	}
	return 0, badAnswer("the checkpoint is malformed")
}

// Consistency gives the RFC 6962 proof that the tree of size from is the front
// part of the tree of size to, 0 < from < to, made of the tiles of the newest
// checkpoint.
func (l *Log) Consistency(ctx context.Context, from, to uint64) ([][32]byte, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if from == 0 || from >= to || to > size {
		return nil, fmt.Errorf("the log has %d leaves; no proof from %d to %d", size, from, to)
	}
	t := &tree{ctx: ctx, log: l, size: size, tiles: map[tileAt][]byte{}}
	proof := t.consistency(from, 0, to, true)
	return proof, t.err
}

// tree computes hashes of one tree from its tiles. After a failure it gives
// zeroes and keeps the first error.
type tree struct {
	ctx   context.Context
	log   *Log
	size  uint64
	tiles map[tileAt][]byte
	err   error
}

type tileAt struct {
	level int
	index uint64
}

// consistency is SUBPROOF of RFC 6962 section 2.1.2 for the first m leaves of
// [lo, hi).
func (t *tree) consistency(m, lo, hi uint64, whole bool) [][32]byte {
	n := hi - lo
	if m == n {
		if whole {
			return nil
		}
		return [][32]byte{t.hash(lo, hi)}
	}
	k := split(n)
	if m <= k {
		return append(t.consistency(m, lo, lo+k, whole), t.hash(lo+k, hi))
	}
	return append(t.consistency(m-k, lo+k, hi, false), t.hash(lo, lo+k))
}

// split is the greatest power of two below n, n > 1.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// hash is MTH of RFC 6962 section 2.1 over the leaves [lo, hi), where lo is a
// multiple of the next power of two.
func (t *tree) hash(lo, hi uint64) [32]byte {
	n := hi - lo
	if n&(n-1) == 0 {
		return t.node(bits.TrailingZeros64(n), lo/n)
	}
	k := split(n)
	return node(t.hash(lo, lo+k), t.hash(lo+k, hi))
}

// node is the hash over the 2^level leaves from index·2^level.
func (t *tree) node(level int, index uint64) [32]byte {
	inside := level % tileHeight
	first := index << inside
	tile := t.tile(tileAt{level / tileHeight, first / tileWidth})
	at, n := first%tileWidth, uint64(1)<<inside
	if uint64(len(tile)) < (at+n)*protocol.DigestSize {
		return [32]byte{}
	}
	hashes := make([][32]byte, n)
	for i := range hashes {
		hashes[i] = [32]byte(tile[(at+uint64(i))*protocol.DigestSize:])
	}
	for len(hashes) > 1 {
		for i := range len(hashes) / 2 {
			hashes[i] = node(hashes[2*i], hashes[2*i+1])
		}
		hashes = hashes[:len(hashes)/2]
	}
	return hashes[0]
}

func node(left, right [32]byte) [32]byte {
	b := append([]byte{1}, left[:]...)
	return sha256.Sum256(append(b, right[:]...))
}

// tile reads the tile as wide as the tree has it, or the full one that has
// replaced it since.
func (t *tree) tile(at tileAt) []byte {
	if b, ok := t.tiles[at]; ok || t.err != nil {
		return b
	}
	width := min(tileWidth, t.size>>(tileHeight*at.level)-at.index*tileWidth)
	path := at.path()
	partial := path
	if width < tileWidth {
		partial += ".p/" + strconv.FormatUint(width, 10)
	}
	b, err := t.log.read(t.ctx, partial)
	if errors.Is(err, protocol.CodeNotFound) && partial != path {
		b, err = t.log.read(t.ctx, path)
	}
	if err == nil && uint64(len(b)) < width*protocol.DigestSize {
		err = badAnswer("a tile of the log is too short")
	}
	t.err = err
	t.tiles[at] = b
	return b
}

// path is tile/L/N with N in groups of three digits, all but the last one
// marked (C2SP tlog-tiles).
func (a tileAt) path() string {
	n := fmt.Sprintf("%03d", a.index%1000)
	for rest := a.index / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	return fmt.Sprintf("tile/%d/%s", a.level, n)
}
