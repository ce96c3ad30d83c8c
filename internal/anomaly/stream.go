package anomaly

import (
	"math"
	"time"
)

// Settings of a stream. One set serves every cause; anomaly-sim measures it.
const (
	designs       = 3               // shifts that are looked for at a time
	evidenceAll   = 11.5            // sum at which the whole server has a verdict
	evidenceOne   = evidenceAll + 4 // of one of 64 claims, clients or networks
	holdVerdict   = time.Hour       // from a verdict to the next of the same stream
	fewest        = 8               // failures behind a verdict
	baselineHalf  = 7 * 24 * 60.0   // minutes of traffic after which what was learned counts half
	warmUp        = 24 * 60.0       // minutes of traffic before a baseline is bound to its past
	riseDoubles   = 14 * 24 * 60.0  // minutes of traffic in which what is expected may double
	lowestAfter   = 3 * 24 * 60.0   // minutes of traffic before the lowest baseline is known
	lowestDoubles = 365 * 24 * 60.0 // minutes after which the lowest baseline has doubled
	mostOfLowest  = 4.0             // times the lowest baseline that may be expected
	taughtRatio   = 2.0             // times the lowest baseline at which a slow rise is a verdict
	holdTaught    = 24 * time.Hour  // from such a verdict to the next
	caution       = 1.0             // standard deviations above the baseline that are expected
	mostExposure  = 4.0             // times the mean number of successes that a minute counts
	mostDispersed = 30.0            // greatest index of dispersion
	priorHours    = 20.0            // expected failures for which the index of dispersion starts at 1
)

var (
	shifts    = [designs]float64{1.5, 3, 10}
	logShifts = [designs]float64{math.Log(1.5), math.Log(3), math.Log(10)}
	perHour   = decay(60)
)

// decay returns what is left of one after some minutes of traffic.
func decay(minutes float64) float64 { return math.Exp2(-minutes / baselineHalf) }

// stream watches one cause in one scope. It compares the failures of each minute with those
// that its baseline, a number of failures for each success, expects beside the successes of
// the minute. Three cumulative sums of log-likelihood ratios collect the evidence that the
// failures have multiplied by 1.5, 3 or 10. They are divided by an index of dispersion, the
// variance over the mean of the hours before, since failures that come in groups or drift
// are weaker evidence than independent ones.
//
// What is expected is an upper bound of the baseline, so that little history leads to
// caution. It falls with the baseline, but doubles in two weeks at most, and rises to four
// times the lowest baseline of a long past.
type stream struct {
	failures, successes float64 // decayed sums; their ratio is the baseline
	minutes             float64 // decayed number of minutes with traffic
	reference           float64 // failures for each success that are expected
	lowest              float64 // baseline, slowly forgotten; 0 if not known

	squares, means  float64 // decayed sums over hours; their ratio is the dispersion
	hourX, hourMean float64 // of the open hour
	hourMinutes     float64

	sums   [designs]evidence
	alarm  bool
	recent [2]float64 // during an alarm: failures since the last verdict, and how many were expected
	until  time.Time  // before which no further verdict is due
	taught time.Time  // the same for slow rises
}

// evidence is one cumulative sum, and what it has seen since it was 0.
type evidence struct {
	sum, seen, expected float64
	since               time.Time
}

// priorSuccesses is the weight of an assumed baseline, and priorRatio the baseline that is
// assumed for a server that has learned nothing.
const (
	priorSuccesses = 200
	priorRatio     = 0.005
)

// newStream returns a stream that begins with an assumed baseline.
func newStream(ratio float64) *stream {
	s := &stream{failures: ratio * priorSuccesses, successes: priorSuccesses, squares: priorHours, means: priorHours}
	s.reference = s.upper(caution)
	return s
}

// upper returns a bound of the baseline, some standard deviations above it.
func (s *stream) upper(deviations float64) float64 {
	return (s.failures + 1 + deviations*math.Sqrt(s.failures/2+1)) / max(s.successes, 1)
}

