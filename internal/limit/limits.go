package limit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Limits decides which requests are admitted. Its methods may be called by many
// goroutines at once.
type Limits struct {
	rules atomic.Pointer[rules]
	began time.Time
	seed  maphash.Seed

	prefixes [4]*table // of addresses, subnets, networks, providers
	keys     *table    // of API clients and claims, so that no address takes their places
	totals   [classes]*table
	global   *table
	failed   [5]*table // as prefixes, and of API clients

	admitted [scopes]atomic.Uint64
	refused  [scopes]atomic.Uint64
	overflow [scopes]atomic.Uint64
	penalties
}

// New returns limits that begin at now. The settings must pass [Settings.Check].
func New(now time.Time, s Settings) (*Limits, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	// Long before, so that a clock which is set back does not lead before it.
	l := &Limits{began: now.Add(-maxRefill), seed: maphash.MakeSeed()}
	for i, part := range [...]int{1, 8, 4, 16} { // there are 65,536 networks of IPv4
		l.prefixes[i] = newTable(s.Buckets / part)
	}
	l.keys = newTable(s.Buckets / 32)
	for i, part := range [...]int{8, 32, 32, 64, 64} {
		l.failed[i] = newTable(s.Buckets / part)
	}
	for c := range l.totals {
		l.totals[c] = newTable(1)
	}
	l.global = newTable(1)
	l.rules.Store(s.rules())
	return l, nil
}

// Replace applies other settings. What sources have used stays used.
func (l *Limits) Replace(s Settings) error {
	if err := s.Check(); err != nil {
		return err
	}
	l.rules.Store(s.rules())
	return nil
}

func (l *Limits) at(now time.Time) int64 { return int64(now.Sub(l.began)) }

// Admit decides whether a request is admitted, and charges what it costs if so. The claim
// is "" while it is not known, or if the request concerns none. A cost of 0 is that of the
// class.
func (l *Limits) Admit(now time.Time, s Source, c Class, claim string, cost int) Decision {
	if c == Health || c >= classes {
		return Decision{OK: true}
	}
	r := l.rules.Load()
	if cost <= 0 {
		cost = r.Costs[c]
	}
	s.Addr = plain(s.Addr)
	p := passage{l: l, r: r, now: l.at(now), d: Decision{OK: true}, class: c, cost: cost, s: s}
	if !s.Local {
		p.source(now)
	}
	if claim != "" {
		p.charge(Claim, l.keys, r.Claim, r.claim, l.name(Claim, claim))
	}
	p.charge(Total, l.totals[c], r.Total[c], r.total[c], 1)
	p.charge(Global, l.global, r.Global, r.global, 1)
	if !p.d.OK {
		p.giveBack()
	}
	p.execute(now)
	switch {
	case !p.d.OK:
		l.refused[p.d.Scope].Add(1)
	case p.d.Quota.N > 0:
		l.admitted[p.d.Scope].Add(1)
	}
	return p.d
}

// Failed charges a failed validation to the source of a request.
func (l *Limits) Failed(now time.Time, s Source) {
	r, at := l.rules.Load(), l.at(now)
	s.Addr = plain(s.Addr)
	switch {
	case s.Local || r.Failures.N == 0:
	case s.Client != "":
		if !l.failed[len(l.prefixes)].fill(l.name(Client, s.Client), at, r.failures[0]) {
			l.overflow[Failures].Add(1)
		}
	case s.Addr.IsValid():
		for i, bits := range prefixBits(s.Addr) {
			if l.failed[i].fill(l.prefix(Failures, Health, s.Addr, bits), at, r.failures[i]) {
				return
			}
			l.overflow[Failures].Add(1)
		}
	}
}

// passage is one request on its way through the quotas.
type passage struct {
	l     *Limits
	r     *rules
	now   int64
	d     Decision
	class Class
	cost  int
	s     Source

	sentence sentence
	carried  int64 // the price of a quota that had no place
	paid     [9]struct {
		table *table
		key   uint64
		price int64
	}
	n int
}

// source charges the quotas of the source.
func (p *passage) source(now time.Time) {
	if !p.s.Addr.IsValid() {
		p.d = Decision{Scope: NoAddress, RetryAfter: time.Second}
		return
	}
	p.punish(now)
	p.failures()
	if p.s.Client != "" {
		key := p.l.name(Client, p.s.Client)
		p.charge(Client, p.l.keys, p.r.Client, p.r.client[0], key)
		p.charge(ClientDay, p.l.keys, p.r.ClientDay, p.r.client[1], ^key)
		if p.carried == 0 {
			return
		}
		p.carried = 0 // other units
	}
	for i, bits := range prefixBits(p.s.Addr) {
		q := p.r.Address[p.class]
		if i > 0 {
			q = q.times(p.r.Factors[i-1])
		}
		p.charge(Scope(i), p.l.prefixes[i], q, p.r.prefix[p.class][i], p.l.prefix(Scope(i), p.class, p.s.Addr, bits))
	}
	p.carried = 0 // other units
}

