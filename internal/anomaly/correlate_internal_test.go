package anomaly

import (
	"bytes"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// bench feeds rates and correlation.
type bench struct {
	rates *Rates
	*Correlation
	now time.Time
}

func newBench() *bench {
	r := NewRates()
	return &bench{r, NewCorrelation(r), requestAt}
}

func (b *bench) see(q telemetry.Request) {
	q.At = b.now
	b.rates.Observe(q)
	b.Observe(q)
}

// minutes lets time pass, with honest traffic of 100 answers a minute: one of eight is on
// range/1, and one tag of 700 is wrong.
func (b *bench) minutes(n int, learn bool, attack func(minute int)) (found []Verdict) {
	for minute := range n {
		for i := range 100 {
			q := request("sendProof", fmt.Sprint("tenant-", i%40), "open/1", i%40, telemetry.NoCause)
			if i%8 == 0 {
				q.Claim = "range/1"
			}
			b.see(q)
			if (minute*100+i)%699 == 0 {
				q.Cause, q.Code = telemetry.WrongTag, protocol.CodeSubmissionRejected
				b.see(q)
			}
		}
		if attack != nil {
			attack(minute)
		}
		b.now = b.now.Add(time.Minute)
		b.rates.Tick(b.now, learn)
		found = append(found, b.Tick(b.now, learn)...)
	}
	return found
}

func wrongTag(client, claim string, network int) telemetry.Request {
	q := request("sendProof", client, claim, network, telemetry.WrongTag)
	q.Code = protocol.CodeSubmissionRejected
	return q
}

// TestDistributed: one attempt for each of many sources is found, named as distributed, and
// the sentence says what they have in common.
func TestDistributed(t *testing.T) {
	t.Parallel()
	b := newBench()
	if found := b.minutes(24*60, true, nil); len(found) > 0 {
		t.Fatalf("without an attack: %s", found[0].Sentence)
	}
	next := 1000
	found := b.minutes(6*60, true, func(int) {
		next++
		b.see(wrongTag("", "range/1", next))
	})
	if len(found) < 2 {
		t.Fatal("not found")
	}
	for _, v := range found {
		t.Log(v.Sentence)
		if v.Kind != "distributed" || v.Cause != telemetry.WrongTag || v.Score < 1 || v.Runbook == "" || v.Detector != Correlate {
			t.Errorf("%+v", v)
		}
		if want := regexp.MustCompile(`^\d+ wrong tags in [\d]+ (min|h) \(expected [\d.]+\); distributed over \d+ distinct networks, 1\.\d\d each; \d\d %.* on claim range/1, whose share of traffic is 1[123] %`); !want.MatchString(v.Sentence) {
			t.Errorf("the sentence is %s", v.Sentence)
		}
		if began := requestAt.Add(24 * time.Hour); v.Since.Before(began.Add(-time.Hour)) || v.Since.After(v.At) {
			t.Errorf("since %v, the attack began at %v", v.Since, began)
		}
	}
}

// TestOneSource: a single network or client is named, and what one tenant suffers is found
// when all failures together are hardly more.
func TestOneSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ client, scope, kind string }{
		{"", "network:10.35.40.0/24", "one_source"},
		{"tenant-5", "client:tenant-5", "one_source"},
	} {
		b := newBench()
		b.minutes(8*60, true, nil)
		found := b.minutes(60, true, func(int) { b.see(wrongTag(c.client, "open/1", 9000)) })
		if len(found) == 0 || found[0].Kind != c.kind || found[0].Scope != c.scope {
			t.Errorf("%s: %+v", c.scope, found)
		}
	}
	b := newBench()
	b.minutes(30*60, true, nil)
	found := b.minutes(24*60, true, func(minute int) {
		if minute%10 == 0 { // less than what is usual in all
			b.see(wrongTag("small", "open/1", 9000))
		}
	})
	if len(found) == 0 || found[0].Scope != "client:small" || found[0].Kind != "concentrated" {
		t.Errorf("one tenant: %+v", found)
	}
}

