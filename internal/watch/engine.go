package watch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math"
	"slices"
	"time"
)

// State is the state of an alert.
type State string

// The states of an alert that is listed. One that is inactive is not, except for a while
// as resolved.
const (
	Pending  State = "pending"
	Firing   State = "firing"
	Clearing State = "clearing"
	Resolved State = "resolved"
)

// Options are what an operator can set. Zero values mean the defaults.
type Options struct {
	Rules []Rule        // default [Rules]
	Keep  time.Duration // for which an alert goes on firing once clear; default 10 minutes
}

// Bounds of what the engine holds.
const (
	maxAlerts   = 1024             // in all
	maxOfRule   = 64               // of one rule
	maxApart    = 8                // incidents of one group that concern different networks, or clients
	maxOver     = 256              // incidents and alerts that have ended
	joinWithin  = 30 * time.Minute // from the beginning of an incident; and from its end for alerts of its own
	resolvedFor = 15 * time.Minute // for which an alert that has ended is listed
)

// Engine holds the alerts of one server. Its methods must not be called concurrently.
type Engine struct {
	rules     []Rule
	keep      time.Duration
	alerts    map[alertKey]*alert
	over      []*alert // that have ended, the oldest first
	incidents []*incident
	last      uint64 // number of the last incident
	silences  []Silence
	feedback  map[Verdict]uint64
	fired     map[string]uint64
	ended     map[string]uint64
	dropped   uint64 // alerts that found no place
	started   time.Time
}

type alertKey struct{ rule, scope string }

// alert is one alert that is not inactive, or has ended.
type alert struct {
	rule     *Rule
	scope    string
	state    State
	since    time.Time // of the state
	ticks    int       // in the state pending
	fired    time.Time // when it began to fire; zero while it is pending
	ended    time.Time
	value    float64
	peak     float64
	sentence string // of a finding
	hidden   string // why it is not notified: a silence, or what explains it
	shown    bool   // it has fired without being hidden: receivers may know of it, so its end is sent
	incident *incident
	read     bool // in this tick
}

// New returns an engine without alerts.
func New(now time.Time, o Options) *Engine {
	rules := o.Rules
	if rules == nil {
		rules = Rules()
	}
	return &Engine{rules: rules, keep: cmp.Or(o.Keep, 10*time.Minute), alerts: make(map[alertKey]*alert), feedback: make(map[Verdict]uint64), fired: make(map[string]uint64), ended: make(map[string]uint64), started: now}
}

// ScopeServer is the scope of alerts about the whole server. Those of a client or network
// are "client:NAME" and "network:PREFIX".
const ScopeServer = "server"

// Tick reads one input and returns what has to be notified.
func (e *Engine) Tick(now time.Time, in *Input) []Notice {
	for i := range e.rules {
		r := &e.rules[i]
		switch r.Scope {
		case Global:
			e.reading(now, in, r, ScopeServer, &in.Global)
		case PerClient:
			e.sources(now, in, r, "client:", in.Clients)
		case PerNetwork:
			e.sources(now, in, r, "network:", in.Networks)
		case PerFinding:
			e.findings(now, in, r)
		}
	}
	for _, a := range e.alerts { // of scopes without events
		if !a.read {
			e.reading(now, in, a.rule, a.scope, &Counts{})
		}
		a.read = false
	}
	e.hide(now, in)
	return e.notices(now)
}

func (e *Engine) sources(now time.Time, in *Input, r *Rule, kind string, sources []Source) {
	for i := range sources {
		e.reading(now, in, r, kind+sources[i].Name, &sources[i].Counts)
	}
}

// reading applies what a rule reads for one scope.
func (e *Engine) reading(now time.Time, in *Input, r *Rule, scope string, c *Counts) {
	value, events := r.read(in, c)
	e.apply(now, r, scope, value, events)
}

