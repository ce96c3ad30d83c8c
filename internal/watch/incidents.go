package watch

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// incident is what one notification is about: alerts of one group and scope that fired
// within half an hour.
type incident struct {
	id       uint64
	group    string
	scope    string
	opened   time.Time
	alerts   []*alert  // that have joined, the ended ones included
	told     time.Time // of the notice that began the present episode; zero if there was none
	severity Severity  // that was notified, or less if what was more severe has ended
	rules    []*Rule   // of its visible alerts, in the last tick
	updates  int       // that were sent in this episode
	episodes int
	ended    time.Time // when the last alert ended; zero while one is active
}

// updateAfter is how long after the first notice an incident that lasts is notified again.
var updateAfter = []time.Duration{time.Hour, 4 * time.Hour, 24 * time.Hour}

// join adds an alert that has begun to fire to an incident.
func (e *Engine) join(now time.Time, a *alert) {
	group, scope := a.rule.Group, a.scope
	for _, in := range e.incidents {
		again := slices.ContainsFunc(in.alerts, func(o *alert) bool { return o.rule == a.rule && o.scope == a.scope })
		fresh := in.group == group && in.scope == scope && now.Sub(in.opened) <= joinWithin
		if again || fresh {
			in.take(a)
			return
		}
	}
	if kind, _, apart := strings.Cut(scope, ":"); apart && e.crowded(group, kind) {
		scope = "many " + kind + "s"
		for _, in := range e.incidents {
			if in.group == group && in.scope == scope {
				in.take(a)
				return
			}
		}
	}
	e.last++
	in := &incident{id: e.last, group: group, scope: scope, opened: now}
	in.take(a)
	e.incidents = append(e.incidents, in)
}

// take adds an alert. It replaces the same alert of an earlier time. Beyond a number,
// alerts that have ended are forgotten: those that fire are bounded themselves.
func (in *incident) take(a *alert) {
	in.alerts = slices.DeleteFunc(in.alerts, func(o *alert) bool {
		return o.rule == a.rule && o.scope == a.scope || len(in.alerts) >= maxOver && o.state == Resolved
	})
	in.alerts = append(in.alerts, a)
	in.ended = time.Time{}
	a.incident = in
}

// crowded reports whether so many clients, or networks, have incidents of their own that
// further ones share one: a notice for each of a thousand networks helps no one.
func (e *Engine) crowded(group, kind string) bool {
	n := 0
	for _, in := range e.incidents {
		if in.group == group && strings.HasPrefix(in.scope, kind+":") {
			n++
		}
	}
	return n >= maxApart
}

// Event is what a notice reports.
type Event string

// The events.
const (
	IncidentFired    Event = "alert.fired"
	IncidentAgain    Event = "alert.again"  // it had been resolved less than half an hour before
	IncidentWorse    Event = "alert.worse"  // an alert of another rule, at least as severe, has joined
	IncidentUpdate   Event = "alert.update" // it lasts, or an alert of another rule that is less severe has joined
	IncidentResolved Event = "alert.resolved"
)

// Notice is one notification about an incident.
type Notice struct {
	Event    Event     `json:"event"`
	At       time.Time `json:"at"`
	Incident uint64    `json:"incident"`
	Group    string    `json:"group"`
	Scope    string    `json:"scope"`
	Severity Severity  `json:"severity"`
	Opened   time.Time `json:"opened"`
	Alerts   []Alert   `json:"alerts"` // those that fire, then those that have ended; the most severe first
	More     int       `json:"more,omitempty"`
}

// maxNamed bounds the alerts that a notice describes.
const maxNamed = 10

// notices returns what has to be notified about each incident.
func (e *Engine) notices(now time.Time) (all []Notice) {
	for _, in := range e.incidents {
		if event := in.next(now); event != "" {
			all = append(all, in.notice(now, event))
		}
	}
	e.incidents = slices.DeleteFunc(e.incidents, func(in *incident) bool {
		return !in.ended.IsZero() && now.Sub(in.ended) > joinWithin
	})
	return all
}

// next returns the event that has to be notified now, "" if there is none.
func (in *incident) next(now time.Time) Event {
	active, visible, severity := false, false, Info
	var rules []*Rule
	for _, a := range in.alerts {
		if !a.active() {
			continue
		}
		active = true
		if a.hidden == "" {
			visible, severity = true, max(severity, a.rule.Severity)
			rules = append(rules, a.rule)
		}
	}
	// What has ended is notified again when it begins again, and hides nothing meanwhile.
	in.severity = min(in.severity, severity)
	joined := slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return slices.Contains(in.rules, r) })
	in.rules = rules
	switch {
	case !active:
		told := !in.told.IsZero()
		if in.ended.IsZero() {
			in.ended = now
		}
		in.told = time.Time{}
		if told {
			return IncidentResolved
		}
	case visible && in.told.IsZero():
		in.told, in.severity, in.updates = now, severity, 0
		if in.episodes++; in.episodes > 1 {
			return IncidentAgain
		}
		return IncidentFired
	case slices.ContainsFunc(joined, func(r *Rule) bool { return r.Severity >= in.severity }):
		in.severity = severity
		return IncidentWorse
	case len(joined) > 0: // a receiver that is not notified of the rule does not know what happens
		return IncidentUpdate
	case visible && in.updates < len(updateAfter) && now.Sub(in.told) >= updateAfter[in.updates]:
		in.updates++
		return IncidentUpdate
	}
	return ""
}

// notice describes the incident. A resolved one lists every alert that was part of it.
func (in *incident) notice(now time.Time, event Event) Notice {
	n := Notice{Event: event, At: now, Incident: in.id, Group: in.group, Scope: in.scope, Severity: in.severity, Opened: in.opened}
	for _, a := range in.alerts {
		if a.hidden == "" {
			n.Alerts = append(n.Alerts, a.describe())
		}
	}
	slices.SortStableFunc(n.Alerts, func(a, b Alert) int { // they have one scope
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(b.Severity, a.Severity))
	})
	if n.More = len(n.Alerts) - maxNamed; n.More > 0 {
		n.Alerts = n.Alerts[:maxNamed]
	}
	n.More = max(0, n.More)
	return n
}
