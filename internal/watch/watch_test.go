package watch_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/watch"
)

// base is when every test begins. A tick is a second, and so is the time that alerts are
// kept.
var base = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// bench is an engine with its clock.
type bench struct {
	*watch.Engine
	t   *testing.T
	now time.Time
}

func start(t *testing.T) *bench {
	t.Helper()
	return &bench{watch.New(base, watch.Options{Keep: time.Second}), t, base}
}

// quiet is the input of a server where nothing happens.
func quiet() *watch.Input {
	in := &watch.Input{Window: time.Minute, Gauges: watch.NoGauges()}
	for g, v := range map[watch.Gauge]float64{
		watch.LedgerLag: 0, watch.LedgerStopped: 0, watch.JournalFailing: 0, watch.CheckpointAge: 0, watch.EpochAge: 0.5, watch.EpochFill: 0.5,
		watch.NoEpoch: 0, watch.Frozen: 0, watch.DiskFree: 0.5, watch.CertificateDays: 60, watch.ClockStep: 0, watch.UndeliveredMinutes: 0, watch.UncosignedMinutes: 0,
	} {
		in.Gauges[g] = v
	}
	in.Global[watch.Requests], in.Global[watch.Pushes] = 10_000, 100
	for i := range in.Classes {
		in.Classes[i].Served = 10_000
	}
	return in
}

// ticks lets seconds pass with one input, and returns the notices.
func (b *bench) ticks(n int, in *watch.Input) (all []watch.Notice) {
	for range n {
		b.now = b.now.Add(time.Second)
		all = append(all, b.Tick(b.now, in)...)
	}
	return all
}

// state returns the state of an alert, "" if it is not listed.
func (b *bench) state(rule, scope string) watch.State {
	for _, a := range b.Alerts(b.now) {
		if a.Rule == rule && a.Scope == scope {
			return a.State
		}
	}
	return ""
}

// words are the events of notices.
func words(notices []watch.Notice) (all []string) {
	for i := range notices {
		all = append(all, strings.TrimPrefix(string(notices[i].Event), "alert."))
	}
	return all
}

func (b *bench) want(what string, got []watch.Notice, events ...string) {
	b.t.Helper()
	if !slices.Equal(words(got), events) {
		b.t.Errorf("%s: %q, want %q", what, words(got), events)
	}
}

// with changes a quiet input.
func with(changes ...func(*watch.Input)) *watch.Input {
	in := quiet()
	for _, change := range changes {
		change(in)
	}
	return in
}

func global(c watch.Counter, n uint32) func(*watch.Input) {
	return func(in *watch.Input) { in.Global[c] = n }
}

func set(g watch.Gauge, v float64) func(*watch.Input) {
	return func(in *watch.Input) { in.Gauges[g] = v }
}

// submits is the class of answers to challenges among telemetry.Classes.
const submits = 3

func overloaded(n uint32) func(*watch.Input) {
	return func(in *watch.Input) { in.Classes[submits].Overloaded = n }
}

func faults(n uint32) func(*watch.Input) {
	return func(in *watch.Input) { in.Classes[submits].Faults = n }
}

func client(name string, c watch.Counter, n uint32) func(*watch.Input) {
	return func(in *watch.Input) {
		s := watch.Source{Name: name}
		s.Counts[c] = n
		in.Clients = append(in.Clients, s)
	}
}

func net(name string, c watch.Counter, n uint32) func(*watch.Input) {
	return func(in *watch.Input) {
		s := watch.Source{Name: name}
		s.Counts[c] = n
		in.Networks = append(in.Networks, s)
	}
}

// one is a rule with an input at which it fires, one just short of it, and one at which it
// stays as it is: below its threshold, and not clear.
type one struct {
	rule, scope         string
	fires, not, between func(*watch.Input)
}

func counts(rule string, c watch.Counter, fires, between uint32) one {
	return one{rule, watch.ScopeServer, global(c, fires), global(c, fires-1), global(c, between)}
}

func gauges(rule string, g watch.Gauge, fires, not, between float64) one {
	return one{rule, watch.ScopeServer, set(g, fires), set(g, not), set(g, between)}
}

// found is a finding of a rule, whose score is its value.
func found(rule, scope string) one {
	scored := func(score float64) func(*watch.Input) {
		return func(in *watch.Input) {
			in.Findings = append(in.Findings, watch.Finding{Rule: rule, Scope: scope, Score: score - 0.1, Sentence: "less"}, watch.Finding{Rule: rule, Scope: scope, Score: score, Sentence: "seen and expected"})
		}
	}
	return one{rule, scope, scored(1), scored(0.9), scored(0.85)}
}

