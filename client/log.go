package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// ErrLog is a log whose files are malformed.
var ErrLog = errors.New("the log is malformed")

// ErrNotSigned is the [ErrLog] of a checkpoint that no epoch of the log signed.
var ErrNotSigned = fmt.Errorf("%w: the checkpoint is not signed by the key of any epoch in the log", ErrLog)

func badLog(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLog, fmt.Sprintf(format, args...))
}

// Log reads the public files of a log: the newest checkpoint, tiles and entry
// bundles of C2SP tlog-tiles. It serves as receipt.Log and receipt.Scanner.
// Nothing it reads is verified, except by [Log.SignedCheckpoint]; the callers
// verify the proofs made of it. Its methods may be called concurrently.
//
// Errors are protocol.CodeNotFound for a file that does not exist, [ErrLog] for
// one that is malformed, a *receipt.ShortError for a log that is smaller than
// what is asked for, or say what could not be read.
type Log struct {
	// read returns the bytes of "checkpoint" or of a path that begins with
	// "tile/", at most limit of them; it reports what does not exist as
	// protocol.CodeNotFound.
	read func(ctx context.Context, path string, limit int64) ([]byte, error)
	from func() receipt.Source

	mu    sync.Mutex
	tiles map[string][]byte // by path and width, as read; guarded by mu
}

var (
	_ receipt.Log     = (*Log)(nil)
	_ receipt.Scanner = (*Log)(nil)
)

// NewLog reads the log of a server.
func NewLog(c *Client) *Log {
	return newLog(func(ctx context.Context, path string, limit int64) ([]byte, error) {
		if path == checkpointPath {
			return c.Checkpoint(ctx)
		}
		return c.getBytes(ctx, "/"+path, api.MediaOctets, limit)
	}, c.Source)
}

// NewLogDir reads a log in a directory: the server's own, or a copy of it.
// Symbolic links out of it are not followed.
func NewLogDir(dir string) *Log {
	return newLog(func(_ context.Context, path string, limit int64) ([]byte, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		defer root.Close()
		b, err := readRegular(root, filepath.FromSlash(path), limit)
		if errors.Is(err, os.ErrNotExist) {
			return nil, protocol.Wrap(protocol.CodeNotFound, "the log lacks its file "+path, err)
		}
		return b, err
	}, func() receipt.Source { return receipt.Source{} })
}

func newLog(read func(context.Context, string, int64) ([]byte, error), from func() receipt.Source) *Log {
	return &Log{read: read, from: from, tiles: map[string][]byte{}}
}

// Source returns where the log is read: [Client.Source], or the zero value for a
// directory.
func (l *Log) Source() receipt.Source { return l.from() }

// readRegular reads a file. Others are refused before they are opened: opening
// a pipe waits for its writer.
func readRegular(root *os.Root, path string, limit int64) ([]byte, error) {
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, badLog("%s is not a regular file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readAtMost(f, limit)
	if errors.Is(err, ErrAnswer) {
		return nil, badLog("%s is longer than %d bytes", path, limit)
	}
	return b, err
}

const (
	checkpointPath = "checkpoint"

	// A tile has up to 2^tileHeight hashes, a bundle as many entries (C2SP
	// tlog-tiles).
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileSize   = tileWidth * protocol.DigestSize
	bundleSize = tileWidth * (2 + protocol.MaxLeafSize)

	// maxTiles bounds the tiles that are kept, 8 KiB each.
	maxTiles = 512
)

// Checkpoint returns the newest checkpoint, a signed note.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	return l.read(ctx, checkpointPath, receipt.MaxLogSize)
}

// Size returns the size that the newest checkpoint states.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	note, err := l.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	return sizeOf(note)
}

// sizeOf reads the second line of a checkpoint.
func sizeOf(note []byte) (uint64, error) {
	lines := bytes.SplitN(note, []byte("\n"), 3)
	if len(lines) == 3 {
		if n, err := strconv.ParseUint(string(lines[1]), 10, 64); err == nil && n <= protocol.MaxTreeSize {
			return n, nil
		}
	}
	return 0, badLog("the checkpoint has no size")
}

// SignedCheckpoint returns the newest checkpoint, see [Log.VerifyCheckpoint].
func (l *Log) SignedCheckpoint(ctx context.Context) (*receipt.Checkpoint, error) {
	note, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(note)
	if err != nil {
		return nil, err
	}
	return l.verifyCheckpoint(ctx, note, size, size)
}

