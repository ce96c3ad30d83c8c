package deploy_test

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry/metrics"
)

// An expr is what a curve shows: as PromQL for a dashboard, and computed from samples for
// a picture of it.
type expr interface {
	promql() string
	eval(s *samples, at int) curves
}

// curves are values by the value of the label that an expression groups by, "" if it
// groups by none.
type curves map[string]float64

// selected are the matchers of the variables of a dashboard.
const selected = `job=~"$job",instance=~"$instance"`

func selector(name, match string) string {
	if match != "" {
		match = "," + match
	}
	return name + "{" + selected + match + "}"
}

func by(label string) string {
	if label == "" {
		return ""
	}
	return " by (" + label + ")"
}

// full returns the name of a metric as it is scraped. Those of the process have their
// prefix already.
func full(name metrics.Name) string {
	if strings.HasPrefix(string(name), "process_") || strings.HasPrefix(string(name), "go_") {
		return string(name)
	}
	return metrics.Prefix + string(name)
}

// events are events a second.
type events struct {
	name      metrics.Name
	match, by string
}

func (e events) promql() string {
	return fmt.Sprintf("sum%s (rate(%s[$__rate_interval]))", by(e.by), selector(full(e.name), e.match))
}

func (e events) eval(s *samples, at int) curves {
	return s.sum(at, full(e.name), e.match, e.by, s.rate)
}

// counted are the events of each interval of a graph.
type counted events

func (e counted) promql() string {
	return fmt.Sprintf("sum%s (increase(%s[$__rate_interval]))", by(e.by), selector(full(e.name), e.match))
}

func (e counted) eval(s *samples, at int) curves {
	return times{rateOver.Seconds(), events(e)}.eval(s, at)
}

// level is the present value of a gauge.
type level struct {
	name      metrics.Name
	match, by string
}

func (e level) promql() string {
	return fmt.Sprintf("max%s (%s)", by(e.by), selector(full(e.name), e.match))
}

func (e level) eval(s *samples, at int) curves {
	return s.sum(at, full(e.name), e.match, e.by, s.value) // of one server a sum has one element
}

// quantile is a quantile of a histogram.
type quantile struct {
	q         float64
	name      metrics.Name
	match, by string
}

func (e quantile) promql() string {
	labels := "le"
	if e.by != "" {
		labels += ", " + e.by
	}
	return fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s[$__rate_interval])))", number(e.q), labels, selector(full(e.name)+"_bucket", e.match))
}

func (e quantile) eval(s *samples, at int) curves {
	groups := map[string]map[float64]float64{}
	for _, r := range s.matching(full(e.name)+"_bucket", e.match) {
		bound, err := strconv.ParseFloat(r.labels["le"], 64)
		if err != nil {
			continue
		}
		if groups[r.labels[e.by]] == nil {
			groups[r.labels[e.by]] = map[float64]float64{}
		}
		groups[r.labels[e.by]][bound] += s.rate(r, at)
	}
	c := curves{}
	for name, buckets := range groups {
		if v := quantileOf(e.q, buckets); !math.IsNaN(v) {
			c[name] = v
		}
	}
	return c
}

