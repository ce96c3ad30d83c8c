package watch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Severity says how soon a person has to look.
type Severity uint8

// The severities, the least first.
const (
	Info   Severity = iota // for the record; also of the heartbeat
	Ticket                 // in working hours
	Page                   // now
)

// String returns the name of a severity.
func (s Severity) String() string { return [...]string{"info", "ticket", "page"}[min(s, Page)] }

// MarshalText is String.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name of a severity.
func (s *Severity) UnmarshalText(text []byte) error {
	for one := Info; one <= Page; one++ {
		if string(text) == one.String() {
			*s = one
			return nil
		}
	}
	return fmt.Errorf("no severity: %q", text)
}

// ScopeKind says what a rule has one alert for.
type ScopeKind uint8

// The kinds of scopes.
const (
	Global     ScopeKind = iota // the server
	PerClient                   // each authenticated client
	PerNetwork                  // each /24 of IPv4 and /48 of IPv6
	PerFinding                  // each scope that a finding is about, see [Finding]
)

// The groups of rules. Alerts of one group and scope that fire together are one incident.
const (
	groupTraffic = "traffic"
	groupKeys    = "keys"
	groupProver  = "prover"
	groupRecords = "records"
	groupMachine = "machine"
	groupState   = "state"
	groupAnomaly = "anomaly"
)

// What may explain an alert besides other rules.
const (
	whileFrozen   = "freeze"
	whileRotating = "rotation"
)

// Rule is one row of the table.
type Rule struct {
	Name     string
	Severity Severity
	Reads    string // what it reads, for people
	Scope    ScopeKind
	Fire     float64       // the value at which it fires
	Clear    float64       // the lower value below which it clears
	Below    bool          // fires at or below Fire, and clears above Clear
	Floor    float64       // events that must be behind the value
	For      int           // ticks for which the value has to stay
	Keep     time.Duration // for which it goes on firing once clear; 0 for the default
	Group    string
	Inhibit  []string // rules and states that explain it
	Runbook  string   // file in docs/runbooks

	read func(in *Input, c *Counts) (value, events float64)
}

// Heartbeat is the name of the alert that always fires: its absence means that alerts do
// not arrive.
const Heartbeat = "Heartbeat"

