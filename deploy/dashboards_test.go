package deploy_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/terradourada/td/internal/telemetry/metrics"
)

// dashboard is one dashboard, its picture, and its section in docs/monitoring.md.
type dashboard struct {
	file   string // of JSON and of the picture, without ending
	title  string
	text   string
	panels []panel
}

// panel is one panel.
type panel struct {
	title  string
	unit   string // as Grafana names units
	means  string // what it shows, and what to do about it
	curves []curve
}

// curve is one expression of a panel. A legend like {{cause}} is the value of that label.
type curve struct {
	expr
	legend string
}

func one(legend string, e expr) curve { return curve{e, legend} }

func per(label string, e expr) curve { return curve{e, "{{" + label + "}}"} }

// Causes of refusals that panels put together.
const (
	guessing = "wrong_tag|unknown_id|wrong_client|foreign_epoch|false_proof|malformed_proof|wrong_inputs|replayed|nullifier_used"
	atDoor   = "malformed|unauthenticated|forbidden|not_found|unknown_claim|slow|gone"
	ours     = "fault|overloaded|behind|no_epoch|held|disagreement|prover_late|prover_wrong|prover_wrong_tag"
)

var requests = events{metrics.HTTPRequests, "", ""}

var dashboards = []dashboard{
	{
		file: "overview", title: "Terra Dourada: overview", text: "How the server is, from requests to the disk.",
		panels: []panel{
			{
				"Requests", "reqps", "Requests a second by operation. `none` is what is no operation of the API.",
				[]curve{per("operation", events{metrics.HTTPRequests, "", "operation"})},
			},
			{
				"Problems", "reqps", "Refused requests a second by code. [Error codes](reference/errors.md) has what each means to a client; the dashboard about abuse has the causes.",
				[]curve{per("code", events{metrics.HTTPRequests, `code!="none"`, "code"})},
			},
			{
				"Time of requests", "s", "From the header to the end of the answer, of challenges and answers. The objective is half a second for 99 %.",
				[]curve{
					one("challenge p50", quantile{0.5, metrics.HTTPDuration, `operation="openChallenge"`, ""}),
					one("challenge p99", quantile{0.99, metrics.HTTPDuration, `operation="openChallenge"`, ""}),
					one("answer p50", quantile{0.5, metrics.HTTPDuration, `operation="sendProof"`, ""}),
					one("answer p99", quantile{0.99, metrics.HTTPDuration, `operation="sendProof"`, ""}),
				},
			},
			{
				"Objectives", "percentunit", "Part of requests that failed for a reason of the server, objective 0.1 %, and of challenges and answers that took more than half a second, objective 1 %.",
				[]curve{
					one("failed", over{events{metrics.HTTPRequests, `operation!="none",` + matching("code", badCodes), ""}, events{metrics.HTTPRequests, `operation!="none"`, ""}}),
					one("slow", rest{over{
						events{metrics.HTTPDuration + "_bucket", matching("operation", timedOperations) + `,le="` + slowAfter + `"`, ""},
						events{metrics.HTTPDuration + "_count", matching("operation", timedOperations), ""},
					}}),
				},
			},
			{
				"Challenges", "cps", "Challenges issued and expired, and answers accepted, rejected or failed, a second. Issued without accepted means clients that do not come back.",
				[]curve{
					one("issued", events{metrics.ChallengesIssued, "", ""}),
					one("expired", events{metrics.ChallengesExpired, "", ""}),
					per("outcome", events{metrics.Submissions, "", "outcome"}),
				},
			},
			{
				"Pending requests", "short", "Challenges that wait for their answer, of the server and of the newest tagger.",
				[]curve{one("server", level{metrics.ChallengesPending, "", ""}), per("state", level{metrics.TaggerRequests, "", "state"})},
			},
			{
				"Proofs", "s", "How long a proof is verified, and how long clients take from the challenge to the answer.",
				[]curve{
					one("verification p99", quantile{0.99, metrics.VerifyDuration, "", ""}),
					one("client p50", quantile{0.5, metrics.ResponseTime, "", ""}),
					one("client p99", quantile{0.99, metrics.ResponseTime, "", ""}),
				},
			},
			{
				"Age of the epoch", "s", "Age of the active epoch, and the age at which it is replaced. A drop is a rotation.",
				[]curve{one("age", level{metrics.EpochAge, "", ""}), one("replaced at", level{metrics.EpochMaxAge, "", ""})},
			},
			{
				"Fill of the epoch", "percentunit", "Requests that the epoch has issued over the number after which it is replaced.",
				[]curve{one("fill", level{metrics.EpochFill, "", ""})},
			},
			{
				"Epochs and children", "short", "Epochs opened and closed and children that exited, in each interval of the graph. A signer or tagger that exits ends its epoch.",
				[]curve{
					one("epochs opened", counted{metrics.EpochsOpened, "", ""}),
					one("epochs closed: {{reason}}", counted{metrics.EpochsClosed, "", "reason"}),
					one("exits: {{role}}", counted{metrics.ChildDeaths, "", "role"}),
				},
			},
			{
				"States", "short", "1 while it is so. Each should be 0, but for a freeze that was ordered, and children that run.",
				[]curve{
					one("frozen: {{operation}}", level{metrics.Holds, "", "operation"}),
					one("no epoch", level{metrics.EpochMissing, "", ""}),
					one("journal fails", level{metrics.JournalFailing, "", ""}),
					one("log fails", level{metrics.LedgerFailing, "", ""}),
					one("journal and log disagree", level{metrics.LedgerDiverged, "", ""}),
					one("certificate fails", level{metrics.CertificateFails, "", ""}),
					one("runs: {{role}}", level{metrics.ChildUp, "", "role"}),
				},
			},
			{
				"Unpublished leaves", "short", "Leaves of the journal that the log lacks, and the number at which acceptance stops.",
				[]curve{one("lag", level{metrics.LedgerLag, "", ""}), one("stops at", level{metrics.LedgerMaxLag, "", ""})},
			},
			{
				"Age of the checkpoint", "s", "Time since the last checkpoint while leaves wait for the next one. It is published each second.",
				[]curve{one("age", level{metrics.CheckpointAge, "", ""})},
			},
			{
				"Cosigners", "s", "Time for which a cosigner has cosigned no checkpoint; submissions a second by result.",
				[]curve{one("failing", level{metrics.CosignerFailing, "", ""}), per("result", events{metrics.Cosignatures, "", "result"})},
			},
			{
				"Leaves", "cps", "Leaves a second: acceptances, epochs, freezes.",
				[]curve{one("leaves", events{metrics.JournalSize, "", ""})},
			},
			{
				"Free disk", "percentunit", "Free part of the file system with the data directory. Alerts fire at 15 % and 5 %.",
				[]curve{one("free", level{metrics.DiskFreeRatio, "", ""})},
			},
			{
				"Certificate", "s", "Time until the TLS certificate expires. Alerts fire at 21 and 3 days.",
				[]curve{one("left", left{metrics.CertificateExpiry})},
			},
			{
				"Process", "short", "Processors in use, and goroutines.",
				[]curve{one("processors", events{"process_cpu_seconds_total", "", ""}), one("goroutines / 100", times{0.01, level{"go_goroutines", "", ""}})},
			},
			{
				"Memory", "bytes", "Memory of the core; signer, tagger, prover and notifier are processes of their own.",
				[]curve{one("resident", level{"process_resident_memory_bytes", "", ""})},
			},
			{
				"What readers have missed", "cps", "Events that metrics and logs have not counted, lines of the log that were dropped, and seconds by which the clock was set. Each should be 0.",
				[]curve{
					one("events", events{metrics.EventsLost, "", ""}),
					one("log lines", events{metrics.LinesLost, "", ""}),
					one("clock", events{metrics.ClockMoved, "", ""}),
				},
			},
		},
	},
	{
		file: "abuse", title: "Terra Dourada: abuse and overload", text: "Who is refused and why. No panel names a client or an address; `td admin alerts` and the log do.",
		panels: []panel{
			{
				"Guesses", "reqps", "Answers that were refused for what they say, by cause, a second. Outside they mostly look alike; inside they do not. `wrong_tag` names a pending request of its client; `unknown_id`, `wrong_client` and `foreign_epoch` are free to send.",
				[]curve{per("cause", events{metrics.Refusals, matching("cause", guessing), "cause"})},
			},
			{
				"Wrong tags and false proofs", "short", "A minute, as the alerts count them; `td admin alerts rules` has the thresholds.",
				[]curve{
					one("wrong tags", times{60, events{metrics.Refusals, `cause="wrong_tag"`, ""}}),
					one("unknown requests", times{60, events{metrics.Refusals, matching("cause", unknownRequests), ""}}),
					one("false proofs", times{60, events{metrics.Refusals, `cause="false_proof"`, ""}}),
				},
			},
			{
				"Refused before the gate", "reqps", "Requests that are not of the protocol, without a valid key, too slow, or whose client left, a second.",
				[]curve{per("cause", events{metrics.Refusals, matching("cause", atDoor), "cause"})},
			},
			{
				"Refused for a state of the server", "reqps", "Frozen, overloaded, without an epoch, behind, faults, the prover. `held` during a freeze is as ordered.",
				[]curve{per("cause", events{metrics.Refusals, matching("cause", ours), "cause"})},
			},
			{
				"Refused part", "percentunit", "Part of all requests that quotas refused; of those that took or wanted a place, the parts that found none and that failed in the server. Alerts fire at 50 %, and at 5 % and 2 % of a class.",
				[]curve{
					one("quota", over{events{metrics.Refusals, `cause="limited"`, ""}, requests}),
					one("no place", over{events{metrics.Refusals, `cause="overloaded"`, ""}, events{metrics.Served, "", ""}}),
					one("fault", over{events{metrics.Refusals, `cause="fault"`, ""}, events{metrics.Served, "", ""}}),
				},
			},
			{
				"Quotas", "reqps", "Requests that a quota refused, by its scope, a second.",
				[]curve{per("scope", events{metrics.LimitDecisions, `decision="refused"`, "scope"})},
			},
			{
				"Tables of quotas", "percentunit", "Live entries over places. A full table charges the quota of the wider network instead.",
				[]curve{per("table", level{metrics.LimitLive, "", "table"})},
			},
			{
				"Charged to a wider quota", "cps", "Requests that were charged to a wider quota as a table was full. The alert fires at 10 a second: so many sources at once are rare without an attack.",
				[]curve{per("table", events{metrics.LimitOverflow, "", "table"})},
			},
			{
				"Queues", "short", "Requests that wait for their turn, and that hold a place.",
				[]curve{one("waits: {{class}}", level{metrics.QueueDepth, "", "class"}), one("in work: {{class}}", level{metrics.HTTPInFlight, "", "class"})},
			},
			{
				"Time in queues", "s", "How long requests waited for their turn, p99; pushed events for their proof, too.",
				[]curve{per("class", quantile{0.99, metrics.QueueWait, "", "class"})},
			},
			{
				"Shed", "reqps", "Requests that were refused for lack of a place or of time, a second.",
				[]curve{per("class", events{metrics.Shed, "", "class"})},
			},
			{
				"Pace of challenges", "cps", "Challenges a second, and how many may be issued: 95 % of what can be verified.",
				[]curve{one("issued", events{metrics.ChallengesIssued, "", ""}), one("pace", level{metrics.IssuePace, "", ""})},
			},
			{
				"Connections", "short", "Open connections of the public listener.",
				[]curve{one("open", level{metrics.HTTPConnections, "", ""})},
			},
			{
				"Traffic", "Bps", "Bytes of bodies a second.",
				[]curve{one("received", events{metrics.HTTPReceived, "", ""}), one("sent", events{metrics.HTTPSent, "", ""})},
			},
			{
				"Answers refused by claim", "cps", "Refused answers by claim, a second: whether one claim is the aim.",
				[]curve{per("claim", events{metrics.Rejections, "", "claim"})},
			},
			{
				"Prover of this server", "cps", "Pushed events without a proof, by cause, a second, and tags that the tagger refused and the core holds for right.",
				[]curve{per("cause", events{metrics.ProverErrors, "", "cause"}), one("disagreements", events{metrics.TaggerDisagreements, "", ""})},
			},
			{
				"Alerts", "short", "Alerts of the server that fire, by severity, silences, and alerts that found no place in each interval of the graph.",
				[]curve{
					per("severity", level{metrics.AlertsActive, "", "severity"}), one("silences", level{metrics.AlertsSilenced, "", ""}),
					one("found no place", counted{metrics.AlertsDropped, "", ""}),
				},
			},
			{
				"Alerts that fired", "short", "Alerts of the server that began to fire in each interval of the graph, by rule.",
				[]curve{per("rule", counted{metrics.AlertsFired, "", "rule"})},
			},
			{
				"Delivery of alerts", "s", "Time for which a receiver has taken no alert; notifications a second by result.",
				[]curve{one("undelivered", level{metrics.AlertsUndelivered, "", ""}), per("result", events{metrics.AlertNotifications, "", "result"})},
			},
			{
				"Automatic response", "short", "Responses in force, by step.",
				[]curve{per("step", level{metrics.ResponsesActive, "", "step"})},
			},
			{
				"Anomalies", "short", "Verdicts of the detectors that are in force, by detector. While learning is 0, what is usual stays as it is.",
				[]curve{per("detector", level{metrics.AnomalyFindings, "", "detector"}), one("learning", level{metrics.AnomalyLearning, "", ""})},
			},
			{
				"Verdicts about anomalies", "short", "Verdicts in each interval of the graph, by detector, those that something explains, and what operators said of them.",
				[]curve{
					per("detector", counted{metrics.AnomalyVerdicts, "", "detector"}), per("reason", counted{metrics.AnomalySuppressed, "", "reason"}),
					per("verdict", counted{metrics.AnomalyFeedback, "", "verdict"}),
				},
			},
			{
				"Builds", "short", "Servers that are scraped, by version.",
				[]curve{per("version", level{metrics.Build, "", "version"})},
			},
		},
	},
}

