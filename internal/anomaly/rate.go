package anomaly

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Rates watches how many requests are refused for each cause, minute by minute, beside the
// requests that succeed: in all, for each claim, and for the clients and networks with most
// refusals. It is not safe for concurrent use.
type Rates struct {
	minute   time.Time // the start of the open minute
	all      counter
	claims   counters[string]
	clients  counters[string]
	networks counters[netip.Prefix]
}

// NewRates returns a detector that has learned nothing.
func NewRates() *Rates {
	return &Rates{claims: newCounters[string](), clients: newCounters[string](), networks: newCounters[netip.Prefix]()}
}

// counter counts the requests of one scope in the open minute, and has their streams.
type counter struct {
	succeeded [exposures]uint32
	failed    [causes]uint32
	learned   [exposures]float64 // decayed numbers of successes
	minutes   float64            // decayed number of minutes with successes
	streams   [causes]*stream    // nil before the first failure
	rank      uint32
}

// mostScopes is the number of claims, clients or networks that have counters of their own.
const mostScopes = 64

// counters are the counters of the scopes of one dimension. A newcomer that fails replaces
// the counter with the lowest rank and takes that rank over, so that what fails often stays
// however many others appear. Without failures a newcomer has a counter while one is free.
type counters[K comparable] struct {
	places map[K]int
	keys   []K
	list   []counter
}

func newCounters[K comparable]() counters[K] { return counters[K]{places: make(map[K]int)} }

// of returns the counter of a key, nil if it has none.
func (c *counters[K]) of(key K, failed bool) *counter {
	place, known := c.places[key]
	switch {
	case known:
	case len(c.list) < mostScopes:
		place = c.add(key)
	case failed:
		place = c.lowest()
		delete(c.places, c.keys[place])
		c.places[key], c.keys[place], c.list[place] = place, key, counter{rank: c.list[place].rank}
	default:
		return nil
	}
	return &c.list[place]
}

// add adds an empty counter.
func (c *counters[K]) add(key K) int {
	c.places[key] = len(c.list)
	c.keys, c.list = append(c.keys, key), append(c.list, counter{})
	return len(c.list) - 1
}

func (c *counters[K]) lowest() (place int) {
	for i := range c.list {
		if c.list[i].rank < c.list[place].rank {
			place = i
		}
	}
	return place
}

// Observe counts a request.
func (r *Rates) Observe(q telemetry.Request) {
	failed := q.Cause != telemetry.NoCause
	if telemetry.ClassOf(q.Operation) == "health" || failed && !watched(q.Cause) {
		return
	}
	r.all.count(&q)
	if q.Claim != "" {
		r.claims.of(q.Claim, failed).count(&q)
	}
	if q.Client != "" {
		r.clients.of(q.Client, failed).count(&q)
	} else if p := networkOf(q.Source); p.IsValid() {
		r.networks.of(p, failed).count(&q)
	}
}

func (c *counter) count(q *telemetry.Request) {
	if c == nil {
		return
	}
	if q.Cause != telemetry.NoCause {
		c.failed[q.Cause]++
		c.rank += 16
		return
	}
	c.rank++
	c.succeeded[everything]++
	if e := exposureOf(q.Operation); e != everything {
		c.succeeded[e]++
	}
}

// Tick closes the minutes that are over and returns what was found. It is called at least
// once a minute. Without learn, baselines stay as they are: while a freeze or an alert is in
// force, and after a rotation or a deploy.
func (r *Rates) Tick(now time.Time, learn bool) (found []Verdict) {
	if r.minute.IsZero() || now.Before(r.minute) { // the first tick, or the clock was set back
		r.minute = now
	}
	minutes := now.Sub(r.minute).Minutes()
	if minutes < 1 {
		return nil
	}
	r.minute = now
	t := rateTick{now, min(minutes, 60), learn, evidenceAll, &r.all, nil}
	t.close(&r.all, "", "")
	t.need = evidenceOne
	closeAll(&t, &r.claims, "claim", func(s string) string { return s })
	closeAll(&t, &r.clients, "client", func(s string) string { return s })
	closeAll(&t, &r.networks, "network", netip.Prefix.String)
	return t.found
}