// Rules returns the table, in the order of the documentation. Names, thresholds and
// runbooks are the same in deploy/prometheus.
//
// The thresholds of one client and one network are what the quota of failures admits at
// once: an offender beyond it is refused, and not counted here.
func Rules() []Rule {
	const traffic, prover, machine = "abnormal-traffic.md", "prover-compromise.md", "machine.md"
	return append([]Rule{
		{
			Name: "WrongTagsOfClient", Severity: Page, Scope: PerClient, Group: groupTraffic, Runbook: traffic,
			Reads: "wrong tags of one client, a minute", read: wrongTags, Fire: 5, Clear: 1, For: 2,
		},
		{
			Name: "WrongTagsOfNetwork", Severity: Page, Scope: PerNetwork, Group: groupTraffic, Runbook: traffic,
			Reads: "wrong tags of one network, a minute", read: wrongTags, Fire: 5, Clear: 1, For: 2,
		},
		{
			Name: "WrongTags", Severity: Page, Group: groupTraffic, Runbook: traffic,
			Reads: "wrong tags, a minute", read: rate(WrongTags), Fire: 20, Clear: 5, For: 2,
		},
		{
			Name: "UnknownRequests", Severity: Ticket, Group: groupTraffic, Runbook: traffic, Inhibit: []string{"WrongTags", whileRotating},
			Reads: "answers that name no pending request of their client, a minute", read: rate(UnknownRequests), Fire: 60, Clear: 20, For: 2,
		},
		{
			Name: "FalseProofsOfClient", Severity: Page, Scope: PerClient, Group: groupTraffic, Runbook: traffic,
			Reads: "false proofs with right tags of one client, a minute", read: rate(FalseProofs), Fire: 5, Clear: 1, For: 2,
		},
		{
			Name: "FalseProofsOfNetwork", Severity: Page, Scope: PerNetwork, Group: groupTraffic, Runbook: traffic,
			Reads: "false proofs with right tags of one network, a minute", read: rate(FalseProofs), Fire: 5, Clear: 1, For: 2,
		},
		{
			Name: "FalseProofs", Severity: Page, Group: groupTraffic, Runbook: traffic,
			Reads: "false proofs with right tags, a minute", read: rate(FalseProofs), Fire: 20, Clear: 5, For: 2,
		},
		{
			Name: "MalformedProofs", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "proofs that do not decode, a minute", read: rate(MalformedProofs), Fire: 60, Clear: 20, For: 2,
		},
		{
			Name: "MalformedRequests", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "requests that are not of the protocol, a minute", read: rate(Malformed), Fire: 600, Clear: 200, For: 2,
		},
		{
			Name: "WrongKeysOfNetwork", Severity: Ticket, Scope: PerNetwork, Group: groupTraffic, Runbook: traffic,
			Reads: "invalid API keys of one network, a minute", read: rate(WrongKeys), Fire: 5, Clear: 1, For: 2,
		},
		{
			Name: "WrongKeys", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "invalid API keys, a minute", read: rate(WrongKeys), Fire: 60, Clear: 20, For: 2,
		},
		{
			Name: "SlowClients", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "clients that sent or read too slowly, a minute", read: rate(Slow), Fire: 60, Clear: 20, For: 2,
		},
		{
			Name: "QuotasExhausted", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "part of the requests that a quota refused", read: ratio(Limited, Requests), Fire: 0.5, Clear: 0.2, Floor: 100, For: 2,
		},
		{
			Name: "QuotaOverflow", Severity: Ticket, Group: groupTraffic, Runbook: traffic,
			Reads: "requests charged to a parent's quota as a table was full, a minute", read: rate(QuotaOverflow), Fire: 600, Clear: 60, For: 2,
		},
		{
			Name: "Overload", Severity: Page, Group: groupTraffic, Runbook: traffic,
			Reads: "part of the requests of a class that found no place, in the worst class", read: worst(20, func(c *Class) uint32 { return c.Overloaded }), Fire: 0.05, Clear: 0.01, Floor: 20, For: 2,
		},
		{
			Name: "OverloadRate", Severity: Page, Group: groupTraffic, Runbook: traffic, Inhibit: []string{"Overload"},
			Reads: "requests that found no place, a minute", read: rate(Overloaded), Fire: 600, Clear: 120, For: 2,
		},
		{
			Name: "ServerFaults", Severity: Page, Group: groupMachine, Runbook: machine,
			Reads: "part of the requests of a class that failed in the server, in the worst class", read: worst(5, func(c *Class) uint32 { return c.Faults }), Fire: 0.02, Clear: 0.005, Floor: 5, For: 2,
		},
		{
			Name: "ServerFaultRate", Severity: Page, Group: groupMachine, Runbook: machine, Inhibit: []string{"ServerFaults"},
			Reads: "requests that failed in the server, a minute", read: rate(Faults), Fire: 30, Clear: 5, For: 2,
		},
		{
			Name: "ProverErrors", Severity: Page, Group: groupProver, Runbook: prover, Inhibit: []string{whileFrozen},
			Reads: "part of the pushed events for which the prover returned no proof that verifies", read: ratio(ProverErrors, Pushes), Fire: 0.1, Clear: 0.02, Floor: 3, For: 2,
		},
		{
			Name: "ProverDeaths", Severity: Ticket, Group: groupProver, Runbook: prover,
			Reads: "exits of the prover in the window", read: count(ProverDeaths), Fire: 2, Clear: 1, For: 1,
		},
		{
			Name: "KeyholderDeaths", Severity: Page, Group: groupKeys, Runbook: "key-compromise.md",
			Reads: "exits of signer or tagger in the window", read: count(KeyholderDeaths), Fire: 1, Clear: 1, For: 1,
		},
		{
			Name: "TagDisagreement", Severity: Page, Group: groupKeys, Runbook: "key-compromise.md",
			Reads: "tags that the tagger refused and the core holds for right, in the window", read: count(Disagreements), Fire: 1, Clear: 1, For: 1,
		},
		{
			Name: "NoEpoch", Severity: Page, Group: groupKeys, Runbook: "rotation-drill.md", Inhibit: []string{"JournalFailing"},
			Reads: "whether no epoch is active", read: gauge(NoEpoch), Fire: 1, Clear: 1, For: 2,
		},
		{
			Name: "EpochTooOld", Severity: Ticket, Group: groupKeys, Runbook: "rotation-drill.md", Inhibit: []string{"NoEpoch"},
			Reads: "age of the active epoch over max_age", read: gauge(EpochAge), Fire: 1.25, Clear: 1.05, For: 4,
		},
		{
			Name: "EpochNearlyFull", Severity: Ticket, Group: groupKeys, Runbook: "rotation-drill.md", Inhibit: []string{"NoEpoch", whileRotating},
			Reads: "requests that the active epoch has issued over max_issued", read: gauge(EpochFill), Fire: 0.95, Clear: 0.9, For: 2,
		},
		{
			Name: "JournalFailing", Severity: Page, Group: groupRecords, Runbook: "disk-full.md",
			Reads: "whether the journal cannot be written", read: gauge(JournalFailing), Fire: 1, Clear: 1, For: 2,
		},
		{
			Name: "LedgerStopped", Severity: Page, Group: groupRecords, Runbook: "ledger-inconsistency.md",
			Reads: "whether journal and log disagree, or the log has stopped", read: gauge(LedgerStopped), Fire: 1, Clear: 1, For: 1,
		},
		{
			Name: "LedgerLag", Severity: Page, Group: groupRecords, Runbook: "ledger-inconsistency.md", Inhibit: []string{"LedgerStopped"},
			Reads: "leaves that are not published over max_lag", read: gauge(LedgerLag), Fire: 0.5, Clear: 0.1, For: 2,
		},
		{
			Name: "CheckpointTooOld", Severity: Ticket, Group: groupRecords, Runbook: "ledger-inconsistency.md", Inhibit: []string{"LedgerStopped", "LedgerLag"},
			Reads: "seconds since the last checkpoint, while leaves wait for the next one", read: gauge(CheckpointAge), Fire: 60, Clear: 30, For: 2,
		},
		{
			Name: "Frozen", Severity: Info, Group: groupState, Runbook: "operator-error.md",
			Reads: "whether issuing or acceptance is held", read: gauge(Frozen), Fire: 1, Clear: 1, For: 1,
		},
		{
			Name: "DiskFull", Severity: Page, Group: groupMachine, Runbook: "disk-full.md", Below: true,
			Reads: "free part of the disk with the data directory", read: gauge(DiskFree), Fire: 0.05, Clear: 0.08, For: 2,
		},
		{
			Name: "DiskLow", Severity: Ticket, Group: groupMachine, Runbook: "disk-full.md", Below: true, Inhibit: []string{"DiskFull"},
			Reads: "free part of the disk with the data directory", read: gauge(DiskFree), Fire: 0.15, Clear: 0.18, For: 2,
		},
		{
			Name: "CertificateExpires", Severity: Page, Group: groupMachine, Runbook: machine, Below: true,
			Reads: "days until the TLS certificate expires", read: gauge(CertificateDays), Fire: 3, Clear: 4, For: 1,
		},
		{
			Name: "CertificateExpiresSoon", Severity: Ticket, Group: groupMachine, Runbook: machine, Below: true, Inhibit: []string{"CertificateExpires"},
			Reads: "days until the TLS certificate expires", read: gauge(CertificateDays), Fire: 21, Clear: 22, For: 1,
		},
		{
			Name: "ClockStepped", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "seconds by which the clock of the system moved against the monotonic one", read: gauge(ClockStep), Fire: 2, Clear: 1, For: 1,
		},
		{
			Name: "EventsLost", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "events and log lines that were dropped, a minute", read: lost, Fire: 100, Clear: 10, For: 2,
		},
		{
			Name: "NotifierDeaths", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "exits of the notifier in the window", read: count(NotifierDeaths), Fire: 2, Clear: 1, For: 1,
		},
		{
			Name: "AlertsDropped", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "alerts about clients or networks that found no place, at each reading of the window", read: count(AlertsDropped), Fire: 1, Clear: 1, For: 1,
		},
		{
			Name: "AlertsUndelivered", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "minutes for which a sink has taken no alert", read: gauge(UndeliveredMinutes), Fire: 10, Clear: 1, For: 1,
		},
		{
			Name: "CosignerFailing", Severity: Ticket, Group: groupMachine, Runbook: machine,
			Reads: "minutes for which a cosigner has cosigned no checkpoint", read: gauge(UncosignedMinutes), Fire: 10, Clear: 1, For: 1,
		},
	}, findingRules()...)
}

