package deploy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/internal/watch"
)

//go:generate go test -count=1 -run ^TestGenerated$ -update .

var update = flag.Bool("update", false, "write the files that are generated")

// generatedFiles are all files that the tables make, by their names.
func generatedFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{
		"prometheus/terradourada.rules.yml": rulesFile(),
		"prometheus/terradourada_test.yml":  rulesTests(),
		"prometheus/objectives.rules.yml":   objectivesFile(),
		"prometheus/objectives_test.yml":    objectivesTests(),
		"alertmanager/alertmanager.yml":     alertmanagerFile(),
	}
	record := replayed(t)
	for i := range dashboards {
		d := &dashboards[i]
		files["grafana/"+d.file+".json"] = d.grafana()
		files["../docs/monitoring/"+d.file+".svg"] = d.picture(record)
	}
	files["../docs/reference/dashboards.md"] = dashboardsPage(record)
	return files
}

// TestGenerated: the files are what the tables say.
func TestGenerated(t *testing.T) {
	for name, text := range generatedFiles(t) {
		if *update {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s is not what the tables say: make docs (%v)", name, err)
		}
	}
}

// allAlerts are the alerts of all files of rules.
func allAlerts() []alert {
	var list []alert
	for i := range twins {
		list = append(list, *alertNamed(twins[i].rule))
	}
	return append(list, prometheusOnly()...)
}

// TestTwins: Prometheus has every rule of package watch, in the same order, and no other
// one but those about what no server can read of itself.
func TestTwins(t *testing.T) {
	var got, want []string
	for i := range twins {
		got = append(got, twins[i].rule)
	}
	for _, r := range watch.Rules() {
		want = append(want, r.Name)
	}
	want = append(want, watch.Heartbeat)
	if !slices.Equal(got, want) {
		t.Errorf("Prometheus has the rules\n%q\npackage watch has\n%q", got, want)
	}
	text := file(t, "prometheus/terradourada.rules.yml") + file(t, "prometheus/objectives.rules.yml")
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(text, -1) {
		named = append(named, m[1])
	}
	for _, a := range prometheusOnly() {
		want = append(want, a.name)
	}
	if !slices.Equal(named, want) {
		t.Errorf("the files have the alerts\n%q\nwant\n%q", named, want)
	}
}

// TestThresholds: an alert fires where the rule of package watch does. The generator reads
// that table; this reads the file.
func TestThresholds(t *testing.T) {
	text := file(t, "prometheus/terradourada.rules.yml")
	for _, r := range watch.Rules() {
		_, own, _ := strings.Cut(text, "- alert: "+r.Name+"\n")
		own, _, _ = strings.Cut(own, "\n\n")
		compare, threshold := ">= ", number(r.Fire)
		if r.Below {
			compare = "<= "
		}
		if r.Scope != watch.Global {
			threshold = "1"
		}
		for _, need := range []string{
			"td:" + snake(r.Name) + ":value " + compare + threshold + "\n", "severity: '" + r.Severity.String() + "'",
			"runbook: 'docs/runbooks/" + r.Runbook + "'", "keep_firing_for: 10m\n",
		} {
			if !strings.Contains(own, need) {
				t.Errorf("the alert %s has no %q:\n%s", r.Name, need, own)
			}
		}
	}
}

// TestRunbooks: the runbook of each alert exists, and the page about the machine names
// every alert that it is for.
func TestRunbooks(t *testing.T) {
	machine := file(t, "../docs/runbooks/machine.md")
	for _, a := range allAlerts() {
		if _, err := os.Stat(filepath.Join("..", a.runbook)); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
		if strings.HasSuffix(a.runbook, "/machine.md") && !strings.Contains(machine, "`"+a.name+"`") {
			t.Errorf("%s has nothing about %s", a.runbook, a.name)
		}
	}
}