// grafana returns the JSON of a dashboard, as Grafana imports it.
func (d *dashboard) grafana() string {
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	var panels []object
	for i := range d.panels {
		p := &d.panels[i]
		var targets []object
		for j, c := range p.curves {
			targets = append(targets, object{"datasource": source, "expr": c.promql(), "legendFormat": c.legend, "refId": string(rune('A' + j)), "range": true})
		}
		panels = append(panels, object{
			"id": i + 1, "type": "timeseries", "title": p.title, "description": plain(p.means), "datasource": source, "targets": targets,
			"gridPos":     object{"x": i % 3 * 8, "y": i / 3 * 8, "w": 8, "h": 8},
			"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0, "custom": object{"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}}, "overrides": []any{}},
			"options":     object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}},
		})
	}
	variable := func(name, query string) object {
		return object{
			"name": name, "type": "query", "datasource": source, "query": object{"query": query, "refId": name}, "definition": query,
			"refresh": 2, "multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"}, "sort": 1,
		}
	}
	build := metrics.Prefix + string(metrics.Build)
	b, err := json.MarshalIndent(object{
		"title": d.title, "description": d.text, "tags": []string{"terradourada"}, "editable": true, "schemaVersion": 38, "version": 1,
		"refresh": "30s", "time": object{"from": "now-3h", "to": "now"}, "timezone": "browser", "graphTooltip": 1, "panels": panels,
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source", "refresh": 1, "current": object{}},
			variable("job", fmt.Sprintf("label_values(%s, job)", build)),
			variable("instance", fmt.Sprintf(`label_values(%s{job=~"$job"}, instance)`, build)),
		}},
		"annotations": object{"list": []object{{
			"name": "alerts", "datasource": source, "enable": true, "iconColor": "red", "expr": `ALERTS{service="terradourada",alertstate="firing",severity=~"page|ticket"}`,
			"titleFormat": "{{alertname}}", "tagKeys": "severity",
		}}},
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b) + "\n"
}

