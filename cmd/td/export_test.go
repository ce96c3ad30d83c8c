package main

import (
	"context"

	"github.com/terradourada/td/internal/sandbox"
)

// Run is the whole program, for tests that are another process.
var Run = run

// Surroundings are the probes of td doctor that look at what a server would
// find when it starts.
func Surroundings(ctx context.Context, flags map[string]string) (map[string]sandbox.Probe, error) {
	cfg, err := settings(flags)
	if err != nil {
		return nil, err
	}
	d := &doctor{cfg: cfg}
	d.surroundings(ctx)
	probes := map[string]sandbox.Probe{}
	for _, f := range d.findings {
		probes[f.ID] = f.Probe
	}
	return probes, nil
}
