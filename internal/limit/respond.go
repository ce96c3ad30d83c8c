package limit

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Subject is what a penalty is for: an API client, or a prefix that has quotas.
type Subject struct {
	Client string
	Prefix netip.Prefix // if Client is ""
}

// The words before the name of a client and a prefix.
const (
	ofClient  = "client:"
	ofNetwork = "network:"
)

// String returns "client:NAME" or "network:PREFIX", as alerts name the sources that they
// are about.
func (s Subject) String() string {
	if s.Client != "" {
		return ofClient + s.Client
	}
	return ofNetwork + s.Prefix.String()
}

// ParseSubject parses the text of a subject.
func ParseSubject(text string) (Subject, error) {
	if name, ok := strings.CutPrefix(text, ofClient); ok && name != "" {
		return Subject{Client: name}, nil
	}
	if prefix, ok := strings.CutPrefix(text, ofNetwork); ok {
		if p, err := netip.ParsePrefix(prefix); err == nil {
			return Subject{Prefix: p}, nil
		}
	}
	return Subject{}, ErrSubject
}

// shared reports whether several clients may be behind the subject.
func (s Subject) shared() bool {
	return s.Client == "" && s.Prefix.Bits() < prefixBits(s.Prefix.Addr())[0]
}

// Step is how severe a penalty is.
type Step uint8

// The steps, each with what the former ones do. A subject that several clients share is
// never blocked.
const (
	NoStep  Step = iota
	Costly       // requests cost twice as much
	Slow         // they cost four times as much, and Retry-After is four times as long
	Blocked      // they are refused
)

// Steps lists the steps of penalties.
func Steps() []Step { return []Step{Costly, Slow, Blocked} }

// String returns the word for the step.
func (s Step) String() string {
	if words := [...]string{"none", "costly", "slow", "blocked"}; int(s) < len(words) {
		return words[s]
	}
	return "unknown"
}

// Penalty is one measure of the automatic response.
type Penalty struct {
	Subject Subject
	Step    Step
	Strikes int // how often the subject was punished
	Since   time.Time
	Until   time.Time
	Reason  string
	Refused uint64 // requests that were refused by a block, or would have been in a dry run
}

// The reasons why no penalty is imposed.
var (
	ErrExempt  = errors.New("the subject is exempt from penalties")
	ErrMost    = errors.New("there are as many penalties as are allowed")
	ErrSubject = errors.New("the subject is neither a client nor a prefix with quotas")
)

// maxReason bounds the text of a reason, in bytes.
const maxReason = 200

// penalties are those of the automatic response. A penalty that has ended stays for
// Response.Longest, so that the next one of its subject is more severe.
type penalties struct {
	mu     sync.RWMutex // guards what follows
	all    map[Subject]*penalty
	some   atomic.Bool // there are any
	shared int         // for prefixes that several clients share

	traffic traffic
}

type penalty struct {
	Penalty
	refused atomic.Uint64
}

// Punish imposes a penalty on a subject, or a more severe one on one that had some. The
// first is Costly, the second Slow, each further a block of Response.First, twice as long
// each time. While a penalty is new, for a fifth of Response.First, or blocks, it is
// returned as it is.
func (l *Limits) Punish(now time.Time, s Subject, reason string) (Penalty, error) {
	set := l.rules.Load().Response
	if err := set.permits(s); err != nil {
		return Penalty{}, err
	}
	p := &l.penalties
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[s]
	if one == nil {
		if p.drop(now, set); len(p.all) >= set.Most {
			return Penalty{}, ErrMost
		}
		one = &penalty{Penalty: Penalty{Subject: s}}
		p.put(one)
	}
	if now.Before(one.Until) && (one.Step == Blocked || now.Sub(one.Since) < set.First/5) {
		return one.copy(), nil
	}
	if now.Sub(one.Until) > set.Longest {
		one.Strikes = 0
	}
	one.Strikes++
	one.Since, one.Reason = now, reason[:min(len(reason), maxReason)]
	var lasts time.Duration
	one.Step, lasts = set.step(s, one.Strikes)
	one.Until = now.Add(lasts)
	return one.copy(), nil
}

func (p *penalty) copy() Penalty {
	c := p.Penalty
	c.Refused = p.refused.Load()
	return c
}

// permits returns why a subject cannot be punished.
func (r *Response) permits(s Subject) error {
	switch {
	case s.Client != "" && s.Prefix == netip.Prefix{}:
		return nil
	case s.Client != "" || !s.Prefix.IsValid() || s.Prefix != s.Prefix.Masked() || !slices.Contains(prefixBits(s.Prefix.Addr()), s.Prefix.Bits()):
		return ErrSubject
	case s.Prefix.Addr().IsLoopback() || s.Prefix.Contains(netip.IPv6Loopback()) || slices.ContainsFunc(r.Exempt, s.Prefix.Overlaps):
		return ErrExempt
	}
	return nil
}

