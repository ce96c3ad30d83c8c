package node

import (
	"context"
	"errors"
	"maps"
	"os"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/sandbox"
)

// RunChild runs a child of a server, or the trial of [TryCore], if the arguments of a
// process ask for it, and returns its exit status. Call it before everything else, so
// that nothing of the command line is near a key.
func RunChild(args []string) (status int, ok bool) {
	for _, run := range []func([]string) (int, bool){process.RunLauncher, keyholder.RunChild, prover.RunChild, notify.RunChild, runCoreTrial} {
		if status, ok := run(args); ok {
			return status, true
		}
	}
	return 0, false
}

// StartLauncher starts the process that starts signers, taggers and provers, and the
// notifier if there are files for it. It returns nil in a build that cannot have one: the core then starts its children
// by itself, and their grade says so.
func StartLauncher(ctx context.Context, cfg *config.Config, files *NotifierFiles) (*process.Launcher, error) {
	if cfg.ChildUID != 0 && sandbox.MayNotEnd() {
		return nil, fault.New(fault.Config, "the children become users of their own, and this process may not end them: it lacks CAP_KILL",
			"give it the capabilities setuid, setgid, kill and ipc_lock, or set child_uid to 0")
	}
	l, err := process.Launch(ctx, programs(cfg, files), filesOf(files))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil //nolint:nilnil // this build has none
	}
	return l, err
}

// Starter returns the launcher or, without one, a starter in this process.
func Starter(children *process.Launcher, cfg *config.Config, files *NotifierFiles) keyholder.Starter {
	if children == nil {
		return process.Direct{Programs: programs(cfg, files), Files: filesOf(files)}
	}
	return children
}

// filesOf returns the open file of each kind of child that has one.
func filesOf(files *NotifierFiles) map[string]*os.File {
	if files == nil {
		return nil
	}
	return map[string]*os.File{notify.Kind: files.File}
}

// programs returns the arguments of each kind of child, with users of their own if
// they start as root.
func programs(cfg *config.Config, files *NotifierFiles) map[string][]string {
	all, first := keyholder.Programs(cfg.ChildUID), cfg.ChildUID // the first two are the keyholders'
	of := func(n int) int {
		if first == 0 {
			return 0
		}
		return first + n
	}
	maps.Copy(all, prover.Programs(cfg.ProverWorkers, of(2)))
	if files != nil {
		program := notify.Program{UID: of(4), Allowed: cfg.NotifyAllow, Authorities: files.authorities}
		maps.Copy(all, program.Arguments())
	}
	return all
}
