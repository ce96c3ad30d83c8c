package bench

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the outcome of a run. Its JSON is what "td bench -o json" prints.
type Report struct {
	Budgets []Budget `json:"budgets"`
	OK      bool     `json:"ok"`
	Short   bool     `json:"short"`
	Machine Machine  `json:"machine"`
}

// Budget is one limit and what was measured against it, with the figures that the
// measurement was made of.
type Budget struct {
	Name     string             `json:"name"`
	Bound    string             `json:"bound"` // at_most or at_least
	Limit    float64            `json:"limit"`
	Measured float64            `json:"measured"`
	Unit     string             `json:"unit"`
	Holds    bool               `json:"holds"`
	Near     bool               `json:"near"` // within a tenth of the limit, on either side, but not on it
	How      string             `json:"how"`
	Attempts int                `json:"attempts"`
	Figures  map[string]float64 `json:"figures"`
}

// Machine is where the figures are from.
type Machine struct {
	OS         string  `json:"os"`
	Arch       string  `json:"arch"`
	CPU        string  `json:"cpu"`
	Processors int     `json:"processors"`
	Load       float64 `json:"load"` // of one minute, before the run
	Go         string  `json:"go"`
	Version    string  `json:"version"`
}

const (
	atMost  = "at_most"
	atLeast = "at_least"
)

// judge compares what was measured with the limit.
func (b Budget) judge(measured float64) Budget {
	b.Measured = measured
	b.Holds = measured <= b.Limit
	if b.Bound == atLeast {
		b.Holds = measured >= b.Limit
	}
	b.Holds = b.Holds && !math.IsNaN(measured)
	b.Near = measured != b.Limit && math.Abs(measured-b.Limit) <= b.Limit/10
	b.Measured = rounded(measured)
	for k, v := range b.Figures {
		b.Figures[k] = rounded(v)
	}
	return b
}

// rounded rounds to four significant digits: figures are not more exact than
// that. NaN and infinities become -1, because JSON cannot hold them.
func rounded(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return -1
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil || v == math.Trunc(v) {
		return v
	}
	return short
}

// better returns the one of two measurements of a budget that is nearer to
// holding: other work on the machine only ever makes one worse.
func better(a, b Budget) Budget {
	if a.Bound == atLeast == (b.Measured > a.Measured) {
		return b
	}
	return a
}

// Broken returns the names of the budgets that do not hold.
func (r *Report) Broken() []string {
	var broken []string
	for _, b := range r.Budgets {
		if !b.Holds {
			broken = append(broken, b.Name)
		}
	}
	return broken
}

// Table writes the report for people.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BUDGET\tLIMIT\tMEASURED\tUNIT\tHOLDS\tHOW")
	for _, b := range r.Budgets {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Name, b.limit(), number(b.Measured), b.Unit, b.holds(), b.How)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range r.Budgets {
		if len(b.Figures) > 0 {
			fmt.Fprintf(w, "\n%s\n%s", b.Name, b.figures())
		}
	}
	m := r.Machine
	_, err := fmt.Fprintf(w, "\n%s/%s, %d processors (%s), load %s before, %s, td %s\n", m.OS, m.Arch, m.Processors, m.CPU, number(m.Load), m.Go, m.Version)
	return err
}

func (b *Budget) limit() string {
	if b.Bound == atLeast {
		return ">= " + number(b.Limit)
	}
	return "<= " + number(b.Limit)
}

func (b *Budget) holds() string {
	switch {
	case !b.Holds:
		return "NO"
	case b.Near:
		return "yes, near"
	default:
		return "yes"
	}
}

// figures lists the figures of a budget by name, a few on a line.
func (b *Budget) figures() string {
	var names []string
	for n := range b.Figures {
		names = append(names, n)
	}
	slices.Sort(names)
	var s strings.Builder
	for i, n := range names {
		fmt.Fprintf(&s, "  %-26s %10s", n, number(b.Figures[n]))
		if i%3 == 2 || i == len(names)-1 {
			s.WriteByte('\n')
		}
	}
	return s.String()
}

func number(v float64) string { return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) }

func thisMachine(version string) Machine {
	return Machine{
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		CPU:        lineOf("/proc/cpuinfo", "model name"),
		Processors: runtime.GOMAXPROCS(0),
		Load:       loadAverage(),
		Go:         runtime.Version(),
		Version:    version,
	}
}

// lineOf returns the value of a line "name : value" of a file, "" if there is none.
func lineOf(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func loadAverage() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return -1
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return -1
	}
	return load
}

// median returns the middle figure, or the mean of two middle ones.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile returns the smallest figure that is not exceeded by the share q of all.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

// micros returns the duration of one of n operations, in microseconds.
func micros(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
