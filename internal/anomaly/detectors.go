package anomaly

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Set is all detectors of one server. [Set.Request] and [Set.Change] feed the statistical
// ones and are called outside the path of requests, in the order of the events. [Set.Exact]
// belongs into the path. [Set.Tick] returns what was found. Its methods may be called from
// any goroutine.
//
// Nothing is learned while a hold, a seal or an alert is in force, nor after a rotation or a
// start: see [State]. What these explain is not reported either, unless it goes on when they
// are over.
type Set struct {
	exact *Exact

	mu       sync.Mutex // guards what follows
	measures measures
	series   []watchedSeries
	rates    *Rates
	relate   *Correlation
	profiles *Profiles
	provers  *Provers

	minute  time.Time // the begin of the open one
	state   State
	alerted time.Time // since when an alert has been in force; zero without one
	started time.Time // when a server began to answer
	version string    // of it
	deploy  time.Time // when another version began
	rotated time.Time // when an epoch opened
	ends    bool      // the server stops

	live   map[subject]*Finding
	raised map[subject]raise
	stats  Stats
}

// State is what the set has to know of the server at a tick, besides its events.
type State struct {
	Held    bool // a freeze or a seal is in force
	Alerted bool // an alert is in force that what is learned now may be part of
}

// Finding is a verdict that is in force.
type Finding struct {
	Verdict
	Last   time.Time // when it was found last; At is when it was first, or became twice as bad
	Until  time.Time // when it ends, unless it is found again
	Agrees string    // the sentence of a verdict of another detector that agrees; it then pages
}

// Pages reports whether a person has to look now: two detectors agree, or what happened is
// impossible.
func (f *Finding) Pages() bool { return f.Agrees != "" || f.Detector == Impossible }

// subject is what a verdict is about. Feedback is given on it.
type subject struct {
	detector Detector
	kind     string
	scope    string
	cause    telemetry.Cause
}

func subjectOf(v *Verdict) subject { return subject{v.Detector, v.Kind, v.Scope, v.Cause} }

// Words of feedback.
const (
	WasTrue     = "true"
	WasFalse    = "false"
	WasExpected = "expected"
)

// FeedbackWords returns the words that [Set.Feedback] takes.
func FeedbackWords() []string { return []string{WasTrue, WasFalse, WasExpected} }

// raise is a threshold that feedback has raised.
type raise struct {
	by    float64
	until time.Time
}

// What feedback does: a false verdict doubles the threshold of its subject for a day, an
// expected one triples it for a week.
const (
	falseBy, expectedBy   = 2, 3
	falseFor, expectedFor = 24 * time.Hour, 7 * 24 * time.Hour
	maxRaised             = 1024
)

// Times and bounds of the set.
const (
	minuteLong    = time.Minute
	tickEarly     = time.Second // by which a tick may come too early
	maxLive       = 512
	maxAlerted    = 6 * time.Hour    // for which an alert keeps baselines from learning
	afterRotation = 10 * time.Minute // in which a rotation explains what it causes
	afterStart    = 10 * time.Minute
	afterDeploy   = 30 * time.Minute
	learnLater    = 2 * time.Minute // after a rotation or a start
	agreeWithin   = 30 * time.Minute
	againAfter    = 5 * time.Minute // after a rate that something explains, until it is a verdict again if it goes on
)

// liveFor is how long a verdict of a detector is in force. Those about failures are found
// again after an hour, if they go on.
var liveFor = map[Detector]time.Duration{
	Series: 15 * time.Minute, Rate: 65 * time.Minute, Correlate: 65 * time.Minute, Impossible: 15 * time.Minute, Prover: 30 * time.Minute, Behaviour: 30 * time.Minute,
}

// Detectors lists the detectors.
func Detectors() []Detector {
	return []Detector{Series, Rate, Correlate, Impossible, Prover, Behaviour}
}

