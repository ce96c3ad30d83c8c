package nab_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/seriesfile"
)

//go:generate go test -count=1 -run ^TestResultsAreDocumented$ -update .

const (
	docs  = "../../../docs/"
	page  = docs + "anomaly-results.md"
	begin = "<!-- begin NAB: generated -->\n"
	end   = "<!-- end NAB -->\n"
)

// examples are the series that are drawn, with what there is to see.
var examples = []struct{ name, text string }{
	{"realKnownCause/nyc_taxi.csv", "Passengers of taxis: a marathon, holidays, a storm."},
	{"realKnownCause/machine_temperature_system_failure.csv", "Temperature of a machine: a planned stop, two failures."},
	{"realTweets/Twitter_volume_AAPL.csv", "Mentions of a company: bursts above a daily course."},
	{"artificialWithAnomaly/art_daily_flatmiddle.csv", "A day without its usual course. The shape is missed: no value is unusual."},
}

func picture(name string) string {
	return "anomaly/" + strings.TrimSuffix(filepath.Base(name), ".csv") + ".svg"
}

// plots draws the examples with the scores of the shipped settings.
func plots(t *testing.T, files []*file) {
	t.Helper()
	for _, example := range examples {
		i := slices.IndexFunc(files, func(f *file) bool { return f.name == example.name })
		f := files[i]
		p, d := seriesfile.NewPlot(f.name+": values with labelled windows, scores, findings"), anomaly.NewSeries(anomaly.DefaultSeries())
		for _, w := range f.windows {
			p.Window(w.from, w.to)
		}
		for i, v := range f.values {
			r := d.Observe(f.times[i], v, true)
			p.Add(v, r.Score, r.Finding())
		}
		same(t, docs+picture(f.name), p.SVG(), runtime.GOARCH == "amd64")
	}
}

// same wants a file to have this content, or writes it.
func same(t *testing.T, path string, want []byte, exact bool) {
	t.Helper()
	if *update {
		write(t, path, want)
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	if exact && !bytes.Equal(got, want) {
		t.Errorf("%s is out of date", path)
	}
}

// TestResultsAreDocumented wants the section and the bar chart to show the frozen figures.
func TestResultsAreDocumented(t *testing.T) {
	var e results
	readJSON(t, frozenFile, &e)
	document(t, &e)
}

// document wants the section and the bar chart to be those of the results.
func document(t *testing.T, e *results) {
	t.Helper()
	same(t, docs+"anomaly/nab.svg", e.bars(), true)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section between %q and %q", page, begin, end)
	}
	same(t, page, []byte(before+begin+e.section()+end+after), true)
}

// section returns the part of the page.
func (e *results) section() string {
	var b strings.Builder
	r, s := &e.Report, anomaly.DefaultSeries()
	fmt.Fprintf(&b, `
The series detector scores **%.1f** on the [Numenta Anomaly Benchmark](https://github.com/numenta/NAB), whose data has the MIT licence: 58 series, 116 labelled windows, one setting and one threshold for all. It hits %d windows, and %d rows outside of windows are findings. 0 is a detector without a finding, 100 a perfect one. `+"`make nab`"+` repeats the measurement where the benchmark's data is.

| detector | standard | low FP | low FN |
|---|---|---|---|
`, r.Standard, e.Windows, e.FalseRows)
	ours := "**series, shipped threshold**"
	table := maps.Clone(e.Published)
	table[ours] = [3]float64{r.Standard, r.LowFP, r.LowFN}
	table["series, best threshold of each profile"] = r.Swept
	for _, name := range byStandard(table) {
		scores := table[name]
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f |\n", name, scores[0], scores[1], scores[2])
	}
	fmt.Fprintf(&b, `
Those with a name alone are published scores. The scorer is verified on them: from the published scores of rows follow, for the standard profile, %s.

![Standard scores of detectors, ours and published ones](anomaly/nab.svg)

The settings and the threshold were chosen with these files in view. How much of the score that explains:

| what is chosen | on | scored on | standard |
|---|---|---|---|
| threshold | first half of the files | second half | %.1f |
| threshold | second half | first half | %.1f |
| settings (%s) | first half | second half | %.1f |
| settings (%s) | second half | first half | %.1f |
`, e.reproduced(), r.Threshold[0], r.Threshold[1], e.Halves[0], r.SplitHalf[0], e.Halves[1], r.SplitHalf[1])
	for _, name := range slices.Sorted(maps.Keys(r.Families)) {
		fmt.Fprintf(&b, "| threshold | all but %s | %s | %.1f |\n", name, name, r.Families[name])
	}
	fmt.Fprintf(&b, `
The files of artificialNoAnomaly have no windows, so they have no score of their own. Without the profile of the week the standard score is %.1f. Shipped are the half-lives level %.0f, scale %.0f, logarithm %.0f, records %.0f ticks; slack %.1f, threshold %.3f, hold %d ticks, warm-up %d ticks.

`, r.Timeless, s.LevelHalfLife, s.ScaleHalfLife, s.ShapeHalfLife, s.RecordHalfLife, s.Slack, s.Threshold, s.Hold, s.Warmup)
	for _, example := range examples {
		fmt.Fprintf(&b, "%s\n\n![%s, with windows, scores and findings](%s)\n\n", example.text, example.name, picture(example.name))
	}
	return b.String()
}

func (e *results) reproduced() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Report.Reproduced)) {
		parts = append(parts, fmt.Sprintf("%s %.2f (published %.2f)", name, e.Report.Reproduced[name], e.Published[name][0]))
	}
	return strings.Join(parts, ", ")
}

// byStandard returns the names, the best first.
func byStandard(table map[string][3]float64) []string {
	return slices.SortedFunc(maps.Keys(table), func(a, b string) int {
		return cmp.Or(cmp.Compare(table[b][0], table[a][0]), cmp.Compare(a, b))
	})
}

// bars draws the standard scores.
func (e *results) bars() []byte {
	const width, left, high, most = 700, 160, 20, 440
	table := maps.Clone(e.Published)
	ours := "series (ours)"
	table[ours] = [3]float64{e.Report.Standard}
	var b strings.Builder
	height := 40 + high*len(table)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Standard scores" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" font-size="11" fill="#24292f">
<rect width="%d" height="%d" fill="#f6f8fa"/>
<text x="%d" y="20" font-size="13">Numenta Anomaly Benchmark, standard profile</text>
`, width, height, width, height, width, height, left)
	for i, name := range byStandard(table) {
		colour, score, y := "#56b4e9", table[name][0], 30+high*i
		if name == ours {
			colour = "#d55e00"
		}
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text><rect x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%d\" fill=\"%s\"/><text x=\"%.0f\" y=\"%d\">%.1f</text>\n",
			left-6, y+13, name, left, y+2, most*score/100, high-5, colour, left+6+most*score/100, y+13, score)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
