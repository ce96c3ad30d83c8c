package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	td "github.com/terradourada/td/cmd/td"
	"github.com/terradourada/td/internal/sandbox"
)

// TestDoctorSeesChildren: beside a running server td doctor looks at its
// children, too, and sees what they say of themselves.
func TestDoctorSeesChildren(t *testing.T) {
	t.Parallel()
	if developmentEnv() != nil {
		t.Skip("a build with cgo has no sandbox to see")
	}
	b := startBackend(t, t.TempDir())
	var out, stderr bytes.Buffer
	if code := td.Run([]string{"doctor", "--data", b.data, "--listen", "127.0.0.1:0", "-o", "json"}, nil, &out, &stderr); code != 0 {
		t.Errorf("exit code %d\n%s", code, stderr.String())
	}
	var report struct {
		Running bool `json:"running"`
		Probes  []struct {
			Section, ID, State, Value string
		} `json:"probes"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !report.Running {
		t.Error("the running server is not seen")
	}
	seen := map[string]int{}
	for _, p := range report.Probes {
		seen[p.Section]++
		confined := p.Section == "running_signer" || p.Section == "running_tagger" || p.Section == "running_prover"
		if confined && p.State != "ok" && (os.Geteuid() == 0 || p.ID == sandbox.Threads) {
			t.Errorf("%s: %s is %s: %s", p.Section, p.ID, p.State, p.Value)
		}
	}
	for section, n := range map[string]int{"running_signer": 5, "running_tagger": 5, "running_prover": 4, "signer": 12, "machine": 20} {
		if seen[section] < n {
			t.Errorf("%d probes about %s, want %d at least", seen[section], section, n)
		}
	}
	b.stop(30e9)
}
