package td_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/attest"
)

// markdown lists every Markdown file of the project.
func markdown(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || name == "bin" || name == filepath.Join("tools", "bin")):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".md"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d Markdown files, %v", len(files), err)
	}
	return files
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	inline  = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
)

// TestLinks: every relative link of every Markdown file leads to a file, and
// to a heading in it.
func TestLinks(t *testing.T) {
	checked := 0
	for _, file := range markdown(t) {
		text := inline.ReplaceAllString(fence.ReplaceAllString(string(contents(t, file)), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			target, anchor, _ := strings.Cut(m[1], "#")
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), filepath.FromSlash(target))
			}
			if !filepath.IsLocal(path) {
				t.Errorf("%s links to %s, outside of the project", file, m[1])
			} else if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			} else if anchor != "" && !hasHeading(string(contents(t, path)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", file, m[1])
			}
		}
	}
	if checked < 50 {
		t.Errorf("only %d links were found: the test reads them no longer", checked)
	}
}

// hasHeading reports whether a text has a heading with this anchor, made as the
// usual renderers make it.
func hasHeading(text, anchor string) bool {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f:
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		if slug == anchor {
			return true
		}
	}
	return false
}

// TestNoPlaceOfOurs: no document or text file names a directory of the
// machine it was written on.
func TestNoPlaceOfOurs(t *testing.T) {
	place := regexp.MustCompile(`(?:^|[\s"'(=` + "`" + `])/(?:home|root|work|Users)/`)
	for _, file := range markdown(t) {
		if at := place.FindString(string(contents(t, file))); at != "" {
			t.Errorf("%s has the path %q", file, at)
		}
	}
}

// TestCausesAreExplained: each cause of a fault of journal or log has its row in
// docs/operate.md.
func TestCausesAreExplained(t *testing.T) {
	text := string(contents(t, "docs/operate.md"))
	for file, pattern := range map[string]string{
		"internal/journal/condition.go": `Cause = "([^"]+)"`,
		"internal/ledger/trouble.go":    `(?:, |return )"(the [^"]+|[a-z]+ [a-z ]+)"`,
	} {
		causes := regexp.MustCompile(pattern).FindAllStringSubmatch(string(contents(t, file)), -1)
		if len(causes) < 9 {
			t.Errorf("%s has %d causes: the pattern is wrong", file, len(causes))
		}
		for _, c := range causes {
			if !strings.Contains(text, "`"+c[1]+"`") {
				t.Errorf("docs/operate.md does not explain the cause %q", c[1])
			}
		}
	}
}

// TestLogLinesAreExplained: whatever the server logs above debug has its row in
// docs/operate.md, and every row is about a line that exists.
func TestLogLinesAreExplained(t *testing.T) {
	text := string(contents(t, "docs/operate.md"))
	_, table, found := strings.Cut(text, "## What each log line means")
	if !found {
		t.Fatal("docs/operate.md explains no log lines")
	}
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(table, -1) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			explained[m[1]] = false
		}
	}
	eachCall(t, func(file string, call *ast.CallExpr) {
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || len(call.Args) == 0 || !slices.Contains([]string{"Info", "Warn", "Error"}, method.Sel.Name) {
			return
		}
		message, ok := call.Args[0].(*ast.BasicLit)
		if !ok || message.Kind != token.STRING {
			return
		}
		said := strings.Trim(message.Value, `"`)
		if _, ok := explained[said]; !ok {
			t.Errorf("%s logs %q, about which docs/operate.md says nothing", file, said)
		}
		explained[said] = true
	})
	for said, seen := range explained {
		if !seen {
			t.Errorf("docs/operate.md explains %q, which nothing logs", said)
		}
	}
}

// eachCall visits every call in the files of the product.
func eachCall(t *testing.T, visit func(file string, call *ast.CallExpr)) {
	t.Helper()
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				visit(name, call)
			}
			return true
		})
	}
}

// goFiles lists every Go file of the module, tools left out.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "tools"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d Go files, %v", len(files), err)
	}
	return files
}

