package td_test

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

//go:generate go test -count=1 -run ^TestTablesOfTheThreatModel$ -update .

var update = flag.Bool("update", false, "write the tables of docs/security/threat-model.md")

const (
	threatsFile = "docs/security/threats.yaml"
	threatsPage = "docs/security/threat-model.md"
)

// threat is one entry of docs/security/threats.yaml.
type threat struct {
	id, boundary, stride, asset, actor, threat, mitigation string
	tests                                                  []string
	status, owner, review, missing                         string
}

// TestThreatsAreAttacked: a mitigated threat has tests that exist and are not always
// skipped, an accepted risk has an owner and a date and may have such tests, an open one
// says what is missing, and boundaries, assets and actors are those of the page.
func TestThreatsAreAttacked(t *testing.T) {
	page := string(contents(t, threatsPage))
	_, actors, _ := strings.Cut(page, "## Actors")
	actors, _, _ = strings.Cut(actors, "## Boundaries")
	runs := runningTests(t)
	seen := map[string]bool{}
	for _, th := range threats(t) {
		if seen[th.id] {
			t.Errorf("%s stands there twice", th.id)
		}
		seen[th.id] = true
		if !strings.Contains(page, "\n| "+th.boundary+" ") || !strings.Contains(page, "\n| "+th.asset+" ") {
			t.Errorf("%s: the page has no boundary %s or no asset %s", th.id, th.boundary, th.asset)
		}
		if !strings.Contains(actors, "**"+th.actor+"**") && !strings.Contains(actors, "**"+strings.Replace(th.actor, "thief of", "of", 1)+"**") {
			t.Errorf("%s: the page does not say what the actor %q can", th.id, th.actor)
		}
		if strings.Trim(th.stride, "STRIDE") != "" || th.stride == "" {
			t.Errorf("%s: %q are no letters of STRIDE", th.id, th.stride)
		}
		if len(th.tests) == 0 && th.status == "mitigated" || len(th.tests) > 0 && th.status == "open" {
			t.Errorf("%s is %s with %d tests", th.id, th.status, len(th.tests))
		}
		for _, name := range th.tests {
			function, sub := splitTest(name)
			if !runs[function] || sub != "" && !subtestExists(t, function, sub) {
				t.Errorf("%s is attacked by %s, which does not exist or is always skipped", th.id, name)
			}
		}
		if _, err := time.Parse(time.DateOnly, th.review); th.status == "accepted" && (err != nil || th.owner == "") {
			t.Errorf("%s is accepted without owner or date", th.id)
		}
		if th.status == "open" && th.missing == "" {
			t.Errorf("%s is open, and nothing is missing", th.id)
		}
	}
}

// TestThreatTestsHaveAThreat: every test whose name begins with TestThreat_ is named in
// the file.
func TestThreatTestsHaveAThreat(t *testing.T) {
	named := map[string]bool{}
	for _, th := range threats(t) {
		for _, name := range th.tests {
			function, _ := splitTest(name)
			named[function] = true
		}
	}
	for name := range runningTests(t) {
		if strings.Contains(name, ".TestThreat_") && !named[name] {
			t.Errorf("%s attacks a threat that %s does not name", name, threatsFile)
		}
	}
}

// runningTests returns the tests of the module that do not begin with a skip, as
// package.Name.
func runningTests(t *testing.T) map[string]bool {
	t.Helper()
	runs := map[string]bool{}
	for _, at := range testsOf(t) {
		runs[qualified(at)] = true
	}
	for _, name := range goFiles(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && alwaysSkipped(f) {
				delete(runs, qualified(aTest{directory(name), f.Name.Name}))
			}
		}
	}
	return runs
}

// splitTest splits the name of a subtest, package.Function/subtest.
func splitTest(name string) (function, sub string) {
	at := strings.Index(name, ".Test") + 1
	function, sub, _ = strings.Cut(name[at:], "/")
	return name[:at] + function, sub
}

