package watch

import (
	"strings"
	"time"

	"github.com/terradourada/td/internal/anomaly"
)

// Finding is a verdict of package anomaly as a rule reads it.
type Finding struct {
	Rule     string
	Scope    string
	Score    float64 // 1 is the threshold
	Sentence string
}

// The rules about findings.
const (
	anomalySeries    = "AnomalySeries"
	anomalyRate      = "AnomalyRate"
	anomalyPattern   = "AnomalyPattern"
	anomalyProver    = "AnomalyProver"
	anomalyClient    = "AnomalyClient"
	anomalyConfirmed = "AnomalyConfirmed"
	impossibleEvent  = "ImpossibleEvent"
)

// ruleOf holds the rule of each detector.
var ruleOf = map[anomaly.Detector]string{
	anomaly.Series: anomalySeries, anomaly.Rate: anomalyRate, anomaly.Correlate: anomalyPattern,
	anomaly.Prover: anomalyProver, anomaly.Behaviour: anomalyClient, anomaly.Impossible: impossibleEvent,
}

// findingRules are the rules about findings. What one statistical detector has found is a
// ticket. It pages if a second one agrees, or if it is impossible.
func findingRules() []Rule {
	rule := func(name string, s Severity, reads string) Rule {
		return Rule{
			Name: name, Severity: s, Scope: PerFinding, Group: groupAnomaly, Runbook: "anomalies.md", Reads: reads,
			Fire: 1, Clear: 0.8, For: 1, read: func(*Input, *Counts) (float64, float64) { return 0, 0 },
		}
	}
	return []Rule{
		rule(impossibleEvent, Page, "events that no honest history contains"),
		rule(anomalyConfirmed, Page, "score of failures that are unlike the past, and that a measured series shows too"),
		rule(anomalyRate, Ticket, "score of the rate of failures of one cause"),
		rule(anomalyPattern, Ticket, "score of the pattern of failed validations: concentration, spread, order"),
		rule(anomalyProver, Ticket, "score of a prover that is unlike its past, or unlike the others"),
		rule(anomalyClient, Ticket, "score of a client that is unlike its profile"),
		rule(anomalySeries, Ticket, "score of a measured series that is unlike its past"),
	}
}

// FindingsOf returns what the rules read of the verdicts in force. A rate of one network
// makes no alert: a flood from many would make as many, for an hour, and rules of their own
// are about networks that harm now.
func FindingsOf(all []anomaly.Finding) []Finding {
	list := make([]Finding, 0, len(all))
	for i := range all {
		f := &all[i]
		if f.Detector != anomaly.Rate || !strings.HasPrefix(f.Scope, "network:") {
			list = append(list, Finding{ruleOf[f.Detector], f.Scope, f.Score, f.Sentence})
		}
		if f.Agrees != "" {
			list = append(list, Finding{anomalyConfirmed, f.Scope, f.Score, f.Sentence + ". " + f.Agrees})
		}
	}
	return list
}

// findings applies the worst finding of a rule for each scope.
func (e *Engine) findings(now time.Time, in *Input, r *Rule) {
	worst := make(map[string]*Finding)
	for i := range in.Findings {
		f := &in.Findings[i]
		if f.Rule == r.Name && (worst[f.Scope] == nil || f.Score > worst[f.Scope].Score) {
			worst[f.Scope] = f
		}
	}
	for scope, f := range worst {
		if a := e.apply(now, r, scope, f.Score, 1); a != nil {
			a.sentence = f.Sentence
		}
	}
}

// Teaches reports whether baselines may learn: no alert about traffic, keys, provers or
// anomalies is in force that pages, or concerns the whole server. A ticket about one client
// or network does not count: a scanner could otherwise stop all learning. An alert of one
// series alone does not count either, as it would keep itself in force.
func (e *Engine) Teaches() bool {
	for _, a := range e.alerts {
		switch a.rule.Group {
		case groupTraffic, groupKeys, groupProver, groupAnomaly:
			broad := a.rule.Severity == Page || a.rule.Severity == Ticket && a.scope == ScopeServer
			if a.active() && broad && a.rule.Name != anomalySeries {
				return false
			}
		}
	}
	return true
}
