package deploy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/internal/watch"
)

// The defaults of the built-in alerts, which the rules for Prometheus share.
const (
	tick = 15 * time.Second // alert_every; also the interval of scrapes and of evaluations
	keep = 10 * time.Minute // alert_keep
)

// twin is what Prometheus reads for one rule of package watch, and its two cases. All
// other properties of its alert are those of the rule.
//
// A case is the series of one instance, as "name{labels} values", with a value for each
// tick and a slash at the beginning for what has no prefix. Both cases are looked at after
// five minutes, when what has fired before is still kept.
type twin struct {
	rule   string
	value  string // PromQL, one value for each instance
	events string // what has to be behind a ratio, where the rule has a floor
	fires  []string
	shows  string // the value that its alert has then
	silent []string
	also   []firing // in cases of other rules
}

// instance groups the series of one server.
const instance = "by (job, instance)"

// inWindow returns an expression for the events of the last minute.
func inWindow(name metrics.Name, match string) string {
	return fmt.Sprintf("sum %s (increase(%s%s%s[1m]))", instance, metrics.Prefix, name, braces(match))
}

func braces(match string) string {
	if match == "" {
		return ""
	}
	return "{" + match + "}"
}

// refused returns an expression for the requests of the last minute that were refused for
// one of these causes.
func refused(causes string) string { return inWindow(metrics.Refusals, matching("cause", causes)) }

// matching returns a matcher of a label; values are separated by |.
func matching(label, values string) string {
	if strings.ContainsAny(values, "|.*") {
		return label + `=~"` + values + `"`
	}
	return label + `="` + values + `"`
}

// part returns an expression for the part that some of all events are.
func part(of, all string) string { return fmt.Sprintf("%s\n/ clamp_min(%s, 1)", of, all) }

// byClass returns the same as inWindow for each class of operations.
func byClass(name metrics.Name, match string) string {
	return strings.Replace(inWindow(name, match), instance, "by (job, instance, class)", 1)
}

// worst returns an expression for the greatest part of the served requests of a class that
// a cause is, of the classes with at least so many if there is one; and one for how many.
func worst(cause string, floor int) (value, events string) {
	of := byClass(metrics.Refusals, matching("cause", cause))
	part := part(of, byClass(metrics.Served, ""))
	return fmt.Sprintf("max %s ((%s)\n  and %s >= %d)\nor max %s (%s)", instance, part, of, floor, instance, part),
		fmt.Sprintf("max %s (%s)", instance, of)
}

// The values that Overload and ServerFaults read.
var (
	overloadValue, overloadEvents = worst("overloaded", 20)
	faultsValue, faultsEvents     = worst("fault", 5)
)

// gauge returns an expression for the present value.
func gauge(name metrics.Name) string {
	return fmt.Sprintf("max %s (%s%s)", instance, metrics.Prefix, name)
}

// fired returns an expression for a rule that the server alone can read, since metrics
// name neither clients nor networks.
func fired(rule string) string { return inWindow(metrics.AlertsFired, matching("rule", rule)) }

// Causes that package watch counts together.
const unknownRequests = "unknown_id|wrong_client|foreign_tag"

// all are the requests of the last minute but those for the status, as package watch
// counts them.
var all = inWindow(metrics.HTTPRequests, `operation!="getStatus"`)