// charge charges one quota, unless the request is refused already. If there is no place
// for it, the next one is charged more.
func (p *passage) charge(scope Scope, t *table, q Quota, r rate, key uint64) {
	if !p.d.OK || r.unit == 0 {
		return
	}
	due := min(r.full, max(r.price(p.cost), p.carried))
	price := min(r.full, due*p.sentence.multiplier(scope))
	p.carried = 0
	out, at := t.take(key, p.now, price, r.full)
	switch out {
	case noRoom:
		p.l.overflow[scope].Add(1)
		p.carried = due
		return
	case refused:
		p.d = Decision{Scope: scope, Quota: q, RetryAfter: time.Duration(at), Reset: time.Duration(at)}
		return
	case paid:
		p.paid[p.n].table, p.paid[p.n].key, p.paid[p.n].price = t, key, price
		p.n++
	}
	if p.n == 1 {
		used := at - p.now
		p.d = Decision{OK: true, Scope: scope, Quota: q, Reset: time.Duration(used), Left: int((r.full - used) / (r.full / int64(q.Burst)))}
	}
}

// giveBack returns what was charged to a request that is refused.
func (p *passage) giveBack() {
	for _, c := range p.paid[:p.n] {
		c.table.give(c.key, c.price)
	}
}

// failures refuses a source that has used up its failures.
func (p *passage) failures() {
	if !p.class.validates() || p.r.Failures.N == 0 {
		return
	}
	wait := int64(0)
	if p.s.Client != "" {
		wait = p.l.failed[len(p.l.prefixes)].wait(p.l.name(Client, p.s.Client), p.now, p.r.failures[0])
	} else {
		for i, bits := range prefixBits(p.s.Addr) {
			wait = max(wait, p.l.failed[i].wait(p.l.prefix(Failures, Health, p.s.Addr, bits), p.now, p.r.failures[i]))
		}
	}
	if wait > 0 {
		p.d = Decision{Scope: Failures, Quota: p.r.Failures, RetryAfter: time.Duration(wait), Reset: time.Duration(wait)}
	}
}

// prefix returns the key of a prefix.
func (l *Limits) prefix(scope Scope, c Class, a netip.Addr, bits int) uint64 {
	var b [20]byte
	b[0], b[1], b[2] = byte(scope), byte(c), byte(bits)
	if a.Is4() {
		v := a.As4()
		copy(b[3:], v[:bits/8])
		return maphash.Bytes(l.seed, b[:7])
	}
	v := a.As16()
	copy(b[3:], v[:bits/8])
	return maphash.Bytes(l.seed, b[:])
}

// name returns the key of an API client or a claim.
func (l *Limits) name(scope Scope, name string) uint64 {
	var b [9]byte
	binary.LittleEndian.PutUint64(b[:], maphash.String(l.seed, name))
	b[8] = byte(scope)
	return maphash.Bytes(l.seed, b[:])
}

// Stats are counts since the start, by scope.
type Stats struct {
	Admitted [scopes]uint64 // requests, by the narrowest scope that has a quota for them
	Refused  [scopes]uint64 // requests, by the scope that refused them
	Overflow [scopes]uint64 // charges for which there was no place
	Spared   uint64         // requests of blocked subjects that were admitted; see Response.Share
}

// Stats returns the counts.
func (l *Limits) Stats() (st Stats) {
	for _, s := range Scopes() {
		st.Admitted[s], st.Refused[s], st.Overflow[s] = l.admitted[s].Load(), l.refused[s].Load(), l.overflow[s].Load()
	}
	l.traffic.mu.Lock()
	defer l.traffic.mu.Unlock()
	st.Spared = l.traffic.spared
	return st
}

// Tabled lists the scopes that have tables of their own. That of Client has clients, their
// days and claims.
func Tabled() []Scope { return []Scope{Address, Subnet, Network, Provider, Client, Failures} }

// Live returns which part of the places for a scope of [Tabled] is taken.
func (l *Limits) Live(now time.Time, s Scope) float64 {
	tables := l.failed[:]
	switch s {
	case Address, Subnet, Network, Provider:
		tables = l.prefixes[s : s+1]
	case Client:
		tables = []*table{l.keys}
	default: // failures
	}
	live, places := 0, 0
	for _, t := range tables {
		live, places = live+t.live(l.at(now)), places+len(t.sets)*ways
	}
	return float64(live) / float64(places)
}
