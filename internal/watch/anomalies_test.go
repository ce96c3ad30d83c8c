package watch_test

import (
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/anomaly/inject"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// server is what a server does with its events, in their own time: detectors, counters and
// the alert engine, wired as in package node.
type server struct {
	*watch.Engine
	tally  *watch.Tally
	player *anomaly.Player
	fired  map[string]watch.Alert // the first of each rule and scope, of findings alone
}

func newServer(began time.Time) *server {
	s := &server{Engine: watch.New(began, watch.Options{}), tally: watch.NewTally(4096, 0), fired: make(map[string]watch.Alert)}
	s.player = &anomaly.Player{Set: anomaly.NewSet(), Tick: s.tick}
	return s
}

// Request implements [telemetry.Observer].
func (s *server) Request(r telemetry.Request) {
	s.player.Request(r)
	s.tally.Request(r)
}

// Change implements [telemetry.Observer].
func (s *server) Change(c telemetry.Change) {
	s.player.Change(c)
	s.tally.Change(c)
}

func (s *server) tick(now time.Time) (alerted bool) {
	in := s.tally.Take(15*time.Second, 4)
	in.Findings = watch.FindingsOf(s.player.Set.Live(now))
	s.Tick(now, &in)
	for _, a := range s.Alerts(now) {
		key := a.Rule + " " + a.Scope
		if _, known := s.fired[key]; !known && a.State == watch.Firing && a.Sentence != "" {
			s.fired[key] = a
		}
	}
	return !s.Teaches()
}

// ruleNames are the rules of detectors.
var ruleNames = map[anomaly.Detector]string{
	anomaly.Series: "AnomalySeries", anomaly.Rate: "AnomalyRate", anomaly.Correlate: "AnomalyPattern", anomaly.Prover: "AnomalyProver",
	anomaly.Behaviour: "AnomalyClient", anomaly.Impossible: "ImpossibleEvent",
}

// usual are the baselines of a server with 36 hours of traffic, or 26 in a short test.
func usual(t *testing.T) (state []byte, until time.Time) {
	t.Helper()
	began := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	s := newServer(began)
	if testing.Short() {
		began = began.Add(10 * time.Hour)
	}
	until = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	traffic := inject.NewTraffic(1, perMinute)
	for at := began; at.Before(until); at = at.Add(time.Minute) {
		traffic.Minute(at, s)
	}
	if len(s.fired) > 0 {
		t.Errorf("without an attack: %v", s.fired)
	}
	return s.player.Set.Save(until), until
}

// perMinute is the mean number of requests a minute.
const perMinute = 400

// TestAttacksAlert: each attack of the injector ends in an alert of a detector that is meant
// to find it, with a sentence about it, on a server whose baselines are restored.
func TestAttacksAlert(t *testing.T) {
	t.Parallel()
	state, began := usual(t)
	for _, a := range inject.Attacks() {
		if a.Factor > 1 && a.Factor < 5 && strings.HasPrefix(a.Name, "distributed") {
			continue // hours; package inject measures them
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			s := newServer(began)
			if _, err := s.player.Set.Restore(state); err != nil {
				t.Fatal(err)
			}
			traffic := inject.NewTraffic(7, perMinute)
			start := began.Add(30 * time.Minute)
			mixer := inject.NewMixer(&a, 7, start, s)
			for at := began; at.Before(start.Add(a.Length)); at = at.Add(time.Minute) {
				traffic.Minute(at, mixer)
				if alert, found := s.about(&a); found {
					if at.Before(start) {
						t.Errorf("before the attack: %s", alert.Sentence)
					}
					t.Logf("after %s: %s %s: %s", at.Sub(start), alert.Rule, alert.Scope, alert.Sentence)
					return
				}
			}
			t.Errorf("no alert; others: %v", s.fired)
		})
	}
}

// about returns an alert of a detector that is meant to find an attack.
func (s *server) about(a *inject.Attack) (watch.Alert, bool) {
	for _, d := range a.Finds {
		for _, alert := range s.fired {
			scoped := len(a.Scopes) == 0 || slices.ContainsFunc(a.Scopes, func(scope string) bool { return strings.HasPrefix(alert.Scope, scope) })
			if alert.Rule == ruleNames[d] && scoped {
				return alert, true
			}
		}
	}
	return watch.Alert{}, false
}

