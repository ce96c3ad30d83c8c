package limit_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/internal/limit"
)

// occasion is something that happens at a moment of the simulation.
type occasion struct {
	at time.Time
	do func()
}

type occasions []occasion

func (o occasions) Len() int           { return len(o) }
func (o occasions) Less(i, j int) bool { return o[i].at.Before(o[j].at) }
func (o occasions) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *occasions) Push(x any)        { *o = append(*o, x.(occasion)) }
func (o *occasions) Pop() any {
	old := *o
	x := old[len(old)-1]
	*o = old[:len(old)-1]
	return x
}

// world is a server in virtual time with the figures of a usual one. A challenge holds a
// place for 0.6 ms, a verification for 1.8 ms, each give or take 30 %.
type world struct {
	now    time.Time
	events occasions
	rng    *rand.Rand
	pacer  *limit.Pacer
	queue  *limit.Queue
	starts map[*limit.Turn]func()
	think  func() time.Duration
	end    time.Time // of the measurement

	completed, issued, answered map[string]int
	slowest                     []time.Duration // times to a decision
}

const (
	simPlaces = 2
	simIssue  = 600 * time.Microsecond
	simVerify = 1800 * time.Microsecond
	simWarmUp = 2 * time.Second
	simSpan   = 20 * time.Second
)

// simCapacity is how many exchanges a second the places can do.
var simCapacity = simPlaces / (simIssue + simVerify).Seconds()

func newWorld(think func(*rand.Rand) time.Duration) *world {
	w := &world{
		now: time.Unix(1_800_000_000, 0), rng: rand.New(rand.NewPCG(1, 2)),
		pacer: limit.NewPacer(simPlaces), queue: limit.NewQueue(simPlaces, 0, 64, 100*time.Millisecond),
		starts: map[*limit.Turn]func(){}, completed: map[string]int{}, issued: map[string]int{}, answered: map[string]int{},
	}
	w.think = func() time.Duration { return think(w.rng) }
	return w
}

func (w *world) after(d time.Duration, do func()) { heap.Push(&w.events, occasion{w.now.Add(d), do}) }

func (w *world) run() {
	for len(w.events) > 0 {
		next, _ := heap.Pop(&w.events).(occasion)
		w.now = next.at
		next.do()
	}
}

// measured reports whether what happens now counts.
func (w *world) measured() bool {
	return w.now.After(w.end.Add(-simSpan)) && !w.now.After(w.end)
}

// work does costly work once it has a place; otherwise done is never called.
func (w *world) work(by limit.Payer, mean time.Duration, done func(took time.Duration)) {
	turn, err := w.queue.Join(w.now, limit.Ask{Units: 1, Hurry: w.pacer.Favoured(by)})
	if err != nil {
		return
	}
	took := time.Duration((0.7 + 0.6*w.rng.Float64()) * float64(mean))
	start := func() {
		w.after(took, func() {
			for _, next := range w.queue.Leave(w.now, turn) {
				w.starts[next]()
				delete(w.starts, next)
			}
			done(took)
		})
	}
	if turn.Waits() {
		w.starts[turn] = start
		return
	}
	start()
}

// exchange asks for a challenge and answers it.
func (w *world) exchange(name string, by limit.Payer) {
	p := w.pacer.Admit(w.now, by)
	if !p.OK {
		return
	}
	w.work(by, simIssue, func(took time.Duration) {
		w.pacer.Issued(took)
		if w.measured() {
			w.issued[name]++
		}
		w.after(w.think(), func() { w.answer(name, by, p.Charge) })
	})
}

func (w *world) answer(name string, by limit.Payer, paid limit.Charge) {
	counts, began := w.measured(), w.now
	if counts {
		w.answered[name]++
	}
	w.work(by, simVerify, func(took time.Duration) {
		w.pacer.Verified(took)
		w.pacer.Ended(w.now, paid, true)
		if counts {
			w.completed[name]++
			w.slowest = append(w.slowest, w.now.Sub(began))
		}
	})
}

