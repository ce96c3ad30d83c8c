package anomaly

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// TestCauses: the tables cover every cause, and what they hold is complete.
func TestCauses(t *testing.T) {
	t.Parallel()
	if n := len(telemetry.Causes()) + 1; n != causes {
		t.Errorf("there are %d causes, not %d", n, causes)
	}
	for _, c := range telemetry.Causes() {
		switch c {
		case telemetry.Held, telemetry.NoEpoch, telemetry.Gone: // explained by the server's state, or harmless
			if watched(c) {
				t.Errorf("%v is watched", c)
			}
		default:
			if x := traits[c]; !watched(c) || x.runbook == "" || x.ceiling <= 0 || x.ceiling > 1 {
				t.Errorf("%v: %+v", c, x)
			}
		}
	}
}

// teach simulates a stream whose failures grow by a factor each day after 20 days, until a
// verdict or for some days more. It returns the day of the verdict and the factor then.
func teach(perDay float64, days int) (day, factor float64, f finding, s *stream) {
	src := source{rand.New(rand.NewPCG(1, 3)), 0.001, 0, 0}
	s = newStream(priorRatio)
	for i := range (20 + days) * 24 * 60 {
		day = max(0, float64(i)/(24*60)-20)
		factor = math.Pow(perDay, day)
		now, x, n := src.next(factor)
		if f, found := s.tick(now, 1, x, n, 0.2, evidenceAll, true); found && day > 0 {
			return day, factor, f, s
		}
	}
	return math.Inf(1), factor, finding{}, s
}

// TestSlowTeacher: whatever the speed, a rise is found before it has multiplied the failures
// by three, and what is expected has not grown beyond its bound.
func TestSlowTeacher(t *testing.T) {
	t.Parallel()
	for _, perDay := range []float64{1.5, 1.1, 1.05, 1.03, 1.02, 1.01} {
		if testing.Short() && perDay < 1.03 {
			continue
		}
		day, factor, f, s := teach(perDay, 130)
		t.Logf("%+.0f %% a day is found on day %.1f at %.2f times (slow: %v)", 100*(perDay-1), day, factor, f.slow)
		if factor > 3 || math.IsInf(day, 1) {
			t.Errorf("%+.0f %% a day: not found before day %.1f at %.2f times", 100*(perDay-1), day, factor)
		}
		if s.reference > mostOfLowest*s.lowest {
			t.Errorf("%g is expected, the lowest was %g", s.reference, s.lowest)
		}
	}
}

// TestNothingIsLearned: not when learning is off, and not during an alarm.
func TestNothingIsLearned(t *testing.T) {
	t.Parallel()
	src := source{rand.New(rand.NewPCG(1, 4)), 0.001, 0, 0}
	s := newStream(priorRatio)
	run := func(minutes int, factor float64, learn bool) (found int) {
		for range minutes {
			now, x, n := src.next(factor)
			if _, f := s.tick(now, 1, x, n, 0.2, evidenceAll, learn); f {
				found++
			}
		}
		return found
	}
	run(3*24*60, 1, true)
	before := *s
	if n := run(24*60, 1.1, false); n > 0 || s.reference != before.reference || s.failures != before.failures || s.minutes != before.minutes {
		t.Errorf("learned while learning was off: %+v, %+v, %d verdicts", before, *s, n)
	}
	n := run(24*60, 10, true)
	if n < 22 || n > 24 { // one an hour
		t.Errorf("%d verdicts in a day of attack", n)
	}
	if s.reference > 1.02*before.reference {
		t.Errorf("an attack was learned: %g, before %g", s.reference, before.reference)
	}
	s.relearn()
	if n := run(24*60, 10, true); n > 1 || s.reference < 8*before.reference {
		t.Errorf("after feedback: %d verdicts, %g is expected, before %g", n, s.reference, before.reference)
	}
}

// TestDilution: a hundred times the usual number of successes does not hide twenty times the
// failures.
func TestDilution(t *testing.T) {
	t.Parallel()
	src := source{rand.New(rand.NewPCG(1, 5)), 0.001, 0, 0}
	s := newStream(priorRatio)
	for range 3 * 24 * 60 {
		now, x, n := src.next(1)
		s.tick(now, 1, x, n, 0.2, evidenceAll, true)
	}
	before := s.reference
	for minute := range 600 {
		now, x, n := src.next(20)
		if f, found := s.tick(now, 1, x, 100*n, 0.2, evidenceAll, true); found {
			t.Logf("found after %d minutes, expected %g", minute+1, f.expected)
			return
		}
	}
	t.Errorf("not found; %g is expected, before %g", s.reference, before)
}

var requestAt = simulated.Add(time.Hour)

// request returns a request of the hour that has begun.
func request(operation, client, claim string, network int, cause telemetry.Cause) telemetry.Request {
	return telemetry.Request{
		At: requestAt, Operation: operation, Client: client, Claim: claim, Cause: cause, Received: 700, Answered: time.Second,
		Source: netip.AddrFrom4([4]byte{10, byte(network >> 8), byte(network), 1}),
	}
}