// cases has every rule of the table.
var cases = []one{
	{"WrongTagsOfClient", "client:north", client("north", watch.WrongTags, 5), client("north", watch.WrongTags, 4), client("north", watch.WrongTags, 2)},
	{"WrongTagsOfNetwork", "network:192.0.2.0/24", net("192.0.2.0/24", watch.WrongTags, 5), net("192.0.2.0/24", watch.WrongTags, 4), net("192.0.2.0/24", watch.WrongTags, 2)},
	counts("WrongTags", watch.WrongTags, 20, 6),
	counts("UnknownRequests", watch.UnknownRequests, 60, 21),
	{"FalseProofsOfClient", "client:north", client("north", watch.FalseProofs, 5), client("north", watch.FalseProofs, 4), client("north", watch.FalseProofs, 2)},
	{"FalseProofsOfNetwork", "network:2001:db8::/48", net("2001:db8::/48", watch.FalseProofs, 5), net("2001:db8::/48", watch.FalseProofs, 4), net("2001:db8::/48", watch.FalseProofs, 2)},
	counts("FalseProofs", watch.FalseProofs, 20, 6),
	counts("MalformedProofs", watch.MalformedProofs, 60, 21),
	counts("MalformedRequests", watch.Malformed, 600, 201),
	{"WrongKeysOfNetwork", "network:192.0.2.0/24", net("192.0.2.0/24", watch.WrongKeys, 5), net("192.0.2.0/24", watch.WrongKeys, 4), net("192.0.2.0/24", watch.WrongKeys, 2)},
	counts("WrongKeys", watch.WrongKeys, 60, 21),
	counts("SlowClients", watch.Slow, 60, 21),
	counts("QuotasExhausted", watch.Limited, 5000, 2001),
	counts("QuotaOverflow", watch.QuotaOverflow, 600, 61),
	{"Overload", watch.ScopeServer, overloaded(500), overloaded(499), overloaded(101)},
	counts("OverloadRate", watch.Overloaded, 600, 121),
	{"ServerFaults", watch.ScopeServer, faults(200), faults(199), faults(51)},
	counts("ServerFaultRate", watch.Faults, 30, 6),
	counts("ProverErrors", watch.ProverErrors, 10, 3),
	counts("ProverDeaths", watch.ProverDeaths, 2, 1),
	counts("KeyholderDeaths", watch.KeyholderDeaths, 1, 1),
	counts("TagDisagreement", watch.Disagreements, 1, 1),
	gauges("NoEpoch", watch.NoEpoch, 1, 0, 1),
	gauges("EpochTooOld", watch.EpochAge, 1.25, 1.24, 1.06),
	gauges("EpochNearlyFull", watch.EpochFill, 0.95, 0.94, 0.91),
	gauges("JournalFailing", watch.JournalFailing, 1, 0, 1),
	gauges("LedgerStopped", watch.LedgerStopped, 1, 0, 1),
	gauges("LedgerLag", watch.LedgerLag, 0.5, 0.49, 0.11),
	gauges("CheckpointTooOld", watch.CheckpointAge, 60, 59, 31),
	gauges("Frozen", watch.Frozen, 1, 0, 1),
	gauges("DiskFull", watch.DiskFree, 0.05, 0.051, 0.07),
	gauges("DiskLow", watch.DiskFree, 0.15, 0.151, 0.17),
	gauges("CertificateExpires", watch.CertificateDays, 3, 3.1, 3.9),
	gauges("CertificateExpiresSoon", watch.CertificateDays, 21, 21.1, 21.9),
	gauges("ClockStepped", watch.ClockStep, 2, 1.9, 1.5),
	counts("EventsLost", watch.EventsLost, 100, 11),
	counts("NotifierDeaths", watch.NotifierDeaths, 2, 1),
	counts("AlertsDropped", watch.AlertsDropped, 1, 1),
	gauges("AlertsUndelivered", watch.UndeliveredMinutes, 10, 9, 5),
	gauges("CosignerFailing", watch.UncosignedMinutes, 10, 9, 5),
	found("ImpossibleEvent", "server"),
	found("AnomalyConfirmed", "network:192.0.2.0/24"),
	found("AnomalyRate", "client:north"),
	found("AnomalyPattern", "server"),
	found("AnomalyProver", "prover:local"),
	found("AnomalyClient", "client:north"),
	found("AnomalySeries", "server"),
}

