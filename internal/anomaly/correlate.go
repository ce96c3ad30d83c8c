package anomaly

import (
	"hash/maphash"
	"slices"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Correlation compares failed validations across clients, networks, claims, provers, epochs
// and codes, and across windows of time. It is not safe for concurrent use.
//
// A window is a ring of closed parts and an open one. Events are counted in the open minute;
// a part that closes is added to the open part of the next longer window, and one of four
// hours, at last, to what is usual. What is usual decays with a half-life of a week.
type Correlation struct {
	rates  *Rates // whose baselines say how many failures are expected
	hash   func(uint64) uint64
	names  names
	epoch  uint64 // number of the epoch that opened last, plus one
	levels [windows]level
	usual  part
	teach  part                     // the minutes of learning since the longest window had a part
	taught time.Duration            // of these minutes
	off    bool                     // the open minute must not be learned
	spoilt [causes + exposures]bool // must not be learned from teach
	due    map[due]time.Time
	rest   [causes]time.Time // before which a known excess is not examined again
	chains chains
}

// The windows.
const (
	minutes5 = iota
	hour1
	hours6
	hours24
	windows
)

// level is one window.
type level struct {
	open   part
	closed []part // the newest last
}

// Lengths of the windows, of their parts, and how many closed parts a window has. With the
// open part a window covers up to one part more than its length.
var (
	windowOf = [windows]time.Duration{5 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}
	partOf   = [windows]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour}
	partsOf  = [windows]int{5, 6, 6, 6}
)

// part is what was counted in one stretch of time: a cell for each cause that occurred, and
// one for the successes of each group of requests; that of everything holds the rest.
type part struct {
	began time.Time
	cells [causes + exposures]*cell
}

// dimension is what failures are compared by.
type dimension int

const (
	byClient dimension = iota
	byNetwork
	byClaim
	byProver
	byEpoch
	byCode
	dimensions
)

var dimensionText = [dimensions]string{"client", "network", "claim", "prover", "epoch", "code"}

// sizes are the numbers of values that are counted apart.
var sizes = [dimensions]int{64, 64, 64, 64, 8, 32}

// cell counts the values of each dimension, and how many different clients and networks
// there are.
type cell struct {
	values   [dimensions]heavy
	sources  [2]distinct // clients, networks
	failures uint32      // or successes
}

// NewCorrelation returns a detector that has learned nothing. It reads what is expected from
// rates, whose Tick must be called before its own.
func NewCorrelation(rates *Rates) *Correlation {
	seed := maphash.MakeSeed()
	return newCorrelation(rates, func(key uint64) uint64 { return maphash.Comparable(seed, key) })
}

func newCorrelation(rates *Rates, hash func(uint64) uint64) *Correlation {
	return &Correlation{rates: rates, hash: hash, names: newNames(), due: make(map[due]time.Time), chains: chains{hash: hash}}
}

// event is a request as keys of the dimensions; 0 if a value is not known.
type event [dimensions]uint64

// Observe counts a request.
func (c *Correlation) Observe(q telemetry.Request) {
	failed := q.Cause != telemetry.NoCause
	if telemetry.ClassOf(q.Operation) == "health" || failed && !watched(q.Cause) {
		return
	}
	e := event{byClient: c.names.key(q.Client), byNetwork: networkKey(networkOf(q.Source)), byClaim: c.names.key(q.Claim), byEpoch: c.epoch}
	among := exposureOf(q.Operation)
	if among == pushes { // what a client proves itself is compared by client
		e[byProver] = c.names.key(localProver)
	}
	now := &c.levels[minutes5].open
	if !failed {
		now.cell(causes + int(among)).success(&e)
		c.chains.success(q.At, &e)
		return
	}
	e[byCode] = uint64(q.Code) + 1
	now.cell(int(q.Cause)).failure(&e, c.hash)
	c.chains.failure(q.At, q.Cause, &e)
}

// localProver is the name of the prover of this server.
const localProver = "local"

func (p *part) cell(i int) *cell {
	if p.cells[i] == nil {
		p.cells[i] = new(cell)
	}
	return p.cells[i]
}

func (c *cell) success(e *event) {
	c.failures++
	for d := byClient; d < byCode; d++ {
		c.values[d].add(e[d], 1, sizes[d])
	}
}

func (c *cell) failure(e *event, hash func(uint64) uint64) {
	c.success(e)
	c.values[byCode].add(e[byCode], 1, sizes[byCode])
	for d := range c.sources {
		if e[d] != 0 {
			c.sources[d].add(hash(e[d]))
		}
	}
}

// Change reads the number of the epoch that opens.
func (c *Correlation) Change(ch telemetry.Change) {
	if ch.Kind == telemetry.EpochOpened && ch.Value >= 0 && ch.Value < 1<<53 {
		c.epoch = uint64(ch.Value) + 1
	}
}

// Tick closes the windows that are over and returns what was found, as [Rates.Tick] does.
func (c *Correlation) Tick(now time.Time, learn bool) (found []Verdict) {
	for i := range c.levels {
		if l := &c.levels[i]; l.open.began.IsZero() || now.Before(l.open.began) {
			l.open.began = now
		}
	}
	c.off = c.off || !learn
	if now.Sub(c.levels[minutes5].open.began) < partOf[minutes5] {
		return nil
	}
	found = c.judge(now)
	found = append(found, c.chains.take(now, c)...)
	for i := range found {
		c.spoilt[found[i].Cause] = true
	}
	for i := range c.levels {
		l := &c.levels[i]
		if now.Sub(l.open.began) < partOf[i] {
			break
		}
		l.close(now, partsOf[i], windowOf[i])
		over := &l.closed[len(l.closed)-1]
		if i == minutes5 {
			c.collect(over, now.Sub(over.began))
		}
		if i+1 < windows {
			c.levels[i+1].open.join(over)
		} else {
			c.learn()
		}
	}
	return found
}

