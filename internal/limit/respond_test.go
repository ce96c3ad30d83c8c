package limit_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/limit"
)

func prefix(text string) limit.Subject { return limit.Subject{Prefix: netip.MustParsePrefix(text)} }

// inForce are settings whose penalties are in force.
func inForce(s *limit.Settings) { s.Response.DryRun = false }

// punish punishes a subject so many times, each time when the penalty before has ended.
func punish(t *testing.T, l *limit.Limits, now time.Time, s limit.Subject, times int) (limit.Penalty, time.Time) {
	t.Helper()
	var p limit.Penalty
	for i := range times {
		var err error
		if p, err = l.Punish(now, s, "too many wrong tags"); err != nil {
			t.Fatal(err)
		}
		if i < times-1 {
			now = p.Until
		}
	}
	return p, now
}

// others makes requests of other sources, so that the blocked ones are a small share.
func others(l *limit.Limits, now time.Time, n int) {
	for i := range n {
		l.Admit(now, stranger(uint64(i)), limit.Issue, "", 0)
	}
}

// TestPunish: the steps of the ladder, how long each lasts, and what it does.
func TestPunish(t *testing.T) {
	s := from4("192.0.2.1")
	subject := limit.SubjectOf(s)
	for strikes, want := range []struct {
		step  limit.Step
		lasts time.Duration
		ok    int // of 20 requests at once
		scope limit.Scope
		retry time.Duration
	}{
		{limit.NoStep, 0, 20, 0, 0},
		{limit.Costly, 5 * time.Minute, 10, limit.Address, 400 * time.Millisecond},
		{limit.Slow, 5 * time.Minute, 5, limit.Address, 3200 * time.Millisecond},
		{limit.Blocked, 5 * time.Minute, 0, limit.PenaltyScope, 5 * time.Minute},
		{limit.Blocked, 10 * time.Minute, 0, limit.PenaltyScope, 10 * time.Minute},
		{limit.Blocked, 20 * time.Minute, 0, limit.PenaltyScope, 20 * time.Minute},
	} {
		l := limits(t, inForce)
		p, now := punish(t, l, start, subject, strikes)
		if p.Step != want.step || strikes > 0 && (p.Until.Sub(now) != want.lasts || p.Strikes != strikes) {
			t.Errorf("strike %d: %v for %v", strikes, p.Step, p.Until.Sub(now))
		}
		others(l, now, 1000)
		ok, last := 0, limit.Decision{}
		for range 20 {
			if d := l.Admit(now, s, limit.Issue, "", 0); d.OK {
				ok++
			} else if last.RetryAfter == 0 {
				last = d
			}
		}
		if ok != want.ok || last.Scope != want.scope || last.RetryAfter != want.retry {
			t.Errorf("strike %d: %d admitted, then %v after %v; want %d, %v, %v", strikes, ok, last.Scope, last.RetryAfter, want.ok, want.scope, want.retry)
		}
		if strikes >= int(limit.Blocked) && !l.Admit(now, s, limit.Health, "", 0).OK {
			t.Error("a health check is blocked")
		}
		if ok, _ := admit(l, now, from4("192.0.2.2"), limit.Issue, 20); ok != 20 {
			t.Errorf("strike %d: %d requests of a neighbour admitted, want 20", strikes, ok)
		}
		if ok, _ := admit(l, p.Until.Add(time.Minute), s, limit.Issue, 30); strikes > 0 && ok != 20 {
			t.Errorf("strike %d: %d admitted when it had ended, want 20", strikes, ok)
		}
	}
	if p, _ := punish(t, limits(t, inForce), start, subject, 30); p.Until.Sub(p.Since) != 24*time.Hour {
		t.Errorf("the thirtieth penalty lasts %v, want 24h", p.Until.Sub(p.Since))
	}
}

