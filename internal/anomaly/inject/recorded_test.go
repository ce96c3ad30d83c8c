package inject_test

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/terradourada/td/internal/accesslog"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
)

// ticking ticks detectors whenever a minute of the events is over.
type ticking struct {
	*statistical
	next  time.Time
	n     int
	found []anomaly.Verdict
}

func (d *ticking) Request(q telemetry.Request) {
	d.tick(q.At)
	d.n++
	d.statistical.Request(q)
}

func (d *ticking) tick(now time.Time) {
	if d.next.IsZero() {
		d.next = now.Truncate(time.Minute)
	}
	for ; !now.Before(d.next); d.next = d.next.Add(time.Minute) {
		d.found = append(d.found, d.Tick(d.next, true)...)
	}
}

// burst is the first attack.
func burst() *inject.Attack { return &inject.Attacks()[0] }

// TestRecorded: an attack that is added to a record that telemetry.Replay reads is found, and
// nothing else of the record changes.
func TestRecorded(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	record := telemetry.NewRecorder(&b, began, 1<<30, nil, func() uint64 { return 0 }, func(err error) { t.Error(err) })
	traffic := inject.NewTraffic(1, 60)
	for minute := range 4 * 60 {
		traffic.Minute(began.Add(time.Duration(minute)*time.Minute), record)
	}
	record.Flush(began)
	for _, attack := range []*inject.Attack{nil, burst()} {
		d := &ticking{statistical: newStatistical()}
		if _, err := telemetry.Replay(bytes.NewReader(b.Bytes()), inject.NewMixer(attack, 1, began.Add(3*time.Hour), d)); err != nil {
			t.Fatal(err)
		}
		for _, v := range d.found {
			t.Log(v.Sentence)
		}
		if attack == nil && len(d.found) > 0 || attack != nil && (len(d.found) == 0 || !attack.Matches(&d.found[0])) {
			t.Errorf("%d verdicts", len(d.found))
		}
		want := bytes.Count(b.Bytes(), []byte(`"operation"`))
		if attack != nil {
			want += 300
		}
		if d.n != want {
			t.Errorf("%d requests, want %d", d.n, want)
		}
	}
}

// TestAccessLog: detectors read days of a real web server; an attack in it is found.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../../../../shared/data/accesslog/apache_logs.gz")
	if err != nil {
		t.Skip("skipped: the access log of ../shared/data is not there")
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var first time.Time
	var m *inject.Mixer
	d := &ticking{statistical: newStatistical()}
	bad, err := accesslog.Read(z, func(q telemetry.Request) {
		if m == nil {
			first = q.At
			m = inject.NewMixer(burst(), 1, first.Add(60*time.Hour), d)
		}
		m.Request(q)
	})
	if err != nil || bad > 0 || d.n != 10_300 {
		t.Fatal(bad, err, d.n)
	}
	others := 0
	for _, v := range d.found {
		t.Log(v.At.Sub(first), v.Sentence)
		if !burst().Matches(&v) {
			others++
		}
	}
	if len(d.found) == others {
		t.Error("the attack is not found")
	}
	t.Logf("%d verdicts about what else is in the log", others)
}

// TestPoisson: mean and variance are equal, for small and for large numbers.
func TestPoisson(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for _, mean := range []float64{0, 0.35, 7, 19.9, 100} {
		sum, squares := 0.0, 0.0
		const n = 20000
		for range n {
			x := float64(inject.Poisson(random, mean))
			sum, squares = sum+x, squares+x*x
		}
		got, variance := sum/n, squares/n-sum*sum/n/n
		if got < 0.95*mean || got > 1.05*mean || variance < 0.93*mean || variance > 1.07*mean {
			t.Errorf("mean %g: %g with a variance of %g", mean, got, variance)
		}
	}
}
