package anomaly

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Profiles compares each client with its own past: claims used, requests by hour of the
// day, challenges answered, time to answer, and sizes. It is not safe for concurrent use.
//
// An hour of a client is compared when it has enough requests and the profile enough hours.
// Each member of the profile has a usual value and a usual change, the mean absolute
// difference from it. The distance of an hour is the root of the mean square of all members'
// differences in units of their usual change. It is compared with a fixed threshold and with
// the largest distance that the client had before. An hour with a verdict is learned with a
// bound for each member, so that a change that lasts becomes usual within days.
type Profiles struct {
	hour    time.Time // the start of the open hour
	clients map[string]*profile
}

// Settings of profiles.
const (
	mostProfiles   = 1024
	mostClaims     = 8  // that a profile counts apart
	fewestRequests = 20 // in an hour that is compared
	fewestOpened   = 20 // challenges before the part that was answered is compared
	warmHours      = 24 // compared hours before there is a verdict
	idleHours      = 24 * 30
	farDistance    = 4.0  // at which there is a verdict
	mostMember     = 12.0 // usual changes that one member counts
	taughtMember   = 3.0  // usual changes that one hour teaches
	hoursMemory    = 120.0
	daysMemory     = 10.0
	pastFades      = 0.999 // of the largest distance, in an hour
)

// member is one member of a profile.
type member int

const (
	ofVolume member = iota
	ofClaims
	ofAnswered
	ofTime
	ofSize
	members
)

// memberTraits are what a member is called, and the least usual change that it has.
var memberTraits = [members]struct {
	name  string
	floor float64
}{
	ofVolume:   {"requests in this hour of the day", 0.25},
	ofClaims:   {"claims used", 0.1},
	ofAnswered: {"challenges answered", 0.05},
	ofTime:     {"time to answer", 0.1},
	ofSize:     {"size of answers", 0.05},
}

// usually is a usual value and its usual change.
type usually struct{ value, change, n float64 }

// off returns how far a value is from the usual one, in usual changes.
func (u *usually) off(value, floor float64) float64 {
	return math.Abs(value-u.value) / max(u.change, floor)
}

// learn moves the usual value towards one that was seen. One that was far off, and reported,
// teaches no more than an ordinary one may.
func (u *usually) learn(value, floor, memory float64, far bool) {
	most := taughtMember * max(u.change, floor)
	if u.n == 0 {
		u.value, u.change = value, floor
	} else {
		weight := max(1/(u.n+1), 1/memory)
		off := min(max(value-u.value, -most), most)
		if u.n < 4 && !far { // there is no usual change yet
			off = value - u.value
		}
		u.value += weight * off
		u.change += weight * (math.Abs(off) - u.change)
	}
	u.n = min(u.n+1, memory)
}

// profile is what is usual for a client, and its open hour.
type profile struct {
	hours    [24]usually // logarithm of requests
	members  [members]usually
	claims   []claimShare
	compared float64 // hours that were compared
	largest  float64 // distance, fading
	idle     int     // hours without a request

	requests, opened, answered, timed, sized uint32
	time, size                               float64 // sums of logarithms
}

// claimShare is the part of a client's requests that use a claim.
type claimShare struct {
	claim string
	share float64
	n     uint32 // in the open hour
}

// NewProfiles returns a detector that has learned nothing.
func NewProfiles() *Profiles { return &Profiles{clients: make(map[string]*profile)} }

// Observe counts a request of a client with an API key.
func (p *Profiles) Observe(q telemetry.Request) {
	if q.Client == "" || telemetry.ClassOf(q.Operation) == "health" {
		return
	}
	c := p.clients[q.Client]
	if c == nil {
		if len(p.clients) >= mostProfiles {
			return
		}
		c = new(profile)
		p.clients[telemetry.Bounded(q.Client)] = c
	}
	c.count(&q)
}

func (c *profile) count(q *telemetry.Request) {
	c.requests++
	if q.Claim != "" {
		c.use(q.Claim)
	}
	switch q.Operation {
	case "openChallenge":
		if q.Cause == telemetry.NoCause {
			c.opened++
		}
	case "sendProof":
		c.answered++
		if q.Answered > 0 {
			c.timed++
			c.time += math.Log(q.Answered.Seconds())
		}
	}
	if q.Received > 0 {
		c.sized++
		c.size += math.Log(float64(q.Received))
	}
}

// use counts a claim. Those that come after the first ones are one.
func (c *profile) use(claim string) {
	i := slices.IndexFunc(c.claims, func(s claimShare) bool { return s.claim == claim })
	switch {
	case i >= 0:
	case len(c.claims) < mostClaims:
		i = len(c.claims)
		c.claims = append(c.claims, claimShare{claim: telemetry.Bounded(claim)})
	default:
		i = mostClaims - 1
	}
	c.claims[i].n++
}