// offer has clients begin exchanges at random times, so many a second.
func (w *world) offer(name string, by func() limit.Payer, perSecond float64) {
	w.end = w.now.Add(simWarmUp + simSpan)
	var next func()
	next = func() {
		if w.now.After(w.end) {
			return
		}
		w.exchange(name, by())
		w.after(time.Duration(w.rng.ExpFloat64()/perSecond*float64(time.Second)), next)
	}
	next()
}

// thinkTimes are how long clients take for a proof.
var thinkTimes = map[string]func(*rand.Rand) time.Duration{
	"constant": func(*rand.Rand) time.Duration { return 200 * time.Millisecond },
	"random": func(r *rand.Rand) time.Duration {
		return 50*time.Millisecond + time.Duration(r.ExpFloat64()*float64(150*time.Millisecond))
	},
}

// TestOverload: whatever is offered, what is completed stays near the capacity, and almost
// no challenge is issued in vain.
func TestOverload(t *testing.T) {
	for name, think := range thinkTimes {
		for _, load := range []float64{0.8, 1.5, 3, 10} {
			t.Run(fmt.Sprintf("%s/%g", name, load), func(t *testing.T) {
				w := newWorld(think)
				crowd := func() limit.Payer { return limit.Payer{Key: w.rng.Uint64N(100) + 1} }
				w.offer("crowd", crowd, load*simCapacity)
				w.run()
				rate := float64(w.completed["crowd"]) / simSpan.Seconds() / simCapacity
				lost := 1 - float64(w.completed["crowd"])/float64(w.answered["crowd"])
				slices.Sort(w.slowest)
				p99 := w.slowest[len(w.slowest)*99/100]
				t.Logf("%.3f of the capacity, %.2f %% lost, 99th percentile %v", rate, 100*lost, p99)
				if rate < min(0.9, 0.94*load) || rate > 1 || lost > 0.02 || p99 > 100*time.Millisecond {
					t.Errorf("%.3f of the capacity, %.2f %% lost, 99th percentile %v", rate, 100*lost, p99)
				}
			})
		}
	}
}

// TestQuietPayer: a payer that asks for little gets it beside one that asks for ten times
// of what there is.
func TestQuietPayer(t *testing.T) {
	w := newWorld(thinkTimes["random"])
	w.offer("flood", func() limit.Payer { return limit.Payer{Key: 1} }, 10*simCapacity)
	const quiet = 20
	w.offer("quiet", func() limit.Payer { return limit.Payer{Key: 2} }, quiet)
	w.run()
	if got := float64(w.completed["quiet"]) / simSpan.Seconds(); got < 0.85*quiet || w.answered["quiet"] != w.completed["quiet"] {
		t.Errorf("%.1f of %d a second are completed; %d answers, %d decided", got, quiet, w.answered["quiet"], w.completed["quiet"])
	}
	if all := float64(w.completed["flood"]+w.completed["quiet"]) / simSpan.Seconds(); all < 0.9*simCapacity {
		t.Errorf("%.0f of %.0f a second are completed", all, simCapacity)
	}
}

// TestHoard: challenges that are answered long after they were issued are charged when
// they are answered.
func TestHoard(t *testing.T) {
	p, now, by := limit.NewPacer(1), time.Unix(1_800_000_000, 0), limit.Payer{Key: 7}
	for range 1000 { // it never answers, so a challenge costs no more than itself
		now = now.Add(10 * time.Millisecond)
		p.Ended(now, p.Admit(now, by).Charge, false)
	}
	hoard := p.Admit(now, by).Charge
	for range 500 {
		p.Ended(now, hoard, true)
	}
	if p.Admit(now.Add(500*time.Millisecond), by).OK {
		t.Error("a challenge is issued while verifications are made that were not charged")
	}
	if !p.Admit(now.Add(2*time.Second), by).OK {
		t.Error("no challenge is issued after they were made")
	}
}

