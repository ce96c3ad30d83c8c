package anomaly

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// habits are what one client does in an hour.
type habits struct {
	requests int
	claim    string
	answered float64
	seconds  float64
	size     float64
}

// hours lets time pass for one client. What it does differs a little from hour to hour, and
// by night it does a tenth.
func hours(p *Profiles, r *rand.Rand, began time.Time, n int, h habits, learn bool) (found []Verdict, now time.Time) {
	for i := range n {
		now = began.Add(time.Duration(i) * time.Hour)
		volume := float64(h.requests) * (1 + 0.1*r.NormFloat64())
		if now.Hour() < 6 {
			volume /= 10
		}
		for range int(volume) {
			p.Observe(telemetry.Request{Operation: "openChallenge", Client: "lab", Claim: h.claim})
			if r.Float64() < h.answered {
				p.Observe(telemetry.Request{
					Operation: "sendProof", Client: "lab", Claim: h.claim, Received: int64(h.size * (1 + 0.01*r.NormFloat64())),
					Answered: time.Duration(h.seconds * math.Exp(r.NormFloat64()/4) * float64(time.Second)),
				})
			}
		}
		now = now.Add(time.Hour)
		found = append(found, p.Tick(now, learn)...)
	}
	return found, now
}

var usual = habits{requests: 200, claim: "open/1", answered: 0.9, seconds: 2, size: 700}

// TestProfile: what is unlike a client is found after an hour, and the sentence names it.
func TestProfile(t *testing.T) {
	t.Parallel()
	change := func(f func(*habits)) habits {
		h := usual
		f(&h)
		return h
	}
	for name, c := range map[string]struct {
		habits habits
		words  []string
	}{
		"another claim":  {change(func(h *habits) { h.claim = "range/1" }), []string{"100 % of the requests with other claims, mostly range/1"}},
		"never answered": {change(func(h *habits) { h.answered = 0.05 }), []string{"% of the challenges answered instead of 90 %"}},
		"too fast":       {change(func(h *habits) { h.seconds /= 3 }), []string{"time to answer 0.6", "s instead of 2"}},
		"too slow":       {change(func(h *habits) { h.seconds *= 3 }), []string{"time to answer 5.", "s instead of 2"}},
		"larger":         {change(func(h *habits) { h.size *= 2 }), []string{"size 1", "bytes instead of"}},
		"all":            {change(func(h *habits) { *h = habits{3000, "set/1", 0.5, 0.3, 900} }), []string{"mostly set/1", "time to answer 0.3", "requests in this hour of the day instead of"}},
	} {
		p, r := NewProfiles(), rand.New(rand.NewPCG(1, 1))
		p.Tick(simulated, true)
		found, now := hours(p, r, simulated, 10*24+12, usual, true)
		if len(found) > 0 {
			t.Errorf("%s, before the change: %s", name, found[0].Sentence)
		}
		found, _ = hours(p, r, now, 1, c.habits, true)
		if len(found) != 1 || found[0].Scope != "client:lab" || found[0].Score < 1 || found[0].Detector != Behaviour {
			t.Errorf("%s: %+v", name, found)
			continue
		}
		t.Log(found[0].Sentence)
		for _, w := range c.words {
			if !strings.Contains(found[0].Sentence, w) {
				t.Errorf("%s: %q is not in %s", name, w, found[0].Sentence)
			}
		}
	}
}

// TestProfileByNight: a client that works by night as it does by day is unlike itself only
// once its nights are known.
func TestProfileByNight(t *testing.T) {
	t.Parallel()
	p, r := NewProfiles(), rand.New(rand.NewPCG(1, 2))
	p.Tick(simulated, true)
	_, now := hours(p, r, simulated, 14*24+3, usual, true)
	before := *p.clients["lab"]
	busy := usual
	busy.requests *= 10 // at three in the morning, that of the day
	if found, _ := hours(p, r, now, 1, busy, true); len(found) != 1 || !strings.Contains(found[0].Sentence, "requests in this hour of the day instead of") {
		t.Errorf("%v", found)
	}
	for m, u := range p.clients["lab"].members {
		was := before.members[m]
		if off := math.Abs(u.value-was.value) * hoursMemory; off > 1.01*taughtMember*max(was.change, memberTraits[m].floor) {
			t.Errorf("an hour with a verdict moved %s by %g", memberTraits[m].name, off/hoursMemory)
		}
	}
}

