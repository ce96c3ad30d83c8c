package model_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

//go:generate go test -count=1 -run ^TestPage$ -update .

var update = flag.Bool("update", false, "write the tables of docs/security/model.md")

// TestPage: the tables between the markers of the page are those of the expectations.
func TestPage(t *testing.T) {
	const path = "../docs/security/model.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runs := expectations(t)
	got := string(page)
	for name, table := range map[string]string{
		"attackers": attackersTable(t, runs), "histories": historiesTable(t, runs), "mechanisms": mechanismsTable(runs), "faults": faultsTable(runs),
		"sentence": sentence(t, runs),
	} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, opened := strings.Cut(got, begin)
		_, after, closed := strings.Cut(rest, end)
		if !opened || !closed {
			t.Fatalf("%s has no markers of %s", path, name)
		}
		got = before + begin + table + end + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(page) {
		t.Errorf("%s is not what %s says: make docs", path, expectationsFile)
	}
}

// attackers are what can be taken, in the order of their bits.
func attackers() []string { return sorted(attackerHas) }

// upToTwo lists nothing, every single component and every pair.
func upToTwo() (all [][]string) {
	one := attackers()
	all = append(all, nil)
	for _, a := range one {
		all = append(all, []string{a})
	}
	for i, a := range one {
		for _, b := range one[i+1:] {
			all = append(all, []string{a, b})
		}
	}
	return all
}

// outcomes returns what the runs say of each property for an attacker with all guards in
// place. Every property must have one, and the same in all runs.
func outcomes(t *testing.T, runs []run, model string, holds []string) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, r := range runs {
		// A run without a crash says less than one with it.
		if r.model != model || len(r.without) > 0 || !slices.Equal(r.holds, holds) || r.bounds[2] == 0 || r.live() {
			continue
		}
		for _, p := range r.properties {
			if said[p] != "attack" {
				said[p] = r.result
			}
		}
	}
	return said
}

func attackersTable(t *testing.T, runs []run) string {
	t.Helper()
	properties := sorted(safety["request"])
	var b strings.Builder
	fmt.Fprintf(&b, "| taken | %s |\n|---|%s\n", strings.Join(properties, " | "), strings.Repeat("---|", len(properties)))
	for _, holds := range upToTwo() {
		said := outcomes(t, runs, "request", holds)
		fmt.Fprintf(&b, "| %s |", orNothing(holds, " + "))
		for _, p := range properties {
			if said[p] == "" {
				t.Errorf("no run says whether %q holds when %v are taken", p, holds)
			}
			fmt.Fprintf(&b, " %s |", said[p])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func historiesTable(t *testing.T, runs []run) string {
	t.Helper()
	properties := sorted(safety["handover"])[:3]
	var b strings.Builder
	fmt.Fprintf(&b, "| taken | %s |\n|---|%s\n", strings.Join(properties, " | "), strings.Repeat("---|", len(properties)))
	for _, holds := range [][]string{
		nil,
		{"checkpoint"},
		{"database"},
		{"core"},
		{"checkpoint", "database"},
		{"checkpoint", "core"},
		{"database", "core"},
		{"checkpoint", "cosigned"},
		{"core", "cosigned"},
	} {
		said := outcomes(t, runs, "handover", holds)
		fmt.Fprintf(&b, "| %s |", strings.ReplaceAll(orNothing(holds, " + "), "+ cosigned", "(verifiers require a cosigner)"))
		for _, p := range properties {
			fmt.Fprintf(&b, " %s |", cell(said[p]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// mechanismsTable shows the runs of the two mechanisms by themselves.
func mechanismsTable(runs []run) string {
	var b strings.Builder
	b.WriteString("| taken | a request that was never issued is accepted |\n|---|---|\n")
	for _, r := range runs {
		if slices.Contains(r.without, "anchor not recomputed") && len(r.without) == 4 {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(r.holds, " + "), map[string]string{"holds": "never", "attack": "attack"}[r.result])
		}
	}
	return b.String()
}

// faultsTable shows every run without some guard.
func faultsTable(runs []run) string {
	var b strings.Builder
	b.WriteString("| model | taken | removed | property | result |\n|---|---|---|---|---|\n")
	for _, r := range runs {
		if len(r.without) > 0 {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.model, orNothing(r.holds, ", "), strings.Join(r.without, ", "), strings.Join(r.properties, ", "), r.result)
		}
	}
	return b.String()
}

// sentence states what single components and pairs break, from the runs.
func sentence(t *testing.T, runs []run) string {
	t.Helper()
	broken := map[string][]string{} // property to the smallest sets that break it
	for _, holds := range upToTwo() {
		for p, result := range outcomes(t, runs, "request", holds) {
			if result != "attack" || slices.ContainsFunc(holds, func(h string) bool { return slices.Contains(broken[p], h) }) {
				continue
			}
			broken[p] = append(broken[p], strings.Join(holds, " + "))
		}
	}
	both := outcomes(t, runs, "request", []string{"hmac", "mldsa"})
	for p := range safety["request"] {
		if both[p] != "holds" {
			t.Errorf("with both keys taken %q does not hold: the sentence is wrong", p)
		}
	}
	var b strings.Builder
	b.WriteString("**Breaking one of the two key mechanisms, or both, is not enough**: with the HMAC key or the ML-DSA key taken, and with both, every property holds.\n\n")
	for _, p := range sorted(safety["request"]) {
		if len(broken[p]) == 0 {
			fmt.Fprintf(&b, "* *%s*: no single component and no pair breaks it.\n", p)
		} else {
			fmt.Fprintf(&b, "* *%s* is broken by: %s.\n", p, strings.Join(broken[p], "; "))
		}
	}
	return b.String()
}

func orNothing(names []string, separator string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, separator)
}

func cell(s string) string {
	if s == "" {
		return "not run"
	}
	return s
}