// Stats are numbers of the set for metrics.
type Stats struct {
	Verdicts   map[Detector]uint64 // that were reported
	Suppressed map[string]uint64   // that were not, by why, see [Suppressions]
	Feedback   map[string]uint64   // by word
	Paused     string              // why nothing is learned: hold, stop, start, rotation or alert; "" while it is
	Series     int                 // measured series with values
	SeriesWarm int                 // of which are past their warm-up
	Provers    int                 // pairs of a prover and a claim

	ProversWarm int
}

// The reasons for which a verdict is not reported.
const (
	byHold     = "hold"
	byRotation = "rotation"
	byStart    = "start"
	byDeploy   = "deploy"
	byFeedback = "feedback"
	byFull     = "full" // verdicts with higher scores have every place
)

// Further reasons for which nothing is learned.
const (
	byStop  = "stop"
	byAlert = "alert"
)

// Suppressions lists the reasons for which a verdict is not reported.
func Suppressions() []string {
	return []string{byHold, byRotation, byStart, byDeploy, byFeedback, byFull}
}

// NewSet returns detectors that have learned nothing.
func NewSet() *Set {
	rates := NewRates()
	s := &Set{
		exact: NewExact(), measures: newMeasures(), rates: rates, relate: NewCorrelation(rates), profiles: NewProfiles(), provers: NewProvers(),
		series: make([]watchedSeries, len(measured)), live: make(map[subject]*Finding), raised: make(map[subject]raise),
		stats: Stats{Verdicts: make(map[Detector]uint64), Suppressed: make(map[string]uint64), Feedback: make(map[string]uint64)},
	}
	for i := range s.series {
		s.series[i] = newWatched(&measured[i])
	}
	return s
}

// Exact returns the detector of impossible events.
func (s *Set) Exact() *Exact { return s.exact }

// Request feeds a request to the statistical detectors.
func (s *Set) Request(r telemetry.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measures.request(&r)
	s.rates.Observe(r)
	s.relate.Observe(r)
	s.profiles.Observe(r)
	s.provers.Observe(r)
}

// Change feeds a change.
func (s *Set) Change(c telemetry.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Kind {
	case telemetry.ServerStarted:
		s.ends = false
		if s.started = c.At; s.version != "" && s.version != c.Subject {
			s.deploy = c.At
			s.provers.Rebase()
		}
		s.version = c.Subject
	case telemetry.ServerStopping:
		s.ends = true
	case telemetry.EpochOpened:
		s.rotated = c.At
	default: // no state of the set
	}
	s.measures.change(&c)
	s.relate.Change(c)
	s.provers.Change(c)
}

// lately reports whether a time was less than a while ago.
func lately(at, now time.Time, while time.Duration) bool {
	return !at.IsZero() && now.Sub(at) < while && !now.Before(at)
}

// Begin has the set learn nothing for a while, as after a start: the server that it belongs to
// does not answer yet.
func (s *Set) Begin(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started, s.stats.Paused = now, byStart
}

// pause returns why what is seen now does not become part of what is usual; "" if it does.
func (s *Set) pause(now time.Time) string {
	switch {
	case s.state.Held:
		return byHold
	case s.ends:
		return byStop
	case lately(s.started, now, learnLater):
		return byStart
	case lately(s.rotated, now, learnLater):
		return byRotation
	case !s.state.Alerted:
		s.alerted = time.Time{}
		return ""
	case s.alerted.IsZero():
		s.alerted = now
	}
	if now.Sub(s.alerted) > maxAlerted {
		return ""
	}
	return byAlert
}

// Tick returns the verdicts since the last call. It is called a few times a minute.
func (s *Set) Tick(now time.Time, state State) []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	s.stats.Paused = s.pause(now)
	learn := s.stats.Paused == ""
	found := slices.Concat(s.exact.Take(now), s.provers.Tick(now, learn), s.rates.Tick(now, learn), s.relate.Tick(now, learn), s.profiles.Tick(now, learn), s.minutes(now, learn))
	s.expire(now)
	return s.report(now, found)
}