// twins are all rules, in the order of package watch.
var twins = []twin{
	{
		rule: "WrongTagsOfClient", value: fired("WrongTagsOfClient"),
		fires: []string{`alerts_fired_total{rule="WrongTagsOfClient"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="WrongTagsOfClient"} 1x40`},
	},
	{
		rule: "WrongTagsOfNetwork", value: fired("WrongTagsOfNetwork"),
		fires: []string{`alerts_fired_total{rule="WrongTagsOfNetwork"} 3x16 5x40`}, shows: "2",
		silent: []string{`alerts_fired_total{rule="WrongTagsOfNetwork"} 5x40`},
	},
	{
		rule: "WrongTags", value: refused("wrong_tag"),
		fires: []string{`refusals_total{class="submit",cause="wrong_tag"} 0+6x40`}, shows: "24",
		silent: []string{
			`refusals_total{class="submit",cause="wrong_tag"} 0+4x40`,
			`refusals_total{class="submit",cause="unknown_id"} 0+14x40`,
			`refusals_total{class="submit",cause="replayed"} 0+90x40`,
		},
	},
	{
		rule: "UnknownRequests", value: refused(unknownRequests),
		fires: []string{
			`refusals_total{class="submit",cause="unknown_id"} 0+9x40`,
			`refusals_total{class="submit",cause="wrong_client"} 0+9x40`,
		}, shows: "72",
		silent: []string{`refusals_total{class="submit",cause="unknown_id"} 0+14x40`, `refusals_total{class="submit",cause="foreign_epoch"} 0+40x40`, `refusals_total{class="submit",cause="late"} 0+70x40`},
	},
	{
		rule: "FalseProofsOfClient", value: fired("FalseProofsOfClient"),
		fires: []string{`alerts_fired_total{rule="FalseProofsOfClient"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="FalseProofsOfClient"} 1x40`},
	},
	{
		rule: "FalseProofsOfNetwork", value: fired("FalseProofsOfNetwork"),
		fires: []string{`alerts_fired_total{rule="FalseProofsOfNetwork"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="FalseProofsOfNetwork"} 1x40`},
	},
	{
		rule: "FalseProofs", value: refused("false_proof"),
		fires: []string{`refusals_total{class="submit",cause="false_proof"} 0+5x40`}, shows: "20",
		silent: []string{`refusals_total{class="submit",cause="false_proof"} 0+4x40`, `refusals_total{class="submit",cause="malformed_proof"} 0+4x40`},
	},
	{
		rule: "MalformedProofs", value: refused("malformed_proof"),
		fires: []string{`refusals_total{class="submit",cause="malformed_proof"} 0+20x40`}, shows: "80",
		silent: []string{`refusals_total{class="submit",cause="malformed_proof"} 0+14x40`, `refusals_total{class="submit",cause="malformed"} 0+14x40`},
	},
	{
		rule: "MalformedRequests", value: refused("malformed"),
		fires: []string{
			`refusals_total{class="read",cause="malformed"} 0+100x40`,
			`refusals_total{class="issue",cause="malformed"} 0+100x40`,
		}, shows: "800",
		silent: []string{`refusals_total{class="issue",cause="malformed"} 0+149x40`},
	},
	{
		rule: "WrongKeysOfNetwork", value: fired("WrongKeysOfNetwork"),
		fires: []string{`alerts_fired_total{rule="WrongKeysOfNetwork"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="WrongKeys"} 0x16 1x40`, `alerts_fired_total{rule="WrongKeysOfNetwork"} 0x40`},
	},
	{
		rule: "WrongKeys", value: refused("unauthenticated"),
		fires: []string{`refusals_total{class="issue",cause="unauthenticated"} 0+20x40`}, shows: "80",
		silent: []string{`refusals_total{class="issue",cause="unauthenticated"} 0+14x40`, `refusals_total{class="issue",cause="forbidden"} 0+74x40`},
	},
	{
		rule: "SlowClients", value: refused("slow"),
		fires: []string{`refusals_total{class="verify",cause="slow"} 0+20x40`}, shows: "80",
		silent: []string{`refusals_total{class="verify",cause="slow"} 0+14x40`},
	},
	{
		rule: "QuotasExhausted", value: part(refused("limited"), all), events: refused("limited"),
		fires: []string{
			`http_requests_total{operation="openChallenge",code="none"} 0+50x40`,
			`http_requests_total{operation="openChallenge",code="rate_limited"} 0+150x40`,
			`refusals_total{class="issue",cause="limited"} 0+150x40`,
		}, shows: "0.75",
		silent: []string{ // three quarters, but of few
			`http_requests_total{operation="openChallenge",code="none"} 0+5x40`,
			`http_requests_total{operation="openChallenge",code="rate_limited"} 0+15x40`,
			`refusals_total{class="issue",cause="limited"} 0+15x40`,
		},
	},
	{
		rule: "QuotaOverflow", value: inWindow(metrics.LimitOverflow, ""),
		fires: []string{`ratelimit_overflow_total{table="addresses"} 0+160x40`}, shows: "640",
		silent: []string{`ratelimit_overflow_total{table="addresses"} 0+140x40`},
	},
	{
		rule: "Overload", value: overloadValue, events: overloadEvents,
		fires: []string{ // a tenth of the challenges, beside as many requests that cost nothing
			`requests_served_total{class="issue"} 0+80x40`,
			`refusals_total{class="issue",cause="overloaded"} 0+8x40`,
			`refusals_total{class="issue",cause="malformed"} 0+80x40`,
			`requests_served_total{class="read"} 0+800x40`,
			`refusals_total{class="read",cause="overloaded"} 0x40`,
		}, shows: "0.1",
		silent: []string{ // a tenth, but of few
			`requests_served_total{class="issue"} 0+40x40`,
			`refusals_total{class="issue",cause="overloaded"} 0+4x40`,
			`requests_served_total{class="read"} 0+40x40`,
			`refusals_total{class="read",cause="overloaded"} 0+4x40`,
		},
	},
	{
		rule: "OverloadRate", value: refused("overloaded"),
		fires: []string{ // a hundredth, of many
			`requests_served_total{class="issue"} 0+16000x40`,
			`refusals_total{class="issue",cause="overloaded"} 0+160x40`,
		}, shows: "640",
		silent: []string{`requests_served_total{class="issue"} 0+14000x40`, `refusals_total{class="issue",cause="overloaded"} 0+140x40`},
	},
	{
		rule: "ServerFaults", value: faultsValue, events: faultsEvents,
		fires: []string{
			`requests_served_total{class="submit"} 0+50x40`,
			`refusals_total{class="submit",cause="fault"} 0+2x40`,
			`requests_served_total{class="read"} 0+5000x40`,
		}, shows: "0.04",
		silent: []string{
			`requests_served_total{class="submit"} 0+303x40`,
			`refusals_total{class="submit",cause="fault"} 0+3x40`,
		},
	},
	{
		rule: "ServerFaultRate", value: refused("fault"),
		fires: []string{
			`requests_served_total{class="submit"} 0+4000x40`,
			`refusals_total{class="submit",cause="fault"} 0+10x40`,
		}, shows: "40",
		silent: []string{`requests_served_total{class="submit"} 0+4000x40`, `refusals_total{class="submit",cause="fault"} 0+7x40`},
	},
	{
		rule:   "ProverErrors",
		value:  part(inWindow(metrics.ProverErrors, matching("cause", proverFails)), pushes),
		events: inWindow(metrics.ProverErrors, matching("cause", proverFails)),
		fires: []string{
			`http_requests_total{operation="pushEvent",code="none"} 0+3x40`,
			`http_requests_total{operation="pushEvent",code="prover_timeout"} 0+1x40`,
			`prover_errors_total{cause="prover_late"} 0+1x40`,
		}, shows: "0.25",
		silent: []string{
			`http_requests_total{operation="pushEvent",code="none"} 0+30x40`,
			`http_requests_total{operation="pushEvent",code="prover_timeout"} 0+3x40`,
			`prover_errors_total{cause="prover_late"} 0+3x40`,
			`prover_errors_total{cause="overloaded"} 0+30x40`,
		},
	},
	{
		rule: "ProverDeaths", value: inWindow(metrics.ChildDeaths, matching("role", "prover")),
		fires: []string{`child_deaths_total{role="prover"} 0x17 1 2x40`}, shows: "2",
		silent: []string{`child_deaths_total{role="prover"} 0x17 1x40`},
	},
	{
		rule: "KeyholderDeaths", value: inWindow(metrics.ChildDeaths, matching("role", "signer|tagger")),
		fires: []string{`child_deaths_total{role="tagger"} 0x16 1x40`}, shows: "1",
		silent: []string{`child_deaths_total{role="signer"} 1x40`, `child_deaths_total{role="prover"} 0x16 1x40`},
	},
	{
		rule: "TagDisagreement", value: inWindow(metrics.TaggerDisagreements, ""),
		fires: []string{`tagger_disagreements_total 0x16 1x40`}, shows: "1",
		silent: []string{`tagger_disagreements_total 1x40`},
	},
	{
		rule: "NoEpoch", value: gauge(metrics.EpochMissing),
		fires: []string{`epoch_missing 0x8 1x40`, `epoch_active 1x8 0x40`}, shows: "1",
		silent: []string{`epoch_missing 0x40`, `epoch_active 0x40`}, // the log is sealed
	},
	{
		rule: "EpochTooOld", value: gauge(metrics.EpochAge) + "\n/ (" + gauge(metrics.EpochMaxAge) + " > 0)",
		fires: []string{`epoch_age_seconds 110400+15x40`, `epoch_max_age_seconds 86400x40`}, shows: "1.281",
		silent: []string{`epoch_age_seconds 900000+15x40`, `epoch_max_age_seconds 0x40`}, // rotation is manual
	},
	{
		rule: "EpochNearlyFull", value: gauge(metrics.EpochFill),
		fires: []string{`epoch_fill_ratio 0.96x40`}, shows: "0.96",
		silent: []string{`epoch_fill_ratio 0.94x40`},
	},
	{
		rule: "JournalFailing", value: gauge(metrics.JournalFailing),
		fires: []string{`journal_failing 0x8 1x40`}, shows: "1",
		silent: []string{`journal_failing 0x16 1 0x40`}, // once, for less than two ticks
	},
	{
		rule: "LedgerStopped", value: gauge(metrics.LedgerDiverged),
		fires: []string{`ledger_diverged 0x8 1x40`}, shows: "1",
		silent: []string{`ledger_diverged 0x40`, `ledger_failing 1x40`},
	},
	{
		rule: "LedgerLag", value: gauge(metrics.LedgerLag) + "\n/ (" + gauge(metrics.LedgerMaxLag) + " > 0)",
		fires: []string{`ledger_lag_leaves 3072x40`, `ledger_max_lag_leaves 4096x40`}, shows: "0.75",
		silent: []string{`ledger_lag_leaves 1024x40`, `ledger_max_lag_leaves 4096x40`},
	},
	{
		rule: "CheckpointTooOld", value: gauge(metrics.CheckpointAge),
		fires: []string{`ledger_checkpoint_age_seconds 0+15x40`}, shows: "300",
		silent: []string{`ledger_checkpoint_age_seconds 45x40`},
	},
	{
		rule: "Frozen", value: "clamp_max(" + fmt.Sprintf("sum %s (%s%s)", instance, metrics.Prefix, metrics.Holds) + ", 1)",
		fires: []string{`holds{operation="issue"} 1x40`, `holds{operation="accept"} 2x40`}, shows: "1",
		silent: []string{`holds{operation="issue"} 0x40`, `holds{operation="accept"} 0x40`},
	},
	{
		rule: "DiskFull", value: gauge(metrics.DiskFreeRatio),
		fires: []string{`disk_free_ratio 0.04x40`}, shows: "0.04",
		silent: []string{`disk_free_ratio _x8 0.06x40`},
	},
	{
		rule: "DiskLow", value: gauge(metrics.DiskFreeRatio),
		fires: []string{`disk_free_ratio 0.14x40`}, shows: "0.14", also: []firing{{"DiskFull fires", "0.04"}, {"DiskFull is silent", "0.06"}},
		silent: []string{`disk_free_ratio _x8 0.16x40`},
	},
	{
		rule: "CertificateExpires", value: certificateDays,
		fires: []string{`certificate_expiry_timestamp_seconds 173100x40`}, shows: "2",
		silent: []string{`certificate_expiry_timestamp_seconds 0x40`}, // without TLS
	},
	{
		rule: "CertificateExpiresSoon", value: certificateDays,
		fires: []string{`certificate_expiry_timestamp_seconds 864300x40`}, shows: "10", also: []firing{{"CertificateExpires fires", "2"}},
		silent: []string{`certificate_expiry_timestamp_seconds 1987500x40`},
	},
	{
		rule: "ClockStepped", value: inWindow(metrics.ClockMoved, ""),
		fires: []string{`clock_step_seconds_total 0x16 3.5x40`}, shows: "3.5",
		silent: []string{`clock_step_seconds_total 0x16 1.2x40`},
	},
	{
		rule: "EventsLost", value: inWindow(metrics.EventsLost, "") + "\n+ " + inWindow(metrics.LinesLost, ""),
		fires: []string{`events_lost_total 0+20x40`, `log_lines_lost_total 0+20x40`}, shows: "160",
		silent: []string{`events_lost_total 0+20x40`, `log_lines_lost_total 0+4x40`},
	},
	{
		rule: "NotifierDeaths", value: inWindow(metrics.ChildDeaths, matching("role", "notifier")),
		fires: []string{`child_deaths_total{role="notifier"} 0x17 1 2x40`}, shows: "2",
		silent: []string{`child_deaths_total{role="notifier"} 0x17 1x40`, `child_deaths_total{role="prover"} 0x16 1x40`},
	},
	{
		rule: "AlertsDropped", value: inWindow(metrics.AlertsDropped, ""),
		fires: []string{`alerts_dropped_total 0x16 4x40`}, shows: "4",
		silent: []string{`alerts_dropped_total 4x40`},
	},
	{
		rule: "AlertsUndelivered", value: gauge(metrics.AlertsUndelivered) + "\n/ 60",
		fires: []string{`alerts_undelivered_seconds 600+15x40`}, shows: "15",
		silent: []string{`alerts_undelivered_seconds 540x40`},
	},
	{
		rule: "CosignerFailing", value: gauge(metrics.CosignerFailing) + "\n/ 60",
		fires: []string{`cosigner_failing_seconds 600+15x40`}, shows: "15",
		silent: []string{`cosigner_failing_seconds 540x40`},
	},
	{
		rule: "ImpossibleEvent", value: fired("ImpossibleEvent"),
		fires: []string{`alerts_fired_total{rule="ImpossibleEvent"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="ImpossibleEvent"} 1x40`},
	},
	{
		rule: "AnomalyConfirmed", value: fired("AnomalyConfirmed"),
		fires: []string{`alerts_fired_total{rule="AnomalyConfirmed"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalyConfirmed"} 1x40`},
	},
	{
		rule: "AnomalyRate", value: fired("AnomalyRate"),
		fires: []string{`alerts_fired_total{rule="AnomalyRate"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalyRate"} 1x40`},
	},
	{
		rule: "AnomalyPattern", value: fired("AnomalyPattern"),
		fires: []string{`alerts_fired_total{rule="AnomalyPattern"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalyPattern"} 1x40`},
	},
	{
		rule: "AnomalyProver", value: fired("AnomalyProver"),
		fires: []string{`alerts_fired_total{rule="AnomalyProver"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalyProver"} 1x40`},
	},
	{
		rule: "AnomalyClient", value: fired("AnomalyClient"),
		fires: []string{`alerts_fired_total{rule="AnomalyClient"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalyClient"} 1x40`},
	},
	{
		rule: "AnomalySeries", value: fired("AnomalySeries"),
		fires: []string{`alerts_fired_total{rule="AnomalySeries"} 0x16 1x40`}, shows: "1",
		silent: []string{`alerts_fired_total{rule="AnomalySeries"} 1x40`},
	},
	{
		rule: watch.Heartbeat, value: gauge(metrics.Build),
		fires: []string{`build_info{version="1.0",go_version="go1.26"} 1x40`}, shows: "1",
		silent: []string{`/up 0x40`}, // no scrape succeeds
	},
}

