package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Full tiles and entry bundles have this many members (C2SP tlog-tiles).
const bundleWidth = 256

// maxTile bounds a file of the log, in bytes: 256 entries of 64 KiB.
const maxTile = 17 << 20

// logFiles reads the files of one log: of a server, or in a directory. Nothing
// they say is believed here.
type logFiles struct {
	*client.Log
	server *remote // nil if it is a directory
	dir    string
}

// failure is [remote.failure], which a directory has no use for.
func (l *logFiles) failure(ctx context.Context, err error) error {
	var split *receipt.SplitViewError
	switch {
	case l.server != nil:
		return l.server.failure(ctx, err)
	case errors.As(err, &split) || errors.Is(err, errReceipt):
		return fail(exitNegative, err.Error(), doNotRely)
	}
	return err
}

// checkpoint is the newest checkpoint, a signed note.
func (l *logFiles) checkpoint(ctx context.Context) ([]byte, error) {
	if l.server != nil {
		return l.server.Checkpoint(ctx)
	}
	return readFile(filepath.Join(l.dir, "checkpoint"), receipt.MaxLogSize)
}

// tile reads one file below tile/ by its path, as wide as a tree of some size
// has it, or the full one that has replaced it since.
func (l *logFiles) tile(ctx context.Context, path string, width uint64) ([]byte, error) {
	if width == bundleWidth {
		return l.read(ctx, path)
	}
	b, err := l.read(ctx, path+".p/"+strconv.FormatUint(width, 10))
	if errors.Is(err, protocol.CodeNotFound) {
		return l.read(ctx, path)
	}
	return b, err
}

func (l *logFiles) read(ctx context.Context, path string) ([]byte, error) {
	if l.server != nil {
		return l.server.Tile(ctx, path)
	}
	name := filepath.Join(l.dir, "tile", filepath.FromSlash(path))
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return nil, &failure{exit: exitNotFound, what: fmt.Sprintf("the log lacks its file tile/%s", path), code: protocol.CodeNotFound}
	}
	return readFile(name, maxTile)
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

// bundle gives the entries of one bundle of a tree of some size.
func (l *logFiles) bundle(ctx context.Context, n, size uint64) ([][]byte, error) {
	width := min(bundleWidth, size-n*bundleWidth)
	b, err := l.tile(ctx, tilePath("entries", n), width)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, 0, width)
	for uint64(len(entries)) < width {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, fail(exitNegative, fmt.Sprintf("entry bundle %d of the log is cut short", n), "the log is damaged; a copy of it may not be")
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		entries, b = append(entries, b[2:end]), b[end:]
	}
	return entries, nil
}

// signedCheckpoint is the newest checkpoint and the epoch whose key signed it,
// which is looked for from the end of the log.
func (l *logFiles) signedCheckpoint(ctx context.Context) (*receipt.Checkpoint, *protocol.EpochOpen, error) {
	note, err := l.checkpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	size, err := l.Size(ctx)
	if err != nil {
		return nil, nil, err
	}
	for n := int64(size-1) / bundleWidth; size > 0 && n >= 0; n-- {
		entries, err := l.bundle(ctx, uint64(n), size)
		if err != nil {
			return nil, nil, err
		}
		for i := len(entries) - 1; i >= 0; i-- {
			leaf, err := protocol.ParseLeaf(entries[i])
			if err != nil {
				continue // td log audit says more
			}
			epoch, ok := leaf.Body.(*protocol.EpochOpen)
			if !ok {
				continue
			}
			if cp, err := receipt.ParseCheckpoint(string(note), epoch.CheckpointKey); err == nil {
				return cp, epoch, nil
			}
		}
	}
	return nil, nil, fail(exitNegative, "the checkpoint is not signed by the key of any epoch in the log", "td log audit looks at the whole log")
}
