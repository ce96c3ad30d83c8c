package inject_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
)

// statistical are the detectors that learn from requests.
type statistical struct {
	rates       *anomaly.Rates
	correlation *anomaly.Correlation
	profiles    *anomaly.Profiles
}

func newStatistical() *statistical {
	r := anomaly.NewRates()
	return &statistical{r, anomaly.NewCorrelation(r), anomaly.NewProfiles()}
}

func (s *statistical) Request(q telemetry.Request) {
	s.rates.Observe(q)
	s.correlation.Observe(q)
	s.profiles.Observe(q)
}

func (s *statistical) Change(c telemetry.Change) { s.correlation.Change(c) }

func (s *statistical) Tick(now time.Time, learn bool) []anomaly.Verdict {
	return append(append(s.rates.Tick(now, learn), s.correlation.Tick(now, learn)...), s.profiles.Tick(now, learn)...)
}

// again returns detectors that continue from the state of others.
func (s *statistical) again(t *testing.T) *statistical {
	t.Helper()
	n := newStatistical()
	for _, err := range []error{n.rates.Restore(s.rates.Save()), n.correlation.Restore(s.correlation.Save()), n.profiles.Restore(s.profiles.Save())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// scale is how much is simulated. With TD_ANOMALY it is what docs/anomaly-results.md reports.
type scale struct {
	perMinute  float64
	learned    int // days before the attacks
	quiet      int // days without an attack
	runs       int // of each distributed attack
	attacks    []inject.Attack
	teacherDay int
}

func scaleOf() scale {
	if os.Getenv("TD_ANOMALY") != "" {
		return scale{700, 14, 28, 5, inject.Attacks(), 100}
	}
	if testing.Short() {
		return scale{perMinute: 60, learned: 1, runs: 1, attacks: inject.Attacks()[:2]}
	}
	few := slices.DeleteFunc(inject.Attacks(), func(a inject.Attack) bool {
		return a.Factor > 1 && a.Factor < 5 && len(a.Finds) > 1 && a.Finds[0] == anomaly.Rate
	})
	return scale{perMinute: 100, learned: 2, quiet: 1, runs: 1, attacks: few}
}

var began = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) // a Monday

const day = 24 * time.Hour

// TestAttacks: each attack is found by a detector that should find it, and nothing is found
// without one.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s, learned, r := scaleOf(), newStatistical(), report{}
	quiet := inject.Run(inject.NewTraffic(1, s.perMinute), learned, learned, began, time.Duration(s.learned)*day, nil)
	start := began.Add(time.Duration(s.learned) * day)
	last := learned.again(t)
	quiet = append(quiet, inject.Run(inject.NewTraffic(2, s.perMinute), last, last, start, time.Duration(s.quiet)*day, nil)...)
	for _, v := range quiet {
		t.Logf("without an attack: %s: %s", v.At.Format(time.DateTime), v.Sentence)
	}
	r.days, r.quiet = s.learned+s.quiet, quiet
	if most := float64(r.days)/30.4 + 0.5; float64(len(quiet)) > most {
		t.Errorf("%d verdicts in %d days without an attack", len(quiet), r.days)
	}
	for i := range s.attacks {
		a := &s.attacks[i]
		runs := 1
		if strings.HasPrefix(a.Name, "distributed") {
			runs = s.runs
		}
		var all []inject.Result
		for run := range runs {
			seed := uint64(100*i + run)
			// Each run begins at another time of the day.
			all = append(all, inject.Evaluate(a, seed, inject.NewTraffic(seed, s.perMinute), learned.again(t), start.Add(9*time.Hour+time.Duration(run)*5*time.Hour)))
		}
		r.add(t, all)
	}
	if s.teacherDay > 0 {
		a := inject.Teacher(1.02, s.teacherDay)
		r.add(t, []inject.Result{inject.Evaluate(&a, 7, inject.NewTraffic(7, 100), teachable(t), start)})
	}
	if to := os.Getenv("TD_ANOMALY_OUT"); to != "" {
		r.write(t, to)
	}
}

// teachable returns detectors that have learned two weeks of less traffic.
func teachable(t *testing.T) *statistical {
	t.Helper()
	d := newStatistical()
	inject.Run(inject.NewTraffic(7, 100), d, d, began, 14*day, nil)
	return d
}

