package anomaly

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// TestSetRestoresParts: a detector and a series that refuse their parts begin anew, and the
// others are restored.
func TestSetRestoresParts(t *testing.T) {
	t.Parallel()
	s := NewSet()
	s.provers.of(proverKey{LocalProver, "open/1"}, requestAt).n = warmAnswers + 1
	s.profiles.Observe(telemetry.Request{Operation: "openChallenge", Client: "lab", Claim: "open/1"})
	for i := range 5 {
		s.series[0].tick(requestAt.Add(time.Duration(i)*time.Minute), 7, true, false)
		s.series[1].tick(requestAt.Add(time.Duration(i)*time.Minute), 7, true, false)
	}
	s.series[1].detector.state.Ticks = math.MaxUint64
	b := bytes.Replace(unsealed(s.Save(requestAt)), []byte(profilesState), []byte(profilesState[:len(profilesState)-1]+"0"), 1)
	again := NewSet()
	saved, err := again.Restore(sealed(b))
	if err == nil || !saved.Equal(requestAt.Truncate(time.Second)) || !strings.Contains(err.Error(), "behaviour, "+measured[1].name) || strings.Contains(err.Error(), measured[0].name+",") {
		t.Fatal(saved, err)
	}
	if len(again.profiles.clients) != 0 || len(again.provers.all) != 1 || again.series[0].detector.state.Ticks != 5 || again.series[1].detector.state.Ticks != 0 {
		t.Errorf("%d profiles, %d provers, %d and %d ticks", len(again.profiles.clients), len(again.provers.all), again.series[0].detector.state.Ticks, again.series[1].detector.state.Ticks)
	}
}

// TestSeriesStateIsSound: numbers that would become no number are refused, and no value makes
// a state that is.
func TestSeriesStateIsSound(t *testing.T) {
	t.Parallel()
	set := DefaultSeries()
	set.Profile = true
	refused := func(change func(*SeriesDetector)) bool {
		d := NewSeries(set)
		d.Observe(requestAt, 1, true)
		change(d)
		b, err := d.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return NewSeries(set).UnmarshalBinary(b) != nil
	}
	for name, change := range map[string]func(*SeriesDetector){
		"ticks":          func(d *SeriesDetector) { d.state.Ticks = math.MaxUint64 },
		"profile ticks":  func(d *SeriesDetector) { d.profile.Ticks = math.MaxUint64 },
		"profile sum":    func(d *SeriesDetector) { d.profile.Sum = 1e308 },
		"profile mean":   func(d *SeriesDetector) { d.profile.Hours[3].Mean = math.MaxFloat32 },
		"sum of no tick": func(d *SeriesDetector) { d.profile.Ticks = 0; d.profile.Sum = 1 },
	} {
		if !refused(change) {
			t.Errorf("%s: restored", name)
		}
	}
	if refused(func(d *SeriesDetector) {
		for i := range 5 * 168 * 2 {
			d.Observe(requestAt.Add(time.Duration(i)*30*time.Minute), math.Copysign(1e149, float64(i/168%2)-0.5), true)
		}
		for i, h := range d.profile.Hours {
			if math.IsInf(float64(h.Mean), 0) || math.IsNaN(float64(h.Mean)) {
				t.Fatalf("hour %d: %g", i, h.Mean)
			}
		}
	}) {
		t.Error("a detector that has seen great values cannot be restored")
	}
}
