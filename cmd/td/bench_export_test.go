package main

import (
	"context"
	"io"
	"math"

	"github.com/terradourada/td/internal/fault"
)

// Bench measures so little that the figures mean nothing, and prints its report
// as td bench -o json does.
func Bench(ctx context.Context, stdout, stderr io.Writer) error {
	b := &bench{app: &app{stdout: stdout, stderr: stderr}, size: benchSize{
		anchors: turn, sessions: turn, accepts: 2, latency: 2, refusals: 10, proofs: 1, starts: 1, attempts: 1,
	}}
	report, err := b.run(ctx)
	if err != nil {
		return err
	}
	return report.print(stdout, "json")
}

// BenchReport prints a report of two budgets, the first one at most 10 and the
// second one at least 10, and gives the exit code.
func BenchReport(w io.Writer, format string, first, second float64) int {
	r := &benchReport{Machine: benchMachine{OS: "os", Arch: "arch", CPU: "cpu", Processors: 2, Load: 0.5, Go: "go", Version: "v"}}
	r.Budgets = []budget{
		budget{Name: "first", Bound: atMost, Limit: 10, Unit: "ms", How: "by hand", Attempts: 1, Figures: map[string]float64{"b": 2.000049, "a": math.NaN()}}.judge(first),
		budget{Name: "second", Bound: atLeast, Limit: 10, Unit: "x", How: "by hand", Attempts: 2}.judge(second),
	}
	err := r.print(w, format)
	if err == nil {
		return fault.OK
	}
	return asFailure(context.Background(), nil, err).Exit
}

// BenchRepeated measures a budget of at most 10 again and again, up to so many
// times, and gives what counts in the end.
func BenchRepeated(attempts int, measured ...float64) (counts float64, holds bool, tries int) {
	best, err := repeated(context.Background(), attempts, func(context.Context) ([]budget, error) {
		tries++
		return []budget{budget{Name: "one", Bound: atMost, Limit: 10}.judge(measured[tries-1])}, nil
	})
	if err != nil {
		panic(err)
	}
	return best[0].Measured, best[0].Holds, tries
}

// BenchRatio is the ratio of a comparison with these costs.
func BenchRatio(baseline, subject []float64) float64 {
	c := comparison{baseline: baseline, subject: subject}
	return c.ratio()
}

// Median, Quantile and Domain are what figures are made with.
var (
	Median   = median
	Quantile = quantile
	Domain   = domain
)
