package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/protocol"
)

// Proof is the C2SP tlog-proof text for the entry with this index under the
// checkpoint, whose note it holds verbatim. Every tile used is authenticated
// against the checkpoint's root. An index that the checkpoint does not cover
// is not_found; tiles that are missing or wrong are ledger_unavailable.
func (l *Ledger) Proof(ctx context.Context, cp Checkpoint, index uint64) (string, error) {
	if index >= cp.Size {
		return "", protocol.Fail(protocol.CodeNotFound, "the checkpoint does not cover this entry")
	}
	p, err := tlog.ProveRecord(int64(cp.Size), int64(index), l.reader(ctx, cp))
	if err != nil {
		return "", protocol.Wrap(protocol.CodeLedgerUnavailable, "the proof cannot be made now", err)
	}
	return string(torchwood.FormatProof(int64(index), p, cp.Note)), nil
}

// Consistency is the RFC 6962 consistency proof from one tree size to another,
// both at most the latest checkpoint's; it is empty where from is 0 or to.
func (l *Ledger) Consistency(ctx context.Context, from, to uint64) ([][32]byte, error) {
	cp, _ := l.Latest()
	if from > to || to > cp.Size {
		return nil, protocol.Fail(protocol.CodeNotFound, "no published checkpoint covers these sizes")
	}
	if from == 0 || from == to {
		return nil, nil
	}
	p, err := tlog.ProveTree(int64(to), int64(from), l.reader(ctx, cp))
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeLedgerUnavailable, "the proof cannot be made now", err)
	}
	out := make([][32]byte, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out, nil
}

// reader reads hashes of the checkpoint's tree and authenticates the tiles.
func (l *Ledger) reader(ctx context.Context, cp Checkpoint) tlog.HashReader {
	tree := tlog.Tree{N: int64(cp.Size), Hash: cp.Root}
	inner := tlog.TileHashReader(tree, l.tiles)
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return inner.ReadHashes(indexes)
	})
}

// Read is the C2SP tlog-tiles read path: "checkpoint", or the one valid path
// of a tile or entry bundle, without a leading slash; anything else, and
// whatever is not there, is not_found. A partial tile may be gone once the
// full one exists; clients of tlog-tiles then ask for the full one.
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
	tile, err := torchwood.ParseTilePath(path)
	if err != nil || torchwood.TilePath(tile) != path {
		return nil, notFound
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := l.dir.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound
	}
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeLedgerUnavailable, "the log cannot be read now", fmt.Errorf("ledger: reading a tile: %w", err))
	}
	return b, nil
}

// maxTilePath bounds the paths worth parsing: a level, seven groups of three
// digits and a width.
const maxTilePath = 64