// What proverErrors of package watch counts.
const proverFails = "prover_late|prover_wrong|prover_wrong_tag"

var pushes = inWindow(metrics.HTTPRequests, `operation="pushEvent",code=~"none|prover_.*"`)

var certificateDays = fmt.Sprintf("(min %s (%s%s > 0) - time()) / 86400", instance, metrics.Prefix, metrics.CertificateExpiry)

// rulesOfWatch are the rules of package watch and its heartbeat, by name.
func rulesOfWatch() map[string]watch.Rule {
	all := map[string]watch.Rule{watch.Heartbeat: {
		Name: watch.Heartbeat, Severity: watch.Info, Reads: "nothing; it fires while the server is scraped, and its absence means that alerts do not arrive",
		Fire: 1, Clear: 1, For: 1, Group: "state", Runbook: "machine.md",
	}}
	for _, r := range watch.Rules() {
		all[r.Name] = r
	}
	return all
}

// alert is one alert of a file of rules.
type alert struct {
	name, severity, group, scope string
	expr                         string
	wait, keep                   time.Duration
	summary, description         string
	runbook                      string
}

// alertOf returns the alert of a rule: it fires at one threshold and clears at another.
func alertOf(t *twin, r *watch.Rule) alert {
	record := "td:" + snake(t.rule) + ":"
	fires, holds := ">=", ">="
	if r.Below {
		fires, holds = "<=", "<="
	}
	expr := fmt.Sprintf("%svalue %s %s", record, fires, number(r.Fire))
	if t.events != "" {
		expr += fmt.Sprintf("\nand %sevents >= %s", record, number(r.Floor))
	}
	if r.Clear != r.Fire { // a value that fires goes on to do so up to the other threshold
		expr += fmt.Sprintf("\nor (%svalue %s %s\n  and on (job, instance) ALERTS{alertname=%q, alertstate=\"firing\"})", record, holds, number(r.Clear), t.rule)
	}
	scope := map[watch.ScopeKind]string{watch.Global: watch.ScopeServer, watch.PerClient: "clients", watch.PerNetwork: "networks", watch.PerFinding: "findings"}[r.Scope]
	kept := keep
	switch {
	case t.rule == watch.Heartbeat:
		kept = 0 // its absence is the message
	case r.Keep > 0:
		kept = r.Keep
	}
	a := alert{
		name: t.rule, severity: r.Severity.String(), group: r.Group, scope: scope, expr: expr, wait: time.Duration(r.For-1) * tick, keep: kept,
		summary: t.rule + ": " + r.Reads, runbook: "docs/runbooks/" + r.Runbook,
		description: fmt.Sprintf(`{{ $value | printf "%%.4g" }}, threshold %s, of {{ $labels.instance }}`, number(r.Fire)),
	}
	if r.Scope != watch.Global {
		a.description = `The server has fired it {{ $value | printf "%.4g" }} times within a minute; td admin alerts names the ` + scope
		a.expr = record + "value >= 1"
		a.wait = 0
	}
	return a
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// snake turns a name like EpochTooOld into epoch_too_old.
func snake(name string) string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// record is one recording rule.
type record struct{ name, expr string }

// generated begins every generated file.
const generated = "# Written by \"make docs\" from the tables in deploy/*_test.go and internal/watch/rules.go.\n"

// rulesFile returns the rules that package watch has, too.
func rulesFile() string {
	var records []record
	var alerts []alert
	builtIn := rulesOfWatch()
	for i := range twins {
		t, name := &twins[i], "td:"+snake(twins[i].rule)+":"
		r := builtIn[t.rule]
		records = append(records, record{name + "value", t.value})
		if t.events != "" {
			records = append(records, record{name + "events", t.events})
		}
		alerts = append(alerts, alertOf(t, &r))
	}
	return generated + `# They want a scrape each 15 seconds, see docs/monitoring.md. The value of a rule is a
# series of its own; the alert compares it with the threshold at which it fires and, once
# it fires, with the one at which it clears.
groups:
` + groupText("terradourada", tick, records, alerts)
}

// groupText returns one group of rules.
func groupText(name string, every time.Duration, records []record, alerts []alert) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    interval: %s\n    rules:\n", name, short(every))
	for _, r := range records {
		fmt.Fprintf(&b, "      - record: %s\n        expr: |-\n%s", r.name, indented(r.expr, 10))
	}
	for i := range alerts {
		a := &alerts[i]
		fmt.Fprintf(&b, "\n      - alert: %s\n        expr: |-\n%s", a.name, indented(a.expr, 10))
		if a.wait > 0 {
			fmt.Fprintf(&b, "        for: %s\n", short(a.wait))
		}
		if a.keep > 0 {
			fmt.Fprintf(&b, "        keep_firing_for: %s\n", short(a.keep))
		}
		b.WriteString("        labels:\n" + pairs(a.labels(), 10))
		b.WriteString("        annotations:\n" + pairs([]string{"summary", a.summary, "description", a.description, "runbook", a.runbook}, 10))
	}
	return b.String()
}