// minutes passes each series its value, once a minute.
func (s *Set) minutes(now time.Time, learn bool) (found []Verdict) {
	if s.minute.IsZero() || now.Before(s.minute) {
		s.minute = now
		s.measures.reset()
		return nil
	}
	if now.Sub(s.minute) < minuteLong-tickEarly {
		return nil
	}
	gap := now.Sub(s.minute) >= 2*minuteLong // nothing was measured in between
	upset := s.upset(now) != ""
	s.minute = now
	for i := range s.series {
		if x, ok := measured[i].value(&s.measures); ok && !gap {
			if v := s.series[i].tick(now, x, learn, upset); v != nil {
				found = append(found, *v)
			}
		}
	}
	s.measures.reset()
	return found
}

// Last returns the verdicts since the last call of Tick, when no other call follows: of
// impossible events, all are counted.
func (s *Set) Last(now time.Time) []Finding {
	s.exact.flush()
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	return s.Tick(now, state)
}

// expire ends what was not found again.
func (s *Set) expire(now time.Time) {
	for key, f := range s.live {
		if !now.Before(f.Until) {
			delete(s.live, key)
		}
	}
	for key, r := range s.raised {
		if !now.Before(r.until) {
			delete(s.raised, key)
		}
	}
}

// report keeps what was found in force, and returns it unless something explains it. A
// verdict that is in force already is prolonged, and returned again only if it is worse or
// has come to agree with another one.
func (s *Set) report(now time.Time, found []Verdict) (fresh []Finding) {
	for i := range found {
		v := &found[i]
		if why := s.explained(now, v); why != "" {
			s.stats.Suppressed[why]++
			if v.Detector == Rate && why != byFeedback {
				s.rates.Again(now.Add(againAfter), v.Scope, v.Cause)
			}
			continue
		}
		key := subjectOf(v)
		until, agrees := now.Add(liveFor[v.Detector]), ""
		if f := s.live[key]; f != nil {
			agrees = f.Agrees
			if f.Last, f.Until = now, until; v.Detector == Impossible {
				f.Observed += v.Observed
				v.Observed, v.Score, v.Since = f.Observed, f.Observed, f.Since
				v.Sentence = impossibleSentence(v)
				f.Sentence = v.Sentence
			}
			if v.Score < 2*f.Score {
				continue
			}
		}
		if s.live[key] == nil && !s.place(v) {
			s.stats.Suppressed[byFull]++
			continue
		}
		v.Evidence = v.Evidence[:min(len(v.Evidence), 16)]
		s.live[key] = &Finding{Verdict: *v, Last: now, Until: until, Agrees: agrees}
		s.stats.Verdicts[v.Detector]++
		fresh = append(fresh, *s.live[key])
	}
	return append(fresh, s.agree(now)...)
}

// place reports whether there is a place for a further verdict. If there is none, the one
// with the lowest score makes room. Verdicts about the whole server and impossible events
// always have a place: kinds and [Exact] bound them.
func (s *Set) place(v *Verdict) bool {
	if len(s.live) < maxLive {
		return true
	}
	stays := func(v *Verdict) bool { return v.Detector == Impossible || v.Scope == ScopeServer }
	var lowest *Finding
	for _, f := range s.live {
		if !stays(&f.Verdict) && !f.Pages() && (lowest == nil || f.Score < lowest.Score) {
			lowest = f
		}
	}
	room := lowest != nil && (stays(v) || lowest.Score < v.Score)
	if room {
		delete(s.live, subjectOf(&lowest.Verdict))
	}
	return room || stays(v)
}

// agree finds the verdicts of series with which one about failures agrees, and returns those
// that it had not found before.
func (s *Set) agree(now time.Time) (fresh []Finding) {
	for key, f := range s.live {
		if key.detector != Rate && key.detector != Correlate || f.Agrees != "" {
			continue
		}
		for other, d1 := range s.live {
			if other.detector == Series && f.Last.Sub(d1.Last).Abs() <= agreeWithin && agrees(d1, f) {
				f.Agrees = d1.Sentence
				f.Until = now.Add(liveFor[key.detector])
				fresh = append(fresh, *f)
				break
			}
		}
	}
	slices.SortFunc(fresh, func(a, b Finding) int { return strings.Compare(a.Sentence, b.Sentence) })
	return fresh
}

