package main

import (
	"encoding/json"
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

	"github.com/terradourada/td/internal/fault"
)

// benchReport is what "td bench -o json" prints.
type benchReport struct {
	Budgets []budget     `json:"budgets"`
	OK      bool         `json:"ok"`
	Short   bool         `json:"short"`
	Machine benchMachine `json:"machine"`
}

// budget is one limit and what was measured against it, with the figures the
// measure was made of.
type budget struct {
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

// benchMachine says where the figures are from.
type benchMachine struct {
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

// judge settles a budget once it is measured.
func (b budget) judge(measured float64) budget {
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

// rounded has four significant digits, which is more than any figure is good
// for; JSON has no word for what is no number.
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

// better is the one of two measurements of a budget that is nearer to holding:
// whatever else the machine does only ever makes one worse.
func better(a, b budget) budget {
	if a.Bound == atLeast == (b.Measured > a.Measured) {
		return b
	}
	return a
}

// print writes the report and, if a budget does not hold, returns the failure
// that names it.
func (r *benchReport) print(w io.Writer, format string) error {
	r.OK = !slices.ContainsFunc(r.Budgets, func(b budget) bool { return !b.Holds })
	write := r.table
	if format == "json" {
		write = func(w io.Writer) error { return json.NewEncoder(w).Encode(r) }
	}
	if err := write(w); err != nil {
		return err
	}
	return r.verdict()
}

func (r *benchReport) verdict() error {
	var broken []string
	for _, b := range r.Budgets {
		if !b.Holds {
			broken = append(broken, b.Name)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	return fault.New(fault.Negative, fmt.Sprintf("%d of %d budgets do not hold: %s", len(broken), len(r.Budgets), strings.Join(broken, ", ")),
		"other work on the machine disturbs latencies most and ratios least; run td bench again on an idle one")
}

func (r *benchReport) table(w io.Writer) error {
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

func (b *budget) limit() string {
	if b.Bound == atLeast {
		return ">= " + number(b.Limit)
	}
	return "<= " + number(b.Limit)
}

func (b *budget) holds() string {
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
func (b *budget) figures() string {
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

// thisMachine describes where the run takes place.
func thisMachine() benchMachine {
	return benchMachine{
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		CPU:        lineOf("/proc/cpuinfo", "model name"),
		Processors: runtime.GOMAXPROCS(0),
		Load:       loadAverage(),
		Go:         runtime.Version(),
		Version:    version,
	}
}

// lineOf is what a file of the form "name : value" says, "" for nothing.
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

// median is the middle of some figures, of two middles the mean.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// quantile is the smallest figure that at least so much of all do not exceed.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

// micros is a duration for each of n, in microseconds.
func micros(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }

func millis(d time.Duration) float64 { return d.Seconds() * 1e3 }
