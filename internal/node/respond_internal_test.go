package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// scene is a responder that is fed by the alerts of counted requests, at times of its own.
type scene struct {
	*responder
	t        *testing.T
	tally    *watch.Tally
	engine   *watch.Engine
	at       time.Time
	log      bytes.Buffer
	reported []string
}

// tickEach is the time between two ticks of a scene, and windowOf the window, as usual.
const (
	tickEach = 15 * time.Second
	windowOf = time.Minute
)

func respondScene(t *testing.T, change func(*limit.Settings)) *scene {
	t.Helper()
	s := &scene{t: t, tally: watch.NewTally(100, 0), at: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	set := limit.Defaults()
	set.Response.DryRun = false
	change(&set)
	l, err := limit.New(s.at, set)
	if err != nil {
		t.Fatal(err)
	}
	s.engine = watch.New(s.at, watch.Options{})
	s.responder = newResponder(l, slog.New(slog.NewTextHandler(&s.log, nil)), func(kind telemetry.Kind, subject string, value float64) {
		s.reported = append(s.reported, fmt.Sprint(kind, " ", subject, " ", value))
	}, windowOf)
	return s
}

// tick counts so many requests of a source, and responds to the alerts that fire then.
func (s *scene) tick(client, addr string, cause telemetry.Cause, n int) {
	for range n {
		s.tally.Request(telemetry.Request{Client: client, Source: netip.MustParseAddr(addr), Cause: cause})
	}
	s.at = s.at.Add(tickEach)
	in := s.tally.Take(tickEach, int(windowOf/tickEach))
	s.engine.Tick(s.at, &in)
	s.respond(s.at, s.engine.Alerts(s.at))
}

// want compares the penalties in force, each as its subject and step.
func (s *scene) want(when string, want ...string) {
	s.t.Helper()
	got := []string{}
	for _, p := range s.Responses(s.at).Responses {
		got = append(got, p.Subject+" "+p.Step)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, want %q", when, got, want)
	}
}

func asSet(*limit.Settings) {}

// TestRespond: the network of an alert that fires is punished one step at a time, as long
// as it fails validations, and nothing else is.
func TestRespond(t *testing.T) {
	t.Parallel()
	const stranger, subject = "192.0.2.7", "network:192.0.2.0/24"
	s := respondScene(t, asSet)
	s.tick("", stranger, telemetry.WrongTag, 5)
	s.want("while the alert is pending")
	steps := []string{"costly", "slow", "slow"} // others may be in the network: it is not blocked
	for _, step := range steps {
		for range 20 { // of 15 s: a penalty lasts 5 min
			s.tick("", stranger, telemetry.WrongTag, 2)
			s.want("while it fails", subject+" "+step)
		}
	}
	if want := []string{"response_taken costly 1", "response_taken slow 1", "response_taken slow 1"}; !slices.Equal(s.reported, want) {
		t.Errorf("reported: %q, want %q", s.reported, want)
	}
	if n := strings.Count(s.log.String(), "penalty imposed"); n != 3 || !strings.Contains(s.log.String(), "scope="+subject+" rule=WrongTagsOfNetwork step=costly strikes=1 until=2026-11-29T12:05:30Z dry_run=false") {
		t.Errorf("%d lines: %s", n, s.log.String())
	}
	if d := s.limits.Admit(s.at, limit.Source{Addr: netip.MustParseAddr("198.51.100.1")}, limit.Issue, "", 0); !d.OK || d.Left != 19 {
		t.Errorf("a request from elsewhere: %+v", d)
	}
	for range 50 {
		s.tick("", stranger, telemetry.NoCause, 1)
	}
	s.want("when its failures and the last penalty are over")
}

// TestScopesOfNetworksArePrivate: with pseudonyms, neither the line of a penalty nor that of
// an alert names a network, and both have the same pseudonym.
func TestScopesOfNetworksArePrivate(t *testing.T) {
	t.Parallel()
	s := respondScene(t, asSet)
	s.private = telemetry.NewPseudonyms()
	for range 2 {
		s.tick("", "192.0.2.7", telemetry.WrongTag, 5)
	}
	w := &watcher{log: s.responder.log, private: s.private}
	w.announce(&watch.Notice{Event: watch.IncidentFired, Severity: watch.Page, Alerts: s.engine.Alerts(s.at)})
	text, scope := s.log.String(), "scope="+s.private.Scope("network:192.0.2.0/24")+" "
	if strings.Contains(text, "192.0.2") || strings.Count(text, scope) != 2 || !strings.Contains(text, "alert fires") || !strings.Contains(text, "penalty imposed") {
		t.Errorf("%s\nwant no network, and twice %s", text, scope)
	}
}

// TestRespondToClients: a client with an API key is punished itself, up to a block, and
// not its network.
func TestRespondToClients(t *testing.T) {
	t.Parallel()
	s := respondScene(t, asSet)
	s.tick("north", "192.0.2.7", telemetry.FalseProof, 5)
	for _, step := range []string{"costly", "slow", "blocked"} {
		for range 20 {
			s.tick("north", "192.0.2.7", telemetry.FalseProof, 2)
			s.want("while it fails", "client:north "+step)
		}
	}
}

// TestRespondNot: what is not about the failures of one source leads to nothing, whatever
// a stranger sends, nor what is exempt, explained or switched off.
func TestRespondNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*limit.Settings)
		addr   string // where the failures come from; "" is as many networks as there are failures
		cause  telemetry.Cause
		before func(*scene)
	}{
		"many networks, a few failures each": {asSet, "", telemetry.WrongTag, nil},
		"overload":                           {asSet, "192.0.2.7", telemetry.Overloaded, nil},
		"quotas":                             {asSet, "192.0.2.7", telemetry.Limited, nil},
		"slow clients":                       {asSet, "192.0.2.7", telemetry.Slow, nil},
		"faults of the server":               {asSet, "192.0.2.7", telemetry.Fault, nil},
		"malformed requests":                 {asSet, "192.0.2.7", telemetry.Malformed, nil},
		"this machine":                       {asSet, "127.0.0.1", telemetry.WrongTag, nil},
		"this machine by IPv6":               {asSet, "::1", telemetry.WrongTag, nil},
		"a trusted proxy": {func(s *limit.Settings) {
			s.Response.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}
		}, "192.0.2.7", telemetry.WrongTag, nil},
		"switched off": {func(s *limit.Settings) { s.Response.Most = 0 }, "192.0.2.7", telemetry.WrongTag, nil},
		"a silence": {asSet, "192.0.2.7", telemetry.WrongTag, func(s *scene) {
			if _, err := s.engine.Silence(s.at, watch.Silence{Rule: "*", Scope: "network:192.0.2.0/24", Author: "uid 1", Reason: "test", Until: s.at.Add(time.Hour)}); err != nil {
				s.t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := respondScene(t, c.change)
			if c.before != nil {
				c.before(s)
			}
			for tick := range 10 {
				if c.addr != "" {
					s.tick("", c.addr, c.cause, 700)
					continue
				}
				for i := range 200 {
					s.tally.Request(telemetry.Request{Source: netip.AddrFrom4([4]byte{10, byte(tick), byte(i), 1}), Cause: c.cause})
				}
				s.tick("", "192.0.2.7", telemetry.NoCause, 1)
			}
			fires := slices.ContainsFunc(s.engine.Alerts(s.at), func(a watch.Alert) bool { return a.State == watch.Firing })
			if !fires {
				t.Error("no alert fires")
			}
			if s.want("at the end"); len(s.reported) > 0 || s.log.Len() > 0 {
				t.Errorf("reported: %q, %s", s.reported, s.log.String())
			}
		})
	}
}