// TestRates: a verdict for each scope, and none for causes that are explained.
func TestRates(t *testing.T) {
	t.Parallel()
	r := NewRates()
	var found []Verdict
	now := requestAt
	for minute := range 400 {
		for i := range 100 {
			r.Observe(request("sendProof", "", "open/1", i, telemetry.NoCause))
			r.Observe(request("sendProof", fmt.Sprint("tenant-", i%10), "range/1", i, telemetry.NoCause))
			r.Observe(request("getStatus", "", "", i, telemetry.Fault))
			r.Observe(request("sendProof", "", "", i, telemetry.Held))
		}
		if minute >= 300 {
			r.Observe(request("sendProof", "tenant-3", "range/1", 3, telemetry.WrongTag))
		}
		now = now.Add(time.Minute)
		for _, v := range r.Tick(now, true) {
			if found = append(found, v); v.At.Sub(requestAt) < 300*time.Minute {
				t.Errorf("before the attack: %s", v.Sentence)
			}
		}
	}
	scopes := map[string]bool{}
	for _, v := range found {
		scopes[v.Scope] = true
		if v.Cause != telemetry.WrongTag || v.Kind != "rise" || v.Score < 1 || v.Runbook != runbookTraffic || v.Detector != Rate {
			t.Errorf("%+v", v)
		}
	}
	if !scopes[ScopeServer] || !scopes["client:tenant-3"] || !scopes["claim:range/1"] || len(scopes) != 3 {
		t.Errorf("%v", scopes)
	}
	if s := found[len(found)-1].Sentence; !strings.Contains(s, "wrong tags") || !strings.Contains(s, "expected") || !strings.Contains(s, "by accident") {
		t.Error(s)
	}
	t.Log(found[len(found)-1].Sentence)
	for scope := range scopes {
		r.Relearn(scope, telemetry.WrongTag)
	}
	r.Relearn("client:unknown", telemetry.WrongTag)
	r.Relearn("network:x", telemetry.Cause(200))
	if s := r.all.streams[telemetry.WrongTag]; s.alarm || s.reference < 0.003 {
		t.Errorf("after feedback: %+v", s)
	}
}

// TestScopesAreBounded: there are never more counters than places, and one that fails much
// stays when thousands of others appear.
func TestScopesAreBounded(t *testing.T) {
	t.Parallel()
	r := NewRates()
	for i := range 20000 {
		r.Observe(request("sendProof", "", "open/1", i, telemetry.WrongTag))
		if i%10 == 0 {
			r.Observe(request("sendProof", "", "open/1", 60000, telemetry.WrongTag))
		}
	}
	p := netip.MustParsePrefix("10.234.96.0/24")
	if n := len(r.networks.list); n != mostScopes || len(r.networks.places) != mostScopes {
		t.Errorf("%d counters", n)
	}
	if c := r.networks.find(p); c == nil || c.failed[telemetry.WrongTag] < 1900 {
		t.Errorf("%v was replaced: %v", p, c != nil)
	}
}

// TestRatesState: what is restored is what was saved, and behaves the same.
func TestRatesState(t *testing.T) {
	t.Parallel()
	run := func(r *Rates, from int) (found []Verdict) {
		for minute := from; minute < from+200; minute++ {
			for i := range 50 {
				r.Observe(request("sendProof", fmt.Sprint("tenant-", i), "range/1", i, telemetry.NoCause))
				r.Observe(request("pushEvent", "", "open/1", i, telemetry.NoCause))
			}
			if minute%7 == 0 || minute > 300 {
				r.Observe(request("sendProof", "tenant-3", "range/1", 3, telemetry.Late))
				r.Observe(request("getTile", "", "", 3, telemetry.NotFound))
			}
			found = append(found, r.Tick(requestAt.Add(time.Duration(minute)*time.Minute), true)...)
		}
		return found
	}
	one := NewRates()
	run(one, 0)
	saved := one.Save()
	two := NewRates()
	if err := two.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(two.Save(), saved) {
		t.Error("the state differs after it was restored")
	}
	two.minute = one.minute
	a, b := run(one, 200), run(two, 200)
	if fmt.Sprint(a) != fmt.Sprint(b) || len(a) == 0 {
		t.Errorf("%v\nis not\n%v", b, a)
	}
	damaged(t, saved, func(b []byte) error { return NewRates().Restore(b) })
}

// damaged checks that no state of which something is missing, added or changed in its name is
// restored, and that no change of one byte causes a panic.
func damaged(t *testing.T, saved []byte, restore func([]byte) error) {
	t.Helper()
	step := max(1, len(saved)/500)
	for i := 0; i < len(saved); i += step {
		if restore(saved[:i]) == nil {
			t.Errorf("%d of %d bytes are a state", i, len(saved))
		}
		changed := bytes.Clone(saved)
		changed[i] ^= 0xff
		_ = restore(changed)
	}
	changed := bytes.Clone(saved)
	changed[bytes.IndexByte(saved, '/')+1]++
	if restore(append(bytes.Clone(saved), 0)) == nil || restore(changed) == nil {
		t.Error("a longer state, or one of another version, is a state")
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(NewRates().Save())
	f.Add(NewProfiles().Save())
	f.Add(NewCorrelation(NewRates()).Save())
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = NewRates().Restore(b), NewProfiles().Restore(b), NewCorrelation(NewRates()).Restore(b)
	})
}
