package bench_test

import (
	"bytes"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/bench"
)

// form is the form that scripts rely on.
type form struct {
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

func parse(t *testing.T, raw []byte) (r form) {
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

// TestVerdict judges a budget of at most 10 and one of at least 10, and reads the
// report's JSON.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		first, second float64
		holds         [2]bool
		near          [2]bool
		broken        string
	}{
		{5, 20, [2]bool{true, true}, [2]bool{}, ""},
		{10, 10, [2]bool{true, true}, [2]bool{}, ""},
		{9.5, 10.5, [2]bool{true, true}, [2]bool{true, true}, ""},
		{10.5, 20, [2]bool{false, true}, [2]bool{true, false}, "first"},
		{5, 9.5, [2]bool{true, false}, [2]bool{false, true}, "second"},
		{100, 1, [2]bool{false, false}, [2]bool{}, "first second"},
		{math.NaN(), 20, [2]bool{false, true}, [2]bool{}, "first"},
		{5, math.NaN(), [2]bool{true, false}, [2]bool{}, "second"},
	} {
		report := bench.Judged(tt.first, tt.second, map[string]float64{"b": 2.000049, "a": math.NaN()})
		if broken := strings.Join(report.Broken(), " "); broken != tt.broken {
			t.Errorf("%v, %v: %q do not hold, want %q", tt.first, tt.second, broken, tt.broken)
		}
		raw, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		r := parse(t, raw)
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

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := bench.Judged(10.5, 10.5, nil).Table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first   <= 10  10.5", "NO", "second  >= 10  10.5", "yes, near", "2 processors (cpu)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestRepeats(t *testing.T) {
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
		counts, holds, tries := bench.Repeated(tt.attempts, tt.measured...)
		if counts != tt.counts || holds != tt.holds || tries != tt.tries {
			t.Errorf("%v: %v, %v after %d tries", tt.measured, counts, holds, tries)
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	// A machine that gets slower: each turn is judged by the baselines around it.
	if r := bench.Ratio([]float64{10, 20, 40}, []float64{30, 60, 80}); r != 2 {
		t.Errorf("ratio %v", r)
	}
	if m := bench.Median([]float64{9, 1, 4, 2}); m != 3 {
		t.Errorf("median %v", m)
	}
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	if p, most := bench.Quantile(hundred, 0.99), bench.Quantile(hundred, 1); p != 99 || most != 100 {
		t.Errorf("p99 %v, p100 %v", p, most)
	}
	for gates, want := range map[float64]float64{703: 1024, 1024: 1024, 1025: 2048} {
		if d := bench.Domain(gates); d != want {
			t.Errorf("domain of %v gates is %v", gates, d)
		}
	}
}

// TestAnomalies: the detectors are measured with full windows, which take most of the memory
// that they may have. Their time is not judged here.
func TestAnomalies(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("fills a day of windows, on Linux")
	}
	budgets, err := bench.Anomalies(t.Context())
	if err != nil || len(budgets) != 2 {
		t.Fatal(budgets, err)
	}
	event, memory := budgets[0], budgets[1]
	if event.Name != "anomaly_event" || event.Limit != 2 || event.Measured <= 0 || event.Figures["median_us"] < event.Measured || event.Figures["tick_us"] <= 0 {
		t.Errorf("%+v", event)
	}
	if memory.Name != "anomaly_memory" || memory.Limit != 16 || !memory.Holds || memory.Measured < 8 {
		t.Errorf("%+v", memory)
	}
	t.Log(event, memory)
}