// TestRespondDryRun: a dry run lists and logs what would be done, and admits what would be
// refused.
func TestRespondDryRun(t *testing.T) {
	t.Parallel()
	s := respondScene(t, func(set *limit.Settings) { set.Response.DryRun = true })
	for range 45 {
		s.tick("north", "192.0.2.7", telemetry.WrongTag, 2)
	}
	s.want("in a dry run", "client:north blocked")
	for i := range 50 {
		if d := s.limits.Admit(s.at, limit.Source{Addr: netip.MustParseAddr("192.0.2.7"), Client: "north"}, limit.Submit, "", 0); !d.OK {
			t.Errorf("request %d is refused: %+v", i, d)
		}
	}
	list := s.Responses(s.at)
	if list.Mode != admin.ResponseDryRun || list.Responses[0].Refused != 50 || list.Responses[0].Rule != "WrongTagsOfClient" {
		t.Errorf("%+v", list)
	}
	if want := []string{"response_taken costly 0", "response_taken slow 0", "response_taken blocked 0"}; !slices.Equal(s.reported, want) {
		t.Errorf("reported: %q, want %q", s.reported, want)
	}
}

// TestLift: a penalty that is lifted is over, does not come back for an hour although the
// alert fires, and begins with the first step then.
func TestLift(t *testing.T) {
	t.Parallel()
	s := respondScene(t, asSet)
	fail := func(ticks int) {
		for range ticks {
			s.tick("north", "192.0.2.7", telemetry.WrongTag, 2)
		}
	}
	north := limit.Subject{Client: "north"}
	if err := s.Lift(s.at, north); protocol.CodeOf(err) != protocol.CodeNotFound {
		t.Errorf("lifted before there is a penalty: %v", err)
	}
	fail(30)
	s.want("before", "client:north slow")
	if err := s.Lift(s.at, north); err != nil {
		t.Error(err)
	}
	s.want("at once")
	fail(239)
	s.want("within an hour")
	fail(1)
	s.want("after it", "client:north costly")
}

// TestRespondFull: what finds no room is logged once a window.
func TestRespondFull(t *testing.T) {
	t.Parallel()
	s := respondScene(t, func(set *limit.Settings) { set.Response.Most = 1 })
	if _, err := s.limits.Punish(s.at.Add(time.Hour), limit.Subject{Client: "south"}, "WrongTagsOfClient"); err != nil {
		t.Fatal(err)
	}
	for range 9 {
		s.tick("north", "192.0.2.7", telemetry.WrongTag, 5)
	}
	if n := strings.Count(s.log.String(), "penalty not imposed"); n != 2 || len(s.reported) > 0 {
		t.Errorf("%d lines: %s", n, s.log.String())
	}
}

// TestPunishedRules: every rule about one source leads to a penalty, and no other.
func TestPunishedRules(t *testing.T) {
	t.Parallel()
	var of []string
	for _, r := range watch.Rules() {
		if r.Scope != watch.Global {
			of = append(of, r.Name)
		}
	}
	if !slices.Equal(of, punished) {
		t.Errorf("rules about one source: %q; those that punish: %q", of, punished)
	}
}
