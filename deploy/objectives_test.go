package deploy_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry/metrics"
)

// objective is a part of all requests that may be bad.
type objective struct {
	name   string // as part of names of recorded series
	alerts string // beginning of the names of its alerts
	bad    string // what is bad, for people
	budget float64
	some   func(window string) string // bad requests a second
	all    func(window string) string
}

// Codes of problems that the server is responsible for. Neither a freeze nor a stop is
// one: an operator ordered it.
const badCodes = "internal|overloaded|ledger_unavailable|prover_timeout|prover_bad_response|prover_tag_mismatch"

// Operations that the objective about time is about, and the time.
const (
	timedOperations = "openChallenge|sendProof"
	slowAfter       = "0.5" // seconds; one of the bounds of the buckets
)

func perSecond(name, match, window string) string {
	return fmt.Sprintf("sum %s (rate(%s%s%s[%s]))", instance, metrics.Prefix, name, braces(match), window)
}

// objectives are what the server aims at.
var objectives = []objective{
	{
		name: "errors", alerts: "ErrorBudget", bad: "requests that failed for a reason of the server", budget: 0.001,
		some: func(w string) string {
			return perSecond(string(metrics.HTTPRequests), `operation!="none",`+matching("code", badCodes), w)
		},
		all: func(w string) string { return perSecond(string(metrics.HTTPRequests), `operation!="none"`, w) },
	},
	{
		name: "slow", alerts: "LatencyBudget", bad: "challenges and answers that took more than half a second", budget: 0.01,
		some: func(w string) string {
			name := string(metrics.HTTPDuration)
			return perSecond(name+"_count", matching("operation", timedOperations), w) +
				"\n- " + perSecond(name+"_bucket", matching("operation", timedOperations)+`,le="`+slowAfter+`"`, w)
		},
		all: func(w string) string {
			return perSecond(string(metrics.HTTPDuration)+"_count", matching("operation", timedOperations), w)
		},
	},
}

// burns are the speeds at which a budget of 30 days is used up, over two windows: the long
// one shows that it matters, the short one that it goes on.
var burns = []struct {
	name        string
	short, long string
	speed       float64
	severity    string
	wait        time.Duration
}{
	{"BurnsFast", "5m", "1h", 14.4, "page", 2 * time.Minute},
	{"Burns", "30m", "6h", 6, "page", 15 * time.Minute},
	{"BurnsSlowly", "6h", "3d", 1, "ticket", time.Hour},
}

// leastBad is the number of bad requests in the longer window without which no alert
// about a budget fires.
const leastBad = 10

// windows are all windows of burns.
var windows = []string{"5m", "30m", "1h", "6h", "3d"}

const objectivesEvery = time.Minute

// burnAlert returns the alert about one speed of one objective.
func burnAlert(o *objective, i int) alert {
	w := burns[i]
	ratio := "td:" + o.name + ":ratio"
	limit := number(w.speed * o.budget)
	return alert{
		name: o.alerts + w.name, severity: w.severity, group: "objectives", scope: "server", wait: w.wait, keep: keep,
		expr:    fmt.Sprintf("%s%s > %s\nand %s%s > %s\nand td:%s:count%s >= %d", ratio, w.long, limit, ratio, w.short, limit, o.name, w.long, leastBad),
		summary: fmt.Sprintf("%s%s: %s are more than %s of all, over %s and over %s", o.alerts, w.name, o.bad, percent(w.speed*o.budget), w.long, w.short),
		description: fmt.Sprintf(`{{ $value | humanizePercentage }} of all over %s, of {{ $labels.instance }}; at this speed the budget of 30 days is used up in less than %s`,
			w.long, days(30/w.speed)),
		runbook: "docs/runbooks/machine.md",
	}
}

func percent(v float64) string { return fmt.Sprintf("%.3g %%", v*100) }

func days(v float64) string {
	if v > 29 {
		return "a month"
	}
	return fmt.Sprintf("%.1f days", v)
}

// notScraped is the alert that no server can have about itself.
var notScraped = alert{
	name: "NotScraped", severity: "page", group: "machine", scope: "server", wait: time.Minute, keep: keep,
	expr:        `up{job="terradourada"} == 0`,
	summary:     "NotScraped: the ops listener does not answer",
	description: "{{ $labels.instance }} is down, or not reached",
	runbook:     "docs/runbooks/machine.md",
}

// prometheusOnly are the alerts that package watch has not: what they read is not in the
// server, or takes days.
func prometheusOnly() []alert {
	alerts := []alert{notScraped}
	for i := range objectives {
		for j := range burns {
			alerts = append(alerts, burnAlert(&objectives[i], j))
		}
	}
	return alerts
}

