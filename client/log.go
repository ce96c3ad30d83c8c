package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// ErrLog is a log whose files are malformed.
var ErrLog = tiles.ErrMalformed

// ErrNotSigned is the [ErrLog] of a checkpoint that no epoch of the log signed.
var ErrNotSigned = fmt.Errorf("%w: the checkpoint is not signed by the key of any epoch in the log", ErrLog)

// IncompleteError says that a log lacks a file of the tree that its checkpoint states.
// A copy that is still being made lacks files for a while. It says nothing against the
// log. It is protocol.CodeNotFound and fs.ErrNotExist.
type IncompleteError struct {
	Path string        // of the file
	from *ForeignError // the answer of a server that is no Terra Dourada server, or nil
}

// Error names the file.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("the log lacks its file %s, which may not have been copied yet", e.Path)
}

// Unwrap returns the [*ForeignError] of a server that is no Terra Dourada server, or nil.
func (e *IncompleteError) Unwrap() error {
	if e.from == nil {
		return nil
	}
	return e.from
}

// Is makes it protocol.CodeNotFound and fs.ErrNotExist.
func (e *IncompleteError) Is(target error) bool {
	return target == protocol.CodeNotFound || target == fs.ErrNotExist
}

// Log reads the public files of a log: the newest checkpoint, tiles and entry
// bundles of C2SP tlog-tiles. It serves as receipt.Log and receipt.Scanner.
// Nothing it reads is verified, except by [Log.SignedCheckpoint]; the callers
// verify the proofs made of it. Its methods may be called concurrently.
//
// The files may be a copy that is made while the log grows. A tile that was removed is
// read from a wider one, and one that was not copied yet from a narrower one, as far as
// the tree that is asked for allows.
//
// Errors are an [*IncompleteError] for a file that does not exist, [ErrLog] for one that
// is malformed, a *receipt.ShortError for a log that is smaller than what is asked for,
// or say what could not be read.
type Log struct {
	files logFiles
	tiles tiles.Reader
	from  func() receipt.Source
}

var (
	_ receipt.Log     = (*Log)(nil)
	_ receipt.Scanner = (*Log)(nil)
)

// NewLog reads the log of a server.
func NewLog(c *Client) *Log {
	return newLog(func(ctx context.Context, path string, limit int64) ([]byte, error) {
		if path == tiles.Checkpoint {
			return c.Checkpoint(ctx)
		}
		return c.getBytes(ctx, "/"+path, limit, api.MediaOctets)
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
		return readRegular(root, filepath.FromSlash(path), limit)
	}, func() receipt.Source { return receipt.Source{} })
}

func newLog(files logFiles, from func() receipt.Source) *Log {
	return &Log{files, tiles.NewReader(files, maxTiles), from}
}

// maxTiles bounds the tiles that are kept, 8 KiB each.
const maxTiles = 512

// Source returns where the log is read: [Client.Source], or the zero value for a
// directory.
func (l *Log) Source() receipt.Source { return l.from() }

// logFiles are the [tiles.Files] of a log. The function reads the checkpoint or a path
// below "tile/", at most limit bytes of it. Its error is fs.ErrNotExist or
// protocol.CodeNotFound for what does not exist.
type logFiles func(ctx context.Context, path string, limit int64) ([]byte, error)

// Read reads a file. One that does not exist is an [*IncompleteError].
func (read logFiles) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	b, err := read(ctx, path, limit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, protocol.CodeNotFound) {
		incomplete := &IncompleteError{Path: path}
		_ = errors.As(err, &incomplete.from)
		return nil, incomplete
	}
	return b, err
}

// readRegular reads a file. Others are refused before they are opened: opening
// a pipe waits for its writer.
func readRegular(root *os.Root, path string, limit int64) ([]byte, error) {
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, tiles.Malformed("%s is not a regular file", path)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readAtMost(f, limit)
	if errors.Is(err, ErrAnswer) {
		return nil, tiles.Malformed("%s is longer than %d bytes", path, limit)
	}
	return b, err
}

// Checkpoint returns the newest checkpoint, a signed note.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	return l.files.Read(ctx, tiles.Checkpoint, receipt.MaxLogSize)
}