// TestChain: a source that completes a chain of causes is found; the same failures in another
// order, or of different sources, are no chain.
func TestChain(t *testing.T) {
	t.Parallel()
	steps := []telemetry.Cause{telemetry.Late, telemetry.Replayed, telemetry.WrongTag}
	for _, c := range []struct {
		name    string
		order   [3]int
		sources int
		chains  bool
	}{{"in order", [3]int{0, 1, 2}, 1, true}, {"in another order", [3]int{0, 2, 1}, 1, false}, {"of many sources", [3]int{0, 1, 2}, 100, false}} {
		b := newBench()
		b.minutes(2*60, true, nil)
		n, chains := 0, 0
		for _, v := range b.minutes(50, true, func(minute int) {
			q := request("sendProof", "", "open/1", 9000+n%c.sources, steps[c.order[minute%3]])
			n++
			b.see(q)
		}) {
			if v.Kind == "chain" {
				chains++
				if v.Scope != "network:10.35.40.0/24" || !strings.Contains(v.Sentence, "late answers, then replayed answers, then wrong tags") {
					t.Errorf("%+v", v)
				}
			}
		}
		if c.chains != (chains > 0) {
			t.Errorf("%s: %d chains", c.name, chains)
		}
	}
	b := newBench()
	b.minutes(2*60, true, nil)
	found := b.minutes(70, true, func(minute int) { // one every three minutes: too slow for a single step an hour, not for a chain
		if minute%25 == 0 {
			b.see(wrongTag("", "open/1", 9000))
		}
	})
	for _, v := range found {
		if v.Kind == "chain" {
			t.Errorf("%+v", v)
		}
	}
}

// TestUsual: what is usual is learned, but for the minutes in which learning was off.
func TestUsual(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.minutes(5*60, true, nil)
	n := b.usual.failures(int(telemetry.WrongTag))
	if n < 20 || n > 60 {
		t.Errorf("%d wrong tags are usual in four hours", n)
	}
	for range 2 * 60 { // every fourth minute
		b.minutes(1, false, nil)
		b.minutes(3, true, nil)
	}
	if got := b.usual.failures(int(telemetry.WrongTag)); got < 2*n || got > 3*n {
		t.Errorf("%d wrong tags are usual, %d before", got, n)
	}
	n = b.usual.failures(int(telemetry.WrongTag))
	b.minutes(4*60, false, nil) // an hour of this part was learned before
	if got := b.usual.failures(int(telemetry.WrongTag)); got < n || got > n+20 {
		t.Errorf("%d wrong tags are usual, %d before learning was off", got, n)
	}
	saved := b.Save()
	again := NewCorrelation(b.rates)
	if err := again.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Save(), saved) {
		t.Error("the state differs after it was restored")
	}
	damaged(t, saved, func(b []byte) error { return NewCorrelation(NewRates()).Restore(b) })
}

// TestNamesMakeRoom: names that no window holds make room while learning is off.
func TestNamesMakeRoom(t *testing.T) {
	t.Parallel()
	b := newBench()
	for i := range 2 * mostNames {
		b.see(request("sendProof", fmt.Sprint("passing-", i), "open/1", i, telemetry.NoCause))
		if i%64 == 0 {
			b.now = b.now.Add(2 * time.Minute)
			b.rates.Tick(b.now, false)
			b.Tick(b.now, false)
		}
	}
	if len(b.names.keys) > mostNames/2 {
		t.Errorf("%d names", len(b.names.keys))
	}
}

// TestTrailsKeepNames: a name stays while the failures of its client are followed.
func TestTrailsKeepNames(t *testing.T) {
	t.Parallel()
	c := NewCorrelation(NewRates())
	key := c.names.key("followed")
	c.chains.failure(requestAt, telemetry.Late, &event{byClient: key})
	c.forget()
	if name := c.text(byClient, key); name != "followed" || c.names.key("another") == key {
		t.Errorf("the failures of followed are those of %q", name)
	}
}