// labels returns the labels of an alert, as names and values.
func (a *alert) labels() []string {
	return []string{"severity", a.severity, "group", a.group, "scope", a.scope, "service", "terradourada"}
}

func indented(text string, n int) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(text, "\n", "\n"+pad) + "\n"
}

func pairs(list []string, n int) string {
	var b strings.Builder
	for i := 0; i < len(list); i += 2 {
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat(" ", n), list[i], quoted(list[i+1]))
	}
	return b.String()
}

// quoted returns a YAML string.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// short writes a duration as Prometheus does.
func short(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if s == "" || !strings.HasSuffix(s, "h") && !strings.HasSuffix(s, "m") {
		return d.String()
	}
	if strings.HasSuffix(s, "h0m") {
		return strings.TrimSuffix(s, "0m")
	}
	return s
}

// aTest is one group of tests of promtool.
type aTest struct {
	name   string
	series []string // with their values
	checks []check
}

// check is what an alert does at one time.
type check struct {
	at    time.Duration
	alert *alert
	on    []firing
}

// firing is the instance on which an alert fires, and the value that it shows.
type firing struct{ instance, shows string }

// testFile returns a file of tests of promtool: series with a value each every, rules
// evaluated each evaluation.
func testFile(rules string, every, evaluation time.Duration, tests []aTest) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%srule_files: [%s]\nevaluation_interval: %s\ntests:\n", generated, rules, short(evaluation))
	for i := range tests {
		t := &tests[i]
		fmt.Fprintf(&b, "\n  - name: %s\n    interval: %s\n    input_series:\n", t.name, short(every))
		for _, s := range t.series {
			series, values, _ := strings.Cut(s, "} ")
			fmt.Fprintf(&b, "      - series: %s\n        values: %s\n", quoted(series+"}"), quoted(values))
		}
		b.WriteString("    alert_rule_test:\n")
		for _, c := range t.checks {
			b.WriteString(c.text())
		}
	}
	return b.String()
}

