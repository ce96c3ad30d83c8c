package node

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// responder imposes penalties on the sources that alerts are about.
type responder struct {
	limits *limit.Limits
	log    *slog.Logger
	report func(kind telemetry.Kind, subject string, value float64)
	window time.Duration // in which the failures of an alert were counted

	private *telemetry.Pseudonyms // of networks in the log; nil: they are written

	mu     sync.Mutex // guards what follows
	spared map[limit.Subject]time.Time
}

func newResponder(l *limit.Limits, log *slog.Logger, report func(telemetry.Kind, string, float64), window time.Duration) *responder {
	return &responder{limits: l, log: log, report: report, window: window, spared: make(map[limit.Subject]time.Time)}
}

// sparedFor is the time for which the subject of a lifted penalty gets no other one.
const sparedFor = time.Hour

// punished are the rules whose alerts lead to a penalty: each is about validations that
// failed for what its client, or its network, has sent itself.
var punished = []string{"WrongTagsOfClient", "WrongTagsOfNetwork", "FalseProofsOfClient", "FalseProofsOfNetwork", "WrongKeysOfNetwork"}

// offender returns the source that an alert is about. An alert leads to a penalty while
// its value is not clear, and nothing explains it or silences it.
func offender(a *watch.Alert) (limit.Subject, bool) {
	if a.State != watch.Firing || a.Hidden != "" || !slices.Contains(punished, a.Rule) {
		return limit.Subject{}, false
	}
	s, err := limit.ParseSubject(a.Scope)
	return s, err == nil
}

// respond imposes a penalty on each offender that has none in force, one step more severe
// than its last one.
func (r *responder) respond(now time.Time, alerts []watch.Alert) {
	set := r.limits.Response()
	if set.Most == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.spared, func(_ limit.Subject, until time.Time) bool { return !now.Before(until) })
	for i := range alerts {
		a := &alerts[i]
		s, ok := offender(a)
		if _, spared := r.spared[s]; ok && !spared {
			r.punish(now, s, a.Rule, set.DryRun)
		}
	}
}

// punish takes one step. The next one follows at the end of the penalty at the earliest,
// for failures since its begin. The lock is held.
func (r *responder) punish(now time.Time, s limit.Subject, rule string, dry bool) {
	p, err := r.limits.Punish(now, s, rule)
	if errors.Is(err, limit.ErrExempt) {
		return
	}
	r.spared[s] = now.Add(r.window)
	if err != nil {
		r.log.Warn("penalty not imposed", "scope", r.private.Scope(s.String()), "rule", rule, "err", err)
		return
	}
	if p.Until.After(r.spared[s]) {
		r.spared[s] = p.Until
	}
	if !p.Since.Equal(now) {
		return // it was in force
	}
	r.log.Warn("penalty imposed", "scope", r.private.Scope(s.String()), "rule", rule, "step", p.Step.String(), "strikes", p.Strikes, "until", p.Until.UTC().Format(time.RFC3339), "dry_run", dry)
	enforced := 1.0
	if dry {
		enforced = 0
	}
	r.report(telemetry.ResponseTaken, p.Step.String(), enforced)
}

// Responses lists the penalties in force.
func (r *responder) Responses(now time.Time) admin.ResponseList {
	set := r.limits.Response()
	list := admin.ResponseList{Mode: admin.ResponseOn, Responses: []admin.Response{}}
	switch {
	case set.Most == 0:
		list.Mode = admin.ResponseOff
	case set.DryRun:
		list.Mode = admin.ResponseDryRun
	}
	for _, p := range r.limits.Penalties(now) {
		list.Responses = append(list.Responses, admin.Response{
			Subject: p.Subject.String(), Step: p.Step.String(), Strikes: p.Strikes, Since: p.Since.UTC(), Until: p.Until.UTC(), Rule: p.Reason, Refused: p.Refused,
		})
	}
	return list
}

// Lift ends the penalty of a subject and forgets its former ones. For a while the subject
// gets no other one.
func (r *responder) Lift(now time.Time, s limit.Subject) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.limits.Lift(s) {
		return protocol.Fail(protocol.CodeNotFound, "the subject has no penalty; td admin responses lists them")
	}
	r.spared[s] = now.Add(sparedFor)
	return nil
}
