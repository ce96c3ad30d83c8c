package anomaly_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
)

var seriesStart = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// seriesRun feeds a detector tick by tick, a minute apart.
type seriesRun struct {
	*anomaly.SeriesDetector
	at     time.Time
	random *rand.Rand
}

func newSeriesRun(set anomaly.SeriesSettings) *seriesRun {
	return &seriesRun{anomaly.NewSeries(set), seriesStart, rand.New(rand.NewPCG(1, 2))}
}

func (r *seriesRun) tick(value float64) anomaly.SeriesReading {
	r.at = r.at.Add(time.Minute)
	return r.Observe(r.at, value, true)
}

// noise feeds values around a mean and returns the findings.
func (r *seriesRun) noise(n int, mean, deviation float64) (found []anomaly.SeriesReading) {
	for range n {
		if reading := r.tick(mean + deviation*r.random.NormFloat64()); reading.Finding() {
			found = append(found, reading)
		}
	}
	return found
}

func TestSeriesWarmup(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	for i := range 150 {
		reading := r.tick(float64(1000 * i))
		if reading.Score != 0 || reading.Finding() || reading.Warm() || !strings.HasPrefix(reading.Sentence(), "still learning, ") {
			t.Fatalf("tick %d: %+v, %s", i, reading, reading.Sentence())
		}
	}
	if reading := r.tick(1e9); !reading.Finding() {
		t.Errorf("after the warm-up: %s", reading.Sentence())
	}
}

func TestSeriesSpike(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	r.noise(2000, 100, 5)
	reading := r.tick(160)
	if !reading.Finding() || reading.Kind != anomaly.SeriesSpike || reading.Score < 2 || !reading.Since.Equal(reading.At) {
		t.Fatalf("%+v", reading)
	}
	want := "requests: far from what is expected: 160 seen, "
	v := reading.Verdict("requests", "server")
	if !strings.HasPrefix(v.Sentence, want) || !strings.Contains(v.Sentence, "; a strong finding, score ") || !strings.HasSuffix(v.Sentence, ", learned from 2000 ticks") {
		t.Error(v.Sentence)
	}
	if v.Detector != anomaly.Series || v.Kind != "spike" || v.Observed != 160 || math.Abs(v.Expected-100) > 1 || v.Score != reading.Score || v.Runbook == "" || len(v.Evidence) > 16 {
		t.Errorf("%+v", v)
	}
	// A second one of that size is none, a greater one is.
	if reading := r.tick(160); reading.Finding() || !reading.Held && reading.Score >= 1 {
		t.Errorf("repeated: %s", reading.Sentence())
	}
	r.noise(200, 100, 5)
	if reading := r.tick(400); !reading.Finding() {
		t.Errorf("greater: %s", reading.Sentence())
	}
}

func TestSeriesDrift(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	r.noise(3000, 100, 5)
	began := r.at
	for _, side := range []struct {
		mean float64
		word string
	}{{109, "above"}, {91, "below"}} {
		found := r.noise(60, side.mean, 1)
		i := slices.IndexFunc(found, func(f anomaly.SeriesReading) bool { return f.Kind == anomaly.SeriesDrift })
		if i < 0 {
			t.Fatalf("%s: no drift in %d findings", side.word, len(found))
		}
		f := found[i]
		if since := f.Since.Sub(began); since < -10*time.Minute || since > 20*time.Minute {
			t.Errorf("%s: since %s, began %s", side.word, f.Since, began)
		}
		if s := f.Sentence(); !strings.HasPrefix(s, side.word+" what is expected for ") {
			t.Error(s)
		}
		r.noise(8000, 100, 5)
		began = r.at
	}
}

// TestSeriesNoise bounds what steady noise finds: see Clear.
func TestSeriesNoise(t *testing.T) {
	const ticks = 300_000
	r := newSeriesRun(anomaly.DefaultSeries())
	found, clearly := r.noise(ticks, 100, 5), 0
	for _, f := range found {
		if f.Clear() {
			clearly++
		}
	}
	if len(found) > ticks/800 || clearly > ticks/20_000 {
		t.Errorf("%d findings, %d of them clear, in %d ticks", len(found), clearly, ticks)
	}
}

// TestSeriesNotLearning: without learning a new level stays a deviation for ever, and one
// that is learned becomes the expected one.
func TestSeriesNotLearning(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	r.noise(2000, 100, 5)
	before, _ := r.MarshalBinary()
	for range 5000 {
		r.at = r.at.Add(time.Minute)
		if reading := r.Observe(r.at, 200, false); reading.Ticks != 2000 || math.Abs(reading.Expected-100) > 1 {
			t.Fatalf("learned: %+v", reading)
		}
	}
	after, _ := r.MarshalBinary()
	if string(before[:2+5*8]) != string(after[:2+5*8]) {
		t.Error("the baseline has changed")
	}
	r.noise(8000, 200, 5)
	if reading := r.tick(200); math.Abs(reading.Expected-200) > 5 {
		t.Errorf("%v expected after learning", reading.Expected)
	}
}