// TestNamedTests: a test that a document names exists.
func TestNamedTests(t *testing.T) {
	exist := map[string]bool{}
	for _, at := range testsOf(t) {
		exist[at.name] = true
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Example)[A-Za-z0-9]*)`")
	for _, file := range markdown(t) {
		for _, m := range named.FindAllStringSubmatch(string(contents(t, file)), -1) {
			if !exist[m[1]] {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
	}
}

// aTest is one test function and the folder of its package, "." for the root.
type aTest struct{ pkg, name string }

// testsOf lists every test, fuzz target and example of the module.
func testsOf(t *testing.T) (all []aTest) {
	t.Helper()
	for _, name := range goFiles(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Recv == nil && regexp.MustCompile(`^(Test|Fuzz|Example)([A-Z0-9_]|$)`).MatchString(f.Name.Name) && f.Name.Name != "TestMain" {
				all = append(all, aTest{filepath.ToSlash(filepath.Dir(name)), f.Name.Name})
			}
		}
	}
	return all
}

// TestLifeOfAnEvent: every row has a phase, an actor and the effect of a
// crash, and names tests that exist in its package.
func TestLifeOfAnEvent(t *testing.T) {
	const file = "docs/life-of-an-event.md"
	exist := map[string]bool{}
	for _, at := range testsOf(t) {
		if at.pkg == "." {
			at.pkg = "td"
		}
		exist[at.pkg+"."+at.name] = true
	}
	named := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(contents(t, file))) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 || !regexp.MustCompile(`^ \d+ $`).MatchString(cells[0]) {
			continue
		}
		rows++
		for i, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: row %q has an empty cell %d", file, cells[2], i)
			}
		}
		tests := named.FindAllStringSubmatch(cells[4], -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test shows %q", file, cells[2])
		}
		for _, m := range tests {
			if !exist[m[1]] {
				t.Errorf("%s names %s, which does not exist", file, m[1])
			}
		}
	}
	if rows < 27 {
		t.Errorf("%s has %d rows", file, rows)
	}
}

// TestReceiptExcerpt: the excerpt of a receipt in the README is in that
// receipt, in this order.
func TestReceiptExcerpt(t *testing.T) {
	_, text, _ := strings.Cut(string(contents(t, "README.md")), "```json\n")
	excerpt, _, found := strings.Cut(text, "```")
	if !found {
		t.Fatal("README.md shows no receipt")
	}
	shown := regexp.MustCompile(`"(leaf|log)": +"([^"…]+)…"`).FindAllStringSubmatch(excerpt, -1)
	if len(shown) != 10 {
		t.Errorf("%d leaves and logs are shown, want 10", len(shown))
	}
	rest := string(contents(t, accepted, "v0.1", "range-1.receipt.json"))
	for _, m := range shown {
		_, after, found := strings.Cut(rest, `"`+m[1]+`":"`+m[2])
		if !found {
			t.Fatalf("the receipt has no further %s that begins with %s", m[1], m[2])
		}
		rest = after
	}
}

// TestHardwareEvaluation: the evaluation of the roadmap covers every technology
// of its table. Where the outcome is no, it has a reason. It calls built
// exactly what the program has a kind of evidence for.
func TestHardwareEvaluation(t *testing.T) {
	text := string(contents(t, filepath.Join("docs", "security", "hardware-evaluation.md")))
	built := 0
	row := regexp.MustCompile(`(?m)^\| ([A-Z][^|]*) \| .* \| ([^|]*) \|$`)
	rows := row.FindAllStringSubmatch(text, -1)
	for _, m := range rows {
		if strings.Contains(m[2], "attestation built") {
			built++
		}
	}
	if len(rows) != 7 || built != int(attest.KindTDX) {
		t.Errorf("%d technologies, %d of them built; the program has %d kinds of evidence", len(rows), built, attest.KindTDX)
	}
	for name, needs := range map[string][]string{
		"Intel SGX":                 {"*What it offers.*", "*Considered.*", "*Why not.*", "*When to look again.*"},
		"Arm TrustZone":             {"*What it offers.*", "*Considered.*", "*Why not.*", "*When to look again.*"},
		"AMD SEV-SNP and Intel TDX": {"*What they offer.*", "*Why attestation is built.*", "*What is missing for more.*"},
		"TPM 2.0":                   {"*What it offers.*", "*Why attestation is built.*"},
		"AWS Nitro Enclaves":        {"*What they offer.*", "*Why not built.*"},
		"HSM":                       {"*Why they do not fit.*"},
	} {
		_, section, ok := strings.Cut(text, "\n## "+name)
		section, _, _ = strings.Cut(section, "\n## ")
		for _, need := range needs {
			if !ok || !strings.Contains(section, need) {
				t.Errorf("the section about %s has no %s", name, need)
			}
		}
	}
}

// TestGenerators: what go generate writes is compared with the committed files by the test
// that writes it, so that make check need not generate it again. The reference string of
// package claim is the exception, and make check generates it.
func TestGenerators(t *testing.T) {
	directive := regexp.MustCompile(`(?m)^//go:generate (.*)$`)
	compared := regexp.MustCompile(`^go test -count=1 -run \S+ (-update \.|\. -update)$`)
	found := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		for _, m := range directive.FindAllStringSubmatch(string(contents(t, name)), -1) {
			found++
			if !compared.MatchString(m[1]) && name != filepath.Join("claim", "srs.go") {
				t.Errorf("%s: nothing compares what is generated with the committed files: %s", name, m[1])
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d directives, %v", found, err)
	}
}