// report is what the evaluation has shown.
type report struct {
	days   int
	quiet  []anomaly.Verdict
	rows   []row
	curves map[anomaly.Detector][]point
}

// row is one attack, with the median of its runs.
type row struct {
	attack        *inject.Attack
	found, runs   int
	by            string
	delay         time.Duration
	kind, because string
	other         int
}

type point struct{ factor, minutes float64 }

// add adds the runs of one attack, and checks them.
func (r *report) add(t *testing.T, all []inject.Result) {
	t.Helper()
	a := all[0].Attack
	w := row{attack: a, runs: len(all), by: "none"}
	byDetector := make(map[anomaly.Detector][]time.Duration)
	var delays []time.Duration
	for i := range all {
		d, v, found := all[i].Delay()
		t.Logf("%s: found %v after %v: %s", a.Name, found, d, v.Sentence)
		w.other += len(all[i].Other)
		for _, o := range all[i].Other {
			t.Logf("    something else: %s: %s", o.Scope, o.Sentence)
		}
		for detector, v := range all[i].First {
			t.Logf("    %s after %v: %s: %s", detector, v.At.Sub(all[i].Began), v.Kind, v.Sentence)
			byDetector[detector] = append(byDetector[detector], v.At.Sub(all[i].Began))
		}
		if !found {
			d = math.MaxInt64
		} else {
			w.found++
			w.describe(&all[i])
		}
		delays = append(delays, d)
	}
	slices.Sort(delays)
	w.delay = delays[len(delays)/2]
	var names []string
	for _, d := range []anomaly.Detector{anomaly.Rate, anomaly.Correlate, anomaly.Behaviour} {
		if n := byDetector[d]; 2*len(n) > len(all) {
			slices.Sort(n)
			names = append(names, fmt.Sprintf("%s (%s)", d, short(n[len(all)/2])))
			if strings.HasPrefix(a.Name, "distributed") {
				r.curve(d, a.Factor, n[len(all)/2])
			}
		}
	}
	if len(names) > 0 {
		w.by = strings.Join(names, ", ")
	}
	r.rows = append(r.rows, w)
	switch {
	case 2*w.found <= w.runs:
		t.Errorf("%s is not found", a.Name)
	case a.Name == "10,000 sources" && w.kind != "distributed":
		t.Errorf("%s is called %q", a.Name, w.kind)
	}
}

// describe keeps the kind and the sentence that say most: of the last detector, which
// compares more than a rate does.
func (w *row) describe(r *inject.Result) {
	if w.because != "" {
		return
	}
	for _, d := range []anomaly.Detector{anomaly.Behaviour, anomaly.Correlate, anomaly.Rate} {
		if v, ok := r.First[d]; ok {
			w.kind, w.because = v.Kind, v.Sentence
			return
		}
	}
}

func (r *report) curve(d anomaly.Detector, factor float64, delay time.Duration) {
	if r.curves == nil {
		r.curves = make(map[anomaly.Detector][]point)
	}
	r.curves[d] = append(r.curves[d], point{factor, delay.Minutes()})
}

