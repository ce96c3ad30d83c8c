package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/receipt"
)

// Log is the log of a server or in a directory.
type Log struct {
	*client.Log
	Server *Server // nil if it is a directory
}

// OpenLog opens the log at a URL or in a directory.
func OpenLog(name, serverUser string) (*Log, error) {
	if !strings.Contains(name, "://") {
		return openLogDir(name, fmt.Sprintf("%s is neither a URL nor a directory", name))
	}
	return OpenServerLog(name, serverUser, false)
}

// OpenLogDir opens the log in a directory.
func OpenLogDir(dir string) (*Log, error) {
	return openLogDir(dir, fmt.Sprintf("%s is not a directory", dir))
}

func openLogDir(dir, otherwise string) (*Log, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.NotFound, otherwise, "the server keeps its log in the folder ledger of its data directory")
	}
	return &Log{Log: client.NewLogDir(dir)}, nil
}

// OpenServerLog opens the log of a server; see [DialAs].
func OpenServerLog(address, serverUser string, liveOnly bool) (*Log, error) {
	server, err := DialAs(address, serverUser, liveOnly, Patience{})
	if err != nil {
		return nil, err
	}
	return &Log{Log: client.NewLog(server.Client), Server: server}, nil
}

// Leaf returns the leaf with an index, of a tree as large as the newest checkpoint
// states.
func (l *Log) Leaf(ctx context.Context, index uint64) ([]byte, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return nil, err
	}
	if index >= size {
		return nil, fault.New(fault.NotFound, fmt.Sprintf("the log has %d entries; there is no entry %d", size, index), "")
	}
	leaf, _, err := l.Entry(ctx, index, size)
	return leaf, err
}

// Failure is [Server.Failure], also for a directory.
func (l *Log) Failure(ctx context.Context, err error) error {
	if l.Server == nil && receipt.VerdictOf(err) == "" && errors.Is(err, client.ErrLog) {
		return fault.New(fault.Unavailable, err.Error(), "the copy of the log is damaged: get it again")
	}
	return l.Server.Failure(ctx, err)
}

// ExplainedLog is a log whose errors are faults, for a report that shows them.
type ExplainedLog struct{ *Log }

func (l ExplainedLog) explain(ctx context.Context, err error) error {
	if err == nil || errors.As(err, new(*receipt.ShortError)) {
		return err
	}
	return l.Failure(ctx, err)
}

// Prefix is that of [client.Log].
func (l ExplainedLog) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	hashes, err := l.Log.Prefix(ctx, from, to)
	return hashes, l.explain(ctx, err)
}

// Entry is that of [client.Log].
func (l ExplainedLog) Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error) {
	leaf, path, err = l.Log.Entry(ctx, index, size)
	return leaf, path, l.explain(ctx, err)
}

// Leaves is that of [client.Log]. An error of each is returned as it is.
func (l ExplainedLog) Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error {
	var own error
	err := l.Log.Leaves(ctx, size, func(index uint64, leaf []byte) error {
		own = each(index, leaf)
		return own
	})
	if own != nil {
		return own
	}
	return l.explain(ctx, err)
}

// SignedCheckpoint is that of [client.Log].
func (l ExplainedLog) SignedCheckpoint(ctx context.Context) (*receipt.Checkpoint, error) {
	cp, err := l.Log.SignedCheckpoint(ctx)
	return cp, l.explain(ctx, err)
}