func (c *check) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "      - eval_time: %s\n        alertname: %s\n", short(c.at), c.alert.name)
	if len(c.on) == 0 {
		b.WriteString("        exp_alerts: []\n")
		return b.String()
	}
	b.WriteString("        exp_alerts:\n")
	for _, f := range c.on {
		shown := strings.NewReplacer(`{{ $value | printf "%.4g" }}`, f.shows, "{{ $value | humanizePercentage }}", f.shows, "{{ $labels.instance }}", f.instance).Replace(c.alert.description)
		b.WriteString("          - exp_labels:\n" + pairs(append(c.alert.labels(), "job", "terradourada", "instance", f.instance), 14))
		b.WriteString("            exp_annotations:\n" + pairs([]string{"summary", c.alert.summary, "description", shown, "runbook", c.alert.runbook}, 14))
	}
	return b.String()
}

// on returns series of a case with all labels and values.
func on(instance string, series ...string) []string {
	all := make([]string, len(series))
	for i, s := range series {
		name, values, _ := strings.Cut(s, " ")
		name, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		if labels != "" {
			labels = "," + labels
		}
		name, bare := strings.CutPrefix(name, "/")
		if !bare {
			name = metrics.Prefix + name
		}
		all[i] = fmt.Sprintf(`%s{job="terradourada",instance=%q%s} %s`, name, instance, labels, values)
	}
	return all
}