// agrees reports whether a series shows that the failures that a verdict is about are more.
// What all traffic moves, such as the number of requests, shows no failures of a cause.
func agrees(d1, f *Finding) bool {
	i := slices.IndexFunc(measured, func(m measure) bool { return m.name == d1.Kind })
	more := (d1.Observed > d1.Expected) != (d1.Kind == acceptedPart)
	return i >= 0 && more && slices.Contains(measured[i].about, f.Cause)
}

// caused are the causes that the end of an epoch, or of a process, leads to.
var caused = map[telemetry.Cause]bool{
	telemetry.ForeignEpoch: true, telemetry.Ended: true, telemetry.UnknownID: true, telemetry.Late: true, telemetry.Undecided: true,
	telemetry.NoEpoch: true, telemetry.Overloaded: true, telemetry.Behind: true, telemetry.Gone: true, telemetry.NotFound: true,
}

// explained returns what explains a verdict, or why it is not meant to be reported; "" for
// nothing. What is impossible has no explanation.
func (s *Set) explained(now time.Time, v *Verdict) string {
	if v.Detector == Impossible {
		return ""
	}
	if r, ok := s.raised[subjectOf(v)]; ok && v.Score < r.by {
		return byFeedback
	}
	if s.state.Held && (v.Detector == Series || v.Detector == Behaviour || v.Detector == Prover) {
		return byHold
	}
	if v.Detector == Series || caused[v.Cause] || v.Scope == LocalProver {
		return s.upset(now)
	}
	return ""
}

// upset returns what has lately changed the whole server; "" for nothing.
func (s *Set) upset(now time.Time) string {
	switch {
	case lately(s.deploy, now, afterDeploy):
		return byDeploy
	case lately(s.started, now, afterStart):
		return byStart
	case lately(s.rotated, now, afterRotation):
		return byRotation
	}
	return ""
}

// Live lists the verdicts in force, the newest first.
func (s *Set) Live(now time.Time) []Finding {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	all := make([]Finding, 0, len(s.live))
	for _, f := range s.live {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return strings.Compare(a.Sentence, b.Sentence)
	})
	return all
}

// Feedback uses what an operator says about a verdict. What is false or expected has a
// higher threshold for a while; what is expected is learned as usual, too. What is true has
// the ordinary threshold again. Impossible events have no threshold: feedback is counted.
func (s *Set) Feedback(now time.Time, v *Verdict, word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Feedback[word]++
	key := subjectOf(v)
	if v.Detector == Impossible {
		return
	}
	by, lasts := 1.0, time.Duration(0)
	switch word {
	case WasTrue:
		delete(s.raised, key)
		return
	case WasFalse:
		by, lasts = falseBy, falseFor
	case WasExpected:
		by, lasts = expectedBy, expectedFor
		s.relearn(&key)
	}
	if _, known := s.raised[key]; known || len(s.raised) < maxRaised {
		s.raised[key] = raise{by, now.Add(lasts)}
	}
	if f := s.live[key]; f != nil && f.Score < by {
		delete(s.live, key)
	}
}

// CheckFeedback refuses what is no word of feedback.
func CheckFeedback(word string) error {
	if !slices.Contains(FeedbackWords(), word) {
		return fmt.Errorf("a verdict is one of %s", strings.Join(FeedbackWords(), ", "))
	}
	return nil
}

// relearn makes what a verdict is about usual.
func (s *Set) relearn(key *subject) {
	switch key.detector {
	case Rate, Correlate:
		s.rates.Relearn(key.scope, key.cause)
	case Series:
		for i := range s.series {
			if measured[i].name == key.kind {
				s.series[i] = newWatched(&measured[i])
			}
		}
	case Prover:
		s.provers.Relearn(key.scope)
	case Behaviour:
		s.profiles.Relearn(key.scope)
	default: // has no baseline that is learned at once
	}
}

