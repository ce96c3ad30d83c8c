package limit_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/internal/limit"
)

func from4(a string) limit.Source { return limit.Source{Addr: netip.MustParseAddr(a)} }

// admit makes n requests at once and returns how many are admitted, and the last refusal.
func admit(l *limit.Limits, now time.Time, s limit.Source, c limit.Class, n int) (ok int, last limit.Decision) {
	for range n {
		if d := l.Admit(now, s, c, "", 0); d.OK {
			ok++
		} else {
			last = d
		}
	}
	return ok, last
}

// only has no quota but those that a test sets.
func only(s *limit.Settings) {
	*s = limit.Settings{Buckets: s.Buckets, Costs: s.Costs, Factors: s.Factors, Response: s.Response}
}

func quota(t testing.TB, text string) limit.Quota {
	t.Helper()
	q, err := limit.ParseQuota(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestAdmit: burst, rate and Retry-After of one address, with the defaults.
func TestAdmit(t *testing.T) {
	l := limits(t, func(*limit.Settings) {})
	a := from4("192.0.2.1")
	for class, want := range map[limit.Class]int{limit.Read: 100, limit.Issue: 20, limit.Submit: 20, limit.Verify: 20} {
		ok, last := admit(l, start, a, class, want+5)
		if ok != want || last.Scope != limit.Address {
			t.Errorf("%v: %d admitted at once, want %d; refused by %v", class, ok, want, last.Scope)
		}
		q := last.Quota
		if unit := q.Per / time.Duration(q.N); last.RetryAfter != unit {
			t.Errorf("%v: retry after %v, want %v", class, last.RetryAfter, unit)
		}
		if d := l.Admit(start.Add(last.RetryAfter-1), a, class, "", 0); d.OK || d.RetryAfter != 1 {
			t.Errorf("%v: admitted a nanosecond early, %v", class, d)
		}
		if d := l.Admit(start.Add(last.RetryAfter), a, class, "", 0); !d.OK || d.Left != 0 {
			t.Errorf("%v: refused when it should be retried: %+v", class, d)
		}
		if ok, _ := admit(l, start.Add(time.Minute), a, class, want+5); ok != want {
			t.Errorf("%v: %d admitted after a minute, want %d", class, ok, want)
		}
	}
	if ok, _ := admit(l, start, a, limit.Health, 10_000); ok != 10_000 {
		t.Errorf("%d health checks admitted", ok)
	}
	if ok, _ := admit(l, start.Add(time.Minute), from4("192.0.2.2"), limit.Issue, 1); ok != 1 {
		t.Error("another address of the subnet is refused")
	}
	if d := l.Admit(start, limit.Source{}, limit.Read, "", 0); d.OK || d.Scope != limit.NoAddress || d.RetryAfter <= 0 {
		t.Errorf("a source without an address: %+v", d)
	}
	if st := l.Stats(); st.Refused[limit.Address] == 0 || st.Admitted[limit.Address] == 0 {
		t.Errorf("decisions are not counted: %+v", st)
	}
}

// TestLocal: a local source has no quota of its own, nor a budget of failures, but counts
// in the totals.
func TestLocal(t *testing.T) {
	l := limits(t, func(s *limit.Settings) { s.Total[limit.Submit] = quota(t, "1/h burst 2000") })
	local := limit.Source{Addr: netip.MustParseAddr("127.0.0.1"), Client: "bench", Local: true}
	for range 100 {
		l.Failed(start, local)
	}
	if ok, d := admit(l, start, local, limit.Submit, 2001); ok != 2000 || d.Scope != limit.Total {
		t.Errorf("%d admitted, then %v", ok, d.Scope)
	}
	if ok, _ := admit(l, start, local, limit.Read, 100_000); ok != 100_000 {
		t.Errorf("%d of 100,000 reads admitted", ok)
	}
}

// TestLadder: each step of the ladders refuses what is beyond it, and counts all that is
// within it.
func TestLadder(t *testing.T) {
	v4 := func(n int) string { return fmt.Sprintf("10.%d.%d.%d", n>>16&1, n>>8&255, n&255) }
	v6 := func(shift int) func(int) string {
		return func(n int) string {
			hi := uint64(0x2001_0db8)<<32 | uint64(n)<<shift
			return fmt.Sprintf("%x:%x:%x:%x::1", hi>>48, hi>>32&0xffff, hi>>16&0xffff, hi&0xffff)
		}
	}
	for _, c := range []struct {
		name  string
		addr  func(n int) string // a new source for each
		want  int
		scope limit.Scope
	}{
		{"a subnet", v4, 8 * 20, limit.Subnet},
		{"a network", func(n int) string { return v4(n%256<<8 | n/256) }, 32 * 20, limit.Network},
		{"a /56", v6(0), 8 * 20, limit.Subnet},
		{"a /48", func(n int) string { return v6(0)(n%256<<8 | n/256) }, 32 * 20, limit.Network},
		{"a /32", v6(16), 128 * 20, limit.Provider},
		{"a /64", func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) }, 20, limit.Address},
		{"IPv4 in IPv6", func(n int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[n%2] }, 20, limit.Address},
	} {
		l := limits(t, func(*limit.Settings) {})
		ok, other := 0, map[limit.Scope]int{}
		for n := range c.want + 50 {
			if d := l.Admit(start, from4(c.addr(n)), limit.Issue, "", 0); d.OK {
				ok++
			} else {
				other[d.Scope]++
			}
		}
		if ok != c.want || other[c.scope] != 50 {
			t.Errorf("%s: %d admitted, want %d; refused by %v", c.name, ok, c.want, other)
		}
	}
}