// TestProfileChangesForGood: a client that has changed for good has verdicts for some days,
// and none once it was said to be expected.
func TestProfileChangesForGood(t *testing.T) {
	t.Parallel()
	for _, h := range []habits{{3000, "open/1", 0.9, 2, 700}, {200, "range/1", 0.9, 2, 700}, {800, "set/1", 0.5, 0.6, 1400}} {
		begin := func() (*Profiles, *rand.Rand, time.Time, int) {
			p, r := NewProfiles(), rand.New(rand.NewPCG(1, 7))
			p.Tick(simulated, true)
			_, now := hours(p, r, simulated, 14*24, usual, true)
			found, now := hours(p, r, now, 12, h, true)
			return p, r, now, len(found)
		}
		p, r, now, n := begin()
		found, now := hours(p, r, now, 6*24, h, true)
		late, _ := hours(p, r, now, 14*24, h, true)
		t.Logf("%+v: %d verdicts in 12 hours, %d more in 6 days, %d later", h, n, len(found), len(late))
		if n == 0 && len(found) == 0 || len(late) > 0 {
			t.Errorf("%+v: %d verdicts in 12 hours, %d more in 6 days, %d later", h, n, len(found), len(late))
		}
		s := NewSet()
		s.profiles, r, now, _ = begin()
		s.Feedback(now, &Verdict{Detector: Behaviour, Kind: "unlike_itself", Scope: "client:lab"}, WasExpected)
		if found, _ := hours(s.profiles, r, now, 4*24, h, true); len(found) > 0 {
			t.Errorf("%+v, after feedback: %s", h, found[0].Sentence)
		}
	}
}

// TestProfileQuietHour: a few challenges, answered twice in an hour, say nothing about the
// part that is answered.
func TestProfileQuietHour(t *testing.T) {
	t.Parallel()
	p, r := NewProfiles(), rand.New(rand.NewPCG(1, 6))
	p.Tick(simulated, true)
	_, now := hours(p, r, simulated, 10*24+2, usual, true) // two in the morning
	for range 6 {
		p.Observe(telemetry.Request{Operation: "openChallenge", Client: "lab", Claim: "open/1"})
	}
	for range 16 {
		p.Observe(telemetry.Request{Operation: "sendProof", Client: "lab", Claim: "open/1", Received: 700, Answered: 2 * time.Second})
	}
	if found := p.Tick(now.Add(time.Hour), true); len(found) > 0 {
		t.Error(found[0].Sentence)
	}
}

// TestProfilesWarmUp: without enough hours there is no verdict, and without learning no
// profile.
func TestProfilesWarmUp(t *testing.T) {
	t.Parallel()
	p, r := NewProfiles(), rand.New(rand.NewPCG(1, 3))
	p.Tick(simulated, true)
	other := habits{3000, "set/1", 0.5, 0.3, 900}
	_, now := hours(p, r, simulated, 20, usual, true)
	found, _ := hours(p, r, now, 2, other, false)
	if len(found) > 0 || p.clients["lab"].compared > 20 {
		t.Errorf("%v, %v hours", found, p.clients["lab"].compared)
	}
	for i := range 2 * mostProfiles {
		p.Observe(telemetry.Request{Operation: "openChallenge", Client: fmt.Sprint("client-", i), Claim: fmt.Sprint("claim/", i%20)})
	}
	if len(p.clients) != mostProfiles {
		t.Errorf("%d profiles", len(p.clients))
	}
	for range idleHours + 5 {
		now = now.Add(time.Hour)
		p.Tick(now, true)
	}
	if len(p.clients) != 0 {
		t.Errorf("%d profiles of clients that are idle", len(p.clients))
	}
}

// TestProfilesHaveNoFalseAlarms: two months of four clients.
func TestProfilesHaveNoFalseAlarms(t *testing.T) {
	t.Parallel()
	n := 0
	for seed := range uint64(4) {
		p, r := NewProfiles(), rand.New(rand.NewPCG(seed, 4))
		p.Tick(simulated, true)
		found, _ := hours(p, r, simulated, 60*24, habits{30, "open/1", 0.9, 2, 700}, true)
		for _, v := range found {
			t.Log(v.Sentence)
		}
		n += len(found)
	}
	if n > 0 {
		t.Errorf("%d false alarms in eight months of clients", n)
	}
}

func TestProfilesState(t *testing.T) {
	t.Parallel()
	p, r := NewProfiles(), rand.New(rand.NewPCG(1, 5))
	p.Tick(simulated, true)
	_, now := hours(p, r, simulated, 80, usual, true)
	saved := p.Save()
	again := NewProfiles()
	if err := again.Restore(saved); err != nil {
		t.Fatal(err)
	}
	again.hour = p.hour
	twice := NewProfiles()
	if err := twice.Restore(again.Save()); err != nil || !bytes.Equal(twice.Save(), again.Save()) {
		t.Error("the state differs after it was restored", err)
	}
	found, _ := hours(again, r, now, 1, habits{3000, "set/1", 0.5, 0.3, 900}, true)
	if len(found) != 1 {
		t.Errorf("%v", found)
	}
	damaged(t, saved, func(b []byte) error { return NewProfiles().Restore(b) })
}