// collect keeps a minute for learning, unless learning was off in it.
func (c *Correlation) collect(minute *part, length time.Duration) {
	if !c.off {
		c.teach.join(minute)
		c.taught += length
	}
	c.off = false
}

// close closes the open part, and drops those that the window has passed.
func (l *level) close(now time.Time, parts int, window time.Duration) {
	l.closed = append(l.closed, l.open)
	l.open = part{began: now}
	l.closed = slices.Delete(l.closed, 0, max(0, len(l.closed)-parts))
	l.closed = slices.DeleteFunc(l.closed, func(p part) bool { return now.Sub(p.began) > 2*window })
}

// join adds what another part has counted.
func (p *part) join(o *part) {
	for i, from := range o.cells {
		if from != nil {
			p.cell(i).join(from)
		}
	}
}

func (c *cell) join(o *cell) {
	c.failures += o.failures
	for d := range c.values {
		c.values[d].join(&o.values[d], sizes[d])
	}
	for d := range c.sources {
		c.sources[d].join(&o.sources[d])
	}
}

// learn adds what was collected to what is usual, but for causes that had a verdict. A part
// with far more failures than usual counts as less.
func (c *Correlation) learn() {
	left := decay(c.taught.Minutes())
	for i, add := range c.teach.cells {
		if c.spoilt[i] {
			continue
		}
		if old := c.usual.cells[i]; old != nil {
			old.scale(left)
		}
		if add == nil {
			continue
		}
		if i < causes {
			if most := 3*c.expected(telemetry.Cause(i), c.teach.successes(traits[i].among), c.taught) + 20; float64(add.failures) > most {
				add.scale(most / float64(add.failures))
			}
		}
		add.sources = [2]distinct{}
		c.usual.cell(i).join(add)
	}
	c.teach, c.taught, c.spoilt = part{}, 0, [causes + exposures]bool{}
	if c.names.full() {
		c.forget()
	}
}

func (c *cell) scale(factor float64) {
	c.failures = uint32(float64(c.failures) * factor)
	for d := range c.values {
		c.values[d].scale(factor)
	}
}

// expected returns how many failures of a cause are expected beside successes in a time.
func (c *Correlation) expected(cause telemetry.Cause, successes uint32, length time.Duration) float64 {
	if s := c.rates.all.streams[cause]; s != nil {
		return s.expect(float64(successes), length.Minutes())
	}
	return max(priorRatio*float64(successes), length.Minutes()/60)
}

// window returns what a window has counted of one cause, and of the successes beside it.
func (c *Correlation) window(w int, cause telemetry.Cause) (failed, around cell) {
	add := func(o *part) {
		if o.cells[cause] != nil {
			failed.join(o.cells[cause])
		}
		o.around(traits[cause].among, &around)
	}
	for i := range c.levels[w].closed {
		add(&c.levels[w].closed[i])
	}
	for i := w; i >= 0; i-- {
		add(&c.levels[i].open)
	}
	return failed, around
}

// around adds the successes of a group of requests to a cell.
func (p *part) around(among exposure, to *cell) {
	for e := range exposures {
		if from := p.cells[causes+e]; from != nil && (among == everything || int(among) == e) {
			to.join(from)
		}
	}
}

// successes returns the number of successes of a group of requests.
func (p *part) successes(among exposure) (n uint32) {
	for e := range exposures {
		if among == everything || int(among) == e {
			n += p.failures(causes + e)
		}
	}
	return n
}

// failures returns the total of a cell.
func (p *part) failures(i int) uint32 {
	if p.cells[i] == nil {
		return 0
	}
	return p.cells[i].failures
}

// count returns the failures of a cause and the successes beside them in a window, and when
// the window begins.
func (c *Correlation) count(w int, cause telemetry.Cause) (failed, successes uint32, began time.Time) {
	began = c.levels[w].open.began
	if closed := c.levels[w].closed; len(closed) > 0 {
		began = closed[0].began
	}
	add := func(p *part) {
		failed += p.failures(int(cause))
		successes += p.successes(traits[cause].among)
	}
	for i := range c.levels[w].closed {
		add(&c.levels[w].closed[i])
	}
	for i := w; i >= 0; i-- {
		add(&c.levels[i].open)
	}
	return failed, successes, began
}

// forget drops the names that no part and no trail holds.
func (c *Correlation) forget() {
	used := make(map[uint64]bool)
	mark := func(p *part) {
		for _, cell := range p.cells {
			if cell != nil {
				for _, d := range []dimension{byClient, byClaim, byProver} {
					for _, key := range cell.values[d].keys {
						used[key] = true
					}
				}
			}
		}
	}
	mark(&c.usual)
	mark(&c.teach)
	for i := range c.levels {
		mark(&c.levels[i].open)
		for j := range c.levels[i].closed {
			mark(&c.levels[i].closed[j])
		}
	}
	c.chains.mark(used)
	c.names.keep(used)
}

// text returns the value of a key of a dimension.
func (c *Correlation) text(d dimension, key uint64) string {
	switch d {
	case byNetwork:
		return networkOfKey(key).String()
	case byEpoch:
		return strconv.FormatUint(key-1, 10)
	case byCode:
		return protocol.Code(key - 1).String()
	default:
		return c.names.text(key)
	}
}