// TestRules: each rule fires at its threshold after its ticks, not short of it, stays
// between the thresholds, keeps firing once clear, and ends.
func TestRules(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, c := range cases {
		named[c.rule] = true
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			r := ruleOf(t, c.rule)
			b.ticks(10, with(c.not))
			if s := b.state(c.rule, c.scope); s != "" {
				t.Errorf("short of the threshold it is %s", s)
			}
			for i := range r.For {
				if s := b.state(c.rule, c.scope); s == watch.Firing {
					t.Errorf("it fires after %d ticks", i)
				}
				b.ticks(1, with(c.fires))
			}
			if s := b.state(c.rule, c.scope); s != watch.Firing {
				t.Errorf("after %d ticks it is %q", r.For, s)
			}
			b.ticks(10, with(c.between))
			if s := b.state(c.rule, c.scope); s != watch.Firing {
				t.Errorf("between the thresholds it is %q", s)
			}
			b.ticks(1, quiet())
			if s := b.state(c.rule, c.scope); s != watch.Clearing {
				t.Errorf("once clear it is %q", s)
			}
			b.ticks(1, quiet())
			if s := b.state(c.rule, c.scope); s != watch.Resolved {
				t.Errorf("after the time that it is kept it is %q", s)
			}
		})
	}
	for _, r := range watch.Rules() {
		if !named[r.Name] {
			t.Errorf("rule %s has no case", r.Name)
		}
	}
}

func ruleOf(t *testing.T, name string) watch.Rule {
	t.Helper()
	for _, r := range watch.Rules() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no rule %s", name)
	return watch.Rule{}
}

// TestTable: the table is sound, and each runbook exists.
func TestTable(t *testing.T) {
	t.Parallel()
	rules := watch.Rules()
	known := map[string]bool{"freeze": true, "rotation": true}
	for i, r := range rules {
		if known[r.Name] || r.Reads == "" || r.Group == "" || r.For < 1 || r.Severity > watch.Page {
			t.Errorf("%+v", r)
		}
		known[r.Name] = true
		if r.Below && r.Clear <= r.Fire || !r.Below && r.Clear > r.Fire {
			t.Errorf("%s: fires at %v and clears at %v", r.Name, r.Fire, r.Clear)
		}
		if _, err := os.Stat(filepath.Join("..", "..", "docs", "runbooks", r.Runbook)); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		for _, by := range r.Inhibit {
			explains := by == "freeze" || by == "rotation" || slices.ContainsFunc(rules, func(o watch.Rule) bool { return o.Name == by && o.Scope == watch.Global })
			if !explains || by == r.Name {
				t.Errorf("%s is inhibited by %q, which is no state and no rule about the server", rules[i].Name, by)
			}
		}
	}
}

// TestFloors: a ratio fires only with enough events behind it.
func TestFloors(t *testing.T) {
	t.Parallel()
	served := func(n uint32) func(*watch.Input) {
		return func(in *watch.Input) { in.Classes[submits].Served = n }
	}
	part := func(of, all watch.Counter) func(uint32) *watch.Input {
		return func(n uint32) *watch.Input { return with(global(all, n), global(of, n)) }
	}
	for _, c := range []struct {
		rule string
		all  func(n uint32) *watch.Input
		few  uint32
	}{
		{"Overload", func(n uint32) *watch.Input { return with(served(n), overloaded(n)) }, 19},
		{"ServerFaults", func(n uint32) *watch.Input { return with(served(n), faults(n)) }, 4},
		{"ProverErrors", part(watch.ProverErrors, watch.Pushes), 2},
		{"QuotasExhausted", part(watch.Limited, watch.Requests), 99},
	} {
		b := start(t)
		b.ticks(10, c.all(c.few))
		if s := b.state(c.rule, watch.ScopeServer); s != "" {
			t.Errorf("%s: with %d events it is %s", c.rule, c.few, s)
		}
		b.ticks(10, c.all(c.few+1))
		if s := b.state(c.rule, watch.ScopeServer); s != watch.Firing {
			t.Errorf("%s: with %d events it is %q", c.rule, c.few+1, s)
		}
	}
}

// TestFreeRequestsHideNothing: twenty requests that cost their sender nothing, for each one
// that found no place or failed, silence neither rule. As many that are served, of the same
// class, do not silence the rules for rates.
func TestFreeRequestsHideNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule  string
		cause telemetry.Cause
		bad   int
		good  []telemetry.Request // a hundred of each for one that is bad
	}{
		{"Overload", telemetry.Overloaded, 20, []telemetry.Request{
			{Operation: "getLeaf"},
			{Operation: "verifyReceipt"},
			{Operation: "sendProof", Cause: telemetry.UnknownID},
			{Operation: "sendProof", Cause: telemetry.Malformed},
			{Operation: "sendProof", Cause: telemetry.Limited},
		}},
		{"ServerFaults", telemetry.Fault, 5, []telemetry.Request{{Operation: "getLeaf"}, {Operation: "verifyReceipt"}, {Operation: "sendProof", Cause: telemetry.UnknownID}}},
		{"OverloadRate", telemetry.Overloaded, 600, []telemetry.Request{{Operation: "sendProof"}}},
		{"ServerFaultRate", telemetry.Fault, 30, []telemetry.Request{{Operation: "sendProof"}}},
	} {
		tally := watch.NewTally(100, time.Hour)
		for range c.bad {
			tally.Request(telemetry.Request{Operation: "sendProof", Cause: c.cause})
			for _, r := range c.good {
				for range 100 {
					tally.Request(r)
				}
			}
		}
		in := tally.Take(time.Minute, 1)
		b := start(t)
		b.ticks(2, &in)
		if s := b.state(c.rule, watch.ScopeServer); s != watch.Firing {
			t.Errorf("%s is %q", c.rule, s)
		}
	}
}

