package limit_test

import (
	"container/list"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/internal/limit"
)

// start is a moment at which virtual time begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stranger returns the address of flood source n: all are distinct, half of them are IPv4,
// and they are spread over the whole range of addresses.
func stranger(n uint64) limit.Source {
	if n%2 == 0 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n/2)*2654435761+12345) // an odd factor: no two are equal
		return limit.Source{Addr: netip.AddrFrom4(b)}
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], n*0x9e3779b97f4a7c15&^(7<<61)|1<<61) // 2000::/3
	b[15] = 1
	return limit.Source{Addr: netip.AddrFrom16(b)}
}

// known returns the address of source n of a network without strangers.
func known(n uint64) limit.Source {
	return stranger(1<<31 + 77*n)
}

// flood is a run in virtual time: strangers make one request each, at a rate, and others
// make theirs in between.
type flood struct {
	limits *limit.Limits
	class  limit.Class
	rate   int           // strangers a second
	lasts  time.Duration // of all
	fails  bool          // what a stranger submits fails

	refused, overflow uint64 // strangers refused; charges without a place
}

// run calls others after each millisecond of virtual time.
func (f *flood) run(others func(now time.Time)) {
	n := uint64(0)
	for ms := range int(f.lasts / time.Millisecond) {
		now := start.Add(time.Duration(ms) * time.Millisecond)
		for i := range f.rate / 1000 {
			at, s := now.Add(time.Duration(i)*time.Millisecond/time.Duration(f.rate/1000)), stranger(n)
			n++
			if !f.limits.Admit(at, s, f.class, "", 0).OK {
				f.refused++
			} else if f.fails {
				f.limits.Failed(at, s)
			}
		}
		others(now.Add(time.Millisecond - 1))
	}
	for _, n := range f.limits.Stats().Overflow {
		f.overflow += n
	}
}

// report logs figures as JSON, so that another program can read them.
func report(t *testing.T, name string, figures map[string]any) {
	t.Helper()
	figures["gate"] = name
	line, err := json.Marshal(figures)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("limiter gate: %s", line)
}