// Tick closes the hours that are over and returns what was found, as [Rates.Tick] does.
func (p *Profiles) Tick(now time.Time, learn bool) (found []Verdict) {
	if p.hour.IsZero() || now.Before(p.hour) {
		p.hour = now.Truncate(time.Hour)
	}
	if now.Sub(p.hour) < time.Hour {
		return nil
	}
	for name, c := range p.clients {
		if v, far := c.close(p.hour, now, name, learn); far {
			found = append(found, v)
		}
		if c.idle > idleHours {
			delete(p.clients, name)
		}
	}
	p.hour = now.Truncate(time.Hour)
	slices.SortFunc(found, func(a, b Verdict) int { return strings.Compare(a.Scope, b.Scope) })
	return found
}

// Relearn forgets what is usual for a client.
func (p *Profiles) Relearn(scope string) { delete(p.clients, strings.TrimPrefix(scope, "client:")) }

// close compares the open hour with the profile, learns it, and empties it.
func (c *profile) close(began, now time.Time, name string, learn bool) (v Verdict, far bool) {
	hour := &c.hours[began.UTC().Hour()]
	c.idle++
	if c.requests > 0 {
		c.idle = 0
	}
	values, seen := c.values()
	if c.requests >= fewestRequests {
		offs := c.offs(hour, &values, &seen)
		distance := length(&offs, &seen)
		threshold := max(farDistance, 1.1*c.largest)
		far = c.compared >= warmHours && distance >= threshold
		if far {
			v = c.verdict(began, now, name, hour, &values, &offs, distance, threshold)
		} else if learn && c.compared >= warmHours/2 {
			c.largest = max(c.largest*pastFades, distance)
		}
		if learn {
			c.learn(&values, &seen, far)
		}
	}
	if learn && (!far || hour.n > 0) {
		hour.learn(values[ofVolume], memberTraits[ofVolume].floor, daysMemory, far)
	}
	c.empty()
	return v, far
}

func (c *profile) empty() {
	c.requests, c.opened, c.answered, c.timed, c.sized, c.time, c.size = 0, 0, 0, 0, 0, 0, 0
	for i := range c.claims {
		c.claims[i].n = 0
	}
}

// values returns the value of each member in the open hour, and which of them it has.
func (c *profile) values() (v [members]float64, seen [members]bool) {
	v[ofVolume], seen[ofVolume] = math.Log1p(float64(c.requests)), true
	if n := c.claimed(); n > 0 {
		seen[ofClaims] = true
		for i := range c.claims {
			v[ofClaims] += math.Abs(float64(c.claims[i].n)/n-c.claims[i].share) / 2
		}
	}
	if c.opened >= fewestOpened {
		v[ofAnswered], seen[ofAnswered] = min(float64(c.answered)/float64(c.opened), 2), true
	}
	if c.timed >= fewestRequests/4 {
		v[ofTime], seen[ofTime] = c.time/float64(c.timed), true
	}
	if c.sized >= fewestRequests/4 {
		v[ofSize], seen[ofSize] = c.size/float64(c.sized), true
	}
	return v, seen
}

// claimed returns the number of requests with a claim.
func (c *profile) claimed() (n float64) {
	for i := range c.claims {
		n += float64(c.claims[i].n)
	}
	return n
}

// offs returns how far each member is from what is usual. The number of requests is compared
// with the same hour of other days, and until there are enough of them with all hours.
func (c *profile) offs(hour *usually, values *[members]float64, seen *[members]bool) (offs [members]float64) {
	for m := range members {
		u := &c.members[m]
		if m == ofVolume && hour.n >= 3 {
			u = hour
		}
		if seen[m] && u.n >= 3 {
			offs[m] = min(u.off(values[m], memberTraits[m].floor), mostMember)
		}
	}
	return offs
}

// length returns the distance of an hour.
func length(offs *[members]float64, seen *[members]bool) float64 {
	sum, n := 0.0, 0.0
	for m, off := range offs {
		if seen[m] {
			sum, n = sum+off*off, n+1
		}
	}
	return math.Sqrt(sum / max(n, 1))
}

func (c *profile) learn(values *[members]float64, seen *[members]bool, far bool) {
	for m := range members {
		if u := &c.members[m]; seen[m] && (!far || u.n > 0) {
			u.learn(values[m], memberTraits[m].floor, hoursMemory, far)
		}
	}
	if n := c.claimed(); n > 0 {
		weight := max(1/(c.compared+1), 1/hoursMemory)
		for i := range c.claims {
			c.claims[i].share += weight * (float64(c.claims[i].n)/n - c.claims[i].share)
		}
	}
	c.compared = min(c.compared+1, 1e6)
}