// subtestExists reports whether the tests in the package of a function have a string that
// is the name of a subtest, or two that make it together.
func subtestExists(t *testing.T, function, sub string) bool {
	t.Helper()
	dir, _, _ := strings.Cut(function, ".Test")
	literals := map[string]bool{}
	for _, name := range goFiles(t) {
		if !strings.HasSuffix(name, "_test.go") || directory(name) != dir {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					literals[text] = true
				}
			}
			return true
		})
	}
	for i := range sub {
		if literals[sub[:i]] && literals[sub[i:]] && i > 0 {
			return true
		}
	}
	return literals[sub]
}

func TestSubtestExists(t *testing.T) {
	const function = "cmd/td.TestAttacksTrust"
	for sub, want := range map[string]bool{
		"extended log over plain HTTP": true, "a signer asked for two histories: another tree": true,
		"extended log over plain": false, "a signer asked for two histories: nothing at all": false,
	} {
		if got := subtestExists(t, function, sub); got != want {
			t.Errorf("%q: got %v", sub, got)
		}
	}
	if f, s := splitTest("a/b.TestX/y. z/w"); f != "a/b.TestX" || s != "y. z/w" {
		t.Errorf("split into %q and %q", f, s)
	}
}

func directory(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return "."
}

func qualified(at aTest) string {
	if at.pkg == "." {
		at.pkg = "td"
	}
	return at.pkg + "." + at.name
}

// alwaysSkipped reports whether a skip is a statement of the function itself.
func alwaysSkipped(f *ast.FuncDecl) bool {
	if f.Body == nil {
		return false
	}
	return slices.ContainsFunc(f.Body.List, func(s ast.Stmt) bool {
		e, ok := s.(*ast.ExprStmt)
		if !ok {
			return false
		}
		call, ok := e.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		return ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, method.Sel.Name)
	})
}

func TestAlwaysSkipped(t *testing.T) {
	for body, want := range map[string]bool{
		`t.Skip("x")`:           true,
		`t.Helper(); t.Skipf()`: true,
		`if a { t.Skip() }`:     false,
		`t.Log()`:               false,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "", "package p; func f() { "+body+" }", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := alwaysSkipped(f.Decls[0].(*ast.FuncDecl)); got != want {
			t.Errorf("%s: got %v", body, got)
		}
	}
}