// TestFewOfAnotherClassHideNothing: a class with a few requests, of which each found no
// place, does not take the place of one with enough of them.
func TestFewOfAnotherClassHideNothing(t *testing.T) {
	t.Parallel()
	few := func(in *watch.Input) { in.Classes[submits+1] = watch.Class{Served: 19, Overloaded: 19} }
	b := start(t)
	b.ticks(10, with(few, overloaded(499)))
	if s := b.state("Overload", watch.ScopeServer); s != "" {
		t.Errorf("each class alone is silent, and together it is %q", s)
	}
	b.ticks(2, with(few, overloaded(500)))
	if s := b.state("Overload", watch.ScopeServer); s != watch.Firing {
		t.Errorf("it is %q", s)
	}
}

// TestUnknownRequestsCountATenth: what names no pending request is free to send.
func TestUnknownRequestsCountATenth(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.ticks(5, with(client("north", watch.UnknownRequests, 49)))
	if s := b.state("WrongTagsOfClient", "client:north"); s != "" {
		t.Errorf("49 of them: %s", s)
	}
	b.ticks(5, with(client("north", watch.UnknownRequests, 50)))
	if s := b.state("WrongTagsOfClient", "client:north"); s != watch.Firing {
		t.Errorf("50 of them: %q", s)
	}
}

// TestUnknownValue: a gauge that cannot be read neither fires nor clears.
func TestUnknownValue(t *testing.T) {
	t.Parallel()
	b := start(t)
	unknown := with(set(watch.LedgerLag, watch.NoGauges()[0]))
	b.ticks(5, unknown)
	if s := b.state("LedgerLag", watch.ScopeServer); s != "" {
		t.Errorf("unknown from the start: %s", s)
	}
	b.ticks(2, with(set(watch.LedgerLag, 1)))
	b.ticks(60, unknown)
	if s := b.state("LedgerLag", watch.ScopeServer); s != watch.Firing {
		t.Errorf("unknown once it fires: %q", s)
	}
}

// TestFlapping: a value that crosses the threshold each tick never fires. One that fires
// and comes back while it is clearing is one notice.
func TestFlapping(t *testing.T) {
	t.Parallel()
	b := start(t)
	high, low := with(global(watch.WrongTags, 60)), quiet()
	for range 50 {
		b.want("each other tick", append(b.ticks(1, high), b.ticks(1, low)...))
	}
	b.want("steady", b.ticks(2, high), "fired")
	for range 50 {
		b.want("low for a tick", append(b.ticks(1, low), b.ticks(1, high)...))
	}
	b.want("over", b.ticks(2, low), "resolved")
	b.want("again", b.ticks(2, high), "again")
	b.want("over again", b.ticks(2, low), "resolved")
	b.now = b.now.Add(31 * time.Minute)
	b.want("half an hour later", b.ticks(3, append([]*watch.Input{low}, high)[1]), "fired")
}

// TestUpdates: an incident that lasts is notified after 1, 4 and 24 hours, and not more.
func TestUpdates(t *testing.T) {
	t.Parallel()
	b := start(t)
	high := with(global(watch.WrongTags, 60))
	b.want("begin", b.ticks(2, high), "fired")
	begun := b.now
	var at []time.Duration
	for range 48 * 60 {
		b.now = b.now.Add(time.Minute - time.Second)
		for _, n := range b.ticks(1, high) {
			if n.Event != watch.IncidentUpdate || n.Incident != 1 {
				t.Errorf("%+v", n)
			}
			at = append(at, b.now.Sub(begun))
		}
	}
	if want := []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour}; !slices.Equal(at, want) {
		t.Errorf("updates after %v, want %v", at, want)
	}
}

// TestNothingHides: an alert that a stranger keeps firing does not keep a more severe one
// from being notified each time that it begins.
func TestNothingHides(t *testing.T) {
	t.Parallel()
	b := start(t)
	slow, wrong := global(watch.Slow, 60), global(watch.WrongTags, 60)
	b.want("kept firing", b.ticks(2, with(slow)), "fired")
	for range 3 {
		b.want("begins", b.ticks(2, with(slow, wrong)), "worse")
		b.want("goes on", b.ticks(2, with(slow, wrong)))
		b.want("ends", b.ticks(60, with(slow)))
	}
}