// TestImpossibleAlerts: what is impossible pages at the next tick, with its sentence, and a
// storm of it is one alert.
func TestImpossibleAlerts(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	answer := func(n byte, proof byte, cause telemetry.Cause) telemetry.Request {
		r := telemetry.Request{Operation: "sendProof", Client: "north", Source: netip.MustParseAddr("192.0.2.1"), Claim: "range/1", ID: protocol.RequestID{n}, Mark: telemetry.Mark{proof}, Cause: cause}
		if cause != telemetry.NoCause {
			r.Code = protocol.CodeProofRejected
		}
		return r
	}
	for name, c := range map[string]struct {
		requests []telemetry.Request
		change   telemetry.Change
		scope    string
		says     string
	}{
		"replayed proof": {requests: []telemetry.Request{answer(1, 9, telemetry.NoCause), answer(2, 9, telemetry.FalseProof), answer(3, 9, telemetry.FalseProof)}, scope: "client:north", says: "came again under another request"},
		"tag of another": {requests: []telemetry.Request{answer(1, 9, telemetry.ForeignTag)}, scope: "client:north", says: "of another client with its right tag"},
		"anchor":         {requests: []telemetry.Request{answer(1, 9, telemetry.RepeatedAnchor)}, scope: "client:north", says: "an anchor for the second time"},
		"clock back":     {change: telemetry.Change{Kind: telemetry.ClockStepped, Value: -30}, scope: "server", says: "ran back by 30 s"},
		"roots":          {change: telemetry.Change{Kind: telemetry.LedgerFailing, Subject: "diverged", Value: 1}, scope: "server", says: "differs from the journal"},
		"keyholder":      {change: telemetry.Change{Kind: telemetry.KeyholderBreached, Subject: "signer", Value: 1}, scope: "server", says: "The signer answered what was not asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(at)
			for i, r := range c.requests {
				r.At = at.Add(time.Duration(i) * time.Second)
				s.Request(r)
			}
			if c.change.At = at; c.change.Kind != 0 {
				s.Change(c.change)
			}
			s.Request(telemetry.Request{At: at.Add(31 * time.Second), Operation: "getStatus"})
			alert, found := s.fired["ImpossibleEvent "+c.scope]
			if !found || alert.Severity != watch.Page || !strings.Contains(alert.Sentence, c.says) || alert.Runbook != "docs/runbooks/anomalies.md" {
				t.Errorf("%+v of %v", alert, s.fired)
			}
		})
	}
}

// TestRecordedQuiet: events of a real server under normal load, with a rotation, a restart
// and a deploy, which scripts/record-quiet.sh has recorded, lead to no alert of a detector:
// once in their own time, and many times over until everything is past its warm-up.
func TestRecordedQuiet(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../anomaly/testdata/quiet-*.jsonl.gz")
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	times := 24
	if testing.Short() {
		times = 8
	}
	var s *server
	shift := &shifted{}
	for range times {
		for _, name := range names {
			shift.begin()
			replay(t, name, func(at time.Time) telemetry.Observer {
				if s == nil {
					s = newServer(at)
				}
				shift.to = s
				return shift
			})
		}
	}
	for key, a := range s.fired {
		t.Errorf("%s: %s", key, a.Sentence)
	}
	if stats := s.player.Set.Stats(); !testing.Short() && stats.SeriesWarm < 20 {
		t.Errorf("%+v", stats)
	}
	t.Logf("%d events in %s; %+v", shift.n, shift.last.Sub(shift.first), s.player.Set.Stats())
}

// shifted moves events in time, so that each record follows the one before.
type shifted struct {
	to          telemetry.Observer
	by          time.Duration
	moved       bool // by is set for this record
	first, last time.Time
	n           int
}

// between is the time between two records.
const between = 15 * time.Second

func (s *shifted) begin() { s.moved = false }

func (s *shifted) at(at time.Time) time.Time {
	if !s.moved {
		s.moved, s.by = true, 0
		if !s.last.IsZero() {
			s.by = s.last.Add(between).Sub(at)
		}
	}
	at = at.Add(s.by)
	if s.first.IsZero() {
		s.first = at
	}
	s.last = at
	s.n++
	return at
}

// Request implements [telemetry.Observer].
func (s *shifted) Request(r telemetry.Request) {
	r.At = s.at(r.At)
	if r.Mark != (telemetry.Mark{}) { // as a later process would mark it
		r.Mark[0] ^= byte(s.by / time.Second)
		r.Mark[1] ^= byte(s.by / time.Second >> 8)
		r.Mark[2] ^= byte(s.by / time.Second >> 16)
	}
	if r.Place != (telemetry.Mark{}) {
		r.Place[0] ^= byte(s.by / time.Second)
		r.Place[1] ^= byte(s.by / time.Second >> 8)
		r.Place[2] ^= byte(s.by / time.Second >> 16)
	}
	s.to.Request(r)
}

// Change implements [telemetry.Observer].
func (s *shifted) Change(c telemetry.Change) {
	c.At = s.at(c.At)
	s.to.Change(c)
}

// replay replays a compressed record into what to returns.
func replay(t *testing.T, name string, to func(time.Time) telemetry.Observer) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if lost, err := telemetry.Replay(z, to(time.Now())); err != nil || lost > 0 {
		t.Fatal(fmt.Errorf("%s: %d events were lost: %w", name, lost, err))
	}
}