// quantileOf interpolates in cumulative buckets by their upper bounds, as Prometheus does.
func quantileOf(q float64, buckets map[float64]float64) float64 {
	bounds := make([]float64, 0, len(buckets))
	for b := range buckets {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	all := buckets[math.Inf(1)]
	if len(bounds) < 2 || all == 0 {
		return math.NaN()
	}
	rank := q * all
	i := slices.IndexFunc(bounds, func(b float64) bool { return buckets[b] >= rank })
	if i == len(bounds)-1 {
		return bounds[i-1]
	}
	low, below := 0.0, 0.0
	if i > 0 {
		low, below = bounds[i-1], buckets[bounds[i-1]]
	}
	return low + (bounds[i]-low)*(rank-below)/(buckets[bounds[i]]-below)
}

// over is one value over another one. Neither groups by a label.
type over struct{ of, all expr }

func (e over) promql() string { return e.of.promql() + " / " + e.all.promql() }

func (e over) eval(s *samples, at int) curves {
	all := e.all.eval(s, at)[""]
	if all == 0 {
		return nil
	}
	return curves{"": e.of.eval(s, at)[""] / all}
}

// rest is what is missing to 1.
type rest struct{ of expr }

func (e rest) promql() string { return "1 - " + e.of.promql() }

func (e rest) eval(s *samples, at int) curves {
	c := e.of.eval(s, at)
	for name, v := range c {
		c[name] = 1 - v
	}
	return c
}

// times is a multiple of a value.
type times struct {
	factor float64
	of     expr
}

func (e times) promql() string { return number(e.factor) + " * " + e.of.promql() }

func (e times) eval(s *samples, at int) curves {
	c := curves{}
	for name, v := range e.of.eval(s, at) {
		c[name] = e.factor * v
	}
	return c
}

// left is the time until a gauge that holds a time, without those that are 0.
type left struct{ name metrics.Name }

func (e left) promql() string {
	return fmt.Sprintf("min (%s > 0) - time()", selector(full(e.name), ""))
}

func (e left) eval(s *samples, at int) curves {
	c := s.sum(at, full(e.name), "", "", s.value)
	if c[""] == 0 {
		return nil
	}
	return curves{"": c[""] - float64(s.at(at).Unix())}
}

// samples are scrapes at equal intervals.
type samples struct {
	began time.Time
	step  time.Duration
	n     int
	all   map[string]*row   // by the text of the series
	rows  map[string][]*row // by the name of the metric
	found map[string][]*row // that match, see [samples.matching]
}

// row is one series.
type row struct {
	labels map[string]string
	values []float64
}

func (s *samples) at(i int) time.Time { return s.began.Add(time.Duration(i) * s.step) }

// rateOver is the interval of rates of a picture.
const rateOver = 30 * time.Second

// rate returns how much a counter has grown a second.
func (s *samples) rate(r *row, at int) float64 {
	return (r.values[at] - r.values[at-int(rateOver/s.step)]) / rateOver.Seconds()
}

func (s *samples) value(r *row, at int) float64 { return r.values[at] }

// matcher is one condition on a label, such as code!="none".
var matcher = regexp.MustCompile(`(\w+)(=~|!=|=)"([^"]*)"`)

// matching returns the series of a metric that match. They do not change, so that it
// looks for them once.
func (s *samples) matching(name, match string) []*row {
	key := name + "{" + match
	if found, known := s.found[key]; known {
		return found
	}
	found := slices.Clone(s.rows[name])
	for _, c := range matcher.FindAllStringSubmatch(match, -1) {
		want := regexp.MustCompile("^(?:" + c[3] + ")$") // of what has no =~ too: values have no special characters
		found = slices.DeleteFunc(found, func(r *row) bool { return want.MatchString(r.labels[c[1]]) == (c[2] == "!=") })
	}
	s.found[key] = found
	return found
}

func (s *samples) sum(at int, name, match, by string, of func(*row, int) float64) curves {
	c := curves{}
	for _, r := range s.matching(name, match) {
		c[r.labels[by]] += of(r, at)
	}
	return c
}

// line is one series of a scrape in the text format.
var line = regexp.MustCompile(`(?m)^((\w+)(?:\{(.*)\})?) (\S+)$`)

// add adds a scrape.
func (s *samples) add(scrape string) {
	for _, m := range line.FindAllStringSubmatch(scrape, -1) {
		v, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			continue
		}
		r := s.all[m[1]]
		if r == nil {
			r = &row{labels: map[string]string{}}
			for _, l := range matcher.FindAllStringSubmatch(m[3], -1) {
				r.labels[l[1]] = l[3]
			}
			s.all[m[1]] = r
			s.rows[m[2]] = append(s.rows[m[2]], r)
		}
		r.values = append(r.values, v)
	}
	s.n++
}

func newSamples(step time.Duration) samples {
	return samples{step: step, all: map[string]*row{}, rows: map[string][]*row{}, found: map[string][]*row{}}
}