// TestNamed: a notice names what fires before what has ended, however severe that was, and
// a rule that is less severe than the incident is notified when it joins.
func TestNamed(t *testing.T) {
	t.Parallel()
	b := start(t)
	ended := []func(*watch.Input){
		global(watch.WrongTags, 60), global(watch.FalseProofs, 60), global(watch.UnknownRequests, 200), global(watch.MalformedProofs, 200),
		global(watch.Malformed, 2000), global(watch.WrongKeys, 200), global(watch.Slow, 200), global(watch.QuotaOverflow, 2000), global(watch.Limited, 9000),
	}
	b.ticks(2, with(ended...))
	b.ticks(4, quiet())
	overload := overloaded(5000)
	b.want("again", b.ticks(2, with(overload)), "again")
	all := b.ticks(2, with(overload, global(watch.Slow, 200)))
	b.want("less severe", all, "update")
	if len(all) == 1 {
		var firing []string
		for _, a := range all[0].Alerts {
			if a.Ended == nil {
				firing = append(firing, a.Rule)
			}
		}
		if want := []string{"Overload", "SlowClients"}; !slices.Equal(firing, want) || all[0].Alerts[1].Rule != "SlowClients" {
			t.Errorf("the notice names %v of those that fire", firing)
		}
	}
}

// TestManySourcesHideNothing: alerts about hundreds of networks, those that have ended
// included, come after the one about the whole server, however severe they are.
func TestManySourcesHideNothing(t *testing.T) {
	t.Parallel()
	b := start(t)
	networks := func(first int) []func(*watch.Input) {
		var all []func(*watch.Input)
		for i := range 60 {
			all = append(all, net(fmt.Sprintf("10.%d.%d.0/24", first, i), watch.WrongTags, 100))
		}
		return all
	}
	for i := range 4 {
		b.ticks(2, with(networks(i)...))
		b.ticks(4, quiet())
	}
	fires, over := append(networks(9), global(watch.Slow, 200)), append(networks(8), global(watch.MalformedProofs, 200))
	b.ticks(2, with(over...))
	b.ticks(4, with(fires...))
	all := b.Current(b.now)
	if len(all) < 100 || all[0].Rule != watch.Heartbeat || all[1].Rule != "SlowClients" || all[2].Rule != "MalformedProofs" {
		t.Fatalf("%d alerts, first %s, %s, %s", len(all), all[0].Rule, all[1].Rule, all[2].Rule)
	}
	for i, a := range all[3:] {
		if (a.Ended == nil) != (i < 60) || i > 60 && a.Ended.After(*all[i+2].Ended) {
			t.Errorf("alert %d of a network is %s, ended %v", i, a.State, a.Ended)
		}
	}
}

// TestGrouping: alerts of one group and scope within half an hour are one incident. One of
// another rule is notified. Later ones, and those of other scopes, are incidents of their
// own.
func TestGrouping(t *testing.T) {
	t.Parallel()
	b := start(t)
	slow := global(watch.Slow, 60)
	b.want("first", b.ticks(2, with(slow)), "fired")
	b.want("same severity", b.ticks(3, with(slow, global(watch.MalformedProofs, 120))), "worse")
	b.want("more severe", b.ticks(2, with(slow, global(watch.WrongTags, 60))), "worse")
	b.want("other group", b.ticks(2, with(slow, global(watch.WrongTags, 60), set(watch.NoEpoch, 1))), "fired")
	b.want("other scope", b.ticks(2, with(slow, global(watch.WrongTags, 60), set(watch.NoEpoch, 1), client("north", watch.WrongTags, 20))), "fired")
	of := map[string]uint64{}
	for _, a := range b.Alerts(b.now) {
		of[a.Rule] = a.Incident
	}
	if of["SlowClients"] != 1 || of["WrongTags"] != 1 || of["NoEpoch"] != 2 || of["WrongTagsOfClient"] != 3 {
		t.Errorf("incidents: %v", of)
	}
	b.now = b.now.Add(31 * time.Minute)
	b.want("same group, later", b.ticks(2, with(slow, global(watch.FalseProofs, 60))), "resolved", "resolved", "fired")
}

// TestManyNetworks: thousands of networks are few notices, and the engine stays bounded.
func TestManyNetworks(t *testing.T) {
	t.Parallel()
	b := start(t)
	var notices []watch.Notice
	for i := range 100 {
		in := with()
		for j := range 64 {
			net(fmt.Sprintf("10.%d.%d.0/24", i%250, j), watch.WrongTags, 100)(in)
		}
		notices = append(notices, b.ticks(2, in)...)
	}
	if n := len(b.Alerts(b.now)); n > 64+256 {
		t.Errorf("%d alerts are held", n)
	}
	fired := 0
	for _, w := range words(notices) {
		if w == "fired" {
			fired++
		}
	}
	if fired > 12 || b.Stats().Dropped == 0 {
		t.Errorf("%d incidents were notified, %d alerts found no place", fired, b.Stats().Dropped)
	}
}