// short returns a delay for a table.
func short(d time.Duration) string {
	switch {
	case d == math.MaxInt64:
		return "–"
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// write writes the part of the document between the markers, the plot beside it, and the
// figures as JSON for the last line of the run.
func (r *report) write(t *testing.T, out string) {
	t.Helper()
	var b strings.Builder
	rates, err := os.ReadFile(filepath.Join(out, "rates.md"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\n%s\n`make anomaly-sim` repeats these measurements and writes this part. Everything depends on seeds.\n\n", rates)
	fmt.Fprintf(&b, "## Attacks in synthetic traffic\n\nHonest traffic of 700 requests a minute from 60 clients and 600 networks, two weeks of it before each attack. With the detectors `rate`, `correlate` and `behaviour`, %d days without an attack, learning included, had %d verdict(s). The slow teacher runs at 100 requests a minute.\n\n", r.days, len(r.quiet))
	fmt.Fprintf(&b, "The distributed attacks are on one claim beside the rest, and only a part of the requests are answers. So they take longer than the table above says: x5 takes %s, and x20 %s. A prover that changes is found by the detector `prover`, which this run does not have, within 30 answers (`TestProverChange`).\n\n", r.delay("distributed x5"), r.delay("distributed x20"))
	b.WriteString("| attack | what it does | found | by (delay) | named | a sentence |\n|---|---|---|---|---|---|\n")
	for _, w := range r.rows {
		fmt.Fprintf(&b, "| %s | %s | %d of %d | %s | %s | %s |\n", w.attack.Name, w.attack.What, w.found, w.runs, w.by, strings.ReplaceAll(w.kind, "_", " "), w.because)
	}
	b.WriteString("\nDelays are from the first request of the attack, medians if there are several runs. Detectors that need an hour, a window or a part of one cannot be faster.\n\n![Delay until a distributed attack is found, against the factor by which it multiplies wrong tags](anomaly/delay.svg)\n\n")
	replace(t, "../../../docs/anomaly-results.md", "injector", b.String())
	if err := os.WriteFile("../../../docs/anomaly/delay.svg", r.plot(), 0o644); err != nil {
		t.Fatal(err)
	}
	figures := map[string]any{"attacks": len(r.rows), "quiet_days": r.days, "quiet_verdicts": len(r.quiet)}
	delays, found := map[string]float64{}, 0
	for _, w := range r.rows {
		if 2*w.found > w.runs {
			found++
			delays[w.attack.Name] = w.delay.Minutes()
		}
	}
	figures["found"], figures["delay_minutes"] = found, delays
	text, err := json.Marshal(figures)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "injector.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// delay returns the delay of an attack, as the page says it.
func (r *report) delay(attack string) string {
	for _, w := range r.rows {
		if w.attack.Name == attack {
			return short(w.delay)
		}
	}
	return "–"
}

// replace replaces what is between two markers of a document.
func replace(t *testing.T, file, marker, text string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	between := regexp.MustCompile(fmt.Sprintf("(?s)(<!-- begin %s[^>]*-->\n).*(<!-- end %s -->)", marker, marker))
	if !between.Match(old) {
		t.Fatalf("%s has no markers of %s", file, marker)
	}
	written := between.ReplaceAllFunc(old, func(b []byte) []byte {
		m := between.FindSubmatch(b)
		return bytes.Join([][]byte{m[1], []byte(text), m[2]}, nil)
	})
	if err := os.WriteFile(file, written, 0o644); err != nil {
		t.Fatal(err)
	}
}

// plot draws the delays of distributed attacks on logarithmic axes.
func (r *report) plot() []byte {
	const width, height, left, right, top, bottom = 640, 360, 64, 150, 34, 44
	x := func(factor float64) float64 {
		return left + (width-left-right)*math.Log(factor/1.2)/math.Log(25/1.2)
	}
	y := func(minutes float64) float64 {
		return height - bottom - (height-top-bottom)*math.Log(max(minutes, 1))/math.Log(3*24*60)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Delay until a distributed attack is found, against its factor" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" font-size="11" fill="#24292f">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n<text x=\"%d\" y=\"20\" font-size=\"13\" font-weight=\"bold\">Delay until a distributed attack is found</text>\n", width, height, left)
	for _, m := range []struct {
		minutes float64
		text    string
	}{{1, "1 min"}, {5, "5 min"}, {15, "15 min"}, {60, "1 h"}, {360, "6 h"}, {1440, "1 day"}} {
		fmt.Fprintf(&b, "<path d=\"M%d %.1fH%d\" stroke=\"#d8dee4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left, y(m.minutes), width-right, left-6, y(m.minutes)+4, m.text)
	}
	for _, f := range inject.Factors {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">×%g</text>\n", x(f), height-bottom+18, f)
	}
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#57606a\">factor of wrong tags</text>\n", (left+width-right)/2, height-8)
	for i, d := range []anomaly.Detector{anomaly.Rate, anomaly.Correlate} {
		colour := []string{"#0969da", "#cf222e"}[i]
		var line []string
		for _, p := range r.curves[d] {
			line = append(line, fmt.Sprintf("%.1f,%.1f", x(p.factor), y(p.minutes)))
			fmt.Fprintf(&b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", x(p.factor), y(p.minutes), colour)
		}
		fmt.Fprintf(&b, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>\n", strings.Join(line, " "), colour, width-right+12, top+20+18*i, colour, d)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
