// Package metrics counts and measures what a server does, for Prometheus.
//
// The metrics are one table (table.go) of names, labels and all values of the labels.
// Every series is there from the start, so that increase() sees the first event, and no
// event can add one: a value that a label does not have is counted as other or none. No
// label holds an address, a key, a client or an id of a request.
//
// [Metrics] is a reader of the ring of telemetry: it counts events outside the path of
// requests. What is no event is set by functions that [Metrics.OnScrape] registers, which
// run before the values are read.
package metrics

import (
	"fmt"
	"math"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the metrics of one process. Its methods may be called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry
	table    []metric
	values   map[Name]*values
	times    map[Name]*prometheus.HistogramVec
	onScrape []func()
	scraping sync.Mutex // held while these functions run
}

// values are the series of one counter or gauge.
type values struct {
	metric
	desc  *prometheus.Desc
	cells []cell
}

// cell is one series.
type cell struct {
	labels []string
	bits   atomic.Uint64 // of a float64
}

// Options are what [New] needs.
type Options struct {
	Labels
	Version string
	Process bool // with the metrics of the process and of the Go runtime
}

// New returns metrics, all zero.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), table: table(o.Labels),
		values: make(map[Name]*values), times: make(map[Name]*prometheus.HistogramVec),
	}
	for i := range m.table {
		row := &m.table[i]
		if row.name == Build {
			row.labels = []label{{"version", []string{o.Version}}, {"go_version", []string{runtime.Version()}}}
		}
		if row.kind == histogram {
			m.times[row.name] = newHistogram(row)
			m.registry.MustRegister(m.times[row.name])
			continue
		}
		m.values[row.name] = newValues(row)
		m.registry.MustRegister(m.values[row.name])
	}
	m.Set(Build, 1, o.Version, runtime.Version())
	m.Set(DiskFree, math.NaN())
	m.Set(DiskFreeRatio, math.NaN())
	if o.Process {
		m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return m
}

// newHistogram returns a histogram with native and with classic buckets.
func newHistogram(row *metric) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: Prefix + string(row.name), Help: row.help, Buckets: row.buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
	}, labelNames(row))
	for _, combination := range combinations(row.labels) {
		h.WithLabelValues(combination...)
	}
	return h
}

func newValues(row *metric) *values {
	v := &values{metric: *row, desc: prometheus.NewDesc(Prefix+string(row.name), row.help, labelNames(row), nil)}
	all := combinations(row.labels)
	v.cells = make([]cell, len(all))
	for i, combination := range all {
		v.cells[i].labels = combination
	}
	return v
}

func labelNames(row *metric) []string {
	all := make([]string, len(row.labels))
	for i, l := range row.labels {
		all[i] = l.name
	}
	return all
}

// combinations returns every combination of the values of labels, the last label varying
// fastest.
func combinations(labels []label) [][]string {
	all := [][]string{nil}
	for _, l := range labels {
		var longer [][]string
		for _, head := range all {
			for _, v := range l.values {
				longer = append(longer, append(slices.Clone(head), v))
			}
		}
		all = longer
	}
	return all
}

// Describe implements [prometheus.Collector].
func (v *values) Describe(to chan<- *prometheus.Desc) { to <- v.desc }

// Collect implements [prometheus.Collector].
func (v *values) Collect(to chan<- prometheus.Metric) {
	of := prometheus.GaugeValue
	if v.kind == counter {
		of = prometheus.CounterValue
	}
	for i := range v.cells {
		c := &v.cells[i]
		to <- prometheus.MustNewConstMetric(v.desc, of, math.Float64frombits(c.bits.Load()), c.labels...)
	}
}

// cell returns the series with these values of labels, in the order of the table. A value
// that a label does not have stands for its last one, other or none.
func (m *Metrics) cell(name Name, labels []string) *cell {
	v := m.values[name]
	if v == nil || len(labels) != len(v.labels) {
		panic(fmt.Sprintf("metrics: internal error: %s takes other labels than %q", name, slices.Clone(labels))) // so that labels stays on the stack of the caller
	}
	at := 0
	for i, l := range v.labels {
		at = at*len(l.values) + l.index(labels[i])
	}
	return &v.cells[at]
}

// index returns the place of a value, that of the last one if there is none.
func (l *label) index(value string) int {
	if i := slices.Index(l.values, value); i >= 0 {
		return i
	}
	return len(l.values) - 1
}

// Add adds to a counter or a gauge.
func (m *Metrics) Add(name Name, by float64, labels ...string) {
	c := m.cell(name, labels)
	for {
		old := c.bits.Load()
		if c.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+by)) {
			return
		}
	}
}

// Set sets a gauge, or a counter that is counted elsewhere.
func (m *Metrics) Set(name Name, to float64, labels ...string) {
	m.cell(name, labels).bits.Store(math.Float64bits(to))
}

// SetIs sets a gauge to 1 or 0.
func (m *Metrics) SetIs(name Name, is bool, labels ...string) {
	to := 0.0
	if is {
		to = 1
	}
	m.Set(name, to, labels...)
}

// observe adds to a histogram.
func (m *Metrics) observe(name Name, value float64, of string) {
	row := m.row(name)
	m.times[name].WithLabelValues(row.labels[0].values[row.labels[0].index(of)]).Observe(value)
}

func (m *Metrics) row(name Name) *metric {
	return &m.table[slices.IndexFunc(m.table, func(r metric) bool { return r.name == name })]
}

// OnScrape has a function called before values are read. It must be called before the
// first reading.
func (m *Metrics) OnScrape(f func()) { m.onScrape = append(m.onScrape, f) }

// refresh calls the functions that set what is no event.
func (m *Metrics) refresh() {
	m.scraping.Lock()
	defer m.scraping.Unlock()
	for _, f := range m.onScrape {
		f()
	}
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	scrape := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.refresh()
		scrape.ServeHTTP(w, r)
	})
}