// dispersion returns the variance of the failures of an hour over their mean, at least 1.
func (s *stream) dispersion() float64 {
	return min(max(1, s.squares/s.means), mostDispersed)
}

// expect returns how many failures are expected beside n successes. It is never less than
// one a day, and more while there is little history.
func (s *stream) expect(n, minutes float64) float64 {
	return max(s.reference*n, minutes/(60+min(s.minutes, warmUp)))
}

// finding is what a stream has found.
type finding struct {
	slow               bool // the baseline itself has risen
	seen, expected     float64
	since              time.Time
	evidence, needed   float64
	reference, minutes float64
}

// tick reads x failures beside n successes in the minutes before now. ceiling bounds what is
// expected, and need is the evidence at which there is a verdict.
func (s *stream) tick(now time.Time, minutes, x, n, ceiling, need float64, learn bool) (f finding, found bool) {
	if s.minutes > 60 {
		n = min(n, mostExposure*s.successes/s.minutes*minutes+10)
	}
	mean := s.expect(n, minutes)
	s.collect(now.Add(-time.Duration(minutes*float64(time.Minute))), x, mean)
	best := s.strongest(need)
	strength := best.sum
	if s.alarm && best.seen > best.expected { // the sums are bounded, what they have seen is not
		strength = max(strength, (best.seen*math.Log(best.seen/best.expected)-best.seen+best.expected)/s.dispersion())
	}
	f = finding{false, best.seen, best.expected, best.since, strength, need, s.reference, s.minutes}
	goesOn := s.goesOn(x, mean)
	found = goesOn && strength >= need && best.seen >= fewest && !now.Before(s.until)
	s.settle(now, need, found)
	if learn && (s.minutes < warmUp || !s.alarm && strength < need/2) && (x > 0 || n > 0) {
		s.learn(minutes, x, n, mean, ceiling)
		if !found && s.rose(now) {
			return finding{true, s.failures / s.successes, s.lowest, time.Time{}, need * s.failures / s.successes / s.lowest / taughtRatio, need, s.reference, s.minutes}, true
		}
	}
	return f, found
}

// collect adds a tick to the sums.
func (s *stream) collect(began time.Time, x, mean float64) {
	d := s.dispersion()
	for i := range s.sums {
		e := &s.sums[i]
		step := (x*logShifts[i] - mean*(shifts[i]-1)) / d
		if e.sum == 0 {
			if step <= 0 {
				continue
			}
			*e = evidence{since: began}
		}
		if e.sum += step; e.sum <= 0 {
			*e = evidence{}
			continue
		}
		e.seen, e.expected = e.seen+x, e.expected+mean
	}
}

// strongest returns the sum with most evidence. One that lacks failures for a verdict comes
// after those that do not.
func (s *stream) strongest(need float64) evidence {
	best := s.sums[0]
	for _, e := range s.sums[1:] {
		if e.sum > best.sum || e.sum >= need && best.seen < fewest {
			best = e
		}
	}
	return best
}

// goesOn adds a tick to an alarm, and reports whether the failures since the last verdict are
// more than expected. Without an alarm it reports true.
func (s *stream) goesOn(x, mean float64) bool {
	if !s.alarm {
		return true
	}
	s.recent[0], s.recent[1] = s.recent[0]+x, s.recent[1]+mean
	return s.recent[0] >= fewest/2 && s.recent[0] >= 1.2*s.recent[1]
}

// settle bounds the sums, begins an alarm, and ends it when half of the evidence is gone or
// the failures have ended.
func (s *stream) settle(now time.Time, need float64, found bool) {
	most := 0.0
	for i := range s.sums {
		s.sums[i].sum = min(s.sums[i].sum, 1.2*need)
		most = max(most, s.sums[i].sum)
	}
	switch {
	case found:
		s.alarm, s.until, s.recent = true, now.Add(holdVerdict), [2]float64{}
	case s.alarm && (most < need/2 || !now.Before(s.until)):
		s.end()
	}
}

