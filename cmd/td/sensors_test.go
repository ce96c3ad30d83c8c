package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSensors is the main job on real readings: a receipt for every event of an
// office thermometer that stays within 60 to 80, the lines of those that do
// not, and an offline check of all receipts once the server is gone.
func TestSensors(t *testing.T) {
	t.Parallel()
	const (
		file                = "../../../shared/data/sensors/ambient-events-120.jsonl"
		within, outside     = 95, 25 // as the data's README says
		shortWithin, shorts = 4, 6
	)
	events, err := os.ReadFile(file)
	if err != nil {
		t.Skip("the sensor readings are not here")
	}
	want, out := within, outside
	if testing.Short() {
		lines := bytes.SplitAfter(events, []byte("\n"))
		events = bytes.Join(append(lines[:shortWithin:shortWithin], lines[within:within+shorts]...), nil)
		want, out = shortWithin, shorts
	}
	dir := t.TempDir()
	input := filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(input, events, 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBackend(t, filepath.Join(dir, "data"))
	receipts, trust := filepath.Join(dir, "receipts"), filepath.Join(dir, "trust")
	code, _, said := runSelf(t, "submit", "--server", b.url, "--claim", "range/1", "--params", "../../examples/ambient-params.json",
		"--out", receipts, "--trust", trust, input)
	if code != 3 {
		t.Fatalf("submit: got exit code %d, want 3\n%s", code, said)
	}
	if n := strings.Count(said, "(statement_false)"); n != out {
		t.Errorf("%d lines are reported as not provable, want %d", n, out)
	}
	b.stop(20 * time.Second)
	files, err := filepath.Glob(filepath.Join(receipts, "*.receipt.json"))
	if err != nil || len(files) != want {
		t.Fatalf("got %d receipts (%v), want %d", len(files), err, want)
	}
	if code, _, said := runSelf(t, append([]string{"verify", "-o", "json", "--trust", trust}, files...)...); code != 0 {
		t.Errorf("verify: got exit code %d, want 0\n%s", code, said)
	}
}

// runSelf runs td to its end.
func runSelf(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	return exitCode(cmd.Run()), o.String(), e.String()
}