// TestInhibition: what a freeze, a rotation or another rule explains is not notified. If
// it lasts longer than that, it is.
func TestInhibition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		child   func(*watch.Input)
		explain func(*watch.Input)
		rule    string
		first   []string
	}{
		{"a freeze", global(watch.ProverErrors, 50), func(in *watch.Input) { in.Held = true }, "ProverErrors", nil},
		{"a rotation", global(watch.UnknownRequests, 400), func(in *watch.Input) { in.Rotating = true }, "UnknownRequests", nil},
		{"a rule", set(watch.CheckpointAge, 100), set(watch.LedgerLag, 1), "CheckpointTooOld", []string{"fired"}},
		{"a rule that fires first", set(watch.CheckpointAge, 100), set(watch.LedgerStopped, 1), "CheckpointTooOld", []string{"fired"}},
	} {
		b := start(t)
		b.want(c.what, b.ticks(4, with(c.child, c.explain)), c.first...)
		for _, a := range b.Alerts(b.now) {
			if a.Rule == c.rule && !strings.HasPrefix(a.Hidden, "inhibited by ") {
				t.Errorf("%s: %+v", c.what, a)
			}
		}
		for _, a := range b.Current(b.now) {
			if a.Rule == c.rule {
				t.Errorf("%s: the receiver is shown %+v", c.what, a)
			}
		}
		got := b.ticks(3, with(c.child))
		if c.first == nil {
			b.want(c.what+" is over", got, "fired")
		}
		if !slices.ContainsFunc(b.Current(b.now), func(a watch.Alert) bool { return a.Rule == c.rule }) {
			t.Errorf("%s is over, and the receiver is not shown %s", c.what, c.rule)
		}
	}
}

// TestEndOfHidden: the end of an alert is sent while something hides it, if it was visible
// before. If it was hidden all the time, its end is not sent.
func TestEndOfHidden(t *testing.T) {
	t.Parallel()
	old, lag := set(watch.CheckpointAge, 100), set(watch.LedgerLag, 1)
	for what, c := range map[string]struct {
		before *watch.Input
		want   bool
	}{"known": {with(old), true}, "never known": {with(old, lag), false}} {
		b := start(t)
		b.ticks(4, c.before)
		b.ticks(4, with(old, lag))
		b.ticks(60, with(lag, set(watch.CheckpointAge, 0)))
		ended := slices.ContainsFunc(b.Current(b.now), func(a watch.Alert) bool { return a.Rule == "CheckpointTooOld" && a.Ended != nil })
		if ended != c.want {
			t.Errorf("%s: the receiver learns of the end: %t", what, ended)
		}
	}
}

