package attack_test

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/protocol"
)

// What the overload must show.
const (
	overloadFactor   = 10   // offered, of the capacity
	mostUnsent       = 0.05 // of the offered exchanges, because too many are outstanding
	mostLost         = 0.02 // of the challenges that were issued and answered
	mostGrowth       = 64.0 // MiB that the core's own memory may grow while it is overloaded
	realShare        = 0.1  // of the answers
	closedLoop       = 32   // clients that measure the capacity
	mostOpening      = 1024 // outstanding requests for challenges
	mostAnswering    = 512  // outstanding answers
	openWithin       = 2 * time.Second
	answerWithin     = 5 * time.Second
	challengeLife    = 30 * time.Second
	capacityBackoff  = 5 * time.Millisecond   // after a refusal, in the measurement of the capacity
	settleAfterwards = 500 * time.Millisecond // for what the server still does after a load
)

// think returns how long a client has its challenge before it sends the answer.
type think func() time.Duration

var thinks = []struct {
	name string
	next think
}{
	{"constant", func() time.Duration { return 200 * time.Millisecond }},
	{"random", func() time.Duration {
		return 50*time.Millisecond + time.Duration(rand.ExpFloat64()*float64(150*time.Millisecond))
	}},
}

// mixed has both kinds at once, for a short run.
var mixed = []struct {
	name string
	next think
}{{"mixed", func() time.Duration { return thinks[rand.IntN(2)].next() }}}

// overload measures the capacity of the server, then offers it ten times as much.
func (p *part) overload() {
	servers, own, ok := processors()
	if !ok {
		p.skip("overload", "needs two processors")
		p.Skip("needs two processors")
	}
	s := p.serve(servers, "--prover", "none")
	ctx := p.Context()
	l := p.newLoad(ctx, s)
	p.keepTo(own)
	defer l.close()
	l.closed(ctx, closedLoop, p.capacity/4) // warms up
	capacity := []float64{p.capacityOf(ctx, s, l)}
	unloaded := []*quietResult{p.quiet(l, p.plan.overload)()}
	loaded := map[string]*quietResult{}
	kinds := thinks
	if p.short {
		kinds = mixed
	}
	for _, t := range kinds {
		before, err := s.memory()
		p.must(err)
		most, spent, alone := p.watchMemory(s), s.spent(), capacity[len(capacity)-1]
		c, quiet := p.offer(ctx, l, overloadFactor*alone, t.next)
		grown := most() - before
		p.figures[t.name+"_processor"] = round((s.spent() - spent).Seconds() / time.Since(c.began).Seconds())
		time.Sleep(settleAfterwards)
		capacity = append(capacity, p.capacityOf(ctx, s, l)) // the machine may have changed
		p.judge(t.name, c, (alone+capacity[len(capacity)-1])/2)
		p.atMost(t.name+"_memory_growth_mib", grown, mostGrowth)
		loaded[t.name] = quiet
	}
	if p.slower > 0 {
		unloaded = append(unloaded, p.quiet(l, p.plan.overload)())
	}
	p.judgeQuiet(unloaded, loaded)
	p.figures["capacity_per_s"] = capacity
}

// capacityOf measures the capacity.
func (p *part) capacityOf(ctx context.Context, s *server, l *load) float64 {
	before := s.spent()
	c := l.closed(ctx, closedLoop, p.capacity)
	f := c.figures()
	f["processor"] = round((s.spent() - before).Seconds() / time.Since(c.began).Seconds())
	p.figures["capacity"] = f
	time.Sleep(settleAfterwards)
	return round(c.completed())
}

// offer offers load at a rate, beside the quiet client.
func (p *part) offer(ctx context.Context, l *load, rate float64, next think) (*counts, *quietResult) {
	quiet := p.quiet(l, p.plan.overload)
	c := l.open(ctx, rate, p.plan.overload, next)
	return c, quiet()
}

// judge checks what the overload completed.
func (p *part) judge(name string, c *counts, capacity float64) {
	p.Helper()
	p.figures[name] = c.figures()
	p.figures[name+"_sent_of_capacity"] = round(float64(c.offered.Load()-c.unsent.Load()) / p.plan.overload.Seconds() / capacity)
	p.atMost(name+"_unsent_of_offered", float64(c.unsent.Load())/float64(max(1, c.offered.Load())), mostUnsent)
	p.atLeast(name+"_completed_of_capacity", c.completed()/capacity, p.completed)
	p.atMost(name+"_lost_of_issued", float64(c.lost.Load())/float64(max(1, c.issued.Load())), mostLost)
}