// step returns the penalty for so many strikes, and how long it lasts.
func (r *Response) step(s Subject, strikes int) (Step, time.Duration) {
	step, lasts := Step(min(strikes, int(Blocked))), r.First
	if s.shared() {
		step = min(step, Slow)
	}
	for n := int(Blocked); n < strikes && lasts < r.Longest; n++ {
		lasts *= 2
	}
	return step, min(lasts, r.Longest)
}

// put adds a penalty. The lock is held.
func (p *penalties) put(one *penalty) {
	if p.all == nil {
		p.all = make(map[Subject]*penalty)
	}
	p.all[one.Subject] = one
	p.count()
}

// count counts the penalties again. The lock is held.
func (p *penalties) count() {
	p.shared = 0
	for s := range p.all {
		if s.shared() {
			p.shared++
		}
	}
	p.some.Store(len(p.all) > 0)
}

// drop forgets the penalties that ended long ago, and all that ended if there are too
// many. The lock is held.
func (p *penalties) drop(now time.Time, set Response) {
	kept := set.Longest
	if len(p.all) >= set.Most {
		kept = 0
	}
	for s, one := range p.all {
		if now.Sub(one.Until) > kept {
			delete(p.all, s)
		}
	}
	p.count()
}

// Lift ends a penalty and forgets it. It reports whether there was one.
func (l *Limits) Lift(s Subject) bool {
	p := &l.penalties
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.all[s]
	delete(p.all, s)
	p.count()
	return ok
}

// Response returns the settings of the automatic response that are in force.
func (l *Limits) Response() Response { return l.rules.Load().Response }

// Penalties lists the penalties in force, the one that ends first at the begin.
func (l *Limits) Penalties(now time.Time) (all []Penalty) {
	p := &l.penalties
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, one := range p.all {
		if now.Before(one.Until) {
			all = append(all, one.copy())
		}
	}
	slices.SortFunc(all, func(a, b Penalty) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.Subject.String(), b.Subject.String()))
	})
	return all
}

// sentence is what the penalties in force mean for one request.
type sentence struct {
	times [Client + 1]int64 // by which the price of a scope is multiplied; 0 is 1
	slow  int64             // by which Retry-After is multiplied; 0 is 1
	block *penalty
	until time.Time // of the block
}

// punish reads the penalties of a source.
func (p *passage) punish(now time.Time) {
	all := &p.l.penalties
	if !all.some.Load() {
		return
	}
	dry := p.r.Response.DryRun
	all.mu.RLock()
	defer all.mu.RUnlock()
	apply := func(scope Scope, s Subject) {
		one := all.all[s]
		switch {
		case one == nil || !now.Before(one.Until):
			return
		case dry && one.Step == Blocked:
			one.refused.Add(1)
		case !dry:
			p.sentence.add(scope, one)
		}
	}
	if p.s.Client != "" {
		apply(Client, Subject{Client: p.s.Client})
		return
	}
	for i, bits := range prefixBits(p.s.Addr) {
		apply(Scope(i), Subject{Prefix: netip.PrefixFrom(p.s.Addr, bits).Masked()})
		if all.shared == 0 {
			return
		}
	}
}

func (s *sentence) add(scope Scope, one *penalty) {
	s.times[scope] = 2
	if one.Step >= Slow {
		s.times[scope], s.slow = 4, 4
	}
	if one.Step == Blocked {
		s.block, s.until = one, one.Until
	}
}

// multiplier returns by how much the price of a quota is raised.
func (s *sentence) multiplier(scope Scope) int64 {
	if scope > Client {
		return 1
	}
	return max(1, s.times[scope])
}

// traffic measures the share of the requests that blocks refuse, of those that the quotas
// admit. What is older than a minute counts half, and so on.
type traffic struct {
	mu            sync.Mutex // guards what follows
	since         time.Time
	seen, refused float64
	spared        uint64 // requests of blocked subjects that were not refused
}

// blocks counts a request that the quotas admit, and reports whether a block may refuse
// it.
func (t *traffic) blocks(now time.Time, blocked bool, share float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) > time.Minute {
		t.since, t.seen, t.refused = now, t.seen/2, t.refused/2
	}
	t.seen++
	if !blocked {
		return false
	}
	if t.refused+1 > share*t.seen {
		t.spared++
		return false
	}
	t.refused++
	return true
}

// execute changes a decision as the penalties demand. A blocked subject is charged like a
// slow one, so that the share of blocks counts what its quota would admit, and not what it
// sends.
func (p *passage) execute(now time.Time) {
	if !p.l.some.Load() || p.s.Local {
		return
	}
	block := p.sentence.block
	switch {
	case p.d.OK && !p.l.traffic.blocks(now, block != nil, p.r.Response.Share):
	case block != nil:
		block.refused.Add(1)
		p.d = Decision{Scope: PenaltyScope, RetryAfter: p.sentence.until.Sub(now)}
	case !p.d.OK:
		p.d.RetryAfter *= time.Duration(max(1, p.sentence.slow))
	}
}