// VerifyCheckpoint verifies a checkpoint of any size with the key of an
// epoch-open leaf that the log proves to be in its tree. It looks for that leaf
// from the end of the tree. Whose log it is remains to be asked of a
// receipt.TrustStore.
func (l *Log) VerifyCheckpoint(ctx context.Context, note []byte) (*receipt.Checkpoint, error) {
	size, err := sizeOf(note)
	if err != nil {
		return nil, err
	}
	newest, err := l.reaching(ctx, size)
	if err != nil {
		return nil, err
	}
	return l.verifyCheckpoint(ctx, note, size, newest)
}

// maxBundles bounds the search for an epoch-open leaf from the end of a log: a log
// may state any size. An epoch of 2^20 accepted requests has 4,096 bundles.
const maxBundles = 1 << 14

func (l *Log) verifyCheckpoint(ctx context.Context, note []byte, size, newest uint64) (*receipt.Checkpoint, error) {
	bundles := (size + tileWidth - 1) / tileWidth
	for n := bundles; n > bundles-min(bundles, maxBundles); n-- {
		first := (n - 1) * tileWidth
		entries, err := l.bundle(ctx, n-1, newest)
		if err != nil {
			return nil, err
		}
		for i, raw := range slices.Backward(entries[:min(uint64(len(entries)), size-first)]) {
			if !signs(raw, string(note)) {
				continue
			}
			path, err := l.path(ctx, first+uint64(i), size, newest)
			if err != nil {
				return nil, err
			}
			cp, err := receipt.VerifyCheckpoint(string(note), raw, path)
			if err != nil {
				return nil, badLog("%v", err)
			}
			return cp, nil
		}
	}
	return nil, ErrNotSigned
}

// signs reports whether a leaf opens an epoch whose key signed a note.
func signs(raw []byte, note string) bool {
	leaf, err := protocol.ParseLeaf(raw)
	if err != nil {
		return false
	}
	epoch, ok := leaf.Body.(*protocol.EpochOpen)
	if !ok {
		return false
	}
	_, err = receipt.ParseCheckpoint(note, epoch.CheckpointKey)
	return err == nil
}

// Prefix returns the hashes that show the tree of size from as the front part
// of the tree of size to, 0 < from <= to: SUBPROOF(from, D[0:to], false) of
// RFC 6962 section 2.1.2, from which the roots of both trees can be computed.
func (l *Log) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	size, err := l.reaching(ctx, to)
	if err != nil {
		return nil, err
	}
	if from == 0 || from > to {
		return nil, fmt.Errorf("there is no proof from size %d to size %d", from, to)
	}
	t := &tree{ctx: ctx, log: l, size: size}
	proof := t.prefix(from, 0, to)
	return proof, t.err
}

// Entry returns the leaf with an index and its inclusion path in the tree of a
// size, index < size: PATH of RFC 6962 section 2.1.1.
func (l *Log) Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error) {
	newest, err := l.reaching(ctx, size)
	if err != nil {
		return nil, nil, err
	}
	if index >= size {
		return nil, nil, fmt.Errorf("a tree of size %d has no entry %d", size, index)
	}
	entries, err := l.bundle(ctx, index/tileWidth, newest)
	if err != nil {
		return nil, nil, err
	}
	path, err = l.path(ctx, index, size, newest)
	return entries[index%tileWidth], path, err
}

func (l *Log) path(ctx context.Context, index, size, newest uint64) ([][32]byte, error) {
	t := &tree{ctx: ctx, log: l, size: newest}
	path := t.path(index, 0, size)
	return path, t.err
}

