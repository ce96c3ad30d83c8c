package anomaly_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// traffic makes the events of a server with 20 clients, of which each minute has some.
type traffic struct {
	r      *rand.Rand
	p      *anomaly.Player
	n      uint64
	at     time.Time
	wrong  float64         // share of wrong answers
	cause  telemetry.Cause // of these
	spread bool            // each from a network of its own
	slow   float64         // factor of proving time
}

func newTraffic(seed uint64, found func(time.Time, []anomaly.Finding)) *traffic {
	return &traffic{r: rand.New(rand.NewPCG(seed, 1)), p: &anomaly.Player{Set: anomaly.NewSet(), Found: found}, at: noon, slow: 1, cause: telemetry.WrongTag}
}

func (g *traffic) change(kind telemetry.Kind, subject string, value float64) {
	g.p.Change(telemetry.Change{At: g.at, Kind: kind, Subject: subject, Value: value})
}

// minutes makes the traffic of some minutes: challenges, answers, and pushed events.
func (g *traffic) minutes(n, each int) {
	for range n {
		day := 1 + 0.4*math.Sin(2*math.Pi*float64(g.at.Unix()%86400)/86400)
		begin := g.at
		for i := range int(float64(each) * day) {
			g.at = begin.Add(time.Duration(i) * time.Minute / time.Duration(2*each))
			g.one()
		}
		g.at = begin.Add(time.Minute)
		g.change(telemetry.EpochAge, "", 1)
	}
}

func (g *traffic) one() {
	g.n++
	client := fmt.Sprint("c", g.r.IntN(20))
	source := netip.AddrFrom4([4]byte{192, 0, 2, byte(g.r.IntN(20))})
	took := time.Duration(float64(3*time.Millisecond) * math.Exp(0.2*g.r.NormFloat64()))
	r := telemetry.Request{
		At: g.at, Operation: "openChallenge", Client: client, Source: source, Claim: "range/1", Status: 201, Took: took, Received: 200, Sent: 900,
		ID: idOf(g.n), Mark: markOf('a', g.n), Place: markOf('n', g.n),
	}
	g.p.Request(r)
	r.Operation, r.Mark, r.Place, r.Verified = "sendProof", markOf('p', g.n), telemetry.Mark{}, took/2
	r.Answered = time.Duration(float64(time.Second) * g.slow * math.Exp(0.3*g.r.NormFloat64()))
	if g.r.Float64() < 0.0005 {
		r.Code, r.Cause, r.Mark = protocol.CodeSubmissionRejected, telemetry.WrongTag, telemetry.Mark{}
	}
	if g.r.Float64() < g.wrong {
		r.Code, r.Cause, r.Mark, r.Answered = protocol.CodeSubmissionRejected, g.cause, telemetry.Mark{}, 0
		if g.spread {
			r.Client, r.Source = "", netip.AddrFrom4([4]byte{10, byte(g.n >> 8), byte(g.n), 1})
		}
	}
	g.p.Request(r)
	if g.n%10 == 0 {
		g.change(telemetry.ProofReturned, "range/1", 0.3*math.Exp(0.2*g.r.NormFloat64()))
		g.change(telemetry.PushDecided, "range/1", 0)
	}
}

// TestSetQuiet: days of ordinary traffic, rotations, a restart, a deploy, a hold and a stop
// lead to no page, and to a verdict of one series in a few days at most.
func TestSetQuiet(t *testing.T) {
	t.Parallel()
	days := 4
	if testing.Short() {
		days = 1
	}
	tickets := 0
	g := newTraffic(1, func(now time.Time, found []anomaly.Finding) {
		for _, f := range found {
			tickets++
			t.Logf("%s %s %s", now.Format(time.DateTime), f.Detector, f.Sentence)
			if f.Pages() || f.Detector != anomaly.Series {
				t.Errorf("%s %s: %s", f.Detector, f.Kind, f.Sentence)
			}
		}
	})
	g.change(telemetry.ServerStarted, "v1", 1)
	g.change(telemetry.EpochOpened, "", 1)
	for day := range days {
		g.minutes(8*60, 40)
		g.change(telemetry.EpochOpened, "", float64(day))
		g.minutes(8*60, 40)
		g.change(telemetry.ServerStopping, "", 1)
		g.at = g.at.Add(20 * time.Second)
		g.change(telemetry.ServerStarted, fmt.Sprint("v", day), 1)
		g.change(telemetry.EpochOpened, "", float64(day))
		g.minutes(7*60, 40)
		g.change(telemetry.HoldSet, "issue operator", 1)
		g.minutes(30, 1)
		g.change(telemetry.HoldLifted, "issue operator", 1)
		g.minutes(30, 40)
	}
	if tickets > days {
		t.Errorf("%d tickets in %d days", tickets, days)
	}
	if s := g.p.Set.Stats(); s.SeriesWarm != s.Series || s.ProversWarm != s.Provers {
		t.Errorf("%+v", s)
	}
}

// TestSetConfirms: what series and failures agree about pages, and says so. Feedback raises
// the threshold of its subject alone, and for a time.
func TestSetConfirms(t *testing.T) {
	t.Parallel()
	var all []anomaly.Finding
	g := newTraffic(2, func(_ time.Time, found []anomaly.Finding) { all = append(all, found...) })
	g.change(telemetry.ServerStarted, "v1", 1)
	g.minutes(6*60, 100)
	if len(all) > 0 {
		t.Errorf("before: %+v", all)
	}
	all, g.wrong, g.spread = nil, 0.2, true
	g.minutes(20, 100)
	pages := 0
	for i := range all {
		t.Log(all[i].Detector, all[i].Kind, all[i].Scope, all[i].Score, all[i].Sentence, "|", all[i].Agrees)
		if all[i].Pages() {
			pages++
		}
	}
	if pages == 0 {
		t.Error("nothing pages")
	}
	if s := g.p.Set.Stats(); s.Verdicts[anomaly.Rate] == 0 || s.Verdicts[anomaly.Correlate] == 0 || s.Verdicts[anomaly.Series] == 0 {
		t.Errorf("%+v", s)
	}
}