// TestLaterRungs: client, claim, class and everything, in units of cost. What a later
// quota refuses costs nothing in an earlier one.
func TestLaterRungs(t *testing.T) {
	a, client := from4("192.0.2.1"), limit.Source{Addr: netip.MustParseAddr("192.0.2.1"), Client: "sensor-1"}
	for _, c := range []struct {
		name  string
		set   func(*limit.Settings)
		s     limit.Source
		class limit.Class
		cost  int
		want  int
		scope limit.Scope
	}{
		{"client", func(s *limit.Settings) { s.Client = quota(t, "1/s burst 60") }, client, limit.Submit, 0, 10, limit.Client},
		{"client, cost 8", func(s *limit.Settings) { s.Client = quota(t, "1/s burst 64") }, client, limit.Submit, 8, 8, limit.Client},
		{"client and day", func(s *limit.Settings) { s.ClientDay = quota(t, "50/24h burst 50") }, client, limit.Issue, 0, 25, limit.ClientDay},
		{"claim", func(s *limit.Settings) { s.Claim = quota(t, "1/s burst 14") }, a, limit.Issue, 0, 7, limit.Claim},
		{"class", func(s *limit.Settings) { s.Total[limit.Issue] = quota(t, "1/s burst 9") }, a, limit.Issue, 0, 9, limit.Total},
		{"everything", func(s *limit.Settings) { s.Global = quota(t, "1/s burst 18") }, a, limit.Submit, 0, 3, limit.Global},
		{"costs more than the burst", func(s *limit.Settings) { s.Global = quota(t, "1/s burst 18") }, a, limit.Submit, 500, 1, limit.Global},
	} {
		l := limits(t, func(s *limit.Settings) {
			only(s)
			s.Address[limit.Issue], s.Address[limit.Submit] = quota(t, "1/h burst 1000"), quota(t, "1/h burst 1000")
			c.set(s)
		})
		ok, refused := 0, 0
		for range c.want + 20 {
			if d := l.Admit(start, c.s, c.class, "open/1", c.cost); d.OK {
				ok++
			} else if d.Scope == c.scope && d.RetryAfter > 0 {
				refused++
			}
		}
		if ok != c.want || refused != 20 {
			t.Errorf("%s: %d admitted, want %d; %d refused by %v", c.name, ok, c.want, refused, c.scope)
		}
		s := limit.Defaults()
		only(&s)
		s.Address[c.class] = quota(t, "1/h burst 1000")
		if err := l.Replace(s); err != nil {
			t.Fatal(err)
		}
		left := 1000
		if c.s.Client == "" {
			left -= c.want * max(1, (c.cost+s.Costs[c.class]-1)/s.Costs[c.class])
		}
		if ok, _ := admit(l, start, a, c.class, 1100); ok != left {
			t.Errorf("%s: the address has %d requests left, want %d: refused requests were charged", c.name, ok, left)
		}
	}
}

// TestClients: a client has its own quotas instead of those of its address, and addresses
// cannot take the places of clients.
func TestClients(t *testing.T) {
	l := limits(t, func(s *limit.Settings) { s.Buckets = 1 << 10 })
	client := limit.Source{Addr: netip.MustParseAddr("192.0.2.1"), Client: "sensor-1"}
	admit(l, start, from4("192.0.2.1"), limit.Read, 200)
	for n := range uint64(100_000) {
		l.Admit(start, stranger(n), limit.Read, "", 0)
	}
	if ok, d := admit(l, start, client, limit.Read, 1000); ok != 800 || d.Scope != limit.Client {
		t.Errorf("%d requests of the client admitted, want 800; refused by %v", ok, d.Scope)
	}
	if ok, _ := admit(l, start, limit.Source{Addr: client.Addr, Client: "sensor-2"}, limit.Read, 1); ok != 1 {
		t.Error("another client at the address is refused")
	}
}

