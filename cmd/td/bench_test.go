package main_test

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/bench"
)

// TestBench measures real servers for a moment, too little for the figures to mean
// anything: every budget is there and nothing is left behind.
func TestBench(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("proves a dozen statements, on Linux")
	}
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var progress bytes.Buffer
	r, err := bench.Run(t.Context(), bench.Options{Progress: &progress, Version: "v", Size: bench.Size{
		Anchors: 1000, Sessions: 1000, Accepts: 2, Latency: 2, Refusals: 10, Proofs: 1, Starts: 1, Attempts: 1,
	}})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	names := ""
	for _, b := range r.Budgets {
		names += " " + b.Name
		// Growth of memory and small differences may be nothing, or less, with so few sessions.
		if b.Measured <= 0 && !strings.HasPrefix(b.Name, "memory_") && b.Name != "limits_telemetry" {
			t.Errorf("%s: measured %v", b.Name, b.Measured)
		}
		if b.Unit == "" || b.How == "" || b.Attempts != 1 {
			t.Errorf("members are missing in %+v", b)
		}
	}
	const want = " children_ready signer_path open_domain ready issue tree_issue limits_telemetry memory_idle memory_core memory_tagger acknowledged published accept tree_accept refused error_size anomaly_event anomaly_memory"
	if names != want {
		t.Errorf("budgets are\n%s, want\n%s", names, want)
	}
	if broken := r.Broken(); r.OK != (len(broken) == 0) || !r.Short {
		t.Errorf("ok is %v, short %v, and %v do not hold", r.OK, r.Short, broken)
	}
	if m := r.Machine; m.Processors < 1 || m.Go == "" || m.Version != "v" {
		t.Errorf("members are missing in %+v", m)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