// TestSetExplained: what a rotation explains is reported soon after it no longer does if it
// goes on, and not if it has ended.
func TestSetExplained(t *testing.T) {
	t.Parallel()
	for _, goesOn := range []bool{true, false} {
		g := newTraffic(5, nil)
		var found map[anomaly.Detector]int
		g.p.Found = func(now time.Time, all []anomaly.Finding) {
			for i := range all {
				if f := &all[i]; f.Kind == "refused_submit" || f.Scope == anomaly.ScopeServer && f.Cause == g.cause {
					found[f.Detector]++
					t.Logf("%t: %s %s", goesOn, now.Format(time.TimeOnly), f.Sentence)
				}
			}
		}
		g.change(telemetry.ServerStarted, "v1", 1)
		g.minutes(6*60, 100)
		found = make(map[anomaly.Detector]int)
		g.change(telemetry.EpochOpened, "", 1)
		g.minutes(2, 100)
		g.wrong, g.cause = 0.1, telemetry.UnknownID
		g.minutes(5, 100)
		if !goesOn {
			g.wrong = 0
		}
		g.minutes(10, 100)
		if (found[anomaly.Series] > 0) != goesOn || (found[anomaly.Rate] > 0) != goesOn {
			t.Errorf("goes on: %t; found %v, suppressed %v", goesOn, found, g.p.Set.Stats().Suppressed)
		}
	}
}

// TestSetPaused: the set says why it learns nothing, from its first moment on.
func TestSetPaused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change telemetry.Change
		state  anomaly.State
	}{
		"":         {},
		"start":    {change: telemetry.Change{Kind: telemetry.ServerStarted}},
		"stop":     {change: telemetry.Change{Kind: telemetry.ServerStopping}},
		"rotation": {change: telemetry.Change{Kind: telemetry.EpochOpened}},
		"hold":     {state: anomaly.State{Held: true, Alerted: true}},
		"alert":    {state: anomaly.State{Alerted: true}},
	} {
		s := anomaly.NewSet()
		s.Begin(noon)
		if got := s.Stats().Paused; got != "start" {
			t.Errorf("at the begin: %q", got)
		}
		at := noon.Add(3 * time.Minute)
		if tt.change.At = at; tt.change.Kind != 0 {
			s.Change(tt.change)
		}
		s.Tick(at, tt.state)
		if got := s.Stats().Paused; got != name {
			t.Errorf("%q, want %q", got, name)
		}
	}
}

// TestSetState: what is usual survives a restart, and a damaged state is refused whole.
func TestSetState(t *testing.T) {
	t.Parallel()
	g := newTraffic(3, nil)
	g.change(telemetry.ServerStarted, "v1", 1)
	g.minutes(3*60, 50)
	g.p.Set.Feedback(g.at, &anomaly.Verdict{Detector: anomaly.Rate, Kind: "rise", Scope: "client:lab", Cause: telemetry.WrongTag}, anomaly.WasExpected)
	b := g.p.Set.Save(g.at)
	again := anomaly.NewSet()
	if saved, err := again.Restore(b); err != nil || !saved.Equal(g.at.Truncate(time.Second)) {
		t.Fatal(saved, err)
	}
	if c := again.Save(g.at); len(c) != len(b) {
		t.Errorf("%d bytes became %d", len(b), len(c))
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		c := append([]byte(nil), b...)
		c = c[:r.IntN(len(c))]
		if _, err := again.Restore(c); err == nil {
			t.Fatal("a state that was cut off was restored")
		}
		c = append([]byte(nil), b...)
		c[r.IntN(len(c))] ^= 1 << r.IntN(8)
		if saved, err := again.Restore(c); err == nil || !saved.IsZero() {
			t.Fatal("a state with another bit was restored")
		}
	}
}

// TestSetMemory: with every window and every table full, all detectors together take less
// than 16 MB.
func TestSetMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := anomaly.NewSet()
	each := 20
	if testing.Short() {
		each = 8
	}
	inject.Fill(s, each)
	if used := heap() - before; used > 16<<20 {
		t.Errorf("%.1f MB", float64(used)/(1<<20))
	} else {
		t.Logf("%.1f MB", float64(used)/(1<<20))
	}
	runtime.KeepAlive(s)
}

// BenchmarkSet is an event through all detectors. "td bench" measures it with every window
// full.
func BenchmarkSet(b *testing.B) {
	g := newTraffic(1, nil)
	g.minutes(60, 200)
	r := telemetry.Request{Operation: "sendProof", Client: "c1", Claim: "range/1", Source: netip.MustParseAddr("192.0.2.1"), Took: time.Millisecond, Verified: time.Millisecond, Answered: time.Second}
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		r.At, r.ID, r.Mark = g.at.Add(time.Duration(n)*100*time.Microsecond), idOf(n), markOf('p', n)
		r.Cause, r.Code = telemetry.NoCause, protocol.CodeNone
		if n%20 == 0 {
			r.Cause, r.Code = telemetry.WrongTag, protocol.CodeSubmissionRejected
		}
		g.p.Request(r)
	}
}
