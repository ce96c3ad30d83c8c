// Package compare measures internal/limit beside other limiters.
package compare

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"golang.org/x/time/rate"

	"github.com/terradourada/td/internal/limit"
)

// keys is the number of sources, a power of 2. All limiters know all of them.
const keys = 1 << 20

// A limiter decides about one request of source n, whose name and address are given.
type limiter func(name string, addr netip.Addr) bool

// limiters make each limiter with a quota of 5 a second and a burst of 20.
var limiters = []struct {
	name string
	make func(testing.TB) limiter
}{
	{"ours", ours},
	{"ours, three quotas", ladder},
	{"throttled, LRU", func(t testing.TB) limiter { return gcra(t, 2*keys) }},
	{"throttled, unbounded", func(t testing.TB) limiter { return gcra(t, 0) }},
	{"x/time/rate and a map", rates},
	{"sethvargo/go-limiter", windows},
}

// ours has one quota for each address, in a table that is half full.
func ours(t testing.TB) limiter { return table(t, [3]int{}) }

// ladder also has the quotas of the /24 and the /16.
func ladder(t testing.TB) limiter { return table(t, [3]int{8, 32, 128}) }

func table(t testing.TB, factors [3]int) limiter {
	s := limit.Defaults()
	s.Buckets, s.Factors = 2*keys, factors
	s.Failures = limit.Quota{}
	s.Costs[limit.Issue] = 1
	l, err := limit.New(time.Now(), s)
	if err != nil {
		t.Fatal(err)
	}
	return func(_ string, addr netip.Addr) bool {
		return l.Admit(time.Now(), limit.Source{Addr: addr}, limit.Issue, "", 0).OK
	}
}

func gcra(t testing.TB, most int) limiter {
	store, err := memstore.NewCtx(most)
	if err != nil {
		t.Fatal(err)
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerSec(5), MaxBurst: 19})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	return func(name string, _ netip.Addr) bool {
		limited, _, err := l.RateLimitCtx(ctx, name, 1)
		return err == nil && !limited
	}
}

func rates(testing.TB) limiter {
	var mu sync.RWMutex
	all := map[string]*rate.Limiter{}
	return func(name string, _ netip.Addr) bool {
		mu.RLock()
		l := all[name]
		mu.RUnlock()
		if l == nil {
			mu.Lock()
			if l = all[name]; l == nil {
				l = rate.NewLimiter(5, 20)
				all[name] = l
			}
			mu.Unlock()
		}
		return l.Allow()
	}
}

func windows(t testing.TB) limiter {
	store, err := memorystore.New(&memorystore.Config{Tokens: 20, Interval: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	ctx := context.Background()
	return func(name string, _ netip.Addr) bool {
		_, _, _, ok, err := store.Take(ctx, name)
		return err == nil && ok
	}
}

// sources are the names and addresses of all sources, made once.
var sources = sync.OnceValues(func() ([]string, []netip.Addr) {
	names, addrs := make([]string, keys), make([]netip.Addr, keys)
	for n := range names {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n)*2654435761)
		addrs[n] = netip.AddrFrom4(b)
		names[n] = addrs[n].String() + "|issue"
	}
	return names, addrs
})

// filled returns a limiter that knows all sources, and the bytes that it takes for each,
// without those of the names.
func filled(t testing.TB, mk func(testing.TB) limiter) (limiter, float64) {
	names, addrs := sources()
	before := heap()
	l := mk(t)
	for n := range names {
		l(names[n], addrs[n])
	}
	return l, float64(heap()-before) / keys
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// measure returns the nanoseconds of a decision about a random source.
func measure(l limiter, goroutines int) float64 {
	names, addrs := sources()
	return float64(testing.Benchmark(func(b *testing.B) {
		b.SetParallelism(1)
		run := func(next func() bool) {
			r := rand.New(rand.NewPCG(1, 2))
			for next() {
				n := r.IntN(keys)
				l(names[n], addrs[n])
			}
		}
		if goroutines == 1 {
			run(b.Loop)
			return
		}
		b.RunParallel(func(p *testing.PB) { run(p.Next) })
	}).NsPerOp())
}

// TestCompare: ours is faster and smaller than each of the others. It logs the ratios.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for half a minute")
	}
	var own [3]float64
	for i, l := range limiters {
		decide, bytes := filled(t, l.make)
		before := time.Now()
		runtime.GC()
		collect := time.Since(before)
		got := [3]float64{measure(decide, 1), measure(decide, runtime.GOMAXPROCS(0)), bytes}
		runtime.KeepAlive(decide)
		if i == 0 {
			own = got
		}
		t.Logf("%-22s %6.0f ns (%4.1fx), at once %6.0f ns (%4.1fx), %6.1f bytes a source (%4.1fx), garbage collection %v",
			l.name, got[0], got[0]/own[0], got[1], got[1]/own[1], got[2], got[2]/own[2], collect.Round(time.Millisecond/10))
		if i > 1 && (got[0] < own[0] || got[1] < own[1] || got[2] < own[2]) {
			t.Errorf("%s is faster or smaller than ours", l.name)
		}
	}
}
