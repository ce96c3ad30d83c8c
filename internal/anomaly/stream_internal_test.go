package anomaly

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

var simulated = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// poisson draws an exact Poisson number: by products of uniform numbers, in parts of a mean
// of 20 at most, whose sum is Poisson again.
func poisson(r *rand.Rand, mean float64) (n int) {
	for ; mean > 20; mean -= 20 {
		n += poissonPart(r, 20)
	}
	return n + poissonPart(r, mean)
}

func poissonPart(r *rand.Rand, mean float64) int {
	limit, n := math.Exp(-mean), 0
	for p := r.Float64(); p > limit; p *= r.Float64() {
		n++
	}
	return n
}

// source simulates one stream of 700 requests a minute, with a daily cycle of 60 % and a
// drift of the ratio with a period of a month.
type source struct {
	random *rand.Rand
	ratio  float64
	drift  float64
	minute int
}

// next returns the successes and failures of the next minute, and its end.
func (s *source) next(factor float64) (now time.Time, x, n float64) {
	s.minute++
	t := float64(s.minute)
	volume := 700 * (1 + 0.6*math.Sin(2*math.Pi*t/(24*60)))
	drift := 1 + s.drift*math.Sin(2*math.Pi*t/(30*24*60))
	x = float64(poisson(s.random, volume*s.ratio*drift*factor))
	n = math.Round(volume * (1 - s.ratio))
	return simulated.Add(time.Duration(s.minute) * time.Minute), x, n
}

// falseAlarms returns how many verdicts a month a stream has without an attack.
func falseAlarms(seed uint64, ratio float64, days int) (perMonth float64) {
	src := source{rand.New(rand.NewPCG(seed, 1)), ratio, 0.15, 0}
	s, n := newStream(0.005, 200), 0
	for range days * 24 * 60 {
		now, x, ok := src.next(1)
		if _, found := s.tick(now, 1, x, ok, 0.2, evidenceAll, true); found {
			n++
		}
	}
	return float64(n) / (float64(days) / 30.4)
}

// delays returns the minutes after which a multiplied ratio is found, in runs with seeds of
// their own. Each begins at another time of the day and of the drift, after the same days of
// learning.
func delays(runs int, ratio, factor float64, learned int) []float64 {
	const most = 60 * 24 * 7
	all := make([]float64, runs)
	for i := range all {
		src := source{rand.New(rand.NewPCG(uint64(i), 2)), ratio, 0.15, i * 1000}
		s := newStream(0.005, 200)
		for range learned*24*60 + i*37%1440 {
			now, x, n := src.next(1)
			s.tick(now, 1, x, n, 0.2, evidenceAll, true)
		}
		s.alarm, s.sums, s.until = false, [designs]evidence{}, time.Time{}
		for all[i] = 1; all[i] < most; all[i]++ {
			now, x, n := src.next(factor)
			if _, found := s.tick(now, 1, x, n, 0.2, evidenceAll, true); found {
				break
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestStreamDelay simulates whole years with TD_ANOMALY=1, and days without.
func TestStreamDelay(t *testing.T) {
	t.Parallel()
	runs, learned, days := 41, 2, 120
	if os.Getenv("TD_ANOMALY") != "" {
		runs, learned, days = 201, 14, 730
	}
	for _, c := range []struct{ ratio, factor, most float64 }{
		{0.0005, 20, 2},
		{0.0005, 5, 15},
		{0.0005, 2, 120},
		{0.0005, 1.3, 7 * 24 * 60},
		{0.01, 2, 30},
		{0.01, 5, 3},
		{0.01, 1.3, 7 * 24 * 60},
	} {
		all := delays(runs, c.ratio, c.factor, learned)
		median := all[len(all)/2]
		t.Logf("a ratio of %g times %g is found after %g minutes (median of %d, 90th percentile %g)", c.ratio, c.factor, median, runs, all[len(all)*9/10])
		if median > c.most {
			t.Errorf("a ratio of %g times %g takes %g minutes, at most %g are allowed", c.ratio, c.factor, median, c.most)
		}
	}
	for _, ratio := range []float64{0, 0.00001, 0.0005, 0.01, 0.1} {
		got := 0.0
		for seed := range uint64(3) {
			got += falseAlarms(seed, ratio, days) / 3
		}
		t.Logf("a ratio of %g has %.2f false alarms a month in %d days", ratio, got, 3*days)
		if got > 1 {
			t.Errorf("a ratio of %g has %.2f false alarms a month", ratio, got)
		}
	}
}