// TestFailed: failures use up a budget of their own, which stops everything that can fail
// and nothing else.
func TestFailed(t *testing.T) {
	client := limit.Source{Addr: netip.MustParseAddr("192.0.2.9"), Client: "sensor-1"}
	for name, s := range map[string]limit.Source{"address": from4("192.0.2.1"), "client": client, "IPv6": from4("2001:db8::1")} {
		l := limits(t, func(*limit.Settings) {})
		now := start
		for i := range 5 {
			if d := l.Admit(now, s, limit.Submit, "", 0); !d.OK {
				t.Fatalf("%s: refused after %d failures", name, i)
			}
			l.Failed(now, s)
		}
		d := l.Admit(now, s, limit.Submit, "", 0)
		if d.OK || d.Scope != limit.Failures || d.RetryAfter != 30*time.Second {
			t.Errorf("%s: after five failures: %+v", name, d)
		}
		for range 100 { // more cannot be owed than the whole budget
			l.Failed(now, s)
		}
		for class, want := range map[limit.Class]bool{limit.Health: true, limit.Read: true, limit.Issue: false, limit.Verify: false} {
			if got := l.Admit(now, s, class, "", 0).OK; got != want {
				t.Errorf("%s: class %v admitted: %v, want %v", name, class, got, want)
			}
		}
		if now = now.Add(30 * time.Second); !l.Admit(now, s, limit.Submit, "", 0).OK {
			t.Errorf("%s: refused 30 seconds after the last failure", name)
		}
		if l.Failed(now, s); l.Admit(now, s, limit.Submit, "", 0).OK {
			t.Errorf("%s: a second failure in 30 seconds is free", name)
		}
		for _, other := range []string{"192.0.2.2", "192.0.2.9", "2001:db8:0:1::1"} {
			if !l.Admit(now, from4(other), limit.Submit, "", 0).OK {
				t.Errorf("%s: %s has failed in nothing and is refused", name, other)
			}
		}
	}
}

// TestOverflow: where a set is full of live buckets, the subnet is charged, as much as the
// address would be, and a live bucket stays.
func TestOverflow(t *testing.T) {
	l := limits(t, func(s *limit.Settings) {
		s.Buckets = 1 << 10
		s.Address[limit.Issue] = quota(t, "1/h burst 2")
	})
	seen := from4("198.51.100.1")
	admit(l, start, seen, limit.Issue, 2)
	for n := range uint64(20_000) {
		l.Admit(start, stranger(n), limit.Issue, "", 0)
	}
	if ok, _ := admit(l, start, seen, limit.Issue, 10); ok != 0 {
		t.Errorf("%d requests of a source that had used its quota were admitted", ok)
	}
	st := l.Stats()
	for _, s := range []limit.Scope{limit.Address, limit.Subnet, limit.Network} {
		if st.Overflow[s] == 0 {
			t.Errorf("no overflow of scope %v is counted: %v", s, st.Overflow)
		}
	}
}

// TestCarried: addresses without a place use the quota of one address together, because
// their subnet is charged as much.
func TestCarried(t *testing.T) {
	l := limits(t, func(s *limit.Settings) {
		s.Buckets = 1 << 10
		s.Address[limit.Issue] = quota(t, "1/h burst 4")
	})
	limit.FillAddresses(l, start)
	if a, b := l.Live(start, limit.Address), l.Live(start, limit.Failures); a != 1 || b != 0 {
		t.Errorf("%v of the places for addresses are taken and %v of those for failures, want all and none", a, b)
	}
	ok := 0
	for n := range 200 {
		ok += admitted(l.Admit(start, from4(fmt.Sprintf("192.0.2.%d", n)), limit.Issue, "", 0).OK)
	}
	if ok != 4 {
		t.Errorf("%d requests of addresses without a place were admitted, want 4", ok)
	}
}