// TestPunishTwice: a penalty that is new or blocks does not become more severe, and one
// that ended a day ago is forgotten.
func TestPunishTwice(t *testing.T) {
	l := limits(t, inForce)
	subject := prefix("192.0.2.1/32")
	now := start
	for _, c := range []struct {
		after time.Duration // the last one
		want  limit.Step
		n     int
	}{
		{0, limit.Costly, 1},
		{59 * time.Second, limit.Costly, 1},
		{time.Second, limit.Slow, 2},
		{time.Minute, limit.Blocked, 3},
		{time.Minute, limit.Blocked, 3},
		{4 * time.Minute, limit.Blocked, 4},
		{10*time.Minute + 24*time.Hour + 1, limit.Costly, 1},
	} {
		now = now.Add(c.after)
		p, err := l.Punish(now, subject, "again")
		if err != nil || p.Step != c.want || p.Strikes != c.n {
			t.Errorf("after %v: %v, strike %d, %v; want %v, strike %d", c.after, p.Step, p.Strikes, err, c.want, c.n)
		}
	}
}

// TestSharedPrefix: what several clients share is lowered and never blocked.
func TestSharedPrefix(t *testing.T) {
	for text, addr := range map[string]string{
		"192.0.2.0/24": "192.0.2.%d", "192.0.0.0/16": "192.0.%d.1", "2001:db8:0:100::/56": "2001:db8:0:1%02x::1", "2001:db8::/48": "2001:db8:0:%02x00::1", "2001:db8::/32": "2001:db8:%x::1",
	} {
		l := limits(t, inForce)
		p, now := punish(t, l, start, prefix(text), 20)
		if p.Step != limit.Slow {
			t.Errorf("%s: %v after 20 strikes", text, p.Step)
		}
		factor := map[int]int{24: 8, 56: 8, 16: 32, 48: 32, 32: 128}[p.Subject.Prefix.Bits()]
		ok := 0
		for n := range 20 * factor {
			ok += admitted(l.Admit(now, from4(fmt.Sprintf(addr, n%200)), limit.Issue, "", 0).OK)
		}
		if want := 20 * factor / 4; ok != want {
			t.Errorf("%s: %d requests admitted, want %d", text, ok, want)
		}
	}
}

// TestDryRun: without force penalties are listed, count what they would refuse, and change
// nothing.
func TestDryRun(t *testing.T) {
	l := limits(t, func(*limit.Settings) {})
	s := from4("192.0.2.1")
	_, now := punish(t, l, start, limit.SubjectOf(s), 3)
	if ok, _ := admit(l, now, s, limit.Issue, 30); ok != 20 {
		t.Errorf("%d requests admitted in a dry run, want 20", ok)
	}
	if all := l.Penalties(now); len(all) != 1 || all[0].Refused != 30 || all[0].Step != limit.Blocked {
		t.Errorf("penalties: %+v", all)
	}
}

// TestShare: blocks refuse no more than their share of the requests that the quotas admit.
// A source with much of the traffic is slowed and not blocked.
func TestShare(t *testing.T) {
	l := limits(t, inForce)
	client := limit.Source{Addr: netip.MustParseAddr("192.0.2.1"), Client: "gateway"}
	_, now := punish(t, l, start, limit.SubjectOf(client), 3)
	asked, blocked, ok := 0, 0, 0
	for i := range 60_000 { // one minute: 50 requests a second of the client, 50 of others
		at := now.Add(time.Duration(i) * time.Millisecond)
		switch i % 20 {
		case 0:
			asked++
			if d := l.Admit(at, client, limit.Read, "", 0); d.OK {
				ok++
			} else if d.Scope == limit.PenaltyScope {
				blocked++
			}
		case 10:
			l.Admit(at, stranger(uint64(i)), limit.Read, "", 0)
		}
	}
	if most := (asked + asked) / 20; blocked > most+1 || blocked < most-5 || ok+blocked != asked {
		t.Errorf("of %d requests of a client with half of the traffic %d were blocked and %d admitted, want %d blocked", asked, blocked, ok, most)
	}
	if got := l.Stats(); got.Spared != uint64(ok) || got.Refused[limit.PenaltyScope] != uint64(blocked) {
		t.Errorf("counted: %d spared, %d refused by penalties", got.Spared, got.Refused[limit.PenaltyScope])
	}
}

