package node

import (
	"context"
	"errors"
	"maps"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/launcher"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
)

// StartLauncher starts the process that starts signers, taggers and provers. It
// returns nil in a build that cannot have one: the core then starts its children
// by itself, and their grade says so.
func StartLauncher(ctx context.Context, cfg *config.Config) (*launcher.Launcher, error) {
	if cfg.ChildUID != 0 && sandbox.MayNotEnd() {
		return nil, fault.New(fault.Config, "children would become users of their own, and this process may not end those: it lacks CAP_KILL",
			"give it CAP_KILL (of setuid, setgid, kill and ipc_lock none may be missing), or set child_uid to 0")
	}
	l, err := launcher.Launch(ctx, programs(cfg))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil //nolint:nilnil // there is none, and that is no fault
	}
	return l, err
}

// Starter returns what starts the children: the launcher, or this process if
// there is none.
func Starter(children *launcher.Launcher, cfg *config.Config) keyholder.Starter {
	if children == nil {
		return launcher.Direct{Programs: programs(cfg)}
	}
	return children
}

// programs returns the children of a configuration, with users of their own if they
// start as root.
func programs(cfg *config.Config) map[string][]string {
	all, uid := keyholder.Programs(cfg.ChildUID), cfg.ChildUID
	if uid != 0 {
		uid += 2 // the two before it are the keyholders'
	}
	maps.Copy(all, prover.Programs(cfg.ProverWorkers, uid))
	return all
}
