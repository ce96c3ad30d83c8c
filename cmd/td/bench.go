package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/localserver"
	"github.com/terradourada/td/internal/termui"
)

func benchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a server on this machine against its budgets",
		Long: `Starts real servers on loopback in a temporary directory, puts load on them and
compares what they cost with the budgets of the project. Costs are ratios inside
one run: processor time of the server and all its children against that of the
bare signature or proof verification, measured in turns, so that a slow machine
and a fast one judge alike. A budget that seems not to hold is measured again,
up to three times.

The exit code is 0 if every budget holds and 3 if one does not.`,
		Example: "  td bench\n  td bench --short\n  td bench -o json",
		Args:    noArgs,
	}
	output := outputFlag(cmd)
	short := cmd.Flags().Bool("short", false, "smaller numbers, for a minute or two; memory is measured at a tenth of the sessions")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b := &bench{app: a, size: fullBench()}
		if *short {
			b.size = shortBench()
		}
		report, err := b.run(cmd.Context())
		if err != nil {
			return err
		}
		report.Short = *short
		return report.print(a.stdout, output.value)
	}
	return cmd
}

// benchSize is how much is measured.
type benchSize struct {
	anchors  int // of the signer alone, and as many bare signatures
	sessions int // opened, kept pending for the memory budgets
	accepts  int // and as many bare verifications
	latency  int // answers on schedule
	refusals int // of each kind
	proofs   int // of each claim
	starts   int // of each keyholder
	attempts int // at most, for budgets that seem not to hold
}

func fullBench() benchSize {
	return benchSize{anchors: 20_000, sessions: fullSessions, accepts: 600, latency: 500, refusals: 4000, proofs: 10, starts: 15, attempts: 3}
}

func shortBench() benchSize {
	return benchSize{anchors: 4000, sessions: fullSessions / 10, accepts: 60, latency: 100, refusals: 600, proofs: 2, starts: 7, attempts: 2}
}

const (
	// fullSessions is how many pending sessions the memory budgets are for.
	fullSessions = 100_000
	// inFlight is how many requests are under way at a time where cost is
	// measured: the budgets are for at least 16.
	inFlight = 64
)

// bench is one run.
type bench struct {
	*app
	size   benchSize
	prover *claim.Prover
}

func (b *bench) run(ctx context.Context) (*benchReport, error) {
	report := &benchReport{Machine: thisMachine()}
	var err error
	if b.prover, err = claim.NewProver(); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) ([]budget, error)
	}{
		{"keyholders", b.keyholders},
		{"proving", b.proving},
		{"issue", b.issue},
		{"answers", b.answers},
	} {
		budgets, err := repeated(ctx, b.size.attempts, part.run)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		report.Budgets = append(report.Budgets, budgets...)
	}
	return report, nil
}

// repeated measures until every budget has held once, so many times at most.
func repeated(ctx context.Context, attempts int, measure func(context.Context) ([]budget, error)) ([]budget, error) {
	var best []budget
	for try := range attempts {
		again, err := measure(ctx)
		if err != nil {
			return nil, err
		}
		for i := range again {
			again[i].Attempts = try + 1
			if try > 0 {
				again[i] = better(best[i], again[i])
			}
		}
		best = again
		if !slices.ContainsFunc(best, func(b budget) bool { return !b.Holds }) {
			break
		}
	}
	return best, nil
}

// progress shows how far one step of a run is.
func (b *bench) progress(stage string, total int) *termui.Progress {
	p := termui.NewProgress(b.stderr, "auto", "bench: "+stage, time.Now())
	p.Expect(total)
	return p
}

// load calls f for 0 to n-1, so many at a time, until one fails.
func (b *bench) load(ctx context.Context, p *termui.Progress, n, atOnce int, f func(ctx context.Context, i int) error) error {
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := 0; i < n && working.Err() == nil; i++ {
		g.Go(func() error {
			err := f(working, i)
			p.Step(time.Now())
			return err
		})
	}
	return errors.Join(g.Wait(), ctx.Err())
}

// benchServer is a server under measurement, in a directory of its own.
type benchServer struct {
	*localserver.Server
	dir    string
	client *client.Client
	tree   processes     // core, signer, tagger and prover
	took   time.Duration // from the start to its ready line
}

func (b *bench) serve(ctx context.Context) (*benchServer, error) {
	dir, err := os.MkdirTemp("", "td-bench-")
	if err != nil {
		return nil, err
	}
	s := &benchServer{dir: dir}
	began := time.Now()
	s.Server, err = localserver.Start(ctx, "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"))
	s.took = time.Since(began)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * inFlight}
	if s.client, err = client.New(s.URL(), client.Config{Retries: -1, Transport: transport}); err != nil {
		s.close()
		return nil, err
	}
	if s.tree, err = processesOf(s.PID()); err == nil {
		err = s.settle(ctx)
	}
	if err != nil {
		s.close()
	}
	return s, err
}

// address is where the server listens.
func (s *benchServer) address() string { return strings.TrimPrefix(s.URL(), "http://") }

func (s *benchServer) close() {
	s.Kill()
	_ = os.RemoveAll(s.dir)
}

// settle waits until the server has nothing to do: its prover compiles
// circuits for a while after the start.
func (s *benchServer) settle(ctx context.Context) error {
	const look, quiet = 250 * time.Millisecond, 10 * time.Millisecond
	before := -time.Hour
	for range 120 {
		used, err := s.tree.cpu()
		if err != nil {
			return err
		}
		if used-before < quiet {
			return nil
		}
		before = used
		if err := pause(ctx, look); err != nil {
			return err
		}
	}
	return errors.New("the server does not come to rest")
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