func objectivesFile() string {
	var records []record
	for i := range objectives {
		o := &objectives[i]
		name := "td:" + o.name + ":"
		for _, w := range windows {
			records = append(records, record{name + "ratio" + w, "(" + o.some(w) + ")\n/ clamp_min(" + o.all(w) + ", 1e-9)"})
		}
		for _, b := range burns {
			records = append(records, record{name + "count" + b.long, fmt.Sprintf("(%s)\n* %d", o.some(b.long), seconds(b.long))})
		}
	}
	return generated + `# Objectives over 30 days: 99.9 % of the requests do not fail for a reason of the server,
# 99 % of challenges and answers take at most half a second.
groups:
` + groupText("terradourada-objectives", objectivesEvery, records, prometheusOnly())
}

// seconds returns the length of a window.
func seconds(w string) int {
	d, err := time.ParseDuration(strings.Replace(w, "3d", "72h", 1))
	if err != nil {
		panic(err)
	}
	return int(d.Seconds())
}

// trouble is bad requests among 600 a minute, and the part of all that each alert then
// shows, for the objective about errors; the cases of the one about time are ten times as
// bad.
type trouble struct {
	of      string // end of the name of the alert that the case is about
	is      string
	bad     int // a minute
	minutes int // at the end of the 450 of the test
	shows   map[string]float64
}

var troubles = []trouble{
	{"BurnsFast", "fires", 12, 70, map[string]float64{"BurnsFast": 2}},
	{"BurnsFast", "is silent", 7, 70, nil},
	{"Burns", "fires", 6, 240, map[string]float64{"Burns": 0.6667, "BurnsSlowly": 0.5333}},
	{"Burns", "is silent", 5, 150, map[string]float64{"BurnsSlowly": 0.2778}},
	{"BurnsSlowly", "fires", 3, 240, map[string]float64{"BurnsSlowly": 0.2667}},
}

// series returns the series of a case: bad and good requests of the objective about
// errors, all and fast ones of the one about time.
func (c *trouble) series(o *objective) []string {
	const rate, end = 600, 450
	begin := end - c.minutes
	if o.name == "errors" {
		good := rate - c.bad
		return []string{
			fmt.Sprintf(`http_requests_total{operation="sendProof",code="internal"} 0x%d %d+%dx%d`, begin, c.bad, c.bad, c.minutes-1),
			fmt.Sprintf(`http_requests_total{operation="sendProof",code="none"} 0+%dx%d %d+%dx%d`, rate, begin, rate*begin+good, good, c.minutes-1),
		}
	}
	fast := rate - 10*c.bad
	return []string{
		fmt.Sprintf(`http_request_duration_seconds_count{operation="sendProof"} 0+%dx%d`, rate, end),
		fmt.Sprintf(`http_request_duration_seconds_bucket{operation="sendProof",le="0.5"} 0+%dx%d %d+%dx%d`, rate, begin, rate*begin+fast, fast, c.minutes-1),
	}
}

// few are bad requests only, but not ten of them.
var few = map[string][]string{
	"errors": {`http_requests_total{operation="sendProof",code="internal"} 0+0.02x450`},
	"slow": {
		`http_request_duration_seconds_count{operation="sendProof"} 0+0.02x450`,
		`http_request_duration_seconds_bucket{operation="sendProof",le="0.5"} 0x450`,
	},
}

// objectivesTests returns a firing and a silent case of each alert, each on an instance of
// its own, after seven hours and a half.
func objectivesTests() string {
	cases := aTest{name: "Each rule fires in its case and is silent in the other"}
	firings := map[string][]firing{notScraped.name: {{"NotScraped fires", ""}}}
	add := func(instance string, series ...string) {
		cases.series = append(cases.series, on(instance, series...)...)
	}
	add("NotScraped fires", "/up 1x440 0x10")
	add("NotScraped is silent", "/up 0x400 1x50")
	for i := range objectives {
		o := &objectives[i]
		for j := range troubles {
			c := &troubles[j]
			instance := o.alerts + c.of + " " + c.is
			add(instance, c.series(o)...)
			for end, part := range c.shows {
				name := o.alerts + end
				firings[name] = append(firings[name], firing{instance, fmt.Sprintf("%.4g%%", part*o.budget*1000)})
			}
		}
		add(o.alerts+"BurnsSlowly is silent", few[o.name]...)
	}
	for _, a := range prometheusOnly() {
		cases.checks = append(cases.checks, check{7*time.Hour + 30*time.Minute, &a, firings[a.name]})
	}
	return testFile("objectives.rules.yml", time.Minute, 5*time.Minute, []aTest{cases})
}