// TestSilences: a silence hides until its end, or until it is ended. It lasts at most 7
// days and covers neither everything nor what is not named.
func TestSilences(t *testing.T) {
	t.Parallel()
	b := start(t)
	high := with(global(watch.WrongTags, 60))
	s := watch.Silence{Rule: "WrongTags", Scope: "*", Author: "uid 1000", Reason: "test of a client", Until: base.Add(time.Hour)}
	kept, err := b.Silence(b.now, s)
	if err != nil || kept.ID != watch.Fingerprint("WrongTags", "*") {
		t.Fatal(kept, err)
	}
	b.want("silenced", b.ticks(5, high))
	if a := b.Alerts(b.now)[0]; a.State != watch.Firing || a.Hidden != "silenced by uid 1000" {
		t.Errorf("%+v", a)
	}
	b.now = base.Add(time.Hour - 2*time.Second)
	b.want("before its end", b.ticks(1, high))
	b.want("at its end", b.ticks(1, high), "fired")
	if n := len(b.Silences(b.now)); n != 0 {
		t.Errorf("%d silences are left", n)
	}
	s.Until = b.now.Add(watch.MaxSilence)
	if kept, err = b.Silence(b.now, s); err != nil {
		t.Fatal(err)
	}
	if err := b.Unsilence(kept.ID); err != nil || b.Unsilence(kept.ID) == nil {
		t.Errorf("ended: %v", err)
	}
	for what, change := range map[string]func(*watch.Silence){
		"more than 7 days": func(s *watch.Silence) { s.Until = b.now.Add(watch.MaxSilence + time.Second) },
		"the past":         func(s *watch.Silence) { s.Until = b.now },
		"everything":       func(s *watch.Silence) { s.Rule, s.Scope = "*", "*" },
		"no such rule":     func(s *watch.Silence) { s.Rule = "WrongTag" },
		"the heartbeat":    func(s *watch.Silence) { s.Rule = watch.Heartbeat },
		"no author":        func(s *watch.Silence) { s.Author = "" },
		"no reason":        func(s *watch.Silence) { s.Reason = "" },
		"a space":          func(s *watch.Silence) { s.Scope = "client: north" },
	} {
		bad := s
		change(&bad)
		if _, err := b.Silence(b.now, bad); err == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
}

// TestFeedback counts verdicts on alerts that exist.
func TestFeedback(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.ticks(2, with(global(watch.WrongTags, 60)))
	print := watch.Fingerprint("WrongTags", watch.ScopeServer)
	if rule, err := b.Feedback(print, watch.Useless); rule != "WrongTags" || err != nil {
		t.Error(rule, err)
	}
	b.ticks(3, quiet())
	if _, err := b.Feedback(print, watch.Useful); err != nil {
		t.Error("one that has ended:", err)
	}
	if _, err := b.Feedback(print, "nice"); err == nil {
		t.Error("a word that is no verdict was taken")
	}
	if _, err := b.Feedback("00", watch.Useless); err == nil {
		t.Error("an alert that does not exist was taken")
	}
	if f := b.Stats().Feedback; f[watch.Verdict{Rule: "WrongTags", Word: watch.Useless}] != 1 || f[watch.Verdict{Rule: "WrongTags", Word: watch.Useful}] != 1 {
		t.Errorf("%v", f)
	}
}

// TestHeartbeat: the receiver always has the heartbeat, and an alert that has ended for a
// quarter of an hour.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := start(t)
	shown := func() (all []string) {
		for _, a := range b.Current(b.now) {
			all = append(all, a.Rule+" "+string(a.State))
		}
		return all
	}
	b.ticks(1, with(global(watch.WrongTags, 60)))
	if got := shown(); !slices.Equal(got, []string{"Heartbeat firing"}) {
		t.Errorf("while it is pending: %q", got)
	}
	b.ticks(1, with(global(watch.WrongTags, 60)))
	b.ticks(2, quiet())
	if got := shown(); !slices.Equal(got, []string{"Heartbeat firing", "WrongTags resolved"}) {
		t.Errorf("once it has ended: %q", got)
	}
	b.now = b.now.Add(16 * time.Minute)
	b.ticks(1, quiet())
	if got := shown(); !slices.Equal(got, []string{"Heartbeat firing"}) {
		t.Errorf("later: %q", got)
	}
}

