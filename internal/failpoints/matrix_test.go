package failpoints_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The gate tries every eighth cell, others in each run; make matrix tries them all.
var (
	whole = os.Getenv("TD_MATRIX") != ""
	turn  = rand.IntN(8)
)

// flow is one flow of the specification.
type flow struct {
	prepare func(w *world)                      // before it, without faults; nil for nothing
	run     func(ctx context.Context, w *world) // the flow, with all that runs beside it

	// steps are the calls of the flow, each with the numbers of the steps in this section
	// of the specification that it belongs to. A call of [elsewhere] gets its faults in
	// another flow.
	steps   map[string]string
	section string
	// without are faults that the flow cannot have: no caller waits for it, or it is the
	// stop itself.
	without []fault
	// silent are the numbers of steps that make no call, and why.
	silent map[string]string
}

// elsewhere are the steps of calls that another flow tests.
const elsewhere = "-"

// matrix plants every fault in every call of a flow.
func matrix(t *testing.T, f flow) {
	t.Helper()
	if _, err := theProver(); err != nil { // what it starts belongs to no bubble
		t.Fatal(err)
	}
	emptyJournal()
	var steps []step
	cell(t, f, step{}, "", func(w *world) { steps = slices.Clone(w.faulty.p.steps) })
	checkSteps(t, &f, steps)
	cells := 0
	for _, at := range steps {
		c := calls[at.call]
		for _, what := range allFaults {
			if !c.can(what) || f.steps[at.call] == elsewhere || slices.Contains(f.without, what) {
				continue
			}
			cells++
			if !whole && cells%8 != turn {
				continue
			}
			t.Run(fmt.Sprintf("%v/%v", at, what), func(t *testing.T) {
				// The order of what runs side by side differs between runs.
				for try, met := 0, false; !met; try++ {
					cell(t, f, at, what, func(w *world) { met = w.faulty.p.struck })
					if try == 2 && !met && at.n == 1 {
						t.Error("the fault was not met")
					}
					met = met || try == 2
				}
			})
		}
	}
	t.Logf("%d cells over %d calls; %d proofs made so far", cells, len(steps), proofs.made)
}

// cell runs a flow with one fault and checks everything afterwards.
func cell(t *testing.T, f flow, at step, what fault, look func(*world)) {
	t.Helper()
	base, err := os.MkdirTemp(memory(), "td-failpoints-") //nolint:usetesting // the directory of a test is on a disk
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(base) }()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, base)
		w.at, w.what = at, what
		if f.prepare != nil {
			f.prepare(w)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.abort = cancel
		w.faulty = w.core
		w.core.p.arm(at, what)
		done := make(chan struct{})
		go func() { defer close(done); f.run(ctx, w) }()
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			w.Error("the flow hangs")
		}
		w.settle()
		look(w)
		w.recover()
		w.finish()
	})
}

// memory returns a directory in memory if there is one, else "".
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// checkSteps compares the calls of a flow with the table that names them, and the steps
// that the table names with those of the specification.
func checkSteps(t *testing.T, f *flow, steps []step) {
	t.Helper()
	met := map[string]bool{}
	for _, s := range steps {
		met[s.call] = true
	}
	if got, want := slices.Sorted(maps.Keys(met)), slices.Sorted(maps.Keys(f.steps)); !slices.Equal(got, want) {
		t.Errorf("the flow makes the calls\n\t%s\nand its table names\n\t%s", strings.Join(got, ", "), strings.Join(want, ", "))
	}
	if f.section == "" {
		return
	}
	named := map[string]bool{}
	for _, numbers := range f.steps {
		for n := range strings.FieldsSeq(numbers) {
			named[n] = n != elsewhere
		}
	}
	for n := range f.silent {
		named[n] = true
	}
	delete(named, elsewhere)
	if got, want := slices.Sorted(maps.Keys(named)), numbersOf(t, f.section); !slices.Equal(got, want) {
		t.Errorf("the table names the steps %v, the specification has %v", got, want)
	}
}

// numbersOf returns the numbers of the steps between a heading of the specification, or
// the begin of a paragraph, and the next one.
func numbersOf(t *testing.T, begin string) []string {
	t.Helper()
	spec, err := os.ReadFile("../../docs/spec/td-1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(spec), "\n"+begin)
	if !found {
		t.Fatalf("the specification has no %q", begin)
	}
	text, _, _ = strings.Cut(text, "\n\n")
	var numbers []string
	for _, match := range regexp.MustCompile(`(?:^|[\n.;*] )?\b([0-9]+)\. \*{0,2}[A-Z]`).FindAllStringSubmatch(text, -1) {
		numbers = append(numbers, match[1])
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}
