package anomaly

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Settings of verdicts about windows.
const (
	fewestInWindow = 20   // failures
	neededExcess   = 6.0  // standard deviations above what is expected
	neededTimes    = 1.5  // what is expected
	neededChance   = 1e-6 // of a concentration by accident, all comparisons of a tick considered
	oneSource      = 0.5  // share of failures at which one client or network is the source
	fewestSources  = 15   // different networks of failures that are distributed
	mostOfSource   = 0.1  // share of the unexpected failures that one of them may have, or
	mostAtSource   = 5    // how many
	largeSource    = 0.2  // share of failures at which a client or network is the scope
	fewestUsual    = 50   // failures before what is usual is compared with
	comparisons    = 64 * float64(dimensions) * float64(causes) * windows
)

// due is a verdict that is not repeated before its time.
type due struct {
	cause telemetry.Cause
	kind  string
	scope string
}

// sight is what one window shows of one cause.
type sight struct {
	cause            telemetry.Cause
	window           int
	seen, expected   float64
	deviations       float64
	began            time.Time
	failures, around cell // around: the successes beside them
	facets           []facet
}

// facet is the most frequent value of one dimension.
type facet struct {
	by           dimension
	key          uint64
	seen         float64 // failures at this value, at least
	share, usual float64 // of it in the traffic, and in earlier failures
	known        bool    // share is
	strong       bool    // it has more of the failures than both explain
}

// judge returns the verdicts of a minute.
func (c *Correlation) judge(now time.Time) (found []Verdict) {
	for key, at := range c.due {
		if !now.Before(at) {
			delete(c.due, key)
		}
	}
	for cause := range telemetry.Cause(causes) {
		if !watched(cause) {
			continue
		}
		if n, _, _ := c.count(hours24, cause); n < fewestInWindow {
			continue
		}
		if v, ok := c.judgeCause(now, cause); ok {
			found = append(found, v)
		}
	}
	return found
}

// judgeCause compares the windows of one cause. Of those with too many failures it describes
// the one with the strongest evidence. Otherwise it looks for failures that have moved to
// other clients, networks or claims, whenever a part of a window ends.
func (c *Correlation) judgeCause(now time.Time, cause telemetry.Cause) (Verdict, bool) {
	best := sight{}
	for w := range windows {
		s := c.look(now, cause, w)
		if s.excessive() && s.deviations > best.deviations && (w <= hour1 || c.goesOn(now, cause)) {
			best = s
		}
	}
	if best.excessive() {
		if now.Before(c.rest[cause]) {
			return Verdict{}, false
		}
		c.examine(&best)
		kind, scope := c.shape(&best)
		v, due := c.report(now, &best, kind, scope)
		if !due {
			c.rest[cause] = now.Add(windowOf[minutes5])
		}
		return v, due
	}
	for w := range windows {
		if now.Sub(c.levels[w].open.began) < partOf[w] {
			break
		}
		s := c.look(now, cause, w)
		if s.seen < fewestInWindow || c.usual.failures(int(cause)) < fewestUsual {
			continue
		}
		c.examine(&s)
		for _, f := range s.facets {
			if f.strong && f.by != byCode && c.moved(&s, &f) {
				kind, scope := c.shape(&s)
				if kind == "excess" {
					kind = "concentrated"
				}
				return c.report(now, &s, kind, scope)
			}
		}
	}
	return Verdict{}, false
}

// look counts a window.
func (c *Correlation) look(now time.Time, cause telemetry.Cause, w int) sight {
	n, successes, began := c.count(w, cause)
	length := now.Sub(began)
	expected := c.expected(cause, successes, length)
	dispersion := 1.0
	if s := c.rates.all.streams[cause]; s != nil {
		dispersion += (s.dispersion() - 1) * max(1, length.Hours())
	}
	return sight{cause: cause, window: w, seen: float64(n), expected: expected, deviations: excess(float64(n), expected, dispersion), began: began}
}

// excessive reports whether a window has too many failures.
func (s *sight) excessive() bool {
	return s.seen >= fewestInWindow && s.deviations >= neededExcess && s.seen >= neededTimes*s.expected
}