// Names returns the names of the rules.
func Names() (names []string) {
	for _, r := range Rules() {
		names = append(names, r.Name)
	}
	return names
}

// perMinute converts a count of the window.
func perMinute(in *Input, n float64) float64 { return n * float64(time.Minute) / float64(in.Window) }

// rate reads events a minute.
func rate(of Counter) func(*Input, *Counts) (float64, float64) {
	return func(in *Input, c *Counts) (float64, float64) {
		n := float64(c[of])
		return perMinute(in, n), n
	}
}

// count reads the events of the window.
func count(of Counter) func(*Input, *Counts) (float64, float64) {
	return func(_ *Input, c *Counts) (float64, float64) { return float64(c[of]), float64(c[of]) }
}

// ratio reads a part of others.
func ratio(of, all Counter) func(*Input, *Counts) (float64, float64) {
	return func(_ *Input, c *Counts) (float64, float64) {
		return float64(c[of]) / max(1, float64(c[all])), float64(c[of])
	}
}

// worst reads the greatest part among the classes of operations, of those that have at
// least so many events if one has.
func worst(floor uint32, of func(*Class) uint32) func(*Input, *Counts) (float64, float64) {
	return func(in *Input, _ *Counts) (value, events float64) {
		enough := false
		for i := range in.Classes {
			c := &in.Classes[i]
			n := of(c)
			part := float64(n) / max(1, float64(c.Served))
			if e := n >= floor; e && !enough || e == enough && part > value {
				value, events, enough = part, float64(n), e
			}
		}
		return value, events
	}
}