// TestOverride: thresholds from settings.
func TestOverride(t *testing.T) {
	t.Parallel()
	rules, err := watch.Override(watch.Rules(), []string{"WrongTags=6/2", "Overload=0.5/0.1", "DiskLow=off", "SlowClients=120"})
	if err != nil || len(rules) != len(watch.Rules())-1 {
		t.Fatal(len(rules), err)
	}
	for _, r := range rules {
		switch {
		case r.Name == "WrongTags" && (r.Fire != 6 || r.Clear != 2),
			r.Name == "Overload" && (r.Fire != 0.5 || r.Clear != 0.1),
			r.Name == "SlowClients" && r.Clear != 40,
			r.Name == "DiskLow":
			t.Errorf("%+v", r)
		}
	}
	for _, bad := range []string{"", "WrongTags", "WrongTags=", "WrongTags=-1", "WrongTags=1/2", "WrongTags=NaN", "WrongTags=Inf", "DiskFull=0.2/0.1", "Nothing=1"} {
		if _, err := watch.Override(watch.Rules(), []string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func request(client, address string, cause telemetry.Cause) telemetry.Request {
	return telemetry.Request{Client: client, Source: netip.MustParseAddr(address), Cause: cause}
}

// TestTally: events reach the counters of server, client and network, for as many ticks as
// the window has.
func TestTally(t *testing.T) {
	t.Parallel()
	tally := watch.NewTally(100, time.Hour)
	for range 7 {
		tally.Request(request("north", "192.0.2.7", telemetry.WrongTag))
		tally.Request(request("", "::ffff:192.0.2.9", telemetry.WrongTag))
		tally.Request(request("north", "2001:db8::1%eth0", telemetry.WrongClient))
		tally.Request(request("", "2001:db8::2", telemetry.UnknownID))
	}
	tally.Change(telemetry.Change{Kind: telemetry.ChildDied, Subject: "signer"})
	tally.Change(telemetry.Change{Kind: telemetry.ClockStepped, Value: -5})
	for kind, value := range map[telemetry.Kind]float64{
		telemetry.LedgerLag: 50, telemetry.EpochAge: 1800, telemetry.DiskFreeRatio: 0.25, telemetry.CertificateExpiry: 86400 * 3,
	} {
		tally.Change(telemetry.Change{Kind: kind, Value: value})
	}
	for _, n := range []uint64{3, 3, 10} {
		tally.Total(watch.QuotaOverflow, n)
		tally.Change(telemetry.Change{Kind: telemetry.EventsLost, Value: float64(n)})
	}
	for tick := range 3 {
		in := tally.Take(time.Second, 2)
		want := map[bool]uint32{true: 7, false: 0}[tick < 2]
		if in.Window != 2*time.Second || in.Global[watch.WrongTags] != 2*want || in.Global[watch.Requests] != 4*want || in.Global[watch.KeyholderDeaths] != want/7 || in.Gauges[watch.ClockStep] != 5*float64(want/7) {
			t.Errorf("tick %d: %v, %v", tick, in.Global, in.Gauges)
		}
		if g := in.Gauges; g[watch.LedgerLag] != 0.5 || g[watch.EpochAge] != 0.5 || g[watch.DiskFree] != 0.25 || g[watch.CertificateDays] != 3 || g[watch.Frozen] == g[watch.Frozen] {
			t.Errorf("tick %d: %v", tick, g)
		}
		if tick == 2 {
			continue
		}
		if in.Global[watch.QuotaOverflow] != 10 || in.Global[watch.EventsLost] != 10 {
			t.Errorf("totals: %v", in.Global)
		}
		if len(in.Clients) != 1 || in.Clients[0].Name != "north" || in.Clients[0].Counts[watch.WrongTags] != 7 || in.Clients[0].Counts[watch.UnknownRequests] != 7 {
			t.Errorf("clients: %v", in.Clients)
		}
		if len(in.Networks) != 2 || in.Networks[0].Name != "192.0.2.0/24" || in.Networks[0].Counts[watch.WrongTags] != 7 || in.Networks[1].Name != "2001:db8::/48" {
			t.Errorf("networks: %v", in.Networks)
		}
	}
}

// TestTallyShowsTheFew: two hundred networks with many requests for unknown ids do not
// hide one with some wrong tags. Requests for the status dilute nothing.
func TestTallyShowsTheFew(t *testing.T) {
	t.Parallel()
	tally := watch.NewTally(100, time.Hour)
	for range 6 {
		tally.Request(request("", "198.51.100.1", telemetry.WrongTag))
	}
	for i := range 200 * 40 {
		tally.Request(request("", netip.AddrFrom4([4]byte{10, 0, byte(i % 200), 1}).String(), telemetry.UnknownID))
		tally.Request(telemetry.Request{Operation: "getStatus"})
	}
	in := tally.Take(time.Second, 1)
	if !slices.ContainsFunc(in.Networks, func(s watch.Source) bool {
		return s.Name == "198.51.100.0/24" && s.Counts[watch.WrongTags] == 6
	}) {
		t.Error("the network with wrong tags is not listed")
	}
	if in.Global[watch.Requests] != 6+200*40 {
		t.Errorf("%d requests", in.Global[watch.Requests])
	}
}

// TestHarmlessNetworksDisplaceNone: a network with one wrong tag between two readings stays
// counted while fifty thousand others send two answers to unknown requests and two wrong
// keys each.
func TestHarmlessNetworksDisplaceNone(t *testing.T) {
	t.Parallel()
	tally := watch.NewTally(100, time.Hour)
	flood := func() {
		for i := range 50_000 {
			from := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}).String()
			tally.Request(request("", from, telemetry.UnknownID))
			tally.Request(request("", from, telemetry.Unauthenticated))
		}
	}
	flood()
	tally.Request(request("", "198.51.100.1", telemetry.WrongTag))
	flood()
	for _, s := range tally.Take(time.Second, 1).Networks {
		if s.Name == "198.51.100.0/24" && s.Counts[watch.WrongTags] == 1 {
			return
		}
	}
	t.Error("the network with a wrong tag is not counted")
}

// TestTallyUnderAFlood: an offender stays counted while twenty thousand networks appear
// once each, and no newcomer is charged with the events of others.
func TestTallyUnderAFlood(t *testing.T) {
	t.Parallel()
	tally := watch.NewTally(100, time.Hour)
	for i := range 20_000 {
		if i%100 == 0 {
			tally.Request(request("", "198.51.100.1", telemetry.WrongTag))
		}
		tally.Request(request("", netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}).String(), telemetry.WrongTag))
	}
	in := tally.Take(time.Second, 1)
	i := slices.IndexFunc(in.Networks, func(s watch.Source) bool { return s.Name == "198.51.100.0/24" })
	if i < 0 || in.Networks[i].Counts[watch.WrongTags] < 180 {
		t.Errorf("the offender is not counted: %d of %d networks, %v", i, len(in.Networks), in.Networks[:1])
	}
	for _, s := range in.Networks {
		if s.Name != "198.51.100.0/24" && s.Counts[watch.WrongTags] > 2 {
			t.Errorf("%s is charged with %d wrong tags, and has sent two at most", s.Name, s.Counts[watch.WrongTags])
		}
	}
	if len(in.Networks) > 64 {
		t.Errorf("%d networks", len(in.Networks))
	}
}