func limits(t testing.TB, change func(*limit.Settings)) *limit.Limits {
	t.Helper()
	s := limit.Defaults()
	change(&s)
	l, err := limit.New(start, s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// heapSize returns the bytes of live objects.
func heapSize() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLimiterGate: what a flood of sources does to the limits, with the default settings.
func TestLimiterGate(t *testing.T) {
	t.Run("flood", floodGate)
	for _, rate := range evictionRates() {
		t.Run("eviction", func(t *testing.T) { evictionGate(t, rate) })
	}
	t.Run("failures", failuresGate)
}

// floodGate: 10 million sources at 100,000 a second, one abuser, 5,000 honest clients.
func floodGate(t *testing.T) {
	const honest, abuse = 5000, 1000 // clients with a request a second; requests a second
	lasts := 100 * time.Second
	if testing.Short() {
		lasts = time.Second
	}
	clients, abuser := make([]limit.Source, honest), known(honest)
	for i := range clients {
		clients[i] = known(uint64(i))
	}
	before := heapSize()
	l := limits(t, func(*limit.Settings) {})
	quota := limit.Defaults().Address[limit.Issue]
	var asked, denied, abused, refusals int
	var live float64
	f := flood{limits: l, class: limit.Issue, rate: 100_000, lasts: lasts}
	f.run(func(now time.Time) {
		ms := int(now.Sub(start) / time.Millisecond)
		for i := ms % 1000 * honest / 1000; i < (ms%1000+1)*honest/1000; i++ {
			if asked++; !l.Admit(now, clients[i], limit.Issue, "", 0).OK {
				denied++
			}
		}
		for range abuse / 1000 {
			if l.Admit(now, abuser, limit.Issue, "", 0).OK {
				abused++
			} else {
				refusals++
			}
		}
		if ms%1000 == 999 {
			live = max(live, l.Live(now, limit.Address))
		}
	})
	used := heapSize() - before
	runtime.KeepAlive(l)
	ideal := quota.Burst + int(lasts/quota.Per)*quota.N
	report(t, "flood", map[string]any{
		"sources": f.rate * int(lasts/time.Second), "heap_bytes": used, "places_taken_at_most": live,
		"honest_requests": asked, "honest_denied": denied, "abuser_admitted": abused, "abuser_refused": refusals, "abuser_ideal": ideal,
		"strangers_refused": f.refused, "overflow": f.overflow,
	})
	if used > 8_000_000 {
		t.Errorf("the limits take %d bytes, want at most 8 MB", used)
	}
	if denied*10_000 > asked {
		t.Errorf("%d of %d requests of honest clients were denied, want at most 0.01 %%", denied, asked)
	}
	if abused*100 > ideal*101 || abused < ideal*95/100 {
		t.Errorf("the abuser made %d requests, ideal %d", abused, ideal)
	}
}

// lru limits sources as libraries do that forget the source which was seen longest ago.
type lru struct {
	most  int
	order *list.List
	of    map[netip.Addr]*list.Element
}

type lruEntry struct {
	addr  netip.Addr
	until time.Time
}

func (l *lru) admit(now time.Time, a netip.Addr, q limit.Quota) bool {
	e := l.of[a]
	if e == nil {
		if len(l.of) >= l.most {
			delete(l.of, l.order.Remove(l.order.Back()).(*lruEntry).addr)
		}
		e = l.order.PushFront(&lruEntry{addr: a})
		l.of[a] = e
	}
	l.order.MoveToFront(e)
	entry, unit := e.Value.(*lruEntry), q.Per/time.Duration(q.N)
	if entry.until.Before(now) {
		entry.until = now
	}
	if entry.until.Add(unit).Sub(now) > unit*time.Duration(q.Burst) {
		return false
	}
	entry.until = entry.until.Add(unit)
	return true
}

// evictionRates are the numbers of strangers a second. The sweep, with TD_LIMIT_SWEEP, takes
// half a minute.
func evictionRates() []int {
	if os.Getenv("TD_LIMIT_SWEEP") == "" {
		return []int{30_000}
	}
	return []int{5_000, 10_000, 20_000, 30_000, 60_000}
}

// evictionGate: guessers with a quota for minutes hide behind new sources. The LRU has as
// many bytes as the limits, 160 for each source, as measured for a library that is one.
func evictionGate(t *testing.T, rate int) {
	t.Helper()
	quota := limit.Quota{N: 1, Per: time.Minute, Burst: 3}
	lasts, every, buckets := 60*time.Second, 2*time.Second, limit.Defaults().Buckets
	if testing.Short() {
		lasts, every, buckets = 8*time.Second, time.Second/4, buckets/8
	}
	const perKey, guessers = 160, 20
	before := heapSize()
	l := limits(t, func(s *limit.Settings) { s.Buckets, s.Address[limit.Issue] = buckets, quota })
	forget := &lru{most: int((heapSize() - before) / perKey), order: list.New(), of: map[netip.Addr]*list.Element{}}
	var asked, lateAsked int
	var early, late, lruEarly, lruLate [guessers]int
	n := uint64(0)
	f := flood{limits: l, class: limit.Issue, rate: rate, lasts: lasts}
	f.run(func(now time.Time) {
		for range rate / 1000 {
			forget.admit(now, stranger(n).Addr, quota)
			n++
		}
		since := now.Sub(start.Add(time.Millisecond - 1))
		if since%every != 0 {
			return
		}
		asked++
		for i := range guessers {
			s := known(uint64(i))
			early[i] += admitted(l.Admit(now, s, limit.Issue, "", 0).OK)
			lruEarly[i] += admitted(forget.admit(now, s.Addr, quota))
		}
		if since < lasts/2 {
			return
		}
		lateAsked++
		for i := range guessers {
			s := known(uint64(i + guessers))
			late[i] += admitted(l.Admit(now, s, limit.Issue, "", 0).OK)
			lruLate[i] += admitted(forget.admit(now, s.Addr, quota))
		}
	})
	ideal := quota.Burst + int(lasts/quota.Per)
	report(t, fmt.Sprintf("eviction_%d", rate), map[string]any{
		"seen_before_asked": asked, "seen_before_admitted_at_most": slices.Max(early[:]), "seen_before_ideal": ideal, "seen_before_lru": mean(lruEarly[:]),
		"late_asked": lateAsked, "late_admitted_mean": mean(late[:]), "late_admitted_at_most": slices.Max(late[:]), "late_ideal": quota.Burst + int(lasts/2/quota.Per), "late_lru": mean(lruLate[:]),
		"lru_entries": forget.most, "strangers_refused": f.refused, "strangers": rate * int(lasts/time.Second), "overflow": f.overflow,
	})
	if got := slices.Max(early[:]); got > ideal+1 {
		t.Errorf("a guesser that was seen before made %d guesses, ideal %d", got, ideal)
	}
	forgets := float64(rate)*every.Seconds() > float64(forget.most)                                 // an LRU remembers everything at a lower rate
	if got, other := mean(late[:]), mean(lruLate[:]); got >= other && forgets && !testing.Short() { // a small table has no place for networks
		t.Errorf("the guessers that came late made %.1f guesses, with an LRU %.1f", got, other)
	}
}

func mean(all []int) float64 {
	sum := 0
	for _, n := range all {
		sum += n
	}
	return float64(sum) / float64(len(all))
}

func admitted(ok bool) int {
	if ok {
		return 1
	}
	return 0
}

// failuresGate: a guesser whose answers fail hides behind sources whose answers fail too.
func failuresGate(t *testing.T) {
	lasts := 30 * time.Second
	if testing.Short() {
		lasts = 3 * time.Second
	}
	const rate = 50_000
	l := limits(t, func(*limit.Settings) {})
	budget, guesser, honest := limit.Defaults().Failures, known(1), known(3)
	made, asked, denied := 0, 0, 0
	f := flood{limits: l, class: limit.Submit, rate: rate, lasts: lasts, fails: true}
	f.run(func(now time.Time) {
		if now.Sub(start)/time.Millisecond%500 == 0 {
			if l.Admit(now, guesser, limit.Submit, "", 0).OK {
				made++
				l.Failed(now, guesser)
			}
			asked++
			denied += 1 - admitted(l.Admit(now, honest, limit.Submit, "", 0).OK)
		}
	})
	ideal := budget.Burst + int(lasts/budget.Per)*budget.N
	report(t, "failures", map[string]any{
		"guesser_admitted": made, "guesser_ideal": ideal, "honest_asked": asked, "honest_denied": denied,
		"strangers": rate * int(lasts/time.Second), "strangers_refused": f.refused, "overflow": f.overflow,
	})
	if made > ideal+1 {
		t.Errorf("the guesser made %d guesses, ideal %d", made, ideal)
	}
	if denied > 0 {
		t.Errorf("%d of %d requests of a client without failures were denied", denied, asked)
	}
}