// goesOn reports whether the last hour still has more failures than expected.
func (c *Correlation) goesOn(now time.Time, cause telemetry.Cause) bool {
	s := c.look(now, cause, hour1)
	return s.seen >= 5 && s.seen > s.expected
}

// examine finds the most frequent value of each dimension.
func (c *Correlation) examine(s *sight) {
	s.failures, s.around = c.window(s.window, s.cause)
	var before cell // usual successes
	c.usual.around(traits[s.cause].among, &before)
	for d := range dimensions {
		key, least := s.failures.values[d].top()
		if key == 0 {
			continue
		}
		f := facet{by: d, key: key, seen: float64(least)}
		if d != byCode {
			f.share, f.known = share(d, key, &s.around, &before)
		}
		known := f.known
		if usual := c.usual.cells[s.cause]; usual != nil && usual.failures >= fewestUsual {
			_, most := usual.values[d].of(key, sizes[d])
			f.usual, known = float64(most)/float64(usual.failures), true
		}
		g := surprise(f.seen, s.seen, max(f.share, f.usual))
		f.strong = known && chance(g, comparisons) < neededChance && f.seen/s.seen >= min(2*max(f.share, f.usual), 0.9)
		s.facets = append(s.facets, f)
	}
}

// share returns the share of a value in the successful requests of a window, or in the usual
// ones if the window has few. Failures do not count, since they cost an attacker nothing.
func share(d dimension, key uint64, traffic ...*cell) (share float64, known bool) {
	for _, t := range traffic {
		if t.failures >= fewestUsual {
			_, most := t.values[d].of(key, sizes[d])
			return float64(most) / float64(t.failures), true
		}
	}
	return 0, false
}

// moved reports whether a value has many more failures than its usual share of those that
// are expected.
func (c *Correlation) moved(s *sight, f *facet) bool {
	expected := s.expected * max(f.share, f.usual)
	return f.seen >= fewestInWindow && excess(f.seen, expected, 1) >= neededExcess && f.seen >= 2*expected
}

// shape returns the kind of what a window shows, and its scope.
func (c *Correlation) shape(s *sight) (kind, scope string) {
	kind, scope = "excess", ScopeServer
	distributed := s.sources() >= fewestSources
	for i := range s.facets {
		f := &s.facets[i]
		source := f.by == byClient || f.by == byNetwork
		if source && f.seen >= oneSource*s.seen {
			return "one_source", c.scope(f)
		}
		if source && f.seen-s.expected*max(f.share, f.usual) > max(mostOfSource*(s.seen-s.expected), mostAtSource) {
			distributed = false
		}
		if f.strong && scope == ScopeServer && (f.by == byClaim || f.by == byProver || source && f.seen >= largeSource*s.seen) {
			kind, scope = "concentrated", c.scope(f)
		}
	}
	if distributed && (s.excessive() || strings.HasPrefix(scope, "claim:")) {
		kind = "distributed"
	}
	return kind, scope
}

// scope returns the scope of a verdict about the value of a facet.
func (c *Correlation) scope(f *facet) string {
	return dimensionText[f.by] + ":" + c.text(f.by, f.key)
}

// sources returns the number of different networks, or of clients if no address is known.
func (s *sight) sources() float64 {
	return max(s.failures.sources[byNetwork].estimate(), s.failures.sources[byClient].estimate())
}

