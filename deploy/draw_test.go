package deploy_test

import (
	"compress/gzip"
	"fmt"
	"html"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
)

// recorded is the record of a run, made by scripts/record.sh.
const recorded = "testdata/run.jsonl.gz"

// step is the interval between two scrapes of a replay.
const step = 5 * time.Second

// replay replays a record into metrics, which are scraped at equal intervals of its time.
type replay struct {
	metrics *metrics.Metrics
	samples samples
	holds   map[string]float64
	marks   []mark
}

// mark is a change that pictures name.
type mark struct {
	at   time.Time
	what string
}

// until scrapes until a time of the record.
func (r *replay) until(at time.Time) {
	if r.samples.began.IsZero() {
		r.samples.began = at
	}
	for !r.samples.at(r.samples.n).After(at) {
		w := httptest.NewRecorder()
		r.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		r.samples.add(w.Body.String())
	}
}

// Request implements [telemetry.Observer].
func (r *replay) Request(q telemetry.Request) {
	r.until(q.At)
	r.metrics.Request(q)
}

// Change implements [telemetry.Observer]. It sets what a server measures without an event.
func (r *replay) Change(c telemetry.Change) {
	r.until(c.At)
	r.metrics.Change(c)
	if c.Kind == telemetry.AlertFired || c.Kind == telemetry.AlertCleared {
		r.alert(c)
		return
	}
	operation, _, _ := strings.Cut(c.Subject, " ")
	switch c.Kind {
	case telemetry.HoldSet:
		r.hold(operation, 1)
		r.marks = append(r.marks, mark{c.At, "freeze"})
	case telemetry.HoldLifted:
		r.hold(operation, -1)
		r.marks = append(r.marks, mark{c.At, "thaw"})
	case telemetry.EpochOpened:
		if c.Value > 1 {
			r.marks = append(r.marks, mark{c.At, "rotation"})
		}
	default:
	}
}

// alert counts an alert, as the server does beside the event.
func (r *replay) alert(c telemetry.Change) {
	by := 1.0
	if c.Kind == telemetry.AlertCleared {
		by = -1
	} else {
		r.metrics.Add(metrics.AlertsFired, 1, c.Subject)
	}
	r.metrics.Add(metrics.AlertsActive, by, rulesOfWatch()[c.Subject].Severity.String())
}

func (r *replay) hold(operation string, by float64) {
	r.holds[operation] += by
	r.metrics.Set(metrics.Holds, r.holds[operation], operation)
}

// replayed returns the samples and marks of the record.
func replayed(t *testing.T) *replay {
	t.Helper()
	f, err := os.Open(recorded)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := &replay{metrics: newMetrics(false), samples: newSamples(step), holds: map[string]float64{}}
	r.metrics.Set(metrics.LedgerMaxLag, 4096)
	r.metrics.Set(metrics.EpochMaxAge, 600)
	lost, err := telemetry.Replay(z, r)
	if err != nil || lost > 0 {
		t.Fatalf("%d events are not in the record, %v", lost, err)
	}
	if _, err := io.Copy(io.Discard, z); err != nil {
		t.Fatal(err)
	}
	return r
}

// Sizes of a picture, in pixels.
const (
	panelWidth, panelHeight = 470, 240
	plotLeft, plotTop       = 52, 40
	plotWidth, plotHeight   = 400, 142
	perRow                  = 2
	margin                  = 12
)

// colours are distinct for people who see fewer of them (after Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#666666"}

// units are the words for units of Grafana, and the factor from the value.
var units = map[string]struct {
	word   string
	factor float64
}{
	"reqps": {"requests/s", 1}, "cps": {"per second", 1}, "s": {"seconds", 1}, "short": {"", 1}, "percentunit": {"%", 100}, "Bps": {"kB/s", 0.001}, "bytes": {"MB", 1e-6},
}

// drawn is one curve with its values, NaN where it has none.
type drawn struct {
	name   string
	values []float64
}

