package anomaly

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// SeriesKind is the kind of finding of a [SeriesDetector].
type SeriesKind uint8

// The kinds of a reading.
const (
	SeriesLearning SeriesKind = iota // within the warm-up
	SeriesIgnored                    // no number that can be learned
	SeriesSpike                      // far from the expected value
	SeriesDrift                      // on one side of the expected value for long
	SeriesLevel                      // of a size that the series rarely has
	SeriesLimit                      // beyond the floor or the ceiling
)

var seriesKindText = [...]string{"learning", "ignored", "spike", "drift", "level", "limit"}

// String returns the stable name of the kind.
func (k SeriesKind) String() string {
	if int(k) < len(seriesKindText) {
		return seriesKindText[k]
	}
	return "unknown"
}

// SeriesReading is what a [SeriesDetector] finds in one value.
type SeriesReading struct {
	At       time.Time
	Since    time.Time // when the drift began, otherwise At
	Observed float64
	Expected float64
	Scale    float64 // mean deviation from the expected value
	Z        float64 // deviation in scales
	Drift    float64 // sum of the deviations beyond the slack; negative below the expected value
	Signal   float64 // of the kind
	Record   float64 // strongest signal of the kind before, at least the least record
	Score    float64 // 1 is the threshold
	Ticks    uint64  // learned before
	Kind     SeriesKind
	Held     bool // follows a verdict with a higher score and is no new one

	warmup     int
	driftSince int64
}

// Warm reports whether the warm-up was over.
func (r *SeriesReading) Warm() bool { return r.Ticks >= uint64(r.warmup) }

// Finding reports whether the reading is worth a verdict.
func (r *SeriesReading) Finding() bool { return r.Score >= 1 && !r.Held }

// set takes a signal as that of the reading if its score is the highest.
func (r *SeriesReading) set(kind SeriesKind, signal, record float64) {
	if score := signal / record; score > r.Score {
		r.Kind, r.Signal, r.Record, r.Score = kind, signal, record, score
	}
}

// Verdict returns the verdict of a reading on the series of a name.
func (r *SeriesReading) Verdict(name, scope string) Verdict {
	return Verdict{
		At:       r.At,
		Since:    r.Since,
		Detector: Series,
		Kind:     r.Kind.String(),
		Scope:    scope,
		Observed: r.Observed,
		Expected: r.Expected,
		Score:    r.Score,
		Runbook:  "abnormal-traffic.md",
		Sentence: name + ": " + r.Sentence(),
		Evidence: []Fact{
			{"series", name},
			{"z", short(r.Z)},
			{"scale", short(r.Scale)},
			{"drift", short(r.Drift)},
			{"signal", short(r.Signal)},
			{"record", short(r.Record)},
			{"ticks", strconv.FormatUint(r.Ticks, 10)},
		},
	}
}

// Sentence returns the reading in words.
func (r *SeriesReading) Sentence() string {
	seen := fmt.Sprintf("%s seen, %s expected", short(r.Observed), short(r.Expected))
	if r.Warm() {
		seen += fmt.Sprintf(" (z %s, mean deviation %s)", signed(r.Z), short(r.Scale))
	}
	switch {
	case r.Kind == SeriesIgnored:
		return "ignored, no number that can be learned"
	case !r.Warm():
		return fmt.Sprintf("still learning, %d of %d ticks: %s", r.Ticks, r.warmup, seen)
	case r.Score < 1:
		return fmt.Sprintf("as usual: %s, score %.2f", seen, r.Score)
	case r.Kind == SeriesLimit:
		return fmt.Sprintf("beyond its limit for %d ticks: %s", beyondTicks, seen)
	case r.Kind == SeriesDrift:
		side := "above"
		if r.Drift < 0 {
			side = "below"
		}
		return fmt.Sprintf("%s what is expected for %s: %s; the drift of %s exceeds the record of %s; %s",
			side, r.At.Sub(r.Since).Round(time.Second), seen, short(r.Signal), short(r.Record), r.sure())
	case r.Kind == SeriesLevel:
		return fmt.Sprintf("of an unusual size: %s; %s deviations of its logarithm exceed the record of %s; %s",
			seen, short(r.Signal), short(r.Record), r.sure())
	default:
		return fmt.Sprintf("far from what is expected: %s; the record was %s; %s", seen, short(r.Record), r.sure())
	}
}

// Clear reports whether the reading is a finding that steady noise rarely makes: about once
// in 30,000 ticks, against once in 1,000 for findings. The score of a drift is low while
// the drift grows, since its record grows with it: a long drift is clear at any score.
func (r *SeriesReading) Clear() bool {
	return r.Finding() && (r.Score >= clearScore || r.Kind == SeriesLimit || r.Kind == SeriesDrift && r.Signal >= clearDrift)
}

const (
	clearScore  = 1.3
	clearDrift  = 30
	strongScore = 2
)

// sure returns how sure a finding is.
func (r *SeriesReading) sure() string {
	grade := "weak"
	switch {
	case r.Score >= strongScore:
		grade = "strong"
	case r.Clear():
		grade = "clear"
	}
	return fmt.Sprintf("a %s finding, score %.2f, learned from %d ticks", grade, r.Score, r.Ticks)
}

// short returns a number with at most four digits that count.
func short(v float64) string {
	if a := math.Abs(v); a >= 1e4 && a < 1e15 {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// signed returns a number with its sign.
func signed(v float64) string {
	if v > 0 {
		return "+" + short(v)
	}
	return short(v)
}