// Size returns the size that the newest checkpoint states.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	note, err := l.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	_, size, err := tiles.Head(note)
	return size, err
}

// SignedCheckpoint returns the newest checkpoint, see [Log.VerifyCheckpoint].
func (l *Log) SignedCheckpoint(ctx context.Context) (*receipt.Checkpoint, error) {
	note, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	return l.VerifyCheckpoint(ctx, note)
}

// maxBundles bounds the search for an epoch-open leaf from the end of a log, because a
// log may state any size. An epoch of 2^20 accepted requests has 4,096 bundles.
const maxBundles = 1 << 14

// VerifyCheckpoint verifies a checkpoint of any size with the key of an
// epoch-open leaf that the log proves to be in its tree. It searches that leaf from the
// end of the tree. A receipt.TrustStore decides whose log it is.
func (l *Log) VerifyCheckpoint(ctx context.Context, note []byte) (*receipt.Checkpoint, error) {
	return l.VerifyCheckpointSince(ctx, note, 0)
}

// VerifyCheckpointSince is [Log.VerifyCheckpoint] with a key whose epoch-open leaf has at
// least this index. It reads no bundle before that leaf.
func (l *Log) VerifyCheckpointSince(ctx context.Context, note []byte, since uint64) (*receipt.Checkpoint, error) {
	_, size, err := tiles.Head(note)
	if err != nil {
		return nil, err
	}
	newest, err := l.reaching(ctx, size)
	if err != nil {
		return nil, err
	}
	bundles := (size + tiles.Width - 1) / tiles.Width
	for n := bundles; n > max(bundles-min(bundles, maxBundles), since/tiles.Width); n-- {
		entries, err := l.tiles.Entries(ctx, tiles.At(tiles.Entries, n-1, size), newest)
		if err != nil {
			return nil, err
		}
		for i, raw := range slices.Backward(entries) {
			if (n-1)*tiles.Width+uint64(i) < since || !signs(raw, string(note)) {
				continue
			}
			path, err := tiles.Inclusion(l.tiles.Hashes(ctx, newest), (n-1)*tiles.Width+uint64(i), size)
			if err != nil {
				return nil, err
			}
			cp, err := receipt.VerifyCheckpoint(string(note), raw, path)
			if err != nil {
				return nil, tiles.Malformed("%v", err)
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

// Prefix returns the hashes that show the tree of size from as the front part of the
// tree of size to, 0 < from <= to: SUBPROOF(from, D[0:to], false) of RFC 6962 section
// 2.1.2. Both roots can be computed from them.
func (l *Log) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	size, err := l.reaching(ctx, to)
	if err != nil {
		return nil, err
	}
	return tiles.Prefix(l.tiles.Hashes(ctx, size), from, to)
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
	entries, err := l.tiles.Entries(ctx, tiles.At(tiles.Entries, index/tiles.Width, index+1), newest)
	if err != nil {
		return nil, nil, err
	}
	path, err = tiles.Inclusion(l.tiles.Hashes(ctx, newest), index, size)
	return entries[index%tiles.Width], path, err
}

// Leaves calls each with the leaves of the tree of a size, in order. It stops at
// the first error and returns it.
func (l *Log) Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error {
	newest, err := l.reaching(ctx, size)
	if err != nil {
		return err
	}
	for n := uint64(0); n*tiles.Width < size; n++ {
		entries, err := l.tiles.Entries(ctx, tiles.At(tiles.Entries, n, size), newest)
		if err != nil {
			return err
		}
		for i, raw := range entries {
			if err := each(n*tiles.Width+uint64(i), raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// Tile returns the hashes of tile n of a level as a tree of a size has them: 256
// at most.
func (l *Log) Tile(ctx context.Context, level int, n, size uint64) ([][32]byte, error) {
	t := tiles.At(level, n, size)
	if t.W == 0 {
		return nil, protocol.Failf(protocol.CodeNotFound, "a tree of size %d has no tile %d of level %d", size, n, level)
	}
	b, err := l.tiles.Read(ctx, t, size)
	hashes := make([][32]byte, len(b)/protocol.DigestSize)
	for i := range hashes {
		hashes[i] = [32]byte(b[i*protocol.DigestSize:])
	}
	return hashes, err
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
