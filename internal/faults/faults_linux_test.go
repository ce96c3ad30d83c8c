package faults_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/testdata/proctest"
)

// Environment variables.
const (
	envFaults = "TD_FAULTS"      // one of plans; without it nothing is injected
	envSeed   = "TD_FAULTS_SEED" // of a run to repeat
	envOnly   = "TD_FAULTS_ONLY" // the series to run, with commas between; all of them without it
	envOut    = "TD_FAULTS_OUT"  // file for the result in JSON
	envBinary = "TD_BIN"         // the td to run, built if it is not given
)

// plan is how often each fault is injected.
type plan struct {
	coreKills, childKills, launcherKills, anyKills, powerCuts, deviceErrors int
	fileFaults                                                              []fileFault
}

// plans are by TD_FAULTS. Those of make gamedays have the faults that a game day
// rehearses; its series are named in scripts/gamedays.sh.
var plans = map[string]plan{
	"full":    {coreKills: 100, childKills: 20, launcherKills: 5, powerCuts: 100, deviceErrors: 20, fileFaults: fileFaults},
	"short":   {coreKills: 5, childKills: 1, launcherKills: 1, powerCuts: 4, deviceErrors: 1, fileFaults: slices.Concat(filled[:1], fileFaults[:4])},
	"gameday": {anyKills: 40, fileFaults: filled},
}

// result is what a run prints as JSON.
type result struct {
	Seed         uint64            `json:"seed"`
	Faults       map[string]int    `json:"faults"` // injected, by kind
	Acknowledged int               `json:"acknowledged"`
	Lost         int               `json:"lost"`
	Doubled      int               `json:"doubled"`
	Receipts     int               `json:"receipts"`          // that td verify verified at the end of a log
	Refused      int               `json:"refused"`           // starts that failed although nothing prevented them
	Control      map[string]int    `json:"control"`           // what each control lost and the harness detected
	Skipped      map[string]string `json:"skipped,omitempty"` // what was not run, and why
	Seconds      int               `json:"seconds"`
	OK           bool              `json:"ok"`
}

// run holds what all series of faults share.
type run struct {
	plan    plan
	seed    uint64
	work    string // directory, removed at the end
	binary  string
	content []byte // of a new disk; nil if none can be mounted
	prover  *claim.Prover
	proving chan struct{} // one for each proof that is being made
	worlds  atomic.Int64  // made so far

	mu     sync.Mutex
	result result
}

func (r *run) add(change func(*result)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.result)
}

// injected counts a fault.
func (r *run) injected(kind string) { r.add(func(s *result) { s.Faults[kind]++ }) }

// skip records that something is not run.
func (r *run) skip(what, why string) { r.add(func(s *result) { s.Skipped[what] = why }) }

// random returns the choices of one series.
func (r *run) random(series uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, series)) }

// TestFaults injects all faults. See the comment of the package.
func TestFaults(t *testing.T) {
	p, ok := plans[os.Getenv(envFaults)]
	if !ok || testing.Short() {
		t.Skip(envFaults + " is not set: no faults are injected")
	}
	r, began := newRun(t, p), time.Now()
	t.Logf("seed %d", r.seed)
	t.Cleanup(func() { r.report(t, time.Since(began)) })
	for i, series := range []struct {
		name string
		disk bool // runs on disks only
		run  func(*testing.T, *rand.Rand)
	}{
		{"device errors", true, r.failDevices},
		{"power cuts", true, r.cutPower},
		{"core kills", false, r.killCores},
		{"child kills", false, r.killChildren},
		{"file faults", false, r.faultFiles},
		{"control: older copy", false, r.controlOlderCopy},
		{"control: flushed writes dropped", true, r.controlDropped},
		{"kills of any process", false, r.killAny},
	} {
		if only := os.Getenv(envOnly); only != "" && !slices.Contains(strings.Split(only, ","), series.name) {
			r.skip(series.name, "not asked for")
			continue
		}
		if series.disk && r.content == nil {
			r.skip(series.name, r.result.Skipped["disks"])
			continue
		}
		t.Run(series.name, func(t *testing.T) {
			t.Parallel()
			series.run(t, r.random(uint64(i)))
		})
	}
}

// inject injects n faults into one log. A log that has lost something is not
// used again; the next fault hits a new one.
func (r *run) inject(t *testing.T, n int, what string, newWorld func() *world, fault func(w *world, i int)) {
	t.Helper()
	var w *world
	for i := range n {
		if w == nil {
			w = newWorld()
		}
		fault(w, i)
		if i == n-1 && w.sound() && (w.srv != nil || w.begin()) {
			w.finish()
		}
		if i == n-1 || !w.sound() {
			w.report(what)
			w.close()
			w = nil
		}
	}
}

func newRun(t *testing.T, p plan) *run {
	t.Helper()
	r := &run{plan: p, proving: make(chan struct{}, 2)}
	r.result = result{Faults: map[string]int{}, Control: map[string]int{}, Skipped: map[string]string{}}
	var err error
	if r.work, err = proctest.NewWork("td-faults-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proctest.Sweep(r.work); err != nil {
			t.Error(err)
		}
	})
	r.seed = rand.Uint64() >> 11 // exact as a number of JSON
	if given := os.Getenv(envSeed); given != "" {
		if r.seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	r.binary = cmp.Or(os.Getenv(envBinary), filepath.Join(r.work, "td"))
	if os.Getenv(envBinary) == "" {
		build := exec.Command("go", "build", "-trimpath", "-o", r.binary, "../../cmd/td")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if r.prover, err = claim.NewProver(claim.Open); err != nil {
		t.Fatal(err)
	}
	if why := r.tryDisk(); why != "" {
		r.skip("disks", why)
	}
	return r
}

// tryDisk mounts a disk once. It returns why no disk can be used here.
func (r *run) tryDisk() (why string) {
	if os.Geteuid() != 0 {
		return "mounting needs root"
	}
	content, err := newContent(r.work)
	if err != nil {
		return err.Error()
	}
	d, err := newDisk(filepath.Join(r.work, "try"), content)
	if err != nil {
		return err.Error()
	}
	if err := d.close(); err != nil {
		return err.Error()
	}
	r.content = content
	return ""
}

// report writes the result. If a control lost nothing, the harness does not
// detect losses.
func (r *run) report(t *testing.T, took time.Duration) {
	t.Helper()
	s := &r.result
	for name, lost := range s.Control {
		if lost == 0 {
			t.Errorf("control %q: no loss was found", name)
		}
	}
	s.Seed, s.Seconds, s.OK = r.seed, int(took.Seconds()), !t.Failed()
	for what, why := range maps.All(s.Skipped) {
		t.Logf("NOT RUN: %s: %s", what, why)
	}
	line, err := json.Marshal(s)
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
