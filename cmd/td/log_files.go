package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/receipt"
)

// Full tiles and entry bundles have this many members (C2SP tlog-tiles).
const bundleWidth = 256

// logFiles is the log of a server or in a directory.
type logFiles struct {
	*client.Log
	server *remote // nil if it is a directory
}

// openLog opens the log at a URL or in a directory.
func openLog(name, serverUser string) (*logFiles, error) {
	if !strings.Contains(name, "://") {
		return openLogDir(name, fmt.Sprintf("%s is neither a URL nor a directory", name))
	}
	server, err := dialAs(name, serverUser, false)
	if err != nil {
		return nil, err
	}
	return logOf(server), nil
}

func openLogDir(dir, otherwise string) (*logFiles, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fail(exitNotFound, otherwise, "the server keeps its log in the folder ledger of its data directory")
	}
	return &logFiles{Log: client.NewLogDir(dir)}, nil
}

func logOf(server *remote) *logFiles {
	return &logFiles{Log: client.NewLog(server.Client), server: server}
}

// source is where the log's checkpoints are read.
func (l *logFiles) source() receipt.Source {
	if l.server == nil {
		return receipt.Source{}
	}
	return l.server.Source()
}

// failure is [remote.failure], also for a directory.
func (l *logFiles) failure(ctx context.Context, err error) error {
	switch {
	case l.server != nil:
		return l.server.failure(ctx, err)
	case verdictOf(err) != "":
		return vouchFailure(err)
	case errors.Is(err, client.ErrLog):
		return fail(exitUnreachable, err.Error(), "a copy of the log may not be damaged")
	}
	return err
}