// end ends an alarm.
func (s *stream) end() {
	s.alarm, s.sums, s.recent, s.until = false, [designs]evidence{}, [2]float64{}, time.Time{}
}

// learn adds a tick to the baseline. A tick that is far above what is expected counts as
// less.
func (s *stream) learn(minutes, x, n, mean, ceiling float64) {
	x = min(x, mean+4*math.Sqrt(mean*s.dispersion())+4)
	d := decay(minutes)
	s.hourX, s.hourMean, s.hourMinutes = s.hourX+x, s.hourMean+s.failures/s.successes*n, s.hourMinutes+minutes
	s.failures, s.successes, s.minutes = s.failures*d+x, s.successes*d+n, s.minutes*d+minutes
	if s.hourMinutes >= 60 {
		s.closeHour()
	}
	s.bind(minutes, ceiling)
}

// closeHour adds an hour to the index of dispersion.
func (s *stream) closeHour() {
	off := s.hourX - s.hourMean
	most := 25 * max(s.hourMean, 1) * s.dispersion()
	s.squares = s.squares*perHour + min(off*off, most)
	s.means = max(s.means*perHour+s.hourMean, 1e-3)
	s.hourX, s.hourMean, s.hourMinutes = 0, 0, 0
}

// bind derives what is expected from the baseline, within its bounds.
func (s *stream) bind(minutes, ceiling float64) {
	next := min(s.upper(caution), ceiling)
	if s.lowest > 0 {
		next = min(next, mostOfLowest*s.lowest)
	}
	if s.minutes > warmUp && next > s.reference {
		next = min(next, s.reference*math.Exp2(minutes/riseDoubles))
	}
	s.reference = next
	if s.minutes > lowestAfter {
		low := s.upper(caution)
		if s.lowest > 0 {
			low = min(low, s.lowest*math.Exp2(minutes/lowestDoubles))
		}
		s.lowest = low
	}
}

// rose reports whether the baseline has risen far above the lowest one, and notes when the
// next verdict about it is due.
func (s *stream) rose(now time.Time) bool {
	if s.lowest == 0 || now.Before(s.taught) || s.upper(-3) < taughtRatio*s.lowest {
		return false
	}
	s.taught = now.Add(holdTaught)
	return true
}

// relearn accepts the failures of an alarm as the new baseline, if it lasts.
func (s *stream) relearn() {
	times := 1.0
	for _, e := range s.sums {
		if e.expected > 0 {
			times = max(times, e.seen/e.expected)
		}
	}
	if s.alarm {
		s.failures *= times
		s.reference, s.lowest = s.upper(caution), 0
	}
	s.end()
}

func (s *stream) save(w *saver) {
	for _, v := range s.numbers() {
		w.number(*v)
	}
	for i := range s.sums {
		e := &s.sums[i]
		w.number(e.sum)
		w.number(e.seen)
		w.number(e.expected)
		w.moment(e.since)
	}
	alarm := 0
	if s.alarm {
		alarm = 1
	}
	w.count(alarm)
	w.number(s.recent[0])
	w.number(s.recent[1])
	w.moment(s.until)
	w.moment(s.taught)
}

func (s *stream) restore(r *restorer) {
	for _, v := range s.numbers() {
		*v = r.number(mostNumber)
	}
	for i := range s.sums {
		s.sums[i] = evidence{r.number(mostNumber), r.number(mostNumber), r.number(mostNumber), r.moment()}
	}
	s.alarm, s.recent = r.count(1) == 1, [2]float64{r.number(mostNumber), r.number(mostNumber)}
	s.until, s.taught = r.moment(), r.moment()
	if s.successes == 0 || s.means == 0 {
		r.failed = true
	}
}

// numbers returns the numbers of a state in their order.
func (s *stream) numbers() []*float64 {
	return []*float64{
		&s.failures, &s.successes, &s.minutes, &s.reference, &s.lowest,
		&s.squares, &s.means, &s.hourX, &s.hourMean, &s.hourMinutes,
	}
}