// TestReplace: other quotas count at once, and what was used stays used.
func TestReplace(t *testing.T) {
	l := limits(t, func(*limit.Settings) {})
	a := from4("192.0.2.1")
	admit(l, start, a, limit.Issue, 20)
	s := limit.Defaults()
	s.Address[limit.Issue] = quota(t, "5/s burst 30")
	if err := l.Replace(s); err != nil {
		t.Fatal(err)
	}
	if ok, _ := admit(l, start, a, limit.Issue, 50); ok != 10 {
		t.Errorf("%d more admitted with a greater burst, want 10", ok)
	}
	s.Address[limit.Issue] = quota(t, "1/s burst 1")
	if err := l.Replace(s); err != nil {
		t.Fatal(err)
	}
	if d := l.Admit(start, a, limit.Issue, "", 0); d.OK || d.RetryAfter != time.Second {
		t.Errorf("with a smaller quota: %+v, want to wait for one request", d)
	}
	s.Buckets = 3
	if l.Replace(s) == nil {
		t.Error("wrong settings are applied")
	}
	s = limit.Defaults()
	s.Address[limit.Issue] = limit.Quota{}
	if err := l.Replace(s); err != nil {
		t.Fatal(err)
	}
	if ok, _ := admit(l, start, a, limit.Issue, 5000); ok != 5000 {
		t.Errorf("%d of 5000 admitted without a quota", ok)
	}
}

// TestClockSetBack: a clock that is set back delays a source until each of its quotas has
// been available again, and no longer.
func TestClockSetBack(t *testing.T) {
	l := limits(t, func(*limit.Settings) {})
	a := from4("192.0.2.1")
	admit(l, start, a, limit.Issue, 20)
	past := start.Add(-48 * time.Hour)
	if d := l.Admit(past, a, limit.Issue, "", 0); d.OK || d.RetryAfter != 200*time.Millisecond {
		t.Errorf("two days before: %+v", d)
	}
	for range 3 {
		past = past.Add(4 * time.Second)
		l.Admit(past, a, limit.Issue, "", 0)
	}
	if ok, _ := admit(l, past.Add(4*time.Second), a, limit.Issue, 30); ok != 20 {
		t.Errorf("%d requests admitted 16 seconds later, want 20", ok)
	}
	if ok, _ := admit(l, past, from4("198.51.100.1"), limit.Issue, 30); ok != 20 {
		t.Errorf("%d requests of a new source admitted, want 20", ok)
	}
}

// TestAtOnce: goroutines that hurry admit exactly what the quota allows, and what a later
// quota refuses is given back.
func TestAtOnce(t *testing.T) {
	l := limits(t, func(s *limit.Settings) {
		only(s)
		s.Address[limit.Issue] = quota(t, "1/h burst 500")
		s.Global = quota(t, "1/h burst 1600")
	})
	var all sync.WaitGroup
	var admittedOf [2]atomic.Int64
	for i := range 8 {
		all.Go(func() {
			s := from4(fmt.Sprintf("192.0.2.%d", i%2))
			for range 400 {
				if l.Admit(start, s, limit.Issue, "open/1", 0).OK {
					admittedOf[i%2].Add(1)
				}
			}
		})
	}
	all.Wait()
	a, b := admittedOf[0].Load(), admittedOf[1].Load()
	if a > 500 || b > 500 || a+b > 800 || a+b < 790 {
		t.Errorf("%d and %d admitted, want at most 500 each and 800 together", a, b)
	}
}

// TestAllocs: a decision needs no memory.
func TestAllocs(t *testing.T) {
	l := limits(t, func(s *limit.Settings) { s.Claim, s.Global = quota(t, "1000/s"), quota(t, "1000/s") })
	for _, s := range []limit.Source{from4("192.0.2.1"), from4("2001:db8::1"), {Addr: netip.MustParseAddr("192.0.2.1"), Client: "sensor-1"}} {
		now := start
		if n := testing.AllocsPerRun(100, func() {
			now = now.Add(time.Millisecond)
			l.Admit(now, s, limit.Issue, "open/1", 0)
			l.Failed(now, s)
		}); n > 0 {
			t.Errorf("%v: %v allocations", s, n)
		}
	}
}