// rulesTests returns the cases of every rule, each on an instance of its own, and the life
// of some alerts.
func rulesTests() string {
	cases := aTest{name: "Each rule fires in its case and is silent in the other"}
	for i := range twins {
		t := &twins[i]
		cases.series = append(cases.series, on(t.rule+" fires", t.fires...)...)
		cases.series = append(cases.series, on(t.rule+" is silent", t.silent...)...)
		cases.checks = append(cases.checks, check{5 * time.Minute, alertNamed(t.rule), append(t.also, firing{t.rule + " fires", t.shows})})
	}
	return testFile("terradourada.rules.yml", tick, tick, append([]aTest{cases}, lives()...))
}

func alertNamed(name string) *alert {
	r := rulesOfWatch()[name]
	a := alertOf(&twins[slices.IndexFunc(twins, func(t twin) bool { return t.rule == name })], &r)
	return &a
}

// lives are alerts that begin, go on and end.
func lives() []aTest {
	wrong, disk := alertNamed("WrongTags"), alertNamed("DiskLow")
	at := func(minutes float64, a *alert, shows string) check {
		c := check{at: time.Duration(minutes * float64(time.Minute)), alert: a}
		if shows != "" {
			c.on = []firing{{"a", shows}}
		}
		return c
	}
	return []aTest{
		{
			"WrongTags waits for a second tick, goes on down to its lower threshold, and is kept for ten minutes",
			on(
				"a",
				`refusals_total{class="submit",cause="wrong_tag"} 0+8x20 160+2x20 200x80`, // 32 a minute, 8, then none
			),
			[]check{at(0.75, wrong, ""), at(5, wrong, "32"), at(8, wrong, "8"), at(19, wrong, "6"), at(25, wrong, "")},
		},
		{
			"DiskLow goes on up to its upper threshold",
			on("a", `disk_free_ratio 0.2x8 0.14x8 0.17x40 0.2x80`),
			[]check{at(2, disk, ""), at(4, disk, "0.14"), at(10, disk, "0.17"), at(20, disk, "0.17"), at(30, disk, "")},
		},
	}
}

// alertmanagerFile returns a configuration of Alertmanager: what goes where, and which
// alerts explain others.
func alertmanagerFile() string {
	var b strings.Builder
	b.WriteString(generated + `# Give each receiver the configuration of what it is. An incident is one notification.
route:
  receiver: tickets
  group_by: [service, group, scope, instance]
  group_wait: 15s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: ['alertname = "` + watch.Heartbeat + `"']
      receiver: heartbeat
      group_wait: 0s
      repeat_interval: 5m
    - matchers: ['severity = "page"']
      receiver: pager
receivers:
  - name: heartbeat # alarms when nothing arrives
  - name: pager
  - name: tickets
inhibit_rules:
`)
	builtIn := rulesOfWatch()
	for i := range twins {
		r := builtIn[twins[i].rule]
		for _, by := range r.Inhibit {
			if by == "freeze" {
				by = "Frozen"
			}
			if _, isRule := builtIn[by]; isRule { // no alert says that keys rotate
				fmt.Fprintf(&b, "  - source_matchers: ['alertname = %q']\n    target_matchers: ['alertname = %q']\n    equal: [job, instance]\n", by, r.Name)
			}
		}
	}
	return b.String()
}
