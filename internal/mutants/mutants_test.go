package mutants_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// switches is the file that is added to a package. mutantOn and mutantError are called
// when a guard is about to stop something. They record it, and report whether it may.
const switches = `package %s

import (
	"os"
	"strconv"
	"sync"
)

var (
	mutantOff  = os.Getenv("TD_MUTANT_OFF")
	mutantLog  = os.Getenv("TD_MUTANT_LOG")
	mutantSeen sync.Map
)

func mutantOn(guard int) bool {
	number := strconv.Itoa(guard)
	if _, seen := mutantSeen.LoadOrStore(guard, true); !seen && mutantLog != "" {
		f, err := os.OpenFile(mutantLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		defer func() { _ = f.Close() }()
		if _, err := f.WriteString(number + "\n"); err != nil {
			panic(err)
		}
	}
	return mutantOff != number
}

func mutantError(guard int, err error) error {
	if mutantOn(guard) {
		return err
	}
	return nil
}
`

// killed is a guard with the test that fails without it.
type killed struct {
	Guard    string `json:"guard"`
	KilledBy string `json:"killed_by"`
}

// TestMutants removes each guard of the parts that TD_MUTANTS names, with commas between,
// or of all, and writes the result to the file TD_MUTANTS_OUT.
func TestMutants(t *testing.T) {
	only := os.Getenv("TD_MUTANTS")
	if only == "" {
		t.Skip("takes many minutes: make mutants")
	}
	result := struct {
		Mutants   []killed `json:"mutants"`
		Survivors []string `json:"survivors,omitempty"`
		OK        bool     `json:"ok"`
	}{Mutants: []killed{}}
	for _, p := range named(t, only) {
		died, survived := p.run(t)
		result.Mutants, result.Survivors = append(result.Mutants, died...), append(result.Survivors, survived...)
	}
	result.OK = !t.Failed()
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("TD_MUTANTS_OUT"), append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// named returns the parts of a list of names.
func named(t *testing.T, list string) (some []part) {
	t.Helper()
	if list == "all" {
		return parts
	}
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.dir == name })
		switch {
		case i >= 0:
			some = append(some, parts[i])
		case name != "proof": // which has mutants of its own
			t.Fatalf("%s is no part", name)
		}
	}
	return some
}

// run removes each guard of a part.
func (p part) run(t *testing.T) (died []killed, survived []string) {
	t.Helper()
	guards, changed := guardsOf(t, p)
	overlay := p.overlay(t, changed)
	suites := []*suite{newSuite(t, p.dir, overlay, len(guards), p.long)}
	for n, g := range guards {
		reason := reasonOf(g)
		by := suites[0].kill(t, n)
		for _, user := range p.users {
			if by != "" || reason != "" {
				break
			}
			i := slices.IndexFunc(suites, func(s *suite) bool { return s.dir == user })
			if i < 0 {
				i = len(suites)
				suites = append(suites, newSuite(t, user, overlay, len(guards), false))
			}
			if by = suites[i].kill(t, n); by != "" {
				by = user + "." + by
			}
		}
		switch {
		case by != "" && reason != "":
			t.Errorf("%s is no equivalent mutant: %s fails", g, by)
		case by != "":
			died = append(died, killed{g.String(), by})
			t.Logf("%s: %s", g, by)
		case reason == "":
			survived = append(survived, g.String())
			t.Errorf("%s survives; tests in which it stops something: %d", g, len(suites[0].stopped[n]))
		}
	}
	return died, survived
}

// reasonOf returns why no test can notice that a guard is gone, "" if one can.
func reasonOf(g guard) string {
	for _, e := range equivalents {
		if e.is(g) {
			return e.reason
		}
	}
	return ""
}

// overlay writes the changed files of a part and returns the path of the overlay.
func (p part) overlay(t *testing.T, changed map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	changed[path.Join(p.dir, "mutant_switches.go")] = fmt.Sprintf(switches, path.Base(p.dir))
	replace := make(map[string]string)
	for file, text := range changed {
		from, err := filepath.Abs(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		replace[from] = filepath.Join(dir, path.Base(file))
		if err := os.WriteFile(replace[from], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// suite is the built tests of a package.
type suite struct {
	dir, binary string
	short       bool
	took        map[string]time.Duration // of each test without a mutant
	stopped     [][]string               // by guard, the tests in which it stopped something, the fastest first
}

// testNames matches what is run of the list of a test binary.
var testNames = regexp.MustCompile("^(Test|Example|Fuzz)")

// newSuite builds the tests of a package and runs each of them without a mutant.
func newSuite(t *testing.T, dir, overlay string, guards int, long bool) *suite {
	t.Helper()
	s := &suite{
		dir: dir, binary: filepath.Join(t.TempDir(), "tests"), short: !long,
		took: make(map[string]time.Duration), stopped: make([][]string, guards),
	}
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", s.binary, "./"+dir)
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s with switches does not compile: %v\n%s", dir, err, out)
	}
	out, err := s.command(t, "-test.list", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		if name = strings.TrimSpace(name); testNames.MatchString(name) {
			s.record(t, name)
		}
	}
	for _, tests := range s.stopped {
		slices.SortStableFunc(tests, func(a, b string) int { return cmp.Compare(s.took[a], s.took[b]) })
	}
	return s
}

// record runs a test without a mutant, which must pass, and notes which guards stopped
// something.
func (s *suite) record(t *testing.T, name string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	run := s.test(t, name, 2*time.Minute, "TD_MUTANT_LOG="+log)
	began := time.Now()
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%s of %s fails without a mutant: %v\n%s", name, s.dir, err, out)
	}
	s.took[name] = time.Since(began)
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for number := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(s.stopped[n], name) { // a child process notes it again
			s.stopped[n] = append(s.stopped[n], name)
		}
	}
}

// failed matches the name of a test of the package that failed, and running that of one
// that began.
var (
	failed  = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	running = regexp.MustCompile(`(?m)^=== RUN +(\w+)`)
)

// kill returns the first test that fails without a guard, "" if none does. It runs the
// fastest one, and the others together.
func (s *suite) kill(t *testing.T, guard int) string {
	t.Helper()
	tests := s.stopped[guard]
	for _, some := range [][]string{tests[:min(1, len(tests))], tests[min(1, len(tests)):]} {
		if len(some) == 0 {
			continue
		}
		most := 10 * time.Second
		for _, name := range some {
			most += 5 * s.took[name]
		}
		out, err := s.test(t, strings.Join(some, "|"), most, fmt.Sprintf("TD_MUTANT_OFF=%d", guard)).CombinedOutput()
		if err == nil {
			continue
		}
		name := failed.FindSubmatch(out)
		if all := running.FindAllSubmatch(out, -1); name == nil && len(all) > 0 { // a panic, or no time was left
			name = all[len(all)-1]
		}
		if name == nil {
			t.Fatalf("%v: %v\n%s", some, err, out)
		}
		return string(name[1])
	}
	return ""
}

// test returns the command that runs the tests of a name, or of some with | between.
func (s *suite) test(t *testing.T, name string, most time.Duration, env string) *exec.Cmd {
	t.Helper()
	run := s.command(t, "-test.v", "-test.run", "^("+name+")$", "-test.short="+strconv.FormatBool(s.short), "-test.failfast", "-test.timeout", most.String())
	run.Env = append(os.Environ(), env)
	return run
}

// command returns a command of the test binary, in the directory of its package.
func (s *suite) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	run := exec.CommandContext(t.Context(), s.binary, args...)
	run.Dir = filepath.Join("../..", s.dir)
	return run
}
