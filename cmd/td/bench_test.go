package main_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	td "github.com/terradourada/td/cmd/td"
)

// benchReport is the form that scripts rely on.
type benchReport struct {
	Budgets []struct {
		Name     string             `json:"name"`
		Bound    string             `json:"bound"`
		Limit    *float64           `json:"limit"`
		Measured *float64           `json:"measured"`
		Unit     string             `json:"unit"`
		Holds    *bool              `json:"holds"`
		Near     *bool              `json:"near"`
		How      string             `json:"how"`
		Attempts int                `json:"attempts"`
		Figures  map[string]float64 `json:"figures"`
	} `json:"budgets"`
	OK      *bool `json:"ok"`
	Short   *bool `json:"short"`
	Machine *struct {
		OS         string   `json:"os"`
		Arch       string   `json:"arch"`
		CPU        string   `json:"cpu"`
		Processors int      `json:"processors"`
		Load       *float64 `json:"load"`
		Go         string   `json:"go"`
		Version    string   `json:"version"`
	} `json:"machine"`
}

func parseBench(t *testing.T, raw []byte) (r benchReport) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if r.OK == nil || r.Short == nil || r.Machine == nil || r.Machine.Load == nil || r.Machine.Processors < 1 || r.Machine.Go == "" || r.Machine.Version == "" {
		t.Errorf("members are missing in %s", raw)
	}
	for _, b := range r.Budgets {
		if b.Name == "" || b.Limit == nil || b.Measured == nil || b.Unit == "" || b.Holds == nil || b.Near == nil || b.How == "" || b.Attempts < 1 || b.Bound != "at_most" && b.Bound != "at_least" {
			t.Errorf("members are missing in budget %q", b.Name)
		}
	}
	return r
}

func TestBenchVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		first, second float64
		holds         [2]bool
		near          [2]bool
		exit          int
	}{
		{5, 20, [2]bool{true, true}, [2]bool{}, 0},
		{10, 10, [2]bool{true, true}, [2]bool{}, 0},
		{9.5, 10.5, [2]bool{true, true}, [2]bool{true, true}, 0},
		{10.5, 20, [2]bool{false, true}, [2]bool{true, false}, 3},
		{5, 9.5, [2]bool{true, false}, [2]bool{false, true}, 3},
		{100, 1, [2]bool{false, false}, [2]bool{}, 3},
		{math.NaN(), 20, [2]bool{false, true}, [2]bool{}, 3},
		{5, math.NaN(), [2]bool{true, false}, [2]bool{}, 3},
	} {
		var out bytes.Buffer
		if exit := td.BenchReport(&out, "json", tt.first, tt.second); exit != tt.exit {
			t.Errorf("%v, %v: exit %d, want %d", tt.first, tt.second, exit, tt.exit)
		}
		r := parseBench(t, out.Bytes())
		if *r.OK != (tt.exit == 0) {
			t.Errorf("%v, %v: ok is %v", tt.first, tt.second, *r.OK)
		}
		for i, b := range r.Budgets {
			if *b.Holds != tt.holds[i] || *b.Near != tt.near[i] {
				t.Errorf("%v, %v: %s holds %v, near %v", tt.first, tt.second, b.Name, *b.Holds, *b.Near)
			}
		}
		if got := r.Budgets[0].Figures; got["a"] != -1 || got["b"] != 2 {
			t.Errorf("figures are %v", got)
		}
	}
}

func TestBenchTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if exit := td.BenchReport(&out, "table", 10.5, 10.5); exit != 3 {
		t.Errorf("exit %d", exit)
	}
	for _, want := range []string{"first   <= 10  10.5", "NO", "second  >= 10  10.5", "yes, near", "2 processors (cpu)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestBenchRepeats(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		attempts int
		measured []float64
		counts   float64
		holds    bool
		tries    int
	}{
		{3, []float64{5, 1, 1}, 5, true, 1},
		{3, []float64{50, 5, 1}, 5, true, 2},
		{3, []float64{50, 20, 30}, 20, false, 3},
		{1, []float64{50, 5, 1}, 50, false, 1},
	} {
		counts, holds, tries := td.BenchRepeated(tt.attempts, tt.measured...)
		if counts != tt.counts || holds != tt.holds || tries != tt.tries {
			t.Errorf("%v: %v, %v after %d tries", tt.measured, counts, holds, tries)
		}
	}
}

func TestBenchFigures(t *testing.T) {
	t.Parallel()
	// A machine that gets slower: each turn is judged by the baselines around it.
	if r := td.BenchRatio([]float64{10, 20, 40}, []float64{30, 60, 80}); r != 2 {
		t.Errorf("ratio %v", r)
	}
	if m := td.Median([]float64{9, 1, 4, 2}); m != 3 {
		t.Errorf("median %v", m)
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if p, most := td.Quantile(hundred, 0.99), td.Quantile(hundred, 1); p != 99 || most != 100 {
		t.Errorf("p99 %v, p100 %v", p, most)
	}
	for gates, want := range map[float64]float64{703: 1024, 1024: 1024, 1025: 2048} {
		if d := td.Domain(gates); d != want {
			t.Errorf("domain of %v gates is %v", gates, d)
		}
	}
}

// TestBench measures real servers for a moment: whatever the figures are, every
// budget is there and nothing is left behind.
func TestBench(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("proves a dozen statements, on Linux")
	}
	t.Setenv(asProgram, "1")
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out, progress bytes.Buffer
	err := td.Bench(t.Context(), &out, &progress)
	if err != nil && !strings.Contains(err.Error(), "do not hold") {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	r := parseBench(t, out.Bytes())
	names := ""
	for _, b := range r.Budgets {
		names += " " + b.Name
		// Growth of memory may be nothing, or less, with so few sessions.
		if *b.Measured <= 0 && !strings.HasPrefix(b.Name, "memory_") {
			t.Errorf("%s: measured %v", b.Name, *b.Measured)
		}
		if *b.Holds == (err != nil && strings.Contains(err.Error(), " "+b.Name)) {
			t.Errorf("%s holds %v, but the verdict is %v", b.Name, *b.Holds, err)
		}
	}
	const want = " children_ready signer_path open_domain ready issue tree_issue memory_idle memory_core memory_tagger acknowledged published accept tree_accept refused error_size"
	if names != want {
		t.Errorf("budgets are\n%s, want\n%s", names, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
