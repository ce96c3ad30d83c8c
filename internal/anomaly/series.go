package anomaly

import (
	"math"
	"time"
)

// SeriesSettings are the parameters of a [SeriesDetector]. A tick is one value; half-lives
// are in ticks.
type SeriesSettings struct {
	LevelHalfLife  float64 // of the expected value
	ScaleHalfLife  float64 // of the mean deviation from it
	ShapeHalfLife  float64 // of mean and variance of the logarithm
	RecordHalfLife float64 // of the records by which signals are divided
	Slack          float64 // deviation per tick, in scales, that is no drift
	Threshold      float64 // how far beyond its record a signal must be for a score of 1
	Hold           int     // ticks after a verdict in which only a higher score is one
	Warmup         int     // ticks before the first score

	// Floor and Ceiling are limits that no past can move. A series that is beyond one for
	// five ticks scores 1 at least, and the expected value is not learned beyond them.
	// Without limits they are infinite.
	Floor, Ceiling float64

	// Profile makes expected values depend on the hour of the week in UTC. It is used from
	// the third week on.
	Profile bool
}

// DefaultSeries returns the shipped settings, without limits.
func DefaultSeries() SeriesSettings {
	return SeriesSettings{
		LevelHalfLife:  1000,
		ScaleHalfLife:  1500,
		ShapeHalfLife:  6000,
		RecordHalfLife: 5000,
		Slack:          1.5,
		Threshold:      margin,
		Hold:           100,
		Warmup:         150,
		Floor:          math.Inf(-1),
		Ceiling:        math.Inf(1),
		Profile:        true,
	}
}

const (
	clip        = 8     // scales that one tick counts at most in drift, level and scale
	driftReset  = 60    // drift that starts again at 0
	unclipped   = 20    // ticks that are learned as they are
	beyondTicks = 5     // ticks beyond a limit that make a verdict
	margin      = 1.065 // how far beyond its record a signal is a finding, as shipped
	growth      = 2     // how far one tick raises a record at most
	tiny        = 1e-9

	greatestValue = 1e150
)

// The least records. A signal below them scores less than 1 in every series. The greatest
// records bound what a series can be taught to ignore; drift is bounded by its reset.
var (
	leastRecord = signals{3, 10, 3}
	greatest    = signals{1000, driftReset + clip, 10}
)

// signals are the measures of one tick: the deviation in scales, the drift, and the
// deviation of the logarithm in standard deviations.
type signals struct{ Spike, Drift, Level float64 }

// SeriesDetector compares each value of a series with its past. It combines three signals,
// each divided by the decayed maximum of its own past:
//
//   - the deviation from an exponentially weighted level, in mean deviations;
//   - a two-sided cumulative sum of these deviations, beyond the slack;
//   - the deviation of the signed logarithm in standard deviations, over a longer time.
//
// A score above 1 means that a signal is stronger than anything lately seen in the series.
// One outlier counts eight scales at most where it is learned, and doubles a record at most,
// so that it neither hides nor makes later findings.
type SeriesDetector struct {
	set                        SeriesSettings
	level, scale, shape, decay float64 // rates of learning for one tick
	state                      seriesState
	profile                    *weekProfile // nil without profile
}

// seriesState is what a detector has learned.
type seriesState struct {
	Ticks                        uint64 // learned
	Level, Scale, Mean, Variance float64
	Up, Down                     float64 // drift in both directions
	Peak                         float64 // of the drift since both were 0
	UpSince, DownSince           int64   // Unix seconds at which the drift began
	Record                       signals
	Held                         float64 // score of the last verdict
	Hold, Beyond                 uint64  // ticks left of its hold; ticks beyond a limit
}

// NewSeries returns a detector that has learned nothing.
func NewSeries(set SeriesSettings) *SeriesDetector {
	d := &SeriesDetector{
		set:   set,
		level: 1 - math.Exp2(-1/set.LevelHalfLife),
		scale: 1 - math.Exp2(-1/set.ScaleHalfLife),
		shape: 1 - math.Exp2(-1/set.ShapeHalfLife),
		decay: math.Exp2(-1 / set.RecordHalfLife),
	}
	if set.Profile {
		d.profile = new(weekProfile)
	}
	return d
}

// Observe returns the reading of the next value. With learn false the value changes no
// baseline and no record: callers pass it while the server is frozen or an alert is active.
// A value that is no number, or beyond 1e150, is ignored: its reading is [SeriesIgnored].
func (d *SeriesDetector) Observe(at time.Time, value float64, learn bool) SeriesReading {
	if !(math.Abs(value) <= greatestValue) {
		return SeriesReading{At: at, Since: at, Observed: value, Kind: SeriesIgnored}
	}
	s := &d.state
	log := math.Copysign(math.Log1p(math.Abs(value)), value)
	if s.Ticks == 0 {
		s.Level, s.Mean = d.limit(value), log
	}
	r := SeriesReading{At: at, Since: at, Observed: value, Expected: s.Level + d.profile.at(at), Ticks: s.Ticks, warmup: d.set.Warmup}
	deviation := value - r.Expected
	r.Scale = max(s.Scale, 1e-6*math.Abs(s.Level), tiny)
	r.Z = deviation / r.Scale
	if r.Warm() {
		now := signals{math.Abs(r.Z), d.drift(&r), math.Abs(log-s.Mean) / max(math.Sqrt(s.Variance), 1e-6)}.capped()
		d.judge(&r, now)
		if learn {
			s.learnRecords(now, d.decay)
		}
	}
	if learn {
		d.learn(at, deviation, r.Scale, log)
	}
	return r
}