// verdict names the members that make up most of the distance, the largest first.
func (c *profile) verdict(began, now time.Time, name string, hour *usually, values, offs *[members]float64, distance, threshold float64) Verdict {
	v := Verdict{
		At: now, Since: began, Detector: Behaviour, Kind: "unlike_itself", Scope: "client:" + name,
		Observed: distance, Expected: threshold, Score: distance / threshold, Runbook: runbookTraffic,
	}
	var texts []string
	sum := 0.0
	for _, off := range offs {
		sum += off * off
	}
	for _, i := range ranked(offs[:]) {
		m := member(i)
		part := offs[m] * offs[m] / sum
		v.Evidence = append(v.Evidence, Fact{strings.ReplaceAll(memberTraits[m].name, " ", "_"), percent(part) + " of the distance"})
		if part >= 0.15 {
			texts = append(texts, fmt.Sprintf("%s (%s usual changes)", c.memberText(m, hour, values[m]), number(offs[m])))
		}
	}
	v.Sentence = fmt.Sprintf("client %s is unlike itself since %s, distance %s (threshold %s): %s; compared with %.0f hours of its past",
		name, clock(began), number(distance), number(threshold), strings.Join(texts, ", "), c.compared)
	return v
}

// memberText says what a member is, and what it usually is.
func (c *profile) memberText(m member, hour *usually, value float64) string {
	u := &c.members[m]
	switch m {
	case ofVolume:
		if hour.n >= 3 {
			u = hour
		}
		return fmt.Sprintf("%s requests in this hour of the day instead of %s", number(math.Expm1(value)), number(math.Expm1(u.value)))
	case ofClaims:
		return fmt.Sprintf("%s of the requests with other claims, mostly %s, instead of %s", percent(value), c.newest(), percent(u.value))
	case ofAnswered:
		return fmt.Sprintf("%s of the challenges answered instead of %s", percent(value), percent(u.value))
	case ofTime:
		return fmt.Sprintf("time to answer %s s instead of %s s", number(math.Exp(value)), number(math.Exp(u.value)))
	default:
		return fmt.Sprintf("size %s bytes instead of %s", number(math.Exp(value)), number(math.Exp(u.value)))
	}
}

// newest returns the claim whose share has grown most.
func (c *profile) newest() string {
	n, grown := c.claimed(), make([]float64, len(c.claims))
	for i := range c.claims {
		grown[i] = float64(c.claims[i].n)/n - c.claims[i].share
	}
	return c.claims[ranked(grown)[0]].claim
}

const profilesState = "td-profiles/1"

// Save returns the state: profiles with the names of clients and claims. The open hour is
// not in it.
func (p *Profiles) Save() []byte {
	w := new(saver)
	w.text(profilesState)
	w.count(len(p.clients))
	for _, name := range slices.Sorted(maps.Keys(p.clients)) {
		w.text(name)
		p.clients[name].save(w)
	}
	return w.b
}

func (c *profile) save(w *saver) {
	for _, u := range c.usual() {
		w.number(u.value + mostLog)
		w.number(u.change)
		w.number(u.n)
	}
	w.number(c.compared)
	w.number(c.largest)
	w.count(c.idle)
	w.count(len(c.claims))
	for i := range c.claims {
		w.text(c.claims[i].claim)
		w.number(c.claims[i].share)
	}
}

// mostLog bounds logarithms, which may be negative.
const mostLog = 64.0

func (c *profile) usual() []*usually {
	all := make([]*usually, 0, 24+members)
	for i := range c.hours {
		all = append(all, &c.hours[i])
	}
	for i := range c.members {
		all = append(all, &c.members[i])
	}
	return all
}

// Restore replaces the state by a saved one. After an error the state is unchanged.
func (p *Profiles) Restore(b []byte) error {
	from, n := restore(b, profilesState), NewProfiles()
	for range from.count(mostProfiles) {
		name, c := from.text(mostText), new(profile)
		c.restore(from)
		if n.clients[name] != nil || name == "" || from.failed {
			from.failed = true
			break
		}
		n.clients[name] = c
	}
	if err := from.end(); err != nil {
		return err
	}
	*p = *n
	return nil
}

func (c *profile) restore(from *restorer) {
	for _, u := range c.usual() {
		u.value = from.number(2*mostLog) - mostLog
		u.change, u.n = from.number(mostLog), from.number(hoursMemory)
	}
	c.compared, c.largest, c.idle = from.number(mostNumber), from.number(mostMember), from.count(idleHours+1)
	for range from.count(mostClaims) {
		c.claims = append(c.claims, claimShare{claim: from.text(mostText), share: from.number(1)})
	}
}