func threats(t *testing.T) []threat {
	t.Helper()
	all, err := parseThreats(string(contents(t, threatsFile)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// parseThreats reads the flat subset of YAML that the file uses, and nothing else:
// comments, empty lines and entries of known members in one order.
func parseThreats(file string) (all []threat, err error) {
	var members []string
	next := 0
	common := []string{"- id", "  boundary", "  stride", "  asset", "  actor", "  threat", "  mitigation", "  tests", "  status"}
	further := map[string][]string{"mitigated": nil, "accepted": {"  owner", "  review"}, "open": {"  missing"}}
	for n, line := range strings.Split(file, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if next == len(members) {
			all, members, next = append(all, threat{}), common, 0
		}
		name, value, found := strings.Cut(line, ": ")
		if !found || name != members[next] {
			return nil, fmt.Errorf("%s:%d: want %q", threatsFile, n+1, members[next])
		}
		th := &all[len(all)-1]
		if err := th.set(strings.TrimLeft(name, "- "), value); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", threatsFile, n+1, err)
		}
		if next++; name == "  status" {
			more, ok := further[value]
			if !ok {
				return nil, fmt.Errorf("%s:%d: %q is no status", threatsFile, n+1, value)
			}
			members = append(slices.Clip(common), more...)
		}
	}
	if len(all) == 0 || next != len(members) {
		return nil, fmt.Errorf("%s: the last entry is not whole", threatsFile)
	}
	return all, nil
}

func (th *threat) set(name, value string) (err error) {
	plain := map[string]*string{"id": &th.id, "boundary": &th.boundary, "stride": &th.stride, "asset": &th.asset, "status": &th.status, "review": &th.review}
	texts := map[string]*string{"actor": &th.actor, "threat": &th.threat, "mitigation": &th.mitigation, "owner": &th.owner, "missing": &th.missing}
	switch {
	case name == "tests":
		th.tests, err = parseTests(value)
	case texts[name] != nil:
		if *texts[name], err = strconv.Unquote(value); err == nil && *texts[name] == "" {
			err = errors.New("the text is empty")
		}
	default:
		if *plain[name] = value; !regexp.MustCompile(`^[A-Za-z0-9-]+$`).MatchString(value) {
			err = fmt.Errorf("%q is no word", value)
		}
	}
	return err
}

// parseTests reads a list of names; those of subtests are quoted.
func parseTests(list string) (names []string, err error) {
	inner, opened := strings.CutPrefix(list, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed {
		return nil, errors.New("a list is in brackets")
	}
	for rest := inner; rest != ""; {
		var name string
		if strings.HasPrefix(rest, `"`) {
			text, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, err
			}
			name, _ = strconv.Unquote(text)
			rest = rest[len(text):]
		} else {
			name, _, _ = strings.Cut(rest, ", ")
			rest = rest[len(name):]
		}
		if !regexp.MustCompile(`^[a-zA-Z0-9_./]+\.Test[a-zA-Z0-9_]*(/.+)?$`).MatchString(name) {
			return nil, fmt.Errorf("%q is no name", name)
		}
		names = append(names, name)
		if rest != "" && !strings.HasPrefix(rest, ", ") {
			return nil, fmt.Errorf("%q is no list", list)
		}
		rest = strings.TrimPrefix(rest, ", ")
	}
	return names, nil
}

func TestParseThreatsRefuses(t *testing.T) {
	const good = "- id: T1\n  boundary: B1\n  stride: S\n  asset: A1\n  actor: \"a\"\n  threat: \"t\"\n  mitigation: \"m\"\n  tests: [p.TestT, \"q.TestU/a, b\"]\n  status: mitigated\n"
	accepted := strings.Replace(good, "mitigated", "accepted\n  owner: \"o\"\n  review: 2027-01-01", 1)
	if all, err := parseThreats("# c\n" + good + accepted + good); err != nil || len(all) != 3 || all[1].review != "2027-01-01" {
		t.Fatalf("%+v, %v", all, err)
	}
	for name, bad := range map[string]string{
		"nothing":          "",
		"unknown member":   strings.Replace(good, "  actor", "  who", 1),
		"other status":     strings.Replace(good, "mitigated", "fine", 1),
		"no owner":         strings.Replace(good, "mitigated", "accepted", 1),
		"no owner, then":   strings.Replace(good, "mitigated", "accepted", 1) + good,
		"open, no missing": strings.Replace(good, "mitigated", "open", 1),
		"not quoted":       strings.Replace(good, `"t"`, "t", 1),
		"empty text":       strings.Replace(good, `"m"`, `""`, 1),
		"cut short":        strings.Replace(good, "  status: mitigated\n", "", 1),
		"no test":          strings.Replace(good, "p.TestT", "p.T", 1),
		"list not closed":  strings.Replace(good, "b\"]", "b\"", 1),
		"owner of another": good + "  owner: \"o\"\n",
	} {
		if all, err := parseThreats(bad); err == nil {
			t.Errorf("%s: read as %+v", name, all)
		}
	}
}

// TestTablesOfTheThreatModel: the tables between the markers of the page are those of the
// file.
func TestTablesOfTheThreatModel(t *testing.T) {
	want := string(contents(t, threatsPage))
	all := threats(t)
	got := want
	for name, table := range map[string]string{"stride": strideTable(all), "mitigated": mitigatedTable(all), "accepted": acceptedTable(all), "open": openTable(all), "histories": historiesTable(t, all)} {
		got = between(t, got, name, table)
	}
	if *update {
		if err := os.WriteFile(threatsPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s is not what %s says: make docs", threatsPage, threatsFile)
	}
}

// between replaces the text between the markers of a name.
func between(t *testing.T, page, name, text string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end: "+name+" -->"
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("the page has no markers of %s", name)
	}
	return before + begin + text + end + after
}

func strideTable(all []threat) string {
	const letters = "STRIDE"
	cells := map[string][]string{}
	var boundaries []string
	for _, th := range all {
		if !slices.Contains(boundaries, th.boundary) {
			boundaries = append(boundaries, th.boundary)
		}
		for _, letter := range th.stride {
			cell, id := th.boundary+string(letter), strings.SplitN(th.id, "-", 2)[0]
			if !slices.Contains(cells[cell], id) {
				cells[cell] = append(cells[cell], id)
			}
		}
	}
	slices.Sort(boundaries)
	var b strings.Builder
	b.WriteString("| boundary | spoofing | tampering | repudiation | information | denial | elevation |\n|---|---|---|---|---|---|---|\n")
	for _, boundary := range boundaries {
		fmt.Fprintf(&b, "| %s |", boundary)
		for _, letter := range letters {
			fmt.Fprintf(&b, " %s |", strings.Join(cells[boundary+string(letter)], ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func mitigatedTable(all []threat) string {
	var b strings.Builder
	b.WriteString("| id | actor | threat | what stops it | tests |\n|---|---|---|---|---|\n")
	for _, th := range all {
		if th.status != "mitigated" || strings.HasPrefix(th.id, histories) {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", th.id, th.actor, th.threat, th.mitigation, testNames(th.tests))
	}
	return b.String()
}

// testNames returns the names of tests without their packages, as a cell of a table.
func testNames(tests []string) string {
	var names []string
	for _, name := range tests {
		names = append(names, "`"+name[strings.Index(name, ".Test")+1:]+"`")
	}
	return strings.Join(names, ", ")
}

func acceptedTable(all []threat) string {
	var b strings.Builder
	b.WriteString("| id | actor | risk | what limits it | tests that show both | owner | next review |\n|---|---|---|---|---|---|---|\n")
	for _, th := range all {
		if th.status == "accepted" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", th.id, th.actor, th.threat, th.mitigation, testNames(th.tests), th.owner, th.review)
		}
	}
	return b.String()
}

// histories begins the ids of the attacks on the history of the log: T63-ACTOR-ATTACK.
const histories = "T63-"

// historiesTable has a row for each attack on the history, by each actor who may try it.
func historiesTable(t *testing.T, all []threat) string {
	t.Helper()
	cells := map[string]threat{}
	for _, th := range all {
		if cell, ok := strings.CutPrefix(th.id, histories); ok {
			cells[cell] = th
		}
	}
	var b strings.Builder
	b.WriteString("| actor | attack | how | who notices | tests |\n|---|---|---|---|---|\n")
	actors, attacks := []string{"network", "mirror", "writer", "core", "operator"}, []string{"fork", "rollback", "extension"}
	for _, actor := range actors {
		for _, attack := range attacks {
			th, ok := cells[actor+"-"+attack]
			if !ok || len(th.tests) == 0 || !strings.HasSuffix(th.actor, actor) {
				t.Errorf("no test shows who notices the %s of the %s", attack, actor)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", th.actor, attack, th.threat, th.mitigation, testNames(th.tests))
		}
	}
	if len(cells) != len(actors)*len(attacks) {
		t.Errorf("%d entries begin with %s, the table has %d cells", len(cells), histories, len(actors)*len(attacks))
	}
	return b.String()
}

func openTable(all []threat) string {
	if !slices.ContainsFunc(all, func(th threat) bool { return th.status == "open" }) {
		return "None.\n"
	}
	var b strings.Builder
	b.WriteString("| id | actor | threat | what is meant to stop it | what is missing |\n|---|---|---|---|---|\n")
	for _, th := range all {
		if th.status == "open" {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", th.id, th.actor, th.threat, th.mitigation, th.missing)
		}
	}
	return b.String()
}