// limit returns the value, or the limit that it is beyond.
func (d *SeriesDetector) limit(value float64) float64 {
	return max(d.set.Floor, min(d.set.Ceiling, value))
}

// drift adds the deviation to the sums of both directions and returns the greater one.
func (d *SeriesDetector) drift(r *SeriesReading) float64 {
	s := &d.state
	z := max(-clip, min(clip, r.Z))
	if s.Up == 0 {
		s.UpSince = r.At.Unix()
	}
	if s.Down == 0 {
		s.DownSince = r.At.Unix()
	}
	s.Up = max(0, s.Up+z-d.set.Slack)
	s.Down = max(0, s.Down-z-d.set.Slack)
	r.Drift, r.driftSince = s.Up, s.UpSince
	if s.Down > s.Up {
		r.Drift, r.driftSince = -s.Down, s.DownSince
	}
	drift := max(s.Up, s.Down)
	if drift > driftReset {
		s.Up, s.Down = 0, 0
	}
	return drift
}

// judge sets the score and the kind of a reading.
func (d *SeriesDetector) judge(r *SeriesReading, now signals) {
	s := &d.state
	r.Kind = SeriesSpike
	r.set(SeriesSpike, now.Spike, max(s.Record.Spike, leastRecord.Spike))
	r.set(SeriesDrift, now.Drift, max(s.Record.Drift, leastRecord.Drift))
	r.set(SeriesLevel, now.Level, max(s.Record.Level, leastRecord.Level))
	r.Score /= d.set.Threshold
	if r.Kind == SeriesDrift {
		r.Since = time.Unix(r.driftSince, 0).UTC()
	}
	if d.limit(r.Observed) == r.Observed {
		s.Beyond = 0
	} else if s.Beyond++; s.Beyond >= beyondTicks && r.Score < 1 {
		r.Kind, r.Score = SeriesLimit, 1
	}
	switch {
	case s.Hold > 0 && r.Score <= s.Held:
		r.Held = true
		s.Hold--
	case r.Score >= 1:
		s.Held, s.Hold = r.Score, uint64(d.set.Hold)
	case s.Hold > 0:
		s.Hold--
	}
}

// capped returns the signals, at most the greatest ones.
func (s signals) capped() signals {
	return signals{min(s.Spike, greatest.Spike), min(s.Drift, greatest.Drift), min(s.Level, greatest.Level)}
}

// learnRecords moves each record towards the signal of a tick. The record of the drift is
// what a drift reached when it has ended, or has exceeded the record by the margin: it would
// otherwise follow a slow drift, which would never be a finding.
func (s *seriesState) learnRecords(now signals, decay float64) {
	step := func(record *float64, now, least float64) {
		*record = max(*record*decay, min(now, growth*max(*record, least)))
	}
	r := &s.Record
	step(&r.Spike, now.Spike, leastRecord.Spike)
	step(&r.Level, now.Level, leastRecord.Level)
	r.Drift *= decay
	s.Peak = max(s.Peak, now.Drift)
	ended := s.Up == 0 && s.Down == 0
	if ended || s.Peak >= margin*max(r.Drift, leastRecord.Drift) {
		r.Drift = max(r.Drift, s.Peak)
	}
	if ended {
		s.Peak = 0
	}
}

// learn moves the baseline towards a value. The first values count equally.
func (d *SeriesDetector) learn(at time.Time, deviation, scale, log float64) {
	s := &d.state
	d.profile.learn(at, deviation)
	if s.Ticks >= unclipped {
		deviation = max(-clip*scale, min(clip*scale, deviation))
	}
	equal := 1 / float64(s.Ticks+1)
	s.Level = d.limit(s.Level + max(d.level, equal)*deviation)
	s.Scale += max(d.scale, equal) * (math.Abs(deviation) - s.Scale)
	shape, off := max(d.shape, equal), log-s.Mean
	s.Mean += shape * off
	s.Variance = (1 - shape) * (s.Variance + shape*off*off)
	s.Ticks++
}

// weekProfile holds, for each hour of the week in UTC, how far values are from the level.
type weekProfile struct {
	Hours [168]struct {
		Mean  float32
		Weeks uint32 // in which the hour was seen
	}
	Hour, Ticks uint64  // the hour that is being learned, and its ticks
	Sum         float64 // of the deviations in it
}

const (
	profileWeeks  = 2    // before an hour is used
	mostDeviation = 1e38 // that an hour learns, so that a mean and a change of it are numbers of 32 bits
)

// hourOfWeek returns 0 to 167.
func hourOfWeek(at time.Time) uint64 {
	return uint64(((at.Unix()/3600)%168 + 168) % 168)
}

// at returns how far values of an hour are from the level, and 0 without a profile.
func (p *weekProfile) at(at time.Time) float64 {
	if p == nil {
		return 0
	}
	if h := &p.Hours[hourOfWeek(at)]; h.Weeks >= profileWeeks {
		return float64(h.Mean)
	}
	return 0
}

// learn adds the deviation from the expected value to the hour. An hour is learned when
// the next one begins, so that each week counts once.
func (p *weekProfile) learn(at time.Time, deviation float64) {
	if p == nil {
		return
	}
	deviation = max(-mostDeviation, min(mostDeviation, deviation+p.at(at)))
	hour := hourOfWeek(at)
	if hour != p.Hour && p.Ticks > 0 {
		h := &p.Hours[p.Hour]
		h.Weeks = min(h.Weeks+1, 1000)
		h.Mean += float32(max(0.2, 1/float64(h.Weeks)) * (p.Sum/float64(p.Ticks) - float64(h.Mean)))
		p.Ticks, p.Sum = 0, 0
	}
	p.Hour = hour
	p.Ticks++
	p.Sum += deviation
}