// TestCases: the tests of promtool look at each alert where it fires, and have an instance
// on which it is silent.
func TestCases(t *testing.T) {
	text := file(t, "prometheus/terradourada_test.yml") + file(t, "prometheus/objectives_test.yml")
	for _, a := range allAlerts() {
		expected := "alertname: " + a.name + "\n        exp_alerts:\n"
		fires, silent := "instance: '"+a.name+" fires'", `instance="`+a.name+` is silent"`
		_, after, found := strings.Cut(text, expected)
		after, _, _ = strings.Cut(after, "      - eval_time")
		if !found || !strings.Contains(after, fires) || !strings.Contains(text, silent) || strings.Contains(after, silent) {
			t.Errorf("%s has no firing and no silent case", a.name)
		}
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// run runs a tool, and skips the test where it is not installed.
func run(t *testing.T, tool string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Skipf("NOT CHECKED: %s is not installed (Debian: prometheus, prometheus-alertmanager)", tool)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", tool, args, err, out)
	}
}

// TestAlertmanager: amtool accepts the configuration.
func TestAlertmanager(t *testing.T) {
	run(t, "amtool", "check-config", "alertmanager/alertmanager.yml")
}

// TestRules: the commands of docs/monitoring.md succeed, by which promtool accepts the rules
// and every case comes out as it should, and so does its configuration.
func TestRules(t *testing.T) {
	t.Parallel()
	run(t, "promtool", "check", "rules", "--lint=all", "--lint-fatal", "prometheus/terradourada.rules.yml", "prometheus/objectives.rules.yml")
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$").FindAllStringSubmatch(file(t, "../docs/monitoring.md"), -1) {
		blocks[m[1]] += m[2]
	}
	if strings.Count(blocks["sh"], "promtool") != 2 {
		t.Errorf("docs/monitoring.md has the commands\n%s", blocks["sh"])
	}
	cmd := exec.Command("sh", "-eu", "-c", blocks["sh"])
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "rules"), os.DirFS("prometheus")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte(blocks["yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "promtool", "check", "config", config)
}

// target is one expression of a file of a dashboard.
type target struct{ panel, expr string }

// targetsOf returns the expressions of a dashboard, with values for its variables, after
// checks of what else rots in such a file.
func targetsOf(t *testing.T, name string) (all []target) {
	t.Helper()
	text := file(t, name)
	var d struct {
		UID    *string
		ID     *int
		Panels []struct {
			ID                       int
			Title, Type, Description string
			Targets                  []struct{ Expr, RefID string }
		}
		Templating struct{ List []struct{ Name, Type string } }
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != nil || d.ID != nil || len(d.Templating.List) == 0 || d.Templating.List[0].Name != "datasource" || d.Templating.List[0].Type != "datasource" {
		t.Errorf("%s has an id of its own, or no variable for its data source", name)
	}
	for _, m := range regexp.MustCompile(`"uid": *("[^"]*")`).FindAllStringSubmatch(text, -1) {
		if m[1] != `"${datasource}"` {
			t.Errorf("%s names the data source %s", name, m[1])
		}
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("%s: panel %d %q is not the only one of this id, or lacks title, description or curves", name, p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, c := range p.Targets {
			all = append(all, target{p.Title, strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*").Replace(c.Expr)})
		}
	}
	return all
}

// TestDashboards: every expression of a panel is one, and names metrics that exist; each
// metric that an alert reads is on a panel.
func TestDashboards(t *testing.T) {
	known, shown := registered(t), map[string]bool{}
	rules := "groups:\n  - name: panels\n    rules:\n"
	for i := range dashboards {
		name := "grafana/" + dashboards[i].file + ".json"
		for j, c := range targetsOf(t, name) {
			rules += fmt.Sprintf("      - record: panel:%s:%d\n        expr: %s\n", dashboards[i].file, j, quoted(c.expr))
			for _, metric := range metricsOf(c.expr) {
				if !known[metric] {
					t.Errorf("%s: panel %q names %s, which no server has", name, c.panel, metric)
				}
				shown[whole(metric)] = true
			}
		}
	}
	for _, name := range []string{"terradourada", "objectives"} {
		for _, metric := range metricsOf(rulesOnly(file(t, "prometheus/"+name+".rules.yml"))) {
			switch {
			case metric == "up" || metric == "ALERTS":
			case !known[metric]:
				t.Errorf("%s.rules.yml names %s, which no server has", name, metric)
			case !shown[whole(metric)]:
				t.Errorf("%s.rules.yml reads %s, which is on no panel", name, metric)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "panels.rules.yml")
	if err := os.WriteFile(path, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "promtool", "check", "rules", path)
}

// whole returns the name of the histogram that a series is part of, otherwise the name.
func whole(metric string) string {
	for _, of := range []string{"_bucket", "_sum", "_count"} {
		metric = strings.TrimSuffix(metric, of)
	}
	return metric
}

// rulesOnly returns the expressions of a file of rules.
func rulesOnly(text string) string {
	var b strings.Builder
	for _, m := range regexp.MustCompile(`(?m)^        expr: \|-\n((?:          .*\n)+)`).FindAllStringSubmatch(text, -1) {
		b.WriteString(m[1])
	}
	return b.String()
}

var (
	noNames = regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|\b(?:by|on|without|ignoring) ?\([^)]*\)`)
	labels  = regexp.MustCompile(`\{[^}]*\}`)
	name    = regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_:]*(?: ?\()?`)
	words   = []string{"and", "or", "unless", "bool", "sum", "max", "min"}
)

// metricsOf returns the metrics that expressions name: what is no function, no operator, no
// label and no number, and was not recorded.
func metricsOf(expr string) (all []string) {
	expr = labels.ReplaceAllString(noNames.ReplaceAllString(expr, " "), " ")
	for _, m := range name.FindAllString(expr, -1) {
		if !strings.HasSuffix(m, "(") && !slices.Contains(words, m) && !strings.HasPrefix(m, "td:") && m != "e" {
			all = append(all, m)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// registered are the names of what a server has, as they are scraped.
func registered(t *testing.T) map[string]bool {
	t.Helper()
	w := httptest.NewRecorder()
	newMetrics(true).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(w.Body.String(), -1) {
		known[m[1]] = m[2] != "histogram"
		for _, of := range []string{"_bucket", "_sum", "_count"} {
			known[m[1]+of] = m[2] == "histogram"
		}
	}
	if len(known) < 100 {
		t.Fatalf("only %d metrics were scraped", len(known))
	}
	return known
}

func anomalyDetectors() (names []string) {
	for _, d := range anomaly.Detectors() {
		names = append(names, d.String())
	}
	return names
}

// newMetrics returns the metrics of a server with the labels that it has.
func newMetrics(process bool) *metrics.Metrics {
	var claims []string
	for _, id := range claim.IDs() {
		claims = append(claims, id.String())
	}
	return metrics.New(metrics.Options{Version: "recorded", Process: process, Labels: metrics.Labels{
		Operations: server.OperationIDs(),
		Claims:     claims,
		Scopes:     []string{"address", "subnet", "network", "provider", "client", "claim", "class", "global", "failures"},
		Tables:     []string{"addresses", "clients", "failures"},
		Rules:      watch.Names(),
		Sinks:      []string{"log", "alertmanager", "webhook"},
		Responses:  []string{"cost", "slow", "block"},

		Detectors:    anomalyDetectors(),
		Suppressions: anomaly.Suppressions(),
	}})
}
