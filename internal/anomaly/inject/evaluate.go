package inject

import (
	"slices"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
)

// Detectors are what is evaluated.
type Detectors interface {
	telemetry.Observer
	Tick(now time.Time, learn bool) []anomaly.Verdict
}

// Result is what became of one attack.
type Result struct {
	Attack *Attack
	Began  time.Time
	First  map[anomaly.Detector]anomaly.Verdict // the first verdict of each detector about it
	Other  []anomaly.Verdict                    // about something else
}

// Delay returns the time to the first verdict, and which it is.
func (r *Result) Delay() (d time.Duration, v anomaly.Verdict, found bool) {
	for _, first := range r.First {
		if since := first.At.Sub(r.Began); !found || since < d || since == d && first.Detector < v.Detector {
			d, v, found = since, first, true
		}
	}
	return d, v, found
}

// quietFor is how long after a verdict nothing is learned: as long as its alert is active.
const quietFor = time.Hour

// Run feeds detectors with minutes of traffic and ticks them. It returns their verdicts, and
// ends early when stop reports so.
func Run(t *Traffic, to telemetry.Observer, d Detectors, began time.Time, length time.Duration, stop func(anomaly.Verdict) bool) (all []anomaly.Verdict) {
	var quiet time.Time
	for at := began; at.Before(began.Add(length)); at = at.Add(time.Minute) {
		t.Minute(at, to)
		end := at.Add(time.Minute)
		for _, v := range d.Tick(end, !end.Before(quiet)) {
			all, quiet = append(all, v), end.Add(quietFor)
			if stop != nil && stop(v) {
				return all
			}
		}
	}
	return all
}

// Evaluate runs one attack after an hour of honest traffic. It ends when each detector that
// should find the attack has a verdict about it, or when the attack ends.
func Evaluate(a *Attack, seed uint64, t *Traffic, d Detectors, began time.Time) Result {
	r := Result{Attack: a, Began: began.Add(time.Hour), First: make(map[anomaly.Detector]anomaly.Verdict)}
	Run(t, NewMixer(a, seed, r.Began, d), d, began, time.Hour+a.Length, func(v anomaly.Verdict) bool {
		if v.At.Before(r.Began) || !a.Matches(&v) {
			r.Other = append(r.Other, v)
			return false
		}
		if _, known := r.First[v.Detector]; !known {
			r.First[v.Detector] = v
		}
		return !slices.ContainsFunc(a.Finds, func(d anomaly.Detector) bool { _, found := r.First[d]; return !found })
	})
	return r
}