// judgeQuiet compares the quiet client with itself without load, before and after: with
// the better of the two, as other work of the machine may have disturbed one.
func (p *part) judgeQuiet(unloaded []*quietResult, loaded map[string]*quietResult) {
	p.Helper()
	base, each := math.Inf(1), []map[string]float64{}
	for _, q := range unloaded {
		each = append(each, map[string]float64{"p50_ms": round(quantile(q.Took, 0.5)), "p99_ms": round(quantile(q.Took, 0.99))})
		base = min(base, quantile(q.Took, 0.99))
	}
	p.figures["quiet_unloaded"] = each
	for name, q := range loaded {
		p.figures[name+"_quiet_p50_ms"], p.figures[name+"_quiet_requests"] = round(quantile(q.Took, 0.5)), len(q.Took)
		p.figures[name+"_quiet_p99_ms"] = round(quantile(q.Took, 0.99))
		if len(q.Refused) > 0 {
			p.Logf("the quiet client was refused: %v", q.Refused)
		}
		p.atMost(name+"_quiet_refused", float64(len(q.Refused)), 0)
		ratio := quantile(q.Took, 0.99) / base
		if p.slower == 0 {
			p.figures[name+"_quiet_of_unloaded"] = round(ratio)
			continue
		}
		p.atMost(name+"_quiet_of_unloaded", ratio, p.slower)
	}
}

// watchMemory samples the memory of the core until the function that it returns is
// called, which returns the most that was seen.
func (p *part) watchMemory(s *server) func() float64 {
	var most float64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if now, err := s.memory(); err == nil {
				most = max(most, now)
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-done
		return most
	}
}

// load sends exchanges to one server.
type load struct {
	part      *part
	address   string
	other     []byte       // a well-formed proof of another statement
	ready     chan *answer // real answers
	opening   chan *conn   // for requests for challenges
	answering chan *conn
	token     string // of the quiet client
}

// newLoad prepares the real answers and a quiet client.
func (p *part) newLoad(ctx context.Context, s *server) *load {
	p.Helper()
	_, token, err := s.addClient(ctx, "quiet")
	p.must(err)
	l := &load{
		part: p, address: s.address, token: token, ready: make(chan *answer, p.proofs),
		opening: make(chan *conn, mostOpening), answering: make(chan *conn, mostAnswering),
	}
	began := time.Now()
	all, err := prove(ctx, s.Client, p.proofs+1)
	p.must(err)
	p.figures["proofs_made"], p.figures["proofs_seconds"] = len(all), round(time.Since(began).Seconds())
	l.other = all[0].proof
	for _, a := range all[1:] {
		l.ready <- a
	}
	for _, pool := range []chan *conn{l.opening, l.answering} {
		for range cap(pool) {
			pool <- &conn{broken: true} // connected when it is used first
		}
	}
	return l
}

func (l *load) close() {
	for _, pool := range []chan *conn{l.opening, l.answering} {
		for range cap(pool) {
			if c := <-pool; c.Conn != nil {
				_ = c.Close()
			}
		}
	}
}

// counts are those of one measurement.
type counts struct {
	began    time.Time
	from, to time.Time // of the steady part, in which inTime counts

	offered, unsent, issued, answered, decided, inTime, lost, accepted atomic.Int64

	mu      sync.Mutex
	refused map[string]int // challenges, by code
	losses  map[string]int // answers, by code
	opens   []float64      // milliseconds that challenges took
	answers []float64      // milliseconds that decided answers took
}

// newCounts begins a measurement that takes d. Its first quarter, a second at most, is
// left out: the first answers come after the think time.
func newCounts(d time.Duration) *counts {
	now := time.Now()
	return &counts{began: now, from: now.Add(min(time.Second, d/4)), to: now.Add(d), refused: map[string]int{}, losses: map[string]int{}}
}

// completed returns the decided exchanges of a second.
func (c *counts) completed() float64 { return float64(c.inTime.Load()) / c.to.Sub(c.from).Seconds() }

func (c *counts) figures() map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := map[string]any{
		"issued": c.issued.Load(), "answered": c.answered.Load(), "decided": c.decided.Load(), "lost": c.lost.Load(), "accepted": c.accepted.Load(),
		"open_p50_ms": round(quantile(c.opens, 0.5)), "open_p99_ms": round(quantile(c.opens, 0.99)),
		"answer_p50_ms": round(quantile(c.answers, 0.5)), "answer_p99_ms": round(quantile(c.answers, 0.99)),
	}
	if c.offered.Load() > 0 {
		f["offered"], f["unsent"] = c.offered.Load(), c.unsent.Load()
	}
	if len(c.refused) > 0 {
		f["refused"] = maps.Clone(c.refused)
	}
	if len(c.losses) > 0 {
		f["losses"] = maps.Clone(c.losses)
	}
	return f
}

