package anomaly

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	s, n := newStream(priorRatio), 0
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
		s := newStream(priorRatio)
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

// streamBound is what is allowed for one ratio of failures.
type streamBound struct {
	ratio float64
	most  [4]float64 // minutes, for each factor; 0: not bounded
}

// TestStream measures delays and false alarms of one stream: of whole years with TD_ANOMALY,
// and of days without.
func TestStream(t *testing.T) {
	t.Parallel()
	runs, learned, days, ratios := 41, 2, 60, 2
	if testing.Short() {
		runs, days, ratios = 21, 20, 1
	}
	if os.Getenv("TD_ANOMALY") != "" {
		runs, learned, days, ratios = 201, 14, 730, 5
	}
	var table strings.Builder
	fmt.Fprintf(&table, "## One cause at 700 requests a minute\n\nThe rate detector for one cause of the whole server: medians of %d runs after %d days of learning, with a daily cycle of ±60 %% and a drift of the ratio of ±15 %% in a month. False alarms are of 3 runs of %d days.\n\n", runs, learned, days)
	table.WriteString("| usual failures | ×1.3 | ×2 | ×5 | ×20 | false alarms a month |\n|---|---|---|---|---|---|\n")
	figures := map[string]float64{}
	for _, c := range []streamBound{
		{0.0005, [4]float64{0, 120, 15, 2}}, {0.01, [4]float64{0, 60, 10, 2}}, {0.1, [4]float64{}}, {0.00001, [4]float64{}}, {0, [4]float64{}},
	}[:ratios] {
		fmt.Fprintf(&table, "| %g %% |", 100*c.ratio)
		for i, factor := range []float64{1.3, 2, 5, 20} {
			if c.ratio == 0 || c.most == [4]float64{} && factor != 2 {
				table.WriteString(" |")
				continue
			}
			all := delays(runs, c.ratio, factor, learned)
			median := all[len(all)/2]
			t.Logf("a ratio of %g times %g is found after %g minutes (90th percentile %g)", c.ratio, factor, median, all[len(all)*9/10])
			if c.most[i] > 0 && median > c.most[i] {
				t.Errorf("a ratio of %g times %g takes %g minutes, at most %g are allowed", c.ratio, factor, median, c.most[i])
			}
			fmt.Fprintf(&table, " %s |", span(time.Duration(median)*time.Minute))
			figures[fmt.Sprintf("ratio_%g_times_%g_minutes", c.ratio, factor)] = median
		}
		alarms := 0.0
		for seed := range uint64(3) {
			alarms += falseAlarms(seed, c.ratio, days) / 3
		}
		t.Logf("a ratio of %g has %.2f false alarms a month", c.ratio, alarms)
		if alarms > 1 {
			t.Errorf("a ratio of %g has %.2f false alarms a month", c.ratio, alarms)
		}
		fmt.Fprintf(&table, " %.2f |\n", alarms)
		figures[fmt.Sprintf("ratio_%g_false_alarms_a_month", c.ratio)] = math.Round(100*alarms) / 100
	}
	if out := os.Getenv("TD_ANOMALY_OUT"); out != "" {
		text, err := json.Marshal(figures)
		if err != nil || os.WriteFile(filepath.Join(out, "rates.json"), text, 0o600) != nil || os.WriteFile(filepath.Join(out, "rates.md"), []byte(table.String()), 0o600) != nil {
			t.Error("the figures are not written", err)
		}
	}
}
