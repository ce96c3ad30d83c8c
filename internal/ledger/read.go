package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// Proof returns the C2SP tlog-proof text for the entry with this index under the
// checkpoint, whose note it holds verbatim. Every tile is verified against the root of
// the checkpoint. The error is not_found if the checkpoint does not cover the index, and
// ledger_unavailable if tiles are missing or wrong.
func (l *Ledger) Proof(ctx context.Context, cp Checkpoint, index uint64) (string, error) {
	if index >= cp.Size {
		return "", protocol.Fail(protocol.CodeNotFound, "the checkpoint does not cover this entry")
	}
	p, err := tlog.ProveRecord(int64(cp.Size), int64(index), l.reader(ctx, cp))
	if err != nil {
		return "", unprovable(err)
	}
	return string(torchwood.FormatProof(int64(index), p, cp.Note)), nil
}

// Prefix is [tiles.Prefix] for 0 < from <= to, both at most the latest checkpoint's
// size.
func (l *Ledger) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	cp, _ := l.Latest()
	if from == 0 || from > to || to > cp.Size {
		return nil, protocol.Fail(protocol.CodeNotFound, "no published checkpoint covers these sizes")
	}
	p, err := tiles.Prefix(l.reader(ctx, cp), from, to)
	if err != nil {
		return nil, unprovable(err)
	}
	return p, nil
}

// Entry returns the leaf with this index and its inclusion path in the tree of
// the given size, at most the latest checkpoint's.
func (l *Ledger) Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error) {
	cp, _ := l.Latest()
	if index >= size || size > cp.Size {
		return nil, nil, protocol.Fail(protocol.CodeNotFound, "no published checkpoint covers this entry")
	}
	path, err = tiles.Inclusion(l.reader(ctx, cp), index, size)
	if err != nil {
		return nil, nil, unprovable(err)
	}
	entries, err := l.tiles.Entries(ctx, tiles.At(tiles.Entries, index/tiles.Width, size), size)
	if err != nil {
		return nil, nil, unprovable(err)
	}
	return entries[index%tiles.Width], path, nil
}

func unprovable(err error) error {
	return protocol.Wrap(protocol.CodeLedgerUnavailable, "the proof cannot be made now", err)
}

// reader returns the hashes of the checkpoint's tree, verified.
func (l *Ledger) reader(ctx context.Context, cp Checkpoint) tlog.HashReader {
	return l.tiles.Verified(ctx, tlog.Tree{N: int64(cp.Size), Hash: cp.Root})
}

// Read returns a file by its path of C2SP tlog-tiles without a leading slash:
// "checkpoint", or the canonical path of a tile or entry bundle. The error for any other
// path, and for a file that does not exist, is not_found. A partial tile whose file was
// removed is returned from a wider one, so that old checkpoints can still be verified.
func (l *Ledger) Read(ctx context.Context, path string) ([]byte, error) {
	notFound := protocol.Fail(protocol.CodeNotFound, "the log has no such resource")
	if path == checkpointFile {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.published == nil {
			return nil, notFound
		}
		return slices.Clone(l.published), nil
	}
	if len(path) > maxTilePath {
		return nil, notFound
	}
	tile, err := tiles.ParsePath(path)
	if err != nil {
		return nil, notFound
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := l.tiles.Read(ctx, tile, 0) // the file of that name first
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound
	}
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeLedgerUnavailable, "the log cannot be read now", fmt.Errorf("ledger: reading a tile: %w", err))
	}
	return b, nil
}

// maxTilePath bounds the paths that are parsed: a level, seven groups of three digits and
// a width.
const maxTilePath = 64