// apply applies one reading of a rule for a scope. It returns the alert, nil if there is
// none.
func (e *Engine) apply(now time.Time, r *Rule, scope string, value, events float64) *alert {
	key := alertKey{r.Name, scope}
	a := e.alerts[key]
	if a == nil {
		if !r.fires(value, events) {
			return nil
		}
		if !e.room(r, scope) {
			e.dropped++
			return nil
		}
		a = &alert{rule: r, scope: scope, state: Pending, since: now, peak: value}
		e.alerts[key] = a
	}
	a.read = true
	if math.IsNaN(value) {
		return a
	}
	if a.value = value; r.Below == (value < a.peak) {
		a.peak = value
	}
	if !e.step(now, a, r.fires(value, events), r.clears(value)) {
		delete(e.alerts, key)
	}
	return a
}

// room reports whether a further alert of a rule is kept. One about the whole server always
// is. Pages about findings are bounded by their own rule alone, so that tickets about other
// clients or networks cannot take their places.
func (e *Engine) room(r *Rule, scope string) bool {
	if scope == ScopeServer {
		return true
	}
	n := 0
	for k := range e.alerts {
		if k.rule == r.Name {
			n++
		}
	}
	apart := r.Scope == PerFinding && r.Severity == Page
	return n < maxOfRule && (apart || len(e.alerts) < maxAlerts)
}

// step moves an alert to its next state. It returns false if the alert is inactive now.
func (e *Engine) step(now time.Time, a *alert, fires, clears bool) bool {
	switch a.state {
	case Pending:
		if !fires {
			return false
		}
		if a.ticks++; a.ticks >= a.rule.For {
			a.move(now, Firing)
			a.fired = now
			e.fired[a.rule.Name]++
			e.join(now, a)
		}
	case Firing:
		if clears {
			a.move(now, Clearing)
		}
	case Clearing:
		if !clears {
			a.move(now, Firing)
			break
		}
		if now.Sub(a.since) >= cmp.Or(a.rule.Keep, e.keep) {
			a.move(now, Resolved)
			a.ended = now
			if a.shown {
				a.hidden = ""
			}
			e.ended[a.rule.Name]++
			e.over = bounded(append(e.over, a))
			return false
		}
	}
	return true
}

func (a *alert) move(now time.Time, s State) { a.state, a.since = s, now }

// active reports whether an alert fires, be it that it is about to clear.
func (a *alert) active() bool { return a.state == Firing || a.state == Clearing }

// bounded drops the oldest beyond the bound.
func bounded[T any](list []T) []T { return list[max(0, len(list)-maxOver):] }

// hide finds out which alerts are not to be notified, and why.
func (e *Engine) hide(now time.Time, in *Input) {
	e.silences = slices.DeleteFunc(e.silences, func(s Silence) bool { return !now.Before(s.Until) })
	explained := map[string]bool{whileFrozen: in.Held, whileRotating: in.Rotating}
	for _, a := range e.alerts {
		if a.active() && a.rule.Scope == Global {
			explained[a.rule.Name] = true
		}
	}
	for _, a := range e.alerts {
		a.hidden = ""
		for _, by := range a.rule.Inhibit {
			if explained[by] {
				a.hidden = "inhibited by " + by
			}
		}
		for i := range e.silences {
			if e.silences[i].covers(a) {
				a.hidden = e.silences[i].hides()
			}
		}
		a.shown = a.shown || a.active() && a.hidden == ""
	}
	e.over = slices.DeleteFunc(e.over, func(a *alert) bool { return now.Sub(a.ended) >= joinWithin })
}

// Fingerprint identifies an alert: it depends on rule and scope alone.
func Fingerprint(rule, scope string) string {
	sum := sha256.Sum256([]byte(rule + "\x00" + scope))
	return hex.EncodeToString(sum[:8])
}

// Alert describes an alert.
type Alert struct {
	Fingerprint string     `json:"fingerprint"`
	Rule        string     `json:"rule"`
	Scope       string     `json:"scope"`
	Severity    Severity   `json:"severity"`
	State       State      `json:"state"`
	Reads       string     `json:"reads"`
	Value       float64    `json:"value"`
	Peak        float64    `json:"peak"`               // worst value since it is pending
	Sentence    string     `json:"sentence,omitempty"` // what an anomaly is about, with its numbers
	Threshold   float64    `json:"threshold"`
	Runbook     string     `json:"runbook"`
	Incident    uint64     `json:"incident,omitempty"` // 0 while it is pending
	Since       time.Time  `json:"since"`              // when it began to fire, or became pending
	Ended       *time.Time `json:"ended,omitempty"`
	Hidden      string     `json:"hidden,omitempty"` // why it is not notified
}