// plain returns a text without the marks of Markdown.
func plain(text string) string {
	return strings.ReplaceAll(markdownLink.ReplaceAllString(text, "$1"), "`", "")
}

var markdownLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// dashboardsPage returns the documentation of the panels.
func dashboardsPage(r *replay) string {
	var b strings.Builder
	b.WriteString(`# Dashboards

Written by "make docs" from the table in deploy/dashboards_test.go. The files are in deploy/grafana; [monitoring](../monitoring.md) explains how to load them.

The pictures are drawn by the project from a recorded run of a real server: seven minutes of small load with wrong tags of one client, answers to an unknown request, a rotation, a freeze, false proofs, and requests that are not of the protocol. A panel whose values did not change in that run has no picture.
`)
	for i := range dashboards {
		d := &dashboards[i]
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n![%s, drawn from a recorded run](../monitoring/%s.svg)\n\n| panel | unit | meaning | metrics |\n|---|---|---|---|\n", d.title, d.text, d.title, d.file)
		for j := range d.panels {
			p := &d.panels[j]
			var names []string
			for _, c := range p.curves {
				for _, name := range metricsOf(strings.NewReplacer("$", "").Replace(c.promql())) {
					names = append(names, "`"+strings.TrimPrefix(whole(name), metrics.Prefix)+"`")
				}
			}
			slices.Sort(names)
			title := p.title
			if p.lines(&r.samples) == nil {
				title += " *"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", title, units[p.unit].word, strings.ReplaceAll(p.means, "](reference/", "]("), strings.Join(slices.Compact(names), ", "))
		}
	}
	b.WriteString("\nNames of metrics stand without `" + metrics.Prefix + "`. A star marks a panel without a picture.\n")
	return b.String()
}
