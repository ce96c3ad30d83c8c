package model_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envModel names the set to run: short, small (with short) or full (all).
const envModel = "TD_MODEL"

var sets = map[string][]string{
	"short": {"short"},
	"small": {"short", "small"},
	"full":  {"short", "small", "full"},
}

// Bounds of one run; beyond them a search is not exhaustive and fails.
const (
	depth  = "-m1000000"
	memory = "-DMEMLIM=6000"
	perRun = 15 * time.Minute
)

type outcome struct {
	Model    string   `json:"model"`
	Holds    []string `json:"attacker_holds"`
	Without  []string `json:"without"`
	Property []string `json:"properties"`
	Result   string   `json:"result"`
	States   int      `json:"states"`
	Seconds  float64  `json:"seconds"`
}

// TestModel runs the expectations with Spin. make model prints its result.
func TestModel(t *testing.T) {
	wanted := sets[os.Getenv(envModel)]
	if wanted == nil {
		t.Skip(envModel + " is not set: the model is not checked")
	}
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT CHECKED: %s is missing", tool)
		}
	}
	c := checker{t: t, dir: t.TempDir(), built: map[string]string{}}
	result := struct {
		Set     string    `json:"set"`
		Runs    []outcome `json:"runs"`
		States  int       `json:"states"`
		Seconds float64   `json:"seconds"`
		OK      bool      `json:"ok"`
	}{Set: os.Getenv(envModel), OK: true}
	began := time.Now()
	for _, r := range expectations(t) {
		if !slices.Contains(wanted, r.set) {
			continue
		}
		o := c.check(r)
		if o.Result != r.result {
			result.OK = false
			t.Errorf("%v: got %s, want %s", r, o.Result, r.result)
		}
		result.States += o.States
		result.Runs = append(result.Runs, o)
	}
	result.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	line, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", line)
}

type checker struct {
	t     *testing.T
	dir   string
	built map[string]string // the checker of a model, by its name and kind
}

// build compiles a model once for safety and once for liveness.
func (c *checker) build(model string, live bool) string {
	name := fmt.Sprintf("%s-%v", model, live)
	if c.built[name] != "" {
		return c.built[name]
	}
	dir := filepath.Join(c.dir, name)
	for file, text := range map[string]string{"model.pml": mutated(c.t, model, source(c.t, model)), "step.pml": source(c.t, "step")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	spin, gcc := []string{"-a", "model.pml"}, []string{"-DSAFETY"}
	if live {
		spin, gcc = []string{"-DLIVENESS", "-a", "model.pml"}, []string{"-DNFAIR=3"}
	}
	c.command(dir, "spin", spin...)
	c.command(dir, "gcc", append(gcc, "-O1", "-w", memory, "-o", "pan", "pan.c")...)
	c.built[name] = dir
	return dir
}

func (c *checker) command(dir, name string, args ...string) {
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Error:") {
		c.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

var (
	errorsFound = regexp.MustCompile(`errors: (\d+)`)
	statesFound = regexp.MustCompile(`(\d+) states, stored`)
)

// check runs one line of the expectations.
func (c *checker) check(r run) outcome {
	dir := c.build(r.model, r.live())
	args := []string{depth, "-w22", "-E"}
	if r.live() {
		args = []string{depth, "-w20", "-a", "-f", "-N", r.properties[0]}
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), perRun)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "pan"), args...)
	cmd.Dir, cmd.Env = dir, c.environment(r)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	text := string(out)
	found := errorsFound.FindStringSubmatch(text)
	if err != nil || found == nil || strings.Contains(text, "max search depth too small") || strings.Contains(text, "Search not completed") && found[1] == "0" {
		c.t.Fatalf("%v: the search did not end: %v\n%s", r, err, text)
	}
	o := outcome{Model: r.model, Holds: r.holds, Without: r.without, Property: r.properties, Result: "attack", Seconds: took.Round(time.Millisecond).Seconds()}
	switch {
	case found[1] == "0":
		o.Result = "holds"
	case strings.Contains(text, "assertion violated 0") || strings.Contains(text, "violated  (removed!=0)") || strings.Contains(text, "violated (removed!=0)"):
		o.Result = "misuse of a state machine"
	}
	if m := statesFound.FindStringSubmatch(text); m != nil {
		o.States, _ = strconv.Atoi(m[1])
	}
	c.t.Logf("%-6s %9d states %6.2f s: %v", o.Result, o.States, o.Seconds, r)
	return o
}

func (c *checker) environment(r run) []string {
	caps, removed, watch := 0, 0, 0
	for _, h := range r.holds {
		caps |= attackerHas[h] | attackerAlso[r.model][h]
	}
	for _, g := range r.without {
		removed |= number(c.t, r.model, g)
	}
	for _, p := range r.properties {
		watch |= safety[r.model][p]
	}
	env := append(os.Environ(), fmt.Sprintf("CAPS=%d", caps), fmt.Sprintf("REMOVED=%d", removed), fmt.Sprintf("WATCH=%d", watch))
	for i, b := range r.bounds {
		env = append(env, fmt.Sprintf("BOUND%d=%d", i+1, b))
	}
	return env
}