func (a *alert) describe() Alert {
	d := Alert{
		Fingerprint: Fingerprint(a.rule.Name, a.scope), Rule: a.rule.Name, Scope: a.scope, Severity: a.rule.Severity, State: a.state,
		Reads: a.rule.Reads, Value: a.value, Peak: a.peak, Sentence: a.sentence, Threshold: a.rule.Fire, Runbook: "docs/runbooks/" + a.rule.Runbook,
		Since: a.fired, Hidden: a.hidden,
	}
	if a.fired.IsZero() {
		d.Since = a.since
	}
	if a.incident != nil {
		d.Incident = a.incident.id
	}
	if !a.ended.IsZero() {
		ended := a.ended
		d.Ended = &ended
	}
	return d
}

// Alerts lists the alerts that are not inactive, and those that have ended within a
// quarter of an hour, the most severe first.
func (e *Engine) Alerts(now time.Time) []Alert {
	var list []Alert
	for _, a := range e.alerts {
		list = append(list, a.describe())
	}
	for _, a := range e.over {
		if _, again := e.alerts[alertKey{a.rule.Name, a.scope}]; !again && now.Sub(a.ended) < resolvedFor {
			list = append(list, a.describe())
		}
	}
	slices.SortFunc(list, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Scope, b.Scope), a.Since.Compare(b.Since))
	})
	return slices.CompactFunc(list, func(a, b Alert) bool { return a.Fingerprint == b.Fingerprint })
}

// Current lists what is true now, for a receiver of the whole state: the heartbeat, what
// fires and is not hidden, and what has ended lately. The alerts about the whole server
// come first, and of each kind those that fire, then those that have ended, the latest
// first. What does not fit into a message is cut off at the end, so many sources hide
// neither the begin nor the end of an alert about the server.
func (e *Engine) Current(now time.Time) []Alert {
	list := e.Alerts(now)
	list = slices.DeleteFunc(list, func(a Alert) bool { return a.State == Pending || a.Hidden != "" })
	slices.SortStableFunc(list, func(a, b Alert) int {
		if order := cmp.Compare(rank(&a), rank(&b)); order != 0 || a.Ended == nil {
			return order
		}
		return b.Ended.Compare(*a.Ended)
	})
	return append([]Alert{e.heartbeat()}, list...)
}

// rank is less for what a receiver needs more.
func rank(a *Alert) (n int) {
	if a.Scope != ScopeServer {
		n = 2
	}
	if a.Ended != nil {
		n++
	}
	return n
}

func (e *Engine) heartbeat() Alert {
	return Alert{
		Fingerprint: Fingerprint(Heartbeat, ScopeServer), Rule: Heartbeat, Scope: ScopeServer, Severity: Info, State: Firing,
		Reads: "nothing; it always fires, and its absence means that alerts do not arrive", Value: 1, Peak: 1, Threshold: 1,
		Runbook: "docs/runbooks/machine.md", Since: e.started,
	}
}

// Stats are numbers of the engine for metrics.
type Stats struct {
	Active   map[Severity]int
	Silenced int
	Dropped  uint64            // alerts that found no place
	Fired    map[string]uint64 // alerts that have begun to fire, by rule, hidden ones too
	Ended    map[string]uint64 // and that have ended
	Feedback map[Verdict]uint64
}

// Stats returns the present numbers.
func (e *Engine) Stats() Stats {
	s := Stats{Active: make(map[Severity]int), Dropped: e.dropped, Fired: maps.Clone(e.fired), Ended: maps.Clone(e.ended), Feedback: maps.Clone(e.feedback)}
	for _, a := range e.alerts {
		switch {
		case a.active() && a.hidden == "":
			s.Active[a.rule.Severity]++
		case a.active():
			s.Silenced++
		}
	}
	return s
}

// Rules returns the rules in force.
func (e *Engine) Rules() []Rule { return slices.Clone(e.rules) }