// rateTick is one tick.
type rateTick struct {
	now     time.Time
	minutes float64
	learn   bool
	need    float64
	all     *counter // what scopes without a past of their own are compared with
	found   []Verdict
}

func closeAll[K comparable](t *rateTick, c *counters[K], dimension string, name func(K) string) {
	for i := range c.list {
		t.close(&c.list[i], dimension, name(c.keys[i]))
	}
}

// close closes the minutes of one counter.
func (t *rateTick) close(c *counter, dimension, name string) {
	for i := range c.failed {
		cause := telemetry.Cause(i)
		s := c.streams[i]
		if s == nil {
			if c.failed[i] == 0 {
				continue
			}
			s = t.begin(c, cause)
			c.streams[i] = s
		}
		f, found := s.tick(t.now, t.minutes, float64(c.failed[i]), float64(c.succeeded[traits[i].among]), traits[i].ceiling, t.need, t.learn)
		if found {
			t.found = append(t.found, rateVerdict(t.now, cause, dimension, name, &f))
		}
	}
	c.learn(t.minutes, t.learn)
}

// begin returns a stream for the first failure of a cause. Its baseline is that of a scope
// without failures so far, and beside it the one of the whole server.
func (t *rateTick) begin(c *counter, cause telemetry.Cause) *stream {
	among := traits[cause].among
	prior := priorRatio
	if s := t.all.streams[cause]; s != nil {
		prior = min(s.reference, priorRatio)
	}
	s := newStream(min(prior, traits[cause].ceiling))
	s.successes += c.learned[among]
	s.minutes = c.minutes
	s.reference = min(s.upper(caution), traits[cause].ceiling)
	return s
}

// learn counts successes, and empties the minute.
func (c *counter) learn(minutes float64, learn bool) {
	if learn && c.succeeded[everything] > 0 {
		c.minutes = c.minutes*decay(minutes) + minutes
	}
	for e := range c.learned {
		if learn && c.succeeded[e] > 0 {
			c.learned[e] = c.learned[e]*decay(minutes) + float64(c.succeeded[e])
		}
	}
	c.succeeded, c.failed = [exposures]uint32{}, [causes]uint32{}
	if c.rank > 1<<30 {
		c.rank /= 2
	}
}

// rateVerdict describes a finding.
func rateVerdict(now time.Time, cause telemetry.Cause, dimension, name string, f *finding) Verdict {
	t := &traits[cause]
	v := Verdict{
		At: now, Since: f.since, Detector: Rate, Kind: "rise", Scope: ScopeServer, Cause: cause,
		Observed: f.seen, Expected: f.expected, Score: f.evidence / f.needed, Runbook: t.runbook,
	}
	if dimension != "" {
		v.Scope = dimension + ":" + name
	}
	if f.slow {
		v.Kind, v.Since = "slow_rise", now
		v.Sentence = fmt.Sprintf("%s%s have risen slowly: %s for each success of %s, against %s at the lowest; a change of clients, or a slow attempt to change what is normal",
			t.plural, within(dimension, name), percent(f.seen), amongText[t.among], percent(f.expected))
	} else {
		v.Sentence = fmt.Sprintf("%s %s%s in %s (expected %s), since %s; %s",
			number(f.seen), t.plural, within(dimension, name), span(now.Sub(f.since)), number(f.expected), clock(f.since), accident(f.evidence))
	}
	if f.minutes < warmUp {
		v.Sentence += fmt.Sprintf("; still learning, %s of traffic so far", span(time.Duration(f.minutes*float64(time.Minute))))
	}
	v.Sentence = strings.TrimSpace(v.Sentence)
	v.Evidence = []Fact{
		{"baseline", percent(f.reference)},
		{"among", amongText[t.among]},
		{"evidence", number(f.evidence)},
		{"evidence_needed", number(f.needed)},
	}
	return v
}

// Relearn accepts the failures that a verdict was about as normal, after feedback that they
// are expected. Without such a stream it does nothing.
func (r *Rates) Relearn(scope string, cause telemetry.Cause) {
	if s := r.stream(scope, cause); s != nil {
		s.relearn()
	}
}