// TestSeriesSlowTeacher raises a series so slowly that no signal notices. The ceiling does.
func TestSeriesSlowTeacher(t *testing.T) {
	set := anomaly.DefaultSeries()
	set.Ceiling = 150
	r := newSeriesRun(set)
	mean := 100.0
	for r.noise(500, mean, 5); mean < 200; mean += 0.01 {
		r.noise(1, mean, 5)
	}
	found, expected := false, 0.0
	for range 300 {
		reading := r.tick(200)
		found = found || reading.Finding() && reading.Kind == anomaly.SeriesLimit
		expected = reading.Expected
	}
	if !found || expected > 150 {
		t.Errorf("found %v, %v expected with a ceiling of 150", found, expected)
	}
}

// TestSeriesOutlier: one outlier neither hides the next finding nor is learned.
func TestSeriesOutlier(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	r.noise(2000, 100, 5)
	r.tick(1e12)
	r.noise(150, 100, 5)
	reading := r.tick(200)
	if !reading.Finding() || math.Abs(reading.Expected-100) > 1 || reading.Scale > 6 {
		t.Errorf("%+v", reading)
	}
}

func TestSeriesIgnores(t *testing.T) {
	r := newSeriesRun(anomaly.DefaultSeries())
	r.noise(500, 100, 5)
	before, _ := r.MarshalBinary()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -1e151} {
		if reading := r.tick(v); reading.Kind != anomaly.SeriesIgnored || reading.Finding() {
			t.Errorf("%v: %+v", v, reading)
		}
	}
	if after, _ := r.MarshalBinary(); string(before) != string(after) {
		t.Error("the state has changed")
	}
	for _, v := range []float64{1e150, -1e150, 0, 1e150} {
		if reading := r.tick(v); math.IsNaN(reading.Score) || math.IsNaN(reading.Expected) {
			t.Errorf("%v: %+v", v, reading)
		}
	}
}

// TestSeriesWeekly: a nightly job is expected from the third week on.
func TestSeriesWeekly(t *testing.T) {
	set := anomaly.DefaultSeries()
	set.Profile = true
	r := newSeriesRun(set)
	deviation := make([]float64, 6)
	for week := range deviation {
		for minute := range 7 * 24 * 60 {
			value := 100 + r.random.NormFloat64()
			if minute/60%24 == 2 {
				value += 50
			}
			reading := r.tick(value)
			if minute%(24*60) == 150 {
				deviation[week] += math.Abs(reading.Observed-reading.Expected) / 7
			}
		}
	}
	if deviation[0] < 40 || deviation[5] > 10 {
		t.Errorf("deviation in the night, by week: %.1f", deviation)
	}
}

func TestSeriesState(t *testing.T) {
	for _, profile := range []bool{false, true} {
		set := anomaly.DefaultSeries()
		set.Profile = profile
		r := newSeriesRun(set)
		r.noise(30_000, 100, 5)
		saved, err := r.MarshalBinary()
		if err != nil || !profile && len(saved) > 200 || len(saved) > 2200 {
			t.Fatalf("%d bytes, %v", len(saved), err)
		}
		restored := anomaly.NewSeries(set)
		if err := restored.UnmarshalBinary(saved); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			v := 100 + 20*r.random.NormFloat64()
			if got, want := restored.Observe(r.at, v, true), r.Observe(r.at, v, true); got != want {
				t.Fatalf("restored: %+v, want %+v", got, want)
			}
		}
		refusesStates(t, set, saved)
	}
}

// refusesStates wants a detector to refuse states that no detector saves, unchanged.
func refusesStates(t *testing.T, set anomaly.SeriesSettings, saved []byte) {
	t.Helper()
	change := func(at int, b ...byte) []byte {
		s := slices.Clone(saved)
		copy(s[at:], b)
		return s
	}
	nan := binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.NaN()))
	minus := binary.LittleEndian.AppendUint64(nil, math.Float64bits(-1))
	d := anomaly.NewSeries(set)
	empty, _ := d.MarshalBinary()
	for name, b := range map[string][]byte{
		"nothing": nil, "one byte": saved[:1], "a byte less": saved[:len(saved)-1], "a byte more": append(slices.Clone(saved), 0),
		"version": change(0, 9), "profile": change(1, 2), "another profile": change(1, 1-saved[1]),
		"level": change(2+8, nan...), "scale": change(2+16, minus...), "mean": change(2+24, nan...), "variance": change(2+32, nan...), "drift": change(2+40, minus...),
	} {
		if d.UnmarshalBinary(b) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if after, _ := d.MarshalBinary(); string(after) != string(empty) {
		t.Error("a refused state has changed the detector")
	}
	// Whatever is accepted makes numbers.
	for i := range saved {
		d := anomaly.NewSeries(set)
		if d.UnmarshalBinary(change(i, saved[i]^0x55)) == nil {
			for range 3 {
				if r := d.Observe(seriesStart, 100, true); math.IsNaN(r.Score) || math.IsNaN(r.Expected) {
					t.Fatalf("byte %d: %+v", i, r)
				}
			}
		}
	}
}

func TestSeriesAllocates(t *testing.T) {
	set := anomaly.DefaultSeries()
	set.Profile = true
	r := newSeriesRun(set)
	if n := testing.AllocsPerRun(1000, func() { r.tick(100 + r.random.NormFloat64()) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

func BenchmarkSeries(b *testing.B) {
	r := newSeriesRun(anomaly.DefaultSeries())
	values := make([]float64, 1024)
	for i := range values {
		values[i] = 100 + 5*r.random.NormFloat64()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Observe(seriesStart, values[i%1024], true)
	}
}