// Leaves calls each with the leaves of the tree of a size, in order. It stops at
// the first error and returns it.
func (l *Log) Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error {
	newest, err := l.reaching(ctx, size)
	if err != nil {
		return err
	}
	for n := uint64(0); n*tileWidth < size; n++ {
		entries, err := l.bundle(ctx, n, newest)
		if err != nil {
			return err
		}
		for i, raw := range entries[:min(uint64(len(entries)), size-n*tileWidth)] {
			if err := each(n*tileWidth+uint64(i), raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tile returns the hashes of tile n of a level as a tree of a size has them: 256
// at most.
func (l *Log) Tile(ctx context.Context, level int, n, size uint64) ([][32]byte, error) {
	t := &tree{ctx: ctx, log: l, size: size}
	b := t.tile(level, n)
	hashes := make([][32]byte, len(b)/protocol.DigestSize)
	for i := range hashes {
		hashes[i] = [32]byte(b[i*protocol.DigestSize:])
	}
	return hashes, t.err
}

// reaching returns the size of the newest checkpoint, which must be at least
// size.
func (l *Log) reaching(ctx context.Context, size uint64) (uint64, error) {
	newest, err := l.Size(ctx)
	if err == nil && newest < size {
		err = &receipt.ShortError{Size: newest, Want: size}
	}
	return newest, err
}

// bundle returns the entries of one bundle of a tree of some size.
func (l *Log) bundle(ctx context.Context, n, size uint64) ([][]byte, error) {
	width := min(tileWidth, size-n*tileWidth)
	path := tilePath("tile/entries", n)
	b, full, err := l.whole(ctx, path, width, bundleSize)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(b) >= 2 && len(b) >= 2+int(binary.BigEndian.Uint16(b)) {
		end := 2 + int(binary.BigEndian.Uint16(b))
		entries, b = append(entries, b[2:end]), b[end:]
	}
	if len(b) != 0 || uint64(len(entries)) != full {
		return nil, badLog("%s does not hold %d entries", path, full)
	}
	return entries[:width], nil
}

// whole reads a tile or bundle as wide as a tree has it, or the full one that
// has replaced it since, and returns how many members it must have.
func (l *Log) whole(ctx context.Context, path string, width uint64, limit int64) (b []byte, full uint64, err error) {
	if width < tileWidth {
		b, err = l.read(ctx, path+".p/"+strconv.FormatUint(width, 10), limit)
		if !errors.Is(err, protocol.CodeNotFound) {
			return b, width, err
		}
	}
	b, err = l.read(ctx, path, limit)
	return b, tileWidth, err
}

// tilePath is N in groups of three digits, all but the last one marked, below
// what comes first (C2SP tlog-tiles).
func tilePath(first string, n uint64) string {
	path := fmt.Sprintf("%03d", n%1000)
	for rest := n / 1000; rest > 0; rest /= 1000 {
		path = fmt.Sprintf("x%03d/%s", rest%1000, path)
	}
	return first + "/" + path
}

// tree computes hashes of one tree from its tiles. After a failure it returns
// zeroes and keeps the first error.
type tree struct {
	ctx  context.Context
	log  *Log
	size uint64
	err  error
}

// prefix is SUBPROOF of RFC 6962 section 2.1.2 for the first m leaves of
// [lo, hi), which always shows the root of those.
func (t *tree) prefix(m, lo, hi uint64) [][32]byte {
	n := hi - lo
	if m == n {
		return [][32]byte{t.hash(lo, hi)}
	}
	k := split(n)
	if m <= k {
		return append(t.prefix(m, lo, lo+k), t.hash(lo+k, hi))
	}
	return append(t.prefix(m-k, lo+k, hi), t.hash(lo, lo+k))
}

// path is PATH of RFC 6962 section 2.1.1 for leaf m of [lo, hi).
func (t *tree) path(m, lo, hi uint64) [][32]byte {
	if hi-lo == 1 {
		return nil
	}
	k := split(hi - lo)
	if m < lo+k {
		return append(t.path(m, lo, lo+k), t.hash(lo+k, hi))
	}
	return append(t.path(m, lo+k, hi), t.hash(lo, lo+k))
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
	tile := t.tile(level/tileHeight, first/tileWidth)
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

// tile reads tile n of a level, as wide as the tree has it.
func (t *tree) tile(level int, n uint64) []byte {
	if t.err != nil {
		return nil
	}
	width := min(tileWidth, t.size>>(tileHeight*level)-n*tileWidth)
	path := tilePath("tile/"+strconv.Itoa(level), n)
	key := path + "/" + strconv.FormatUint(width, 10)
	if b, ok := t.log.kept(key); ok {
		return b
	}
	b, full, err := t.log.whole(t.ctx, path, width, tileSize)
	if err == nil && uint64(len(b)) != full*protocol.DigestSize {
		err = badLog("%s does not hold %d hashes", path, full)
	}
	if t.err = err; err != nil {
		return nil
	}
	return t.log.keep(key, b[:width*protocol.DigestSize])
}

func (l *Log) kept(key string) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.tiles[key]
	return b, ok
}

func (l *Log) keep(key string, tile []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tiles) >= maxTiles {
		clear(l.tiles)
	}
	l.tiles[key] = tile
	return tile
}