func TestParseQuota(t *testing.T) {
	for text, want := range map[string]limit.Quota{
		"off":            {},
		"5/s":            {5, time.Second, 5},
		"5/s burst 20":   {5, time.Second, 20},
		"1/30s burst 5":  {1, 30 * time.Second, 5},
		"100/m burst 1":  {100, time.Minute, 1},
		"9/h":            {9, time.Hour, 9},
		"800000/24h":     {800_000, 24 * time.Hour, 800_000},
		"1/1.5s burst 2": {1, 1500 * time.Millisecond, 2},
	} {
		got, err := limit.ParseQuota(text)
		if err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
		if again, err := limit.ParseQuota(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which is %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{
		"", "5", "5/", "/s", "0/s", "-1/s", "5/x", "5/s burst", "5/s burst 0", "5/s burst -1", "5/s  burst 5", "1.5/s", "5/-1s", "5/0s",
		"9999999999/s", "1000000000/1us", "1/8000h burst 100", "5/s burst 5 burst 5",
	} {
		if q, err := limit.ParseQuota(text); err == nil {
			t.Errorf("%q is accepted as %v", text, q)
		}
	}
}

func TestCheck(t *testing.T) {
	good := limit.Defaults()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*limit.Settings){
		"no buckets":        func(s *limit.Settings) { s.Buckets = 0 },
		"too many buckets":  func(s *limit.Settings) { s.Buckets = 1 << 30 },
		"a free class":      func(s *limit.Settings) { s.Costs[limit.Submit] = 0 },
		"negative cost":     func(s *limit.Settings) { s.Costs[limit.Health] = -1 },
		"a factor below 0":  func(s *limit.Settings) { s.Factors[0] = -1 },
		"falling factors":   func(s *limit.Settings) { s.Factors = [3]int{32, 8, 128} },
		"a bad quota":       func(s *limit.Settings) { s.Client = limit.Quota{N: 1} },
		"a bad total":       func(s *limit.Settings) { s.Total[limit.Read] = limit.Quota{N: -1, Per: 1, Burst: 1} },
		"a factor too much": func(s *limit.Settings) { s.Address[limit.Read] = limit.Quota{N: 1 << 29, Per: time.Second, Burst: 1} },
		"share":             func(s *limit.Settings) { s.Response.Share = 1.5 },
		"block":             func(s *limit.Settings) { s.Response.First = 0 },
		"longest":           func(s *limit.Settings) { s.Response.Longest = time.Minute },
		"penalties":         func(s *limit.Settings) { s.Response.Most = 10_001 },
	} {
		s := limit.Defaults()
		change(&s)
		if s.Check() == nil {
			t.Errorf("%s: the settings are accepted", name)
		}
		if _, err := limit.New(start, s); err == nil {
			t.Errorf("%s: limits begin", name)
		}
	}
}

func TestFields(t *testing.T) {
	l := limits(t, func(*limit.Settings) {})
	a := from4("192.0.2.1")
	d := l.Admit(start, a, limit.Issue, "", 0)
	policy, left := limit.Fields(d)
	if policy != `"address";q=20;w=4` || left != `"address";r=19;t=1` {
		t.Errorf("admitted: %s and %s", policy, left)
	}
	_, d = admit(l, start, a, limit.Issue, 20)
	if policy, left = limit.Fields(d); policy != `"address";q=20;w=4` || left != `"address";r=0;t=1` {
		t.Errorf("refused: %s and %s", policy, left)
	}
	client := limit.Source{Addr: a.Addr, Client: "sensor-1"}
	if policy, left = limit.Fields(l.Admit(start, client, limit.Submit, "", 0)); policy != `"client";q=800;w=2` || left != `"client";r=794;t=1` {
		t.Errorf("a client: %s and %s", policy, left)
	}
	if policy, left = limit.Fields(limit.Decision{OK: true}); policy+left != "" {
		t.Errorf("no quota: %s and %s", policy, left)
	}
	for d, want := range map[time.Duration]int64{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2} {
		if got := limit.Seconds(d); got != want {
			t.Errorf("%v are %d seconds, want %d", d, got, want)
		}
	}
}

// TestWords: each scope and class has a word of its own.
func TestWords(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range limit.Scopes() {
		if w := s.String(); w == "" || w == "unknown" || seen[w] {
			t.Errorf("scope %d is called %q", s, w)
		}
		seen[s.String()] = true
	}
	if limit.Submit.String() != "submit" || limit.Class(99).String() != "unknown" || limit.Scope(99).String() != "unknown" {
		t.Error("a class or a scope has a wrong word")
	}
}

func BenchmarkQuotas(b *testing.B) {
	for name, s := range map[string]limit.Source{"IPv4": from4("192.0.2.1"), "IPv6": from4("2001:db8::1"), "client": {Addr: netip.MustParseAddr("192.0.2.1"), Client: "sensor-1"}} {
		b.Run(name, func(b *testing.B) {
			l, now := limits(b, func(*limit.Settings) {}), start
			for b.Loop() {
				now = now.Add(time.Second)
				if !l.Admit(now, s, limit.Issue, "open/1", 0).OK {
					b.Fatal("refused")
				}
			}
		})
	}
}
