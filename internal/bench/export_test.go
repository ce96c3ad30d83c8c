package bench

import (
	"context"
	"io"
)

// Figures of a report.
var (
	Median   = median
	Quantile = quantile
	Domain   = domain
)

// Judged returns a report of two budgets, the first one at most 10 and the second
// one at least 10.
func Judged(first, second float64, figures map[string]float64) *Report {
	r := &Report{Machine: Machine{OS: "os", Arch: "arch", CPU: "cpu", Processors: 2, Load: 0.5, Go: "go", Version: "v"}}
	r.Budgets = []Budget{
		Budget{Name: "first", Bound: atMost, Limit: 10, Unit: "ms", How: "by hand", Attempts: 1, Figures: figures}.judge(first),
		Budget{Name: "second", Bound: atLeast, Limit: 10, Unit: "x", How: "by hand", Attempts: 2}.judge(second),
	}
	return r
}

// Repeated measures a budget of at most 10 up to the given number of times and
// returns the measurement that counts.
func Repeated(attempts int, measured ...float64) (counts float64, holds bool, tries int) {
	best, err := repeated(context.Background(), attempts, func(context.Context) ([]Budget, error) {
		tries++
		return []Budget{Budget{Name: "one", Bound: atMost, Limit: 10}.judge(measured[tries-1])}, nil
	})
	if err != nil {
		panic(err)
	}
	return best[0].Measured, best[0].Holds, tries
}

// Ratio returns the ratio of a comparison with these costs.
func Ratio(baseline, subject []float64) float64 {
	c := comparison{baseline: baseline, subject: subject}
	return c.ratio()
}

// Anomalies measures the detectors of anomalies.
func Anomalies(ctx context.Context) ([]Budget, error) {
	b := run{Options: Options{Progress: io.Discard}}
	return b.anomalies(ctx)
}