// unknownWeight is the weight of an answer that names no pending request of its client
// among the wrong tags of a client or network: such an answer is free to send. For the
// server, both have rules of their own.
const unknownWeight = 0.1

func wrongTags(in *Input, c *Counts) (float64, float64) {
	n := float64(c[WrongTags]) + unknownWeight*float64(c[UnknownRequests])
	return perMinute(in, n), n
}

func lost(in *Input, c *Counts) (float64, float64) {
	n := float64(c[EventsLost]) + float64(c[LinesLost])
	return perMinute(in, n), n
}

func gauge(of Gauge) func(*Input, *Counts) (float64, float64) {
	return func(in *Input, _ *Counts) (float64, float64) { return in.Gauges[of], 0 }
}

// fires reports whether a reading reaches the threshold, and clears whether it has passed
// the clear threshold. Neither is true of a value that is not known.
func (r *Rule) fires(value, events float64) bool {
	if r.Below {
		return value <= r.Fire
	}
	return value >= r.Fire && events >= r.Floor
}

func (r *Rule) clears(value float64) bool {
	if r.Below {
		return value > r.Clear
	}
	return value < r.Clear
}

// Override replaces thresholds of rules by settings of the form RULE=FIRE/CLEAR, RULE=FIRE
// or RULE=off. FIRE alone keeps the distance of the clear threshold.
func Override(rules []Rule, settings []string) ([]Rule, error) {
	rules = slices.Clone(rules)
	for _, text := range settings {
		name, value, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no rule %q, or it is set twice; td admin alerts rules lists the rules", name)
		}
		if value == "off" {
			rules = slices.Delete(rules, i, i+1)
			continue
		}
		if err := rules[i].set(value); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

// set sets the thresholds of a rule from text.
func (r *Rule) set(value string) error {
	first, second, both := strings.Cut(value, "/")
	fire, err := strconv.ParseFloat(first, 64)
	lower := r.Clear * fire / r.Fire
	if both && err == nil {
		lower, err = strconv.ParseFloat(second, 64)
	}
	if err != nil || !(fire > 0 && fire < 1e12 && lower > 0) || r.Below && lower < fire || !r.Below && lower > fire {
		return fmt.Errorf("%s=%s: wanted is %s=FIRE/CLEAR with numbers above 0, CLEAR on the good side of FIRE, or %s=off", r.Name, value, r.Name, r.Name)
	}
	r.Fire, r.Clear = fire, lower
	return nil
}