func (c *counts) add(m map[string]int, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[code]++
}

// closed has n clients that begin an exchange as soon as one has ended.
func (l *load) closed(ctx context.Context, n int, d time.Duration) *counts {
	c := newCounts(d)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for time.Now().Before(c.to) && ctx.Err() == nil {
				if !l.exchange(ctx, c, func() time.Duration { return 0 }) {
					time.Sleep(capacityBackoff)
				}
			}
		})
	}
	wg.Wait()
	return c
}

// open begins exchanges at a rate, whether or not the former ones have ended.
func (l *load) open(ctx context.Context, rate float64, d time.Duration, next think) *counts {
	c := newCounts(d)
	places := make(chan struct{}, mostOpening)
	var wg sync.WaitGroup
	for due := c.began; due.Before(c.to) && ctx.Err() == nil; due = c.began.Add(time.Duration(float64(c.offered.Load()) / rate * float64(time.Second))) {
		if early := time.Until(due); early > 0 {
			time.Sleep(early) // the schedule
		}
		c.offered.Add(1)
		select {
		case places <- struct{}{}:
			wg.Go(func() { l.exchangeOnce(ctx, c, next, func() { <-places }) })
		default:
			c.unsent.Add(1) // too many are outstanding: the server is too slow
		}
	}
	wg.Wait()
	return c
}

// exchange asks for a challenge and answers it, and reports whether a challenge was
// issued.
func (l *load) exchange(ctx context.Context, c *counts, next think) bool {
	return l.exchangeOnce(ctx, c, next, func() {})
}

// exchangeOnce is exchange; opened is called once the request for the challenge has ended.
func (l *load) exchangeOnce(ctx context.Context, c *counts, next think, opened func()) bool {
	began := time.Now()
	r, code := l.send(ctx, l.opening, openRequest(randomCommitment(), challengeLife), openWithin)
	opened()
	if r.status != 201 {
		c.add(c.refused, code)
		return false
	}
	c.issued.Add(1)
	c.mu.Lock()
	c.opens = append(c.opens, millis(time.Since(began)))
	c.mu.Unlock()
	id, tag, err := issuedOf(r.body)
	if err != nil {
		c.add(c.refused, "unreadable")
		return false
	}
	time.Sleep(next()) // the think time
	l.answer(ctx, c, id, tag)
	return true
}

// answer sends an answer: a real one that is ready, instead of this one, in a tenth of the
// cases.
func (l *load) answer(ctx context.Context, c *counts, id protocol.RequestID, tag protocol.Tag) {
	a := &answer{id, tag, l.other}
	if rand.Float64() < realShare {
		select {
		case a = <-l.ready:
		default: // none is left
		}
	}
	c.answered.Add(1)
	began := time.Now()
	r, code := l.send(ctx, l.answering, a.request(), answerWithin)
	switch {
	case r.status == 201:
		c.accepted.Add(1)
	case code == protocol.CodeProofRejected.String():
	default:
		c.lost.Add(1)
		c.add(c.losses, code)
		return
	}
	c.decided.Add(1)
	if now := time.Now(); now.After(c.from) && now.Before(c.to) {
		c.inTime.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, millis(time.Since(began)))
}

// send sends a request over a free connection and returns the answer with a copy of its
// body. If there was no answer, code says why.
func (l *load) send(ctx context.Context, pool chan *conn, request []byte, within time.Duration) (r reply, code string) {
	var c *conn
	select {
	case c = <-pool:
	case <-time.After(within):
		return r, "no connection"
	case <-ctx.Done():
		return r, "the end"
	}
	defer func() { pool <- c }()
	if c.broken {
		if c.Conn != nil {
			_ = c.Close()
		}
		fresh, err := dialFrom(ctx, l.address, nil)
		if err != nil {
			return r, "not connected"
		}
		c = fresh
	}
	r, err := c.do(request, within)
	if err != nil {
		return reply{}, reason(err)
	}
	r.body = append([]byte(nil), r.body...)
	return r, r.code
}

// reason is why there was no answer.
func reason(err error) string {
	if timeout, ok := err.(interface{ Timeout() bool }); ok && timeout.Timeout() {
		return "no answer in time"
	}
	return "connection closed"
}
