package main

import (
	"context"
	"errors"
	"maps"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/launcher"
	"github.com/terradourada/td/internal/prover"
)

// startLauncher starts the process that starts signers, taggers and provers. It
// returns nil in a build that cannot have one: the core then starts its children
// by itself, and their grade says so.
func startLauncher(ctx context.Context, cfg *config.Config) (*launcher.Launcher, error) {
	programs := keyholder.Programs()
	maps.Copy(programs, prover.Programs(cfg.ProverWorkers, proverUID(cfg)))
	l, err := launcher.Launch(ctx, programs)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil //nolint:nilnil // there is none, and that is no fault
	}
	return l, err
}

// proverUID is the third of the user ids of the children, 0 if they have none.
func proverUID(cfg *config.Config) int {
	if cfg.ChildUID == 0 {
		return 0
	}
	return cfg.ChildUID + 2
}