// TestFloodOfTheBlocked: a source that sends more when it is blocked does not raise its
// share, which counts what its quota would admit.
func TestFloodOfTheBlocked(t *testing.T) {
	l := limits(t, inForce)
	s := from4("192.0.2.1")
	_, now := punish(t, l, start, limit.SubjectOf(s), 3)
	ok := 0
	for i := range 60_000 { // 1,000 requests a second of the source, 100 of others
		at := now.Add(time.Duration(i) * time.Millisecond)
		if i%10 == 0 {
			l.Admit(at, stranger(uint64(i)), limit.Issue, "", 0)
		}
		if i >= 1000 {
			ok += admitted(l.Admit(at, s, limit.Issue, "", 0).OK)
		}
	}
	if ok > 0 {
		t.Errorf("%d requests of a blocked source were admitted", ok)
	}
}

// TestNotPunished: what is exempt, shared by all, or no subject.
func TestNotPunished(t *testing.T) {
	l := limits(t, func(s *limit.Settings) {
		s.Response.Exempt = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8:1::/48")}
	})
	for text, want := range map[string]error{
		"10.1.2.3/32": limit.ErrExempt, "10.1.2.0/24": limit.ErrExempt, "2001:db8:1:2::/64": limit.ErrExempt, "2001:db8::/32": limit.ErrExempt,
		"127.0.0.1/32": limit.ErrExempt, "::/64": limit.ErrExempt, "::/48": limit.ErrExempt,
		"0.0.0.0/0": limit.ErrSubject, "10.0.0.0/8": limit.ErrSubject, "2001:db8::1/128": limit.ErrSubject, "10.2.2.3/24": limit.ErrSubject,
		"10.2.2.3/32": nil, "10.2.2.0/24": nil,
	} {
		if _, err := l.Punish(start, prefix(text), "x"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	for _, s := range []limit.Subject{{}, {Client: "a", Prefix: netip.MustParsePrefix("10.2.2.3/32")}, limit.SubjectOf(limit.Source{})} {
		if _, err := l.Punish(start, s, "x"); !errors.Is(err, limit.ErrSubject) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestMost: the number of penalties is bounded. One that has ended makes room.
func TestMost(t *testing.T) {
	l := limits(t, func(s *limit.Settings) { s.Response.Most = 3 })
	for n := range 3 {
		if _, err := l.Punish(start, limit.Subject{Client: fmt.Sprint("c", n)}, strings.Repeat("x", 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Punish(start, limit.Subject{Client: "c3"}, ""); !errors.Is(err, limit.ErrMost) {
		t.Errorf("a fourth penalty: %v", err)
	}
	all := l.Penalties(start)
	if len(all) != 3 || all[0].Subject.Client != "c0" || len(all[0].Reason) != 200 || all[0].Subject.String() != "client:c0" {
		t.Errorf("penalties: %+v", all)
	}
	if !l.Lift(limit.Subject{Client: "c1"}) || l.Lift(limit.Subject{Client: "c1"}) {
		t.Error("a penalty is not lifted once")
	}
	if _, err := l.Punish(start, limit.Subject{Client: "c3"}, ""); err != nil {
		t.Errorf("a penalty in the place of one that was lifted: %v", err)
	}
	later := start.Add(6 * time.Minute)
	if got := l.Penalties(later); len(got) != 0 {
		t.Errorf("%d penalties are in force after their time", len(got))
	}
	if _, err := l.Punish(later, limit.Subject{Client: "c4"}, ""); err != nil {
		t.Errorf("a penalty in the place of one that has ended: %v", err)
	}
}

func TestParseSubject(t *testing.T) {
	for _, text := range []string{"client:sensor-1", "network:192.0.2.0/24", "network:2001:db8::/48", "network:192.0.2.1/32"} {
		if s, err := limit.ParseSubject(text); err != nil || s.String() != text {
			t.Errorf("%q is %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "server", "client:", "network:", "network:192.0.2.1", "192.0.2.0/24", "network:x/24"} {
		if s, err := limit.ParseSubject(text); !errors.Is(err, limit.ErrSubject) {
			t.Errorf("%q is %v, %v", text, s, err)
		}
	}
	for want, s := range map[string]limit.Source{
		"network:192.0.2.1/32": from4("::ffff:192.0.2.1"), "network:2001:db8::/64": from4("2001:db8::1"), "client:a": {Client: "a", Addr: netip.MustParseAddr("192.0.2.1")},
	} {
		if got := limit.SubjectOf(s).String(); got != want {
			t.Errorf("the subject of %v is %s, want %s", s, got, want)
		}
	}
}