// TestLocalPayer: a script of the operator that only asks for challenges is never paced,
// one that answers them is.
func TestLocalPayer(t *testing.T) {
	p, now := limit.NewPacer(1), time.Unix(1_800_000_000, 0)
	by := p.PayerOf(limit.Source{Addr: netip.MustParseAddr("127.0.0.1"), Local: true})
	p.Admit(now, limit.Payer{Key: by.Key}) // a stranger whose key is the same takes nothing of it
	for range 10_000 {
		if !p.Admit(now, by).OK {
			t.Fatal("a local challenge is refused")
		}
	}
	for range 64 {
		p.Ended(now, limit.Charge{Key: by.Key, Local: true, Prepaid: 1}, true)
	}
	paced := func() bool { return !p.Admit(now, by).OK }
	if !slices.ContainsFunc(make([]struct{}, 100), func(struct{}) bool { return paced() }) {
		t.Error("100 challenges at once are admitted, all of which will be answered")
	}
}

// TestPaceFollowsTheCost: the pace follows the measured times, and one sample that is far
// off does not change it much.
func TestPaceFollowsTheCost(t *testing.T) {
	p := limit.NewPacer(2)
	for range 1000 {
		p.Issued(time.Millisecond)
		p.Verified(9 * time.Millisecond)
	}
	if got := p.Capacity(); got < 199 || got > 201 {
		t.Errorf("capacity %.1f a second, want 200", got)
	}
	p.Verified(time.Minute)
	if got := p.Capacity(); got < 150 {
		t.Errorf("one long verification leaves a capacity of %.1f a second", got)
	}
}

// TestPaceWhenTheClockIsSetBack: a clock that is set back stops nothing.
func TestPaceWhenTheClockIsSetBack(t *testing.T) {
	p, now, by := limit.NewPacer(1), time.Unix(1_800_000_000, 0), limit.Payer{Key: 3}
	for range 100 {
		p.Admit(now, by)
	}
	if p.Admit(now, by).OK || !p.Admit(now.Add(-time.Hour), by).OK {
		t.Error("no challenge is issued after the clock was set back")
	}
	for range 1000 {
		p.Verified(-time.Hour)
	}
	if got := p.Capacity(); got < 0 || got > 1e4 {
		t.Errorf("capacity %v", got)
	}
}

// TestRetryAfterGrows: the more is asked for, the later a refused client should return.
func TestRetryAfterGrows(t *testing.T) {
	p, now, by := limit.NewPacer(1), time.Unix(1_800_000_000, 0), limit.Payer{Key: 3}
	var last limit.Pace
	for range 20_000 {
		now = now.Add(50 * time.Microsecond) // 20,000 a second, of which about 400 can be
		last = p.Admit(now, by)
	}
	if after, refused := p.Refuses(now, by); !refused || after < 10*time.Second || after > 30*time.Second || last.OK {
		t.Errorf("refused %v, again after %v", refused, after)
	}
}

// TestPayers: the payer of a source is its client, or its address.
func TestPayers(t *testing.T) {
	p := limit.NewPacer(1)
	key := func(addr, client string) uint64 {
		return p.PayerOf(limit.Source{Addr: netip.MustParseAddr(addr), Client: client}).Key
	}
	if key("192.0.2.1", "") == key("192.0.2.2", "") || key("192.0.2.1", "") != key("::ffff:192.0.2.1", "") {
		t.Error("IPv4")
	}
	if key("2001:db8::1", "") != key("2001:db8::ffff", "") || key("2001:db8::1", "") == key("2001:db8:0:1::1", "") {
		t.Error("IPv6")
	}
	if key("192.0.2.1", "a") != key("192.0.2.2", "a") || key("192.0.2.1", "a") == key("192.0.2.1", "b") {
		t.Error("clients")
	}
}

func BenchmarkAdmit(b *testing.B) {
	p, now := limit.NewPacer(2), time.Now()
	for i := 0; b.Loop(); i++ {
		p.Admit(now.Add(time.Duration(i)*time.Microsecond), limit.Payer{Key: uint64(i % 1000)})
	}
}
