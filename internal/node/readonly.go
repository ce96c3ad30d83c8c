package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/sandbox"
)

// A read-only server serves a copy of a data directory: the records without their
// writers, and a machine that is not started.

// preflightReader refuses a directory that is none of a server, or of one that runs.
func preflightReader(data string) error {
	if _, err := os.Stat(filepath.Join(data, datadir.JournalFile)); err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the data directory %s has no journal that can be read: %v", data, err), "--data names a copy of the data directory of a server")
	}
	if lock, err := LockOf(data); err == nil && lock.Held {
		return fault.New(fault.Config, fmt.Sprintf("a server runs on the data directory %s (process %d)", data, lock.PID), "copy the directory, and serve the copy")
	}
	return nil
}

// makeData makes the data directory of a server that writes.
func makeData(cfg *config.Config) error {
	if cfg.ReadOnly {
		return nil
	}
	return os.MkdirAll(cfg.Data, 0o700)
}

// confineReader drops what a process that only reads does not need. As root it becomes
// the owner of the data directory.
func (n *node) confineReader(context.Context) error {
	cfg := n.Settings
	uid := 0
	if info, err := os.Stat(cfg.Data); err == nil && os.Geteuid() == 0 {
		uid = max(0, ownerOfInfo(info))
	}
	core := sandbox.CoreConfig{Readable: certificateDirs(cfg), Trees: []string{cfg.Data}, UID: uid, Launcher: true} // it starts no children
	if journal.HasLog(filepath.Join(cfg.Data, datadir.JournalFile)) {
		core.Writable = []string{cfg.Data}
	}
	probes, err := sandbox.EnterCore(core)
	if err != nil {
		return fmt.Errorf("the server cannot give up its privileges, and does not start with them: %w", err)
	}
	sandbox.Posture{Probes: probes}.Log(n.Log, "core")
	if n.cert != nil {
		n.cert.checkAccess()
	}
	n.services.start("telemetry", n.reportEvents)
	n.serveOps()
	return nil
}
