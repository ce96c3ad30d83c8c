package inject_test

import (
	"os"
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

var began = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC) // a Monday

func TestAttacks(t *testing.T) {
	t.Parallel()
	perMinute, days := 200.0, 2
	if os.Getenv("TD_ANOMALY") != "" {
		perMinute, days = 700, 10
	}
	learned := newStatistical()
	quiet := inject.Run(inject.NewTraffic(1, perMinute), learned, learned, began, time.Duration(days)*24*time.Hour, nil)
	for _, v := range quiet {
		t.Logf("without an attack: %s %s %s: %s", v.Detector, v.Kind, v.Scope, v.Sentence)
	}
	for i, a := range inject.Attacks() {
		d := learned.again(t)
		r := inject.Evaluate(&a, uint64(i), inject.NewTraffic(uint64(100+i), perMinute), d, began.Add(time.Duration(days)*24*time.Hour+9*time.Hour))
		delay, v, found := r.Delay()
		t.Logf("%s: %v %v %s", a.Name, found, delay, v.Sentence)
		for _, f := range r.First {
			t.Logf("    %s %.2f after %v: %s: %s", f.Detector, f.Score, f.At.Sub(r.Began), f.Kind, f.Sentence)
		}
		for _, o := range r.Other {
			t.Logf("    other: %s %s %s: %s", o.Detector, o.Kind, o.Scope, o.Sentence)
		}
	}
}
