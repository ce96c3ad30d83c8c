package td_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

//go:generate go test -count=1 -run ^TestEvidence$ -update .

const (
	evidenceFile = "docs/security/evidence.txt"
	evidencePage = "docs/security/evidence.md"
)

// evidence is what shows a promise in operation.
type evidence struct{ logs, metrics, leaves []string }

// TestEvidence: every promise stands in the file once, every log line, metric and leaf that
// it names exists, and the page is what file and promises say.
func TestEvidence(t *testing.T) {
	promises, err := parsePromises(string(contents(t, promisesFile)))
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseEvidence(string(contents(t, evidenceFile)))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range promises {
		e, ok := all[p.id]
		if !ok {
			t.Errorf("%s says nothing about %s", evidenceFile, p.id)
		}
		checkEvidence(t, p.id, e)
	}
	if len(all) != len(promises) {
		t.Errorf("%d promises, and evidence of %d", len(promises), len(all))
	}
	page := evidenceTable(promises, all)
	if *update {
		if err := os.WriteFile(evidencePage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(contents(t, evidencePage)) != page {
		t.Errorf("%s is not what %s and %s say: make docs", evidencePage, promisesFile, evidenceFile)
	}
}

func checkEvidence(t *testing.T, id string, e evidence) {
	t.Helper()
	_, lines, _ := strings.Cut(string(contents(t, "docs/operate.md")), "## What each log line means")
	metrics := string(contents(t, "docs/reference/metrics.md"))
	for _, line := range e.logs {
		if !strings.Contains(lines, "`"+line+"`") {
			t.Errorf("%s: docs/operate.md explains no line %q", id, line)
		}
	}
	for _, name := range e.metrics {
		if !strings.Contains(metrics, "\n| `terradourada_"+name+"` |") {
			t.Errorf("%s: there is no metric %s", id, name)
		}
	}
	var types []string
	for i := range 10 {
		types = append(types, protocol.LeafType(i).String())
	}
	for _, leaf := range e.leaves {
		if !slices.Contains(types, leaf) || leaf == "unknown" {
			t.Errorf("%s: there is no leaf %s", id, leaf)
		}
	}
}

// parseEvidence reads lines `ID ID: log "a", "b" metric c, d leaf e`, in this order, or
// `ID: none`.
func parseEvidence(file string) (map[string]evidence, error) {
	form := regexp.MustCompile(`^([KHCR][0-9.]+(?: [KHCR][0-9.]+)*):(?: log ("[^"]+"(?:, "[^"]+")*))?(?: metric ([a-z_]+(?:, [a-z_]+)*))?(?: leaf ([a-z-]+(?:, [a-z-]+)*))?( none)?$`)
	list := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(s, ", ")
	}
	all := map[string]evidence{}
	for n, line := range strings.Split(file, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil || (m[2]+m[3]+m[4] == "") != (m[5] != "") {
			return nil, fmt.Errorf("%s:%d: no promises with their evidence", evidenceFile, n+1)
		}
		for _, id := range strings.Fields(m[1]) {
			if _, twice := all[id]; twice {
				return nil, fmt.Errorf("%s:%d: %s stands there twice", evidenceFile, n+1, id)
			}
			all[id] = evidence{list(strings.ReplaceAll(m[2], `"`, "")), list(m[3]), list(m[4])}
		}
	}
	return all, nil
}

func TestParseEvidenceRefuses(t *testing.T) {
	all, err := parseEvidence("# c\nK1 R1.1: log \"a b\", \"c\" metric d_e leaf f\nK2: none\n")
	if err != nil || len(all) != 3 || !slices.Equal(all["R1.1"].logs, []string{"a b", "c"}) || len(all["K2"].metrics) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, bad := range []string{"K1:", "K1: log a", "K1: none leaf f", "K1: leaf f none", "K1: leaf f metric d", "K1: leaf f\nK1: none", ": none"} {
		if all, err := parseEvidence(bad); err == nil {
			t.Errorf("%q: read as %v", bad, all)
		}
	}
}

// evidenceTable writes the page.
func evidenceTable(promises []promise, all map[string]evidence) string {
	var b strings.Builder
	b.WriteString("# Control to evidence\n\nFor people who check controls: each promise of the key model (K, H, C) and of the roadmap (R), what the tests show, and what a running server shows.\n" +
		"Written by \"make docs\" from [promises.yaml](../promises.yaml) and [evidence.txt](evidence.txt); a test checks that everything named here exists. [Operate](../operate.md) explains the log lines, [metrics](../reference/metrics.md) the metrics, [TD/1](../spec/td-1.md) the leaves.\n\n" +
		"A dash means that a server cannot show it: it is about something that never happens, or about the work on the project. A log line shows what a server said of itself; only leaves are signed.\n\n" +
		"| promise | text | packages | tests | log lines | metrics | leaves |\n|---|---|---|---|---|---|---|\n")
	for _, p := range promises {
		e := all[p.id]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", p.id, p.text, code(p.where), code(p.tests), code(e.logs), code(e.metrics), code(e.leaves))
	}
	return b.String()
}

// code writes names as code, or a dash if there are none.
func code(names []string) string {
	if len(names) == 0 {
		return "–"
	}
	return "`" + strings.Join(names, "`, `") + "`"
}