// report returns the verdict, unless it was returned not long ago.
func (c *Correlation) report(now time.Time, s *sight, kind, scope string) (Verdict, bool) {
	key := due{s.cause, kind, scope}
	if _, early := c.due[key]; early {
		return Verdict{}, false
	}
	c.due[key] = now.Add(max(windowOf[s.window], time.Hour))
	t := &traits[s.cause]
	v := Verdict{
		At: now, Since: c.since(s), Detector: Correlate, Kind: kind, Scope: scope, Cause: s.cause, Observed: s.seen, Expected: s.expected,
		Score: s.deviations / neededExcess, Runbook: t.runbook,
	}
	sentence := []string{fmt.Sprintf("%s %s in %s (expected %s)", number(s.seen), t.plural, span(now.Sub(s.began)), number(s.expected))}
	sentence = append(sentence, c.spreadText(s, kind))
	for i := range s.facets {
		if f := &s.facets[i]; f.strong || kind == "one_source" && scope == c.scope(f) {
			v.Score = max(v.Score, 1)
			sentence = append(sentence, c.facetText(s, f))
		}
	}
	if before, n := c.chains.before(s.cause); n >= 10 {
		sentence = append(sentence, fmt.Sprintf("%.0f of them followed %s of the same source within an hour", n, traits[before].plural))
	}
	sentence = append(sentence, c.trend(now, s, &v))
	sentence = append(sentence, "since about "+clock(v.Since))
	if s.excessive() {
		sentence = append(sentence, odds(s.deviations))
	}
	v.Sentence = strings.Join(without(sentence, ""), "; ")
	for i := range s.facets {
		f := &s.facets[i]
		if len(v.Evidence) < 16 {
			v.Evidence = append(v.Evidence, Fact{"top_" + dimensionText[f.by], fmt.Sprintf("%s: %s, of traffic %s", c.text(f.by, f.key), percent(f.seen/s.seen), percent(f.share))})
		}
	}
	return v, true
}

// without returns texts but those that are equal to one.
func without(all []string, text string) (kept []string) {
	for _, s := range all {
		if s != text {
			kept = append(kept, s)
		}
	}
	return kept
}

// spreadText says from how many sources the failures come.
func (c *Correlation) spreadText(s *sight, kind string) string {
	n, what := s.failures.sources[byNetwork].estimate(), "networks"
	if clients := s.failures.sources[byClient].estimate(); clients > n {
		n, what = clients, "clients"
	}
	if n < 2 {
		return ""
	}
	text := fmt.Sprintf("%.0f distinct %s, %.2f each", n, what, max(1, s.seen/n))
	if kind == "distributed" {
		text = "distributed over " + text
	}
	return text
}

// facetText says which value has most of the failures.
func (c *Correlation) facetText(s *sight, f *facet) string {
	text := fmt.Sprintf("%s on %s %s", percent(f.seen/s.seen), dimensionText[f.by], c.text(f.by, f.key))
	if f.by == byCode {
		return text + ", usually " + percent(f.usual)
	}
	if f.known {
		text += ", whose share of traffic is " + percent(f.share)
	}
	if f.usual > 0 {
		text += " and of usual failures " + percent(f.usual)
	}
	return text
}

// trend compares the windows with each other, and adds them to the evidence.
func (c *Correlation) trend(now time.Time, s *sight, v *Verdict) string {
	var rates [windows]float64
	for w := range windows {
		n, _, began := c.count(w, s.cause)
		rates[w] = float64(n) / max(1, now.Sub(began).Minutes())
		v.Evidence = append(v.Evidence, Fact{"last_" + strings.ReplaceAll(span(windowOf[w]), " ", "_"), number(float64(n))})
	}
	if short, long := rates[minutes5], rates[hours24]; long > 0 && short >= 2*long && s.window < hours24 {
		return fmt.Sprintf("the last 5 min at %s times the rate of the last 24 h", number(short/long))
	}
	return ""
}

// since returns when the failures of a window began to be more than expected: the start of
// the parts over which their excess has not come back to nothing.
func (c *Correlation) since(s *sight) (began time.Time) {
	parts := make([]*part, 0, 16)
	for i := range c.levels[s.window].closed {
		parts = append(parts, &c.levels[s.window].closed[i])
	}
	for w := s.window; w >= 0; w-- {
		parts = append(parts, &c.levels[w].open)
	}
	sum := 0.0
	for i, p := range parts {
		length := partOf[s.window]
		if i+1 < len(parts) {
			length = parts[i+1].began.Sub(p.began)
		}
		if sum <= 0 {
			sum, began = 0, p.began
		}
		sum += float64(p.failures(int(s.cause))) - 1.2*c.expected(s.cause, p.successes(traits[s.cause].among), length)
	}
	return began
}

// odds says how likely a deviation is by accident.
func odds(deviations float64) string {
	p := math.Erfc(deviations/math.Sqrt2) / 2 * float64(causes) * windows
	return fmt.Sprintf("by accident less than 1 in 10^%.0f", min(math.Floor(-math.Log10(max(p, 1e-12))), 12))
}