// Again has the failures that a verdict was about found again at a time, if they go on until
// then, instead of an hour later. Without such a stream it does nothing.
func (r *Rates) Again(at time.Time, scope string, cause telemetry.Cause) {
	if s := r.stream(scope, cause); s != nil && s.alarm {
		s.until = at
	}
}

// stream returns the stream of a cause in a scope, nil if there is none.
func (r *Rates) stream(scope string, cause telemetry.Cause) *stream {
	var c *counter
	switch dimension, name, _ := strings.Cut(scope, ":"); dimension {
	case ScopeServer:
		c = &r.all
	case "claim":
		c = r.claims.find(name)
	case "client":
		c = r.clients.find(name)
	case "network":
		if p, err := netip.ParsePrefix(name); err == nil {
			c = r.networks.find(p)
		}
	}
	if c == nil || !watched(cause) {
		return nil
	}
	return c.streams[cause]
}

func (c *counters[K]) find(key K) *counter {
	if place, known := c.places[key]; known {
		return &c.list[place]
	}
	return nil
}

// networkOf returns the network of an address: /24 of IPv4, /48 of IPv6.
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // of the zero Addr there is none
	return p
}

const ratesState = "td-rates/1"

// Save returns the state: baselines, sums, and the names of the claims, clients and networks
// with most refusals. The counts of the open minute are not in it.
func (r *Rates) Save() []byte {
	w := new(saver)
	w.text(ratesState)
	r.all.save(w)
	saveAll(w, &r.claims, func(s string) string { return s })
	saveAll(w, &r.clients, func(s string) string { return s })
	saveAll(w, &r.networks, netip.Prefix.String)
	return w.b
}

func saveAll[K comparable](w *saver, c *counters[K], name func(K) string) {
	w.count(len(c.list))
	for i := range c.list {
		w.text(name(c.keys[i]))
		c.list[i].save(w)
	}
}

func (c *counter) save(w *saver) {
	for _, v := range c.learned {
		w.number(v)
	}
	w.number(c.minutes)
	w.count(int(c.rank))
	n := 0
	for _, s := range c.streams {
		if s != nil {
			n++
		}
	}
	w.count(n)
	for i, s := range c.streams {
		if s != nil {
			w.text(telemetry.Cause(i).String())
			s.save(w)
		}
	}
}

// Restore replaces the state by a saved one. After an error the state is unchanged.
func (r *Rates) Restore(b []byte) error {
	from, n := restore(b, ratesState), NewRates()
	n.all.restore(from)
	text := func(s string) (string, bool) { return s, s != "" }
	restoreAll(from, &n.claims, text)
	restoreAll(from, &n.clients, text)
	restoreAll(from, &n.networks, func(s string) (netip.Prefix, bool) {
		p, err := netip.ParsePrefix(s)
		return p, err == nil
	})
	if err := from.end(); err != nil {
		return err
	}
	*r = *n
	return nil
}

func restoreAll[K comparable](from *restorer, c *counters[K], key func(string) (K, bool)) {
	for range from.count(mostScopes) {
		k, ok := key(from.text(mostText))
		if _, twice := c.places[k]; !ok || twice {
			from.failed = true
			return
		}
		c.list[c.add(k)].restore(from)
	}
}

func (c *counter) restore(from *restorer) {
	for e := range c.learned {
		c.learned[e] = from.number(mostNumber)
	}
	c.minutes = from.number(mostNumber)
	c.rank = uint32(from.count(1<<31 - 1))
	for range from.count(causes) {
		cause, ok := causeNamed(from.text(mostText))
		if !ok || c.streams[cause] != nil {
			from.failed = true
			return
		}
		c.streams[cause] = new(stream)
		c.streams[cause].restore(from)
	}
}

// causeNamed returns a watched cause by its name.
func causeNamed(name string) (telemetry.Cause, bool) {
	for c := range telemetry.Cause(causes) {
		if watched(c) && c.String() == name {
			return c, true
		}
	}
	return telemetry.NoCause, false
}
