package attack_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/testdata/proctest"
)

// Environment variables.
const (
	envAttack       = "TD_ATTACK"       // one of plans; without it nothing is attacked
	envOnly         = "TD_ATTACK_ONLY"  // the parts to run, with commas between; all of them without it
	envOut          = "TD_ATTACK_OUT"   // file for the result in JSON
	envBinary       = "TD_BIN"          // the td to run
	envLimit        = "TD_LIMIT_TEST"   // the test binary of internal/limit
	envAlertmanager = "TD_ALERTMANAGER" // the program of that name
	envNamespace    = "TD_ATTACK_NETNS" // set in a network namespace of the run's own
)

// plan says how long each part runs.
type plan struct {
	proofs    int           // made beforehand for the overload
	capacity  time.Duration // in which the capacity is measured
	overload  time.Duration // for each kind of think time
	samples   int           // for two kinds of answers that are compared
	flood     time.Duration // each
	slow      int           // slow bodies for each operation
	addresses int           // sources of a flood from many addresses
	completed float64       // of the capacity, at least
	slower    float64       // most of the 99th percentile of the quiet client, of the one without load; 0 means any
	short     bool
}

// plans are by TD_ATTACK.
var plans = map[string]plan{
	"full":  {proofs: 1400, capacity: 4 * time.Second, overload: 20 * time.Second, samples: 20_000, flood: 5 * time.Second, slow: 3000, addresses: 10_000, completed: 0.9, slower: 3},
	"short": {proofs: 60, capacity: 500 * time.Millisecond, overload: 1300 * time.Millisecond, samples: 3000, flood: 3 * time.Second, slow: 500, addresses: 10_000, completed: 0.5, short: true},
}

// result is what a run prints as JSON.
type result struct {
	Parts   []partResult      `json:"parts"`
	Skipped map[string]string `json:"skipped,omitempty"` // what was not run, and why
	Seconds int               `json:"seconds"`
	OK      bool              `json:"ok"`
}

// partResult is what one part reports.
type partResult struct {
	Name    string         `json:"name"`
	OK      bool           `json:"ok"`
	Failed  []string       `json:"failed,omitempty"` // the checks that failed, with their values
	Seconds float64        `json:"seconds"`
	Figures map[string]any `json:"figures"`
}

// run holds what the parts share.
type run struct {
	plan
	work   string // directory, removed at the end
	binary string
	result result
}

// part is one part in progress.
type part struct {
	*testing.T
	*run
	figures map[string]any
	failed  []string
}

// TestAttack runs all parts, one after the other. See the comment of the package.
func TestAttack(t *testing.T) {
	p, ok := plans[os.Getenv(envAttack)]
	if !ok || testing.Short() {
		t.Skip(envAttack + " is not set: nothing is attacked")
	}
	r, began := &run{plan: p, binary: os.Getenv(envBinary)}, time.Now()
	r.result.Skipped = map[string]string{}
	var err error
	if r.work, err = proctest.NewWork("td-attack-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proctest.Sweep(r.work); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(favourSession(favoured))
	t.Cleanup(func() { r.report(t, time.Since(began)) })
	for _, part := range []struct {
		name string
		run  func(*part)
	}{
		{"limiter", (*part).limiter},
		{"uniformity", (*part).uniformity},
		{"overload", (*part).overload},
		{"floods", (*part).floods},
	} {
		if only := os.Getenv(envOnly); only != "" && !slices.Contains(strings.Split(only, ","), part.name) {
			r.skip(part.name, "not asked for")
			continue
		}
		t.Run(part.name, func(t *testing.T) { r.attack(t, part.name, part.run) })
	}
}

// attack runs one part and adds its result.
func (r *run) attack(t *testing.T, name string, f func(*part)) {
	t.Helper()
	p, began := &part{T: t, run: r, figures: map[string]any{}}, time.Now()
	defer func() {
		for _, failed := range p.failed {
			t.Error(failed)
		}
		r.result.Parts = append(r.result.Parts, partResult{
			Name: name, OK: !t.Failed(), Failed: p.failed, Seconds: round(time.Since(began).Seconds()), Figures: p.figures,
		})
	}()
	f(p)
}

// skip records that something is not run.
func (r *run) skip(what, why string) { r.result.Skipped[what] = why }

// report writes the result.
func (r *run) report(t *testing.T, took time.Duration) {
	t.Helper()
	r.result.Seconds, r.result.OK = int(took.Seconds()), !t.Failed()
	for what, why := range r.result.Skipped {
		t.Logf("NOT RUN: %s: %s", what, why)
	}
	line, err := json.Marshal(&r.result)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", line)
	if out := os.Getenv(envOut); out != "" {
		if err := os.WriteFile(out, append(line, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// atMost records a figure, which must not exceed a bound.
func (p *part) atMost(name string, value, bound float64) {
	p.Helper()
	p.figures[name] = round(value)
	if !(value <= bound) {
		p.fail("%s is %.4g, more than %.4g", name, value, bound)
	}
}

// atLeast records a figure, which must not be below a bound.
func (p *part) atLeast(name string, value, bound float64) {
	p.Helper()
	p.figures[name] = round(value)
	if !(value >= bound) {
		p.fail("%s is %.4g, less than %.4g", name, value, bound)
	}
}

func (p *part) fail(format string, args ...any) {
	p.Helper()
	p.failed = append(p.failed, fmt.Sprintf(format, args...))
}

// repeats is how often a short run repeats a comparison of times that failed, because other work of
// the machine may have disturbed it.
const repeats = 2

// measure calls f, which measures and checks, and in a short run again if a check failed.
func (p *part) measure(f func()) {
	p.Helper()
	before := len(p.failed)
	for i := 0; ; i++ {
		f()
		if len(p.failed) == before || !p.short || i == repeats {
			return
		}
		p.Logf("repeated: %v", p.failed[before:])
		p.failed = p.failed[:before]
		p.figures["repeated"] = i + 1
	}
}

// must fails the part if the harness itself cannot work.
func (p *part) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("the harness: %v", err)
	}
}

// round leaves four decimals, for JSON.
func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// quantile returns the q-quantile of all, which it sorts; 0 if there are none.
func quantile(all []float64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(q*float64(len(all))))]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