// picture returns the panels of a dashboard that the record has values for, as SVG.
func (d *dashboard) picture(r *replay) string {
	var parts []string
	for i := range d.panels {
		p := &d.panels[i]
		if lines := p.lines(&r.samples); len(lines) > 0 {
			at := len(parts)
			x, y := margin+at%perRow*(panelWidth+margin), margin+at/perRow*(panelHeight+margin)
			parts = append(parts, fmt.Sprintf("<g transform=\"translate(%d,%d)\">\n%s</g>\n", x, y, p.draw(lines, r)))
		}
	}
	width := margin + perRow*(panelWidth+margin)
	height := margin + (len(parts)+perRow-1)/perRow*(panelHeight+margin)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif" font-size="11" fill="#24292f">
<rect width="%d" height="%d" fill="#f6f8fa"/>
%s</svg>
`, width, height, width, height, html.EscapeString(d.title), width, height, strings.Join(parts, ""))
}

// lines returns the curves of a panel that are not 0 all the time; nil if none changes.
func (p *panel) lines(s *samples) (lines []drawn) {
	factor := units[p.unit].factor
	for _, c := range p.curves {
		found := map[string][]float64{}
		for at := int(rateOver / step); at < s.n; at++ { // before, there are no rates
			for label, v := range c.eval(s, at) {
				if found[label] == nil {
					found[label] = slices.Repeat([]float64{math.NaN()}, s.n)
				}
				found[label][at] = v * factor
			}
		}
		for label, values := range found {
			if slices.ContainsFunc(values, func(v float64) bool { return v != 0 && !math.IsNaN(v) }) {
				lines = append(lines, drawn{labelOf.ReplaceAllString(c.legend, label), values})
			}
		}
	}
	if !slices.ContainsFunc(lines, func(l drawn) bool { return changes(l.values) }) {
		return nil
	}
	slices.SortStableFunc(lines, func(a, b drawn) int { return strings.Compare(a.name, b.name) })
	return lines
}

// changes reports whether a curve has two values that differ.
func changes(values []float64) bool {
	last := math.NaN()
	for _, v := range values {
		if !math.IsNaN(v) {
			if v != last && !math.IsNaN(last) {
				return true
			}
			last = v
		}
	}
	return false
}

var labelOf = regexp.MustCompile(`\{\{\w+\}\}`)

// draw returns one panel.
func (p *panel) draw(lines []drawn, r *replay) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" rx=\"4\" fill=\"#ffffff\" stroke=\"#d0d7de\"/>\n", panelWidth, panelHeight)
	fmt.Fprintf(&b, "<text x=\"12\" y=\"22\" font-size=\"13\" font-weight=\"bold\">%s</text>\n", html.EscapeString(p.title))
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"22\" text-anchor=\"end\" fill=\"#57606a\">%s</text>\n", panelWidth-12, units[p.unit].word)
	top, between := scale(lines)
	y := func(v float64) float64 { return plotTop + plotHeight*(1-v/top) }
	for v := 0.0; v <= top*1.0001; v += between {
		fmt.Fprintf(&b, "<path d=\"M%d %.1fh%d\" stroke=\"#d8dee4\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" fill=\"#57606a\">%s</text>\n",
			plotLeft, y(v), plotWidth, plotLeft-6, y(v)+4, tickText(v, between))
	}
	long := time.Duration(r.samples.n-1) * step
	x := func(at time.Duration) float64 { return plotLeft + plotWidth*at.Seconds()/long.Seconds() }
	for at := time.Duration(0); at <= long; at += time.Minute {
		fmt.Fprintf(&b, "<path d=\"M%.1f %dv4\" stroke=\"#8c959f\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#57606a\">%d min</text>\n",
			x(at), plotTop+plotHeight, x(at), plotTop+plotHeight+16, int(at.Minutes()))
	}
	for _, m := range r.marks {
		at := x(m.at.Sub(r.samples.began))
		fmt.Fprintf(&b, "<path d=\"M%.1f %dv%d\" stroke=\"#8c959f\" stroke-dasharray=\"3 3\"/><text x=\"%.1f\" y=\"%d\" font-size=\"9\" fill=\"#57606a\" text-anchor=\"middle\">%s</text>\n",
			at, plotTop, plotHeight, at, plotTop-3, m.what)
	}
	for i, l := range lines {
		fmt.Fprintf(&b, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" stroke-linejoin=\"round\"/>\n", path(l.values, x, y), colours[i%len(colours)])
	}
	return b.String() + legend(lines)
}

// path returns a curve, with gaps where it has no values.
func path(values []float64, x func(time.Duration) float64, y func(float64) float64) string {
	var b strings.Builder
	pen := "M"
	for i, v := range values {
		if math.IsNaN(v) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", pen, x(time.Duration(i)*step), y(v))
		pen = "L"
	}
	return b.String()
}

// legend returns the names of the curves below the plot.
func legend(lines []drawn) string {
	var b strings.Builder
	const widthOf, most = 6.6, panelWidth - 16
	x, y := 12.0, float64(plotTop+plotHeight+34)
	for i, l := range lines {
		width := 24 + widthOf*float64(len(l.name))
		if x+width > most {
			x, y = 12, y+16
		}
		fmt.Fprintf(&b, "<path d=\"M%.1f %.1fh12\" stroke=\"%s\" stroke-width=\"3\"/><text x=\"%.1f\" y=\"%.1f\">%s</text>\n",
			x, y-4, colours[i%len(colours)], x+16, y, html.EscapeString(l.name))
		x += width
	}
	return b.String()
}

// scale returns the upper end of an axis and the distance of its ticks: 1, 2 or 5 times a
// power of ten.
func scale(lines []drawn) (top, between float64) {
	most := 0.0
	for _, l := range lines {
		for _, v := range l.values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	if most == 0 {
		most = 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most/4)))
	for _, f := range []float64{1, 2, 5, 10} {
		if between = f * power; between*4 >= most {
			break
		}
	}
	return math.Ceil(most/between-1e-9) * between, between
}

// tickText writes a number with as many digits as the distance of ticks needs.
func tickText(v, between float64) string {
	return fmt.Sprintf("%.*f", max(0, int(-math.Floor(math.Log10(between)))), v)
}

// TestPictures: what is drawn is what Prometheus computes from the same scrapes, at two
// times.
func TestPictures(t *testing.T) {
	t.Parallel()
	r := replayed(t)
	var b strings.Builder
	fmt.Fprintf(&b, "evaluation_interval: %s\ntests:\n  - interval: %s\n    input_series:\n", short(step), short(step))
	for series, row := range r.samples.all {
		name, labels, _ := strings.Cut(series, "{")
		values := strings.ReplaceAll(strings.Trim(fmt.Sprint(row.values), "[]"), "NaN", "_")
		fmt.Fprintf(&b, "      - series: %s\n        values: '%s'\n", quoted(name+`{job="td",instance="a",`+strings.TrimSuffix(labels, "}")+"}"), values)
	}
	b.WriteString("    promql_expr_test:\n")
	for _, at := range []int{r.samples.n / 3, r.samples.n * 3 / 4} {
		for i := range dashboards {
			for _, p := range dashboards[i].panels {
				for _, c := range p.curves {
					b.WriteString(c.asTest(&r.samples, at))
				}
			}
		}
	}
	path := filepath.Join(t.TempDir(), "pictures.yml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "promtool", "test", "rules", path)
}

// asTest returns a test of promtool that wants the values that a picture has at one time,
// to a millionth.
func (c curve) asTest(s *samples, at int) string {
	var b strings.Builder
	expr := strings.NewReplacer("$__rate_interval", short(rateOver), "$job", ".*", "$instance", ".*").Replace(c.promql())
	fmt.Fprintf(&b, "      - expr: %s\n        eval_time: %ds\n        exp_samples:\n", quoted("round("+expr+", 1e-6) >= 0"), int((time.Duration(at) * step).Seconds()))
	name := ""
	if m := labelOf.FindString(c.legend); m != "" {
		name = strings.Trim(m, "{}")
	}
	for label, v := range c.eval(s, at) {
		if math.IsNaN(v) {
			continue
		}
		labels := "{}"
		if name != "" {
			labels = fmt.Sprintf("{%s=%q}", name, label)
		}
		fmt.Fprintf(&b, "          - labels: %s\n            value: %.6f\n", quoted(labels), v)
	}
	return b.String()
}
