package watch_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/watch"
)

var update = flag.Bool("update", false, "write the table of rules in docs/alerts.md")

//go:generate go test -count=1 -run ^TestRulesAreDocumented$ -update .

// TestRulesAreDocumented: the table in docs/alerts.md is that of the rules.
func TestRulesAreDocumented(t *testing.T) {
	const file = "../../docs/alerts.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "<!-- rules -->\n")
	_, after, found := strings.Cut(rest, "<!-- /rules -->\n")
	if !found {
		t.Fatal("docs/alerts.md has no place for the table")
	}
	var b strings.Builder
	b.WriteString("| rule | severity | reads | fires | clears | ticks | hidden while |\n|---|---|---|---|---|---|---|\n")
	for _, r := range watch.Rules() {
		fires, clears := fmt.Sprintf("≥ %g", r.Fire), fmt.Sprintf("< %g", r.Clear)
		if r.Below {
			fires, clears = fmt.Sprintf("≤ %g", r.Fire), fmt.Sprintf("> %g", r.Clear)
		}
		if r.Floor > 0 {
			fires += fmt.Sprintf(", from %g events on", r.Floor)
		}
		fmt.Fprintf(&b, "| [%s](runbooks/%s) | %s | %s | %s | %s | %d | %s |\n", r.Name, r.Runbook, r.Severity, r.Reads, fires, clears, r.For, strings.Join(r.Inhibit, ", "))
	}
	want := before + "<!-- rules -->\n" + b.String() + "<!-- /rules -->\n" + after
	if *update {
		err = os.WriteFile(file, []byte(want), 0o644)
	} else if want != string(text) {
		err = fmt.Errorf("%s is out of date: make docs", file)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestRunbooksNameTheirRules: the runbook of a rule has a row or a heading that names it,
// with what to do first.
func TestRunbooksNameTheirRules(t *testing.T) {
	t.Parallel()
	for _, r := range watch.Rules() {
		text, err := os.ReadFile("../../docs/runbooks/" + r.Runbook)
		if err != nil {
			t.Error(err)
			continue
		}
		if !names(string(text), r.Name) {
			t.Errorf("docs/runbooks/%s has no row and no heading for %s", r.Runbook, r.Name)
		}
	}
}

// names reports whether a page has a heading with a name, or a row whose first cell has it
// and whose second is not empty.
func names(page, name string) bool {
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		row := len(cells) > 3 && strings.TrimSpace(cells[0]) == "" && strings.TrimSpace(cells[2]) != "" && strings.Contains(cells[1], "`"+name+"`")
		if row || strings.HasPrefix(line, "#") && slices.Contains(strings.Fields(line), name) {
			return true
		}
	}
	return false
}
