package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/receipt"
)

// logFiles is the log of a server or in a directory.
type logFiles struct {
	*client.Log
	server *remote.Server // nil if it is a directory
}

// openLog opens the log at a URL or in a directory.
func openLog(name, serverUser string) (*logFiles, error) {
	if !strings.Contains(name, "://") {
		return openLogDir(name, fmt.Sprintf("%s is neither a URL nor a directory", name))
	}
	server, err := remote.DialAs(name, serverUser, false)
	if err != nil {
		return nil, err
	}
	return logOf(server), nil
}

func openLogDir(dir, otherwise string) (*logFiles, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.NotFound, otherwise, "the server keeps its log in the folder ledger of its data directory")
	}
	return &logFiles{Log: client.NewLogDir(dir)}, nil
}

func logOf(server *remote.Server) *logFiles {
	return &logFiles{Log: client.NewLog(server.Client), server: server}
}

// failure is [remote.Server.Failure], also for a directory.
func (l *logFiles) failure(ctx context.Context, err error) error {
	if l.server == nil && receipt.VerdictOf(err) == "" && errors.Is(err, client.ErrLog) {
		return fault.New(fault.Unavailable, err.Error(), "the copy of the log is damaged: get it again")
	}
	return l.server.Failure(ctx, err)
}

// toldLog is a log whose failures are in the words of every other command, for a
// report that shows them.
type toldLog struct{ *logFiles }

func (l toldLog) told(ctx context.Context, err error) error {
	if err == nil || errors.As(err, new(*receipt.ShortError)) {
		return err
	}
	return l.failure(ctx, err)
}

// Prefix is that of [client.Log].
func (l toldLog) Prefix(ctx context.Context, from, to uint64) ([][32]byte, error) {
	hashes, err := l.logFiles.Prefix(ctx, from, to)
	return hashes, l.told(ctx, err)
}

// Entry is that of [client.Log].
func (l toldLog) Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error) {
	leaf, path, err = l.logFiles.Entry(ctx, index, size)
	return leaf, path, l.told(ctx, err)
}

// Leaves is that of [client.Log]. What each returns is its caller's own.
func (l toldLog) Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error {
	var own error
	err := l.logFiles.Leaves(ctx, size, func(index uint64, leaf []byte) error {
		own = each(index, leaf)
		return own
	})
	if own != nil {
		return own
	}
	return l.told(ctx, err)
}

// SignedCheckpoint is that of [client.Log].
func (l toldLog) SignedCheckpoint(ctx context.Context) (*receipt.Checkpoint, error) {
	cp, err := l.logFiles.SignedCheckpoint(ctx)
	return cp, l.told(ctx, err)
}