// Stats returns the present numbers.
func (s *Set) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.stats
	c.Verdicts, c.Suppressed, c.Feedback = cloned(c.Verdicts), cloned(c.Suppressed), cloned(c.Feedback)
	for i := range s.series {
		if s.series[i].ticks > 0 {
			c.Series++
		}
		if s.series[i].warm() {
			c.SeriesWarm++
		}
	}
	c.Provers, c.ProversWarm = s.provers.Known()
	return c
}

func cloned[K comparable](m map[K]uint64) map[K]uint64 {
	c := make(map[K]uint64, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// watchedSeries is one measured series with its detector. What the detector finds is a
// verdict once the values have stayed away from the usual for some minutes, by an amount
// that is worth one: a single value is often chance, and small changes are of no use.
type watchedSeries struct {
	of       *measure
	detector *SeriesDetector
	ticks    uint64
	found    *SeriesReading // not confirmed yet; nil if there is none
	sum      float64        // of the values since
	n, away  int            // their number, and how many are far enough from the usual
}

// A finding is confirmed if all but one of some values, its own included, are far enough
// from the usual, on the side of the finding.
const confirmTicks = 4

func newWatched(of *measure) watchedSeries {
	return watchedSeries{of: of, detector: NewSeries(DefaultSeries())}
}

func (w *watchedSeries) warm() bool { return w.ticks >= uint64(DefaultSeries().Warmup) }

// observe passes the detector a value. While something explains verdicts about series, a
// value that is far from the usual is not learned, so that it is still a finding afterwards.
func (w *watchedSeries) observe(now time.Time, x float64, learn, upset bool) SeriesReading {
	if learn && upset {
		before := w.detector.state
		if r := w.detector.Observe(now, x, false); r.Score >= 1 {
			return r
		}
		w.detector.state = before
	}
	return w.detector.Observe(now, x, learn)
}

// tick passes the detector a value. It returns the verdict that the value confirms.
func (w *watchedSeries) tick(now time.Time, x float64, learn, upset bool) *Verdict {
	r := w.observe(now, x, learn, upset)
	w.ticks = w.detector.state.Ticks
	if r.Score >= 1 && (w.found == nil || r.Score > w.found.Score) { // a hold may be that of a value that was not confirmed
		if w.found != nil {
			r.Since, r.Expected = w.found.Since, w.found.Expected
		}
		w.found = &r
	}
	if w.found == nil {
		return nil
	}
	usual := w.found.Expected
	if w.sum += x; w.of.kind.worth(x, usual) && (x > usual) == (w.found.Observed > usual) {
		w.away++
	}
	if w.n++; w.n < confirmTicks {
		return nil
	}
	mean, away, found := w.sum/float64(w.n), w.away, w.found
	w.found, w.sum, w.n, w.away = nil, 0, 0, 0
	if away < confirmTicks-1 || !w.of.kind.worth(mean, found.Expected) {
		return nil
	}
	return w.verdict(now, mean, found)
}

// verdict describes a finding that was confirmed.
func (w *watchedSeries) verdict(now time.Time, mean float64, r *SeriesReading) *Verdict {
	v := r.Verdict(w.of.what, ScopeServer)
	v.Evidence = append(v.Evidence, Fact{"signal_kind", v.Kind})
	v.At, v.Kind, v.Observed, v.Runbook = now, w.of.name, mean, "anomalies.md"
	unit := w.of.kind.unit
	if unit != "" {
		unit = " " + unit
	}
	how := r.Sentence()
	if math.Abs(r.Z) > mostZ { // the series hardly ever differs
		how = fmt.Sprintf("no value in %d was so far from it", r.Ticks)
	}
	v.Sentence = upper(fmt.Sprintf("%s: %s%s in the last %d minutes, expected %s, since %s; %s",
		w.of.what, short(mean), unit, confirmTicks, number(r.Expected), clock(v.Since), how))
	return &v
}

// mostZ is a deviation that says no more than that it is large.
const mostZ = 1000

func (w *watchedSeries) save() []byte {
	b, err := w.detector.MarshalBinary()
	if err != nil {
		return nil // the series begins anew
	}
	return b
}

func (w *watchedSeries) restore(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return w.detector.UnmarshalBinary(b)
}
