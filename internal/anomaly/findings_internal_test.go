package anomaly

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

var noonTime = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// found is a verdict with a score.
func found(d Detector, kind, scope string, cause telemetry.Cause, score float64) Verdict {
	return Verdict{At: noonTime, Since: noonTime, Detector: d, Kind: kind, Scope: scope, Cause: cause, Observed: score, Score: score, Sentence: kind + " of " + scope}
}

// TestPlaces: when every place is taken, impossible events and verdicts about the server have
// one, a higher score replaces the lowest, and what has none is counted.
func TestPlaces(t *testing.T) {
	t.Parallel()
	s := NewSet()
	var many []Verdict
	for i := range maxLive {
		many = append(many, found(Rate, "rise", fmt.Sprint("network:", i), telemetry.NotFound, 5+float64(i)))
	}
	s.report(noonTime, many)
	for _, c := range []struct {
		v    Verdict
		want int // that are reported
	}{
		{found(Rate, "rise", "network:low", telemetry.NotFound, 2), 0},
		{found(Rate, "rise", "network:high", telemetry.NotFound, 90), 1},
		{found(Rate, "rise", ScopeServer, telemetry.NotFound, 1), 1},
		{found(Impossible, kindForeignTag, "client:lab", telemetry.ForeignTag, 1), 1},
		{found(Impossible, kindRootsDiffer, ScopeServer, telemetry.NoCause, 1), 1},
	} {
		if fresh := s.report(noonTime, []Verdict{c.v}); len(fresh) != c.want {
			t.Errorf("%s of %s: %d reported, want %d", c.v.Kind, c.v.Scope, len(fresh), c.want)
		}
	}
	if n := s.Stats().Suppressed[byFull]; n != 1 || len(s.Live(noonTime)) != maxLive {
		t.Errorf("%d had no place, %d are in force", n, len(s.live))
	}
}

// agreed reports whether a verdict in force about wrong tags agrees with a series.
func agreed(s *Set, now time.Time) bool {
	for _, f := range s.Live(now) {
		if f.Detector == Rate && f.Agrees != "" {
			return true
		}
	}
	return false
}

// TestWorseStaysConfirmed: a verdict that becomes worse still agrees with the series that
// has confirmed it.
func TestWorseStaysConfirmed(t *testing.T) {
	t.Parallel()
	s := NewSet()
	s.report(noonTime, []Verdict{found(Series, "wrong_tags", ScopeServer, telemetry.NoCause, 2), found(Rate, "rise", ScopeServer, telemetry.WrongTag, 2)})
	if !agreed(s, noonTime) {
		t.Fatal("not confirmed")
	}
	now := noonTime.Add(40 * time.Minute) // the series is no longer in force
	s.expire(now)
	s.report(now, []Verdict{found(Rate, "rise", ScopeServer, telemetry.WrongTag, 5)})
	if !agreed(s, now) {
		t.Error("a verdict that is worse is not confirmed any more")
	}
}

// TestAgreeWhileInForce: two verdicts agree if they were found again within half an hour of
// each other, whenever they began.
func TestAgreeWhileInForce(t *testing.T) {
	t.Parallel()
	s := NewSet()
	series := func(now time.Time) {
		v := found(Series, "wrong_tags", ScopeServer, telemetry.NoCause, 2)
		v.At = now
		s.expire(now)
		s.report(now, []Verdict{v})
	}
	for i := range 6 {
		series(noonTime.Add(time.Duration(i) * 10 * time.Minute))
	}
	now := noonTime.Add(55 * time.Minute)
	v := found(Rate, "rise", "client:lab", telemetry.WrongTag, 2)
	v.At = now
	s.report(now, []Verdict{v})
	if !agreed(s, now) {
		t.Error("a series that began 55 minutes before, and goes on, does not agree")
	}
}

// TestAgrees: a series agrees with a verdict about causes that it counts, and with no other.
func TestAgrees(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		series string
		cause  telemetry.Cause
		want   bool
	}{
		{"wrong_tags", telemetry.WrongTag, true},
		{"refused_submit", telemetry.WrongTag, true},
		{"refused_read", telemetry.NotFound, true},
		{"accepted_part", telemetry.FalseProof, true},
		{"faults", telemetry.Fault, true},
		{"limited_part", telemetry.Limited, true},
		{"push_failed_part", telemetry.ProverWrong, true},
		{"requests_read", telemetry.NotFound, false},
		{"issued", telemetry.NotFound, false},
		{"sources", telemetry.Unauthenticated, false},
		{"clients", telemetry.WrongTag, false},
		{"received", telemetry.Malformed, false},
		{"faults", telemetry.NotFound, false},
		{"wrong_tags", telemetry.FalseProof, false},
		{"refused_submit", telemetry.NoCause, false},
	} {
		series := Finding{Verdict: found(Series, c.series, ScopeServer, telemetry.NoCause, 2)}
		fell := series
		series.Expected, fell.Expected = series.Observed/2, 2*fell.Observed
		if c.series == acceptedPart {
			series, fell = fell, series
		}
		rate := Finding{Verdict: found(Rate, "rise", "client:lab", c.cause, 2)}
		if agrees(&series, &rate) != c.want || agrees(&fell, &rate) {
			t.Errorf("%s with %s: agrees %t, the other way round %t", c.series, c.cause, agrees(&series, &rate), agrees(&fell, &rate))
		}
	}
	for i := range measured {
		if measured[i].value == nil || slices.Contains(measured[i].about, telemetry.NoCause) {
			t.Error(measured[i].name)
		}
	}
}

// TestExplainedSeries: a jump that is explained at first is found when it no longer is, as its
// values were not learned. One that ends before is not.
func TestExplainedSeries(t *testing.T) {
	t.Parallel()
	for _, goesOn := range []bool{true, false} {
		w := newWatched(&measured[0])
		now, last := noonTime, (*Verdict)(nil)
		r := rand.New(rand.NewPCG(1, 1))
		for i := range 430 {
			x := 100 + 8*r.NormFloat64()
			upset := i >= 400 && i < 410
			if upset || i >= 410 && goesOn {
				x += 150
			}
			now = now.Add(time.Minute)
			if v := w.tick(now, x, true, upset); v != nil && i >= 414 {
				last = v
			}
		}
		if (last != nil) != goesOn {
			t.Errorf("goes on: %t; found %+v", goesOn, last)
		}
	}
}

// TestMinutesWithJitter: ticks that come somewhat early or late skip no minute.
func TestMinutesWithJitter(t *testing.T) {
	t.Parallel()
	s := NewSet()
	for i := range 4*60 + 1 {
		s.Tick(noonTime.Add(time.Duration(i)*15*time.Second+time.Duration(i%7-3)*10*time.Millisecond), State{})
	}
	if n := s.series[0].ticks; n != 60 {
		t.Errorf("%d values in 60 minutes", n)
	}
}