// TestNames: names are bounded, and those that are not used make room.
func TestNames(t *testing.T) {
	t.Parallel()
	n := newNames()
	for i := range 2 * mostNames {
		if key := n.key(fmt.Sprint("client-", i)); n.text(key) == "" {
			t.Fatal(i)
		}
	}
	if n.key(strings.Repeat("x", 300)) != n.key(otherNames) || !n.full() {
		t.Error("there is more room than there should be")
	}
	n.keep(map[uint64]bool{5: true})
	five := n.text(5)
	if n.full() || n.key(five) != 5 || n.text(n.key(strings.Repeat("x", 300))) != strings.Repeat("x", mostText) || n.key(strings.Repeat("x", 301)) != n.key(strings.Repeat("x", 300)) {
		t.Error("there is no room for new names")
	}
	for _, a := range []string{"192.0.2.7", "2001:db8:1234:5678::1", "fd12:3456:789a::1", "::ffff:192.0.2.1"} {
		q := request("", "", "", 0, telemetry.NoCause)
		_ = q.Source.UnmarshalText([]byte(a))
		if p := networkOf(q.Source); networkOfKey(networkKey(p)) != p || !p.IsValid() {
			t.Errorf("%s: %v", a, p)
		}
	}
}

// full fills every window of every detector, with as many clients, networks and causes as
// there is room for.
func full() (*bench, *Profiles) {
	b, p := newBench(), NewProfiles()
	operations := []string{"sendProof", "pushEvent", "openChallenge"}
	n := 0
	for step := range 25*6 + 7 {
		length := 10 * time.Minute
		if step >= 25*6 {
			length = time.Minute
		}
		if step%6 == 0 || step > 25*6-8 { // so that minutes, tens, hours and four hours are all full
			for range 5000 {
				n++
				q := request(operations[n%3], fmt.Sprint("tenant-", n%5003), fmt.Sprint("claim/", n%83), n, telemetry.Cause(n%causes))
				q.Code = protocol.Code(n % 31)
				b.see(q)
				p.Observe(q)
			}
		}
		b.Change(telemetry.Change{Kind: telemetry.EpochOpened, Value: float64(step)})
		b.now = b.now.Add(length)
		b.rates.Tick(b.now, true)
		b.Tick(b.now, true)
		p.Tick(b.now, true)
	}
	return b, p
}

// mostMemory is what rates, correlation and profiles take together with every window full.
const mostMemory = 12 << 20

func TestMemory(t *testing.T) { // not parallel: it measures the heap
	if testing.Short() {
		t.Skip("skipped: it fills every window")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b, p := full()
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	cells := 0
	for i := range b.levels {
		for _, part := range append(b.levels[i].closed, b.levels[i].open) {
			for _, c := range part.cells {
				if c != nil {
					cells++
				}
			}
		}
	}
	t.Logf("%.1f MB in %d cells, %d profiles, %d names", float64(used)/(1<<20), cells, len(p.clients), len(b.names.keys))
	if used > mostMemory {
		t.Errorf("%.1f MB", float64(used)/(1<<20))
	}
	runtime.KeepAlive(b)
	runtime.KeepAlive(p)
}

// BenchmarkObserve measures an event in all three detectors, when every window is full and
// one request of four fails.
func BenchmarkObserve(b *testing.B) {
	d, p := full()
	var requests []telemetry.Request
	for i := range 4096 {
		q := request("sendProof", fmt.Sprint("tenant-", i%500), "open/1", i*7, telemetry.NoCause)
		if i%4 == 0 {
			q.Cause, q.Code = telemetry.WrongTag, protocol.CodeSubmissionRejected
		}
		requests = append(requests, q)
	}
	i := 0
	for b.Loop() {
		q := requests[i%len(requests)]
		d.see(q)
		p.Observe(q)
		i++
	}
}

// BenchmarkTick measures the tick of a minute of all three detectors when every window is
// full.
func BenchmarkTick(b *testing.B) {
	d, p := full()
	for b.Loop() {
		d.now = d.now.Add(time.Minute)
		d.rates.Tick(d.now, true)
		d.Tick(d.now, true)
		p.Tick(d.now, true)
	}
}
