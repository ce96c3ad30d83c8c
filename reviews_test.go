package td_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	reviewsDir   = "docs/security/reviews"
	groupsFile   = reviewsDir + "/groups.txt"
	calendarFile = reviewsDir + "/calendar.yaml"
)

var today = flag.String("today", "", "name the reviews that are overdue on this day, such as 2027-03-01")

// group is a set of files, or of modules, that bears a part of the protocol.
type group struct {
	name  string
	paths []string
}

// TestProtocolIsReviewed: every group of protocol-bearing files has a review record of
// its present hash.
func TestProtocolIsReviewed(t *testing.T) {
	reviewed := map[string]string{} // "group hash" to the record
	last := map[string]string{}     // group to its last record
	for _, r := range reviewRecords(t) {
		for name, hash := range r.hashes {
			reviewed[name+" "+hash], last[name] = r.file, r.file
		}
	}
	groups := reviewGroups(t)
	for _, g := range groups {
		hash := g.hash(t)
		if reviewed[g.name+" "+hash] == "" {
			t.Errorf(notReviewed, g.name, last[g.name], last[g.name], strings.Join(g.paths, " "), reviewsDir, g.name, hash)
		}
		delete(last, g.name)
	}
	for name, file := range last {
		t.Errorf("%s is about a group %q, which %s does not have", file, name, groupsFile)
	}
}

const notReviewed = `the group %q has changed since its last review (%s). To do:
 1. read the change:       git diff $(git log -1 --format=%%h -- %s) -- %s
 2. answer the questions of REVIEW.md about it, and correct what is found
 3. write a record, %s/DATE-SUBJECT.md, from the form in README.md there
 4. put this line into its table of hashes (it changes with every further change of the group):
| %s | %s |`

// reviewGroups reads lines "name: path path".
func reviewGroups(t *testing.T) (all []group) {
	t.Helper()
	for line := range strings.Lines(string(contents(t, groupsFile))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, paths, found := strings.Cut(line, ": ")
		if !found || name == "" || len(strings.Fields(paths)) == 0 {
			t.Fatalf("%s: %q is no group", groupsFile, line)
		}
		all = append(all, group{name, strings.Fields(paths)})
	}
	return all
}

// hash is the SHA-256 over the names and contents of the group's files, or over the
// lines of its modules.
func (g group) hash(t *testing.T) string {
	t.Helper()
	h := sha256.New()
	for _, path := range g.paths {
		if g.name == "modules" {
			lines := moduleLines(string(contents(t, "go.mod")), string(contents(t, "go.sum")), path)
			if len(lines) == 0 {
				t.Errorf("%s: go.mod has no module %s", groupsFile, path)
			}
			fmt.Fprintf(h, "%q", lines)
			continue
		}
		for _, name := range filesBeneath(t, path) {
			fmt.Fprintf(h, "%q%q", name, meaning(name, contents(t, name)))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// moduleLines returns the lines of go.mod and go.sum about a module, its version and
// its hash; for "go" the version of the language.
func moduleLines(mod, sum, module string) (lines []string) {
	for line := range strings.Lines(mod) {
		if slices.Contains(strings.Fields(line), module) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	for line := range strings.Lines(sum) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == module && len(lines) > 0 && strings.Contains(lines[0]+" ", " "+f[1]+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// filesBeneath returns the file, or the files beneath a directory, in order: no tests, no
// directories of test data, and no documents but those that are named themselves.
func filesBeneath(t *testing.T, path string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.FromSlash(path), func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return filepath.SkipDir
		case !d.IsDir() && !strings.HasSuffix(name, "_test.go") && (filepath.Ext(name) != ".md" || filepath.ToSlash(name) == path):
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %s has %d files, %v", groupsFile, path, len(files), err)
	}
	return files
}

// meaning returns what of a file is hashed. Of Go it is the tokens and the directives,
// of Markdown the words; of other files all.
func meaning(name string, text []byte) string {
	switch filepath.Ext(name) {
	case ".go":
		return goTokens(text)
	case ".md":
		return strings.Join(strings.Fields(string(text)), " ")
	}
	return string(text)
}

// goTokens returns the tokens of a Go file, without comments but with directives, such as
// those for builds and embedded files.
func goTokens(text []byte) string {
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile("", files.Base(), len(text)), text, nil, scanner.ScanComments)
	var b strings.Builder
	for {
		_, tok, lit := s.Scan()
		switch {
		case tok == token.EOF:
			return b.String()
		case tok == token.COMMENT && !strings.HasPrefix(lit, "//go:"):
			continue
		case tok == token.SEMICOLON:
			lit = ""
		}
		fmt.Fprintf(&b, "%s %s\n", tok, lit)
	}
}

// TestHashOfGroups: comments, layout and other modules leave a hash as it is; a token, a
// directive, a word of the specification and a version do not.
func TestHashOfGroups(t *testing.T) {
	const code = "package p\n\n// F is one.\nfunc F() int { return 1 }\n"
	for name, c := range map[string]struct {
		file, before, after string
		same                bool
	}{
		"comment":    {"a.go", code, strings.Replace(code, "F is one", "F returns 1", 1), true},
		"layout":     {"a.go", code, strings.Replace(code, "{ return 1 }", "{\n\treturn 1\n}", 1), false}, // a semicolon more
		"spaces":     {"a.go", code, strings.Replace(code, "int {", "int  {", 1), true},
		"token":      {"a.go", code, strings.Replace(code, "1 }", "2 }", 1), false},
		"directive":  {"a.go", code, "//go:build linux\n\n" + code, false},
		"string":     {"a.go", `package p; const c = "a b"`, `package p; const c = "a  b"`, false},
		"new line":   {"a.md", "one two\nthree", "one\ntwo three\n", true},
		"word":       {"a.md", "must", "may", false},
		"other file": {"a.json", "{}", "{ }", false},
	} {
		if same := meaning(c.file, []byte(c.before)) == meaning(c.file, []byte(c.after)); same != c.same {
			t.Errorf("%s: the same is %v, want %v", name, same, c.same)
		}
	}
	const mod, sum = "go 1.26.0\nrequire a.b/c v1.0.0\nrequire a.b/cd v2.0.0\n", "a.b/c v1.0.0 h1:x\na.b/c v0.9.0 h1:w\na.b/cd v2.0.0 h1:y\n"
	for module, want := range map[string]string{"a.b/c": `["require a.b/c v1.0.0" "a.b/c v1.0.0 h1:x\n"]`, "go": `["go 1.26.0"]`, "a.b": "[]"} {
		if got := fmt.Sprintf("%q", moduleLines(mod, sum, module)); got != want {
			t.Errorf("%s: got %s, want %s", module, got, want)
		}
	}
}

// reviewRecord is one file of docs/security/reviews.
type reviewRecord struct {
	file   string
	hashes map[string]string // group to hash
}

var recordName = regexp.MustCompile(`^\d{4}-\d\d-\d\d-[a-z0-9-]+\.md$`)

// reviewRecords reads the records in the order of their dates.
func reviewRecords(t *testing.T) (all []reviewRecord) {
	t.Helper()
	files, err := os.ReadDir(reviewsDir)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, th := range threats(t) {
		known[th.id] = true
	}
	for _, f := range files {
		if !recordName.MatchString(f.Name()) {
			continue
		}
		r, err := parseRecord(reviewsDir+"/"+f.Name(), string(contents(t, reviewsDir, f.Name())), known)
		if err != nil {
			t.Error(err)
			continue
		}
		all = append(all, r)
	}
	return all
}

// parseRecord requires what every record has: its date, a scope, findings, threats that
// exist, results, and hashes.
func parseRecord(file, text string, threats map[string]bool) (reviewRecord, error) {
	r := reviewRecord{file, map[string]string{}}
	if date := filepath.Base(file)[:len(time.DateOnly)]; !strings.Contains(text, "\n| date | "+date+" |\n") {
		return r, fmt.Errorf("%s has no row with its date %s", file, date)
	}
	for _, heading := range []string{"Scope", "Findings", "Threats touched", "Results", "State"} {
		_, section, found := strings.Cut(text, "\n## "+heading+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !found || strings.TrimSpace(section) == "" {
			return r, fmt.Errorf("%s says nothing under %q", file, heading)
		}
		if heading != "Threats touched" {
			continue
		}
		named := regexp.MustCompile(`\bT\d+\b`).FindAllString(section, -1)
		if len(named) == 0 && !strings.Contains(section, "None") {
			return r, fmt.Errorf("%s: no threat is touched, and it does not say None", file)
		}
		for _, id := range named {
			if !threats[id] {
				return r, fmt.Errorf("%s: %s has no threat %s", file, threatsFile, id)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z]+) \| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(text, -1) {
		r.hashes[m[1]] = m[2]
	}
	if len(r.hashes) == 0 {
		return r, fmt.Errorf("%s has no hash of a group", file)
	}
	return r, nil
}

func TestParseRecordRefuses(t *testing.T) {
	hash := strings.Repeat("a", 64)
	good := "# R\n\n| date | 2027-01-02 |\n\n## Scope\ns\n## Findings\nf\n## Threats touched\nT01\n## Results\nr\n## State\n| protocol | " + hash + " |\n"
	parse := func(text string) error {
		r, err := parseRecord("x/2027-01-02-a.md", text, map[string]bool{"T01": true})
		if err == nil && r.hashes["protocol"] != hash {
			return fmt.Errorf("hashes %v", r.hashes)
		}
		return err
	}
	for _, ok := range []string{good, strings.Replace(good, "T01", "None.", 1)} {
		if err := parse(ok); err != nil {
			t.Fatal(err)
		}
	}
	for name, bad := range map[string]string{
		"another date":      strings.Replace(good, "01-02", "01-03", 1),
		"no findings":       strings.Replace(good, "\n## Findings\nf", "", 1),
		"nothing found":     strings.Replace(good, "Findings\nf", "Findings\n", 1),
		"threats forgotten": strings.Replace(good, "T01", "some", 1),
		"unknown threat":    strings.Replace(good, "T01", "T99", 1),
		"short hash":        strings.Replace(good, hash, hash[1:], 1),
	} {
		if parse(bad) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// duty is a review that returns: an item of the calendar, or an accepted risk.
type duty struct {
	name string
	due  time.Time
}

// TestReviewsDue: the calendar is whole. With -today it names what is overdue on that day;
// that is a warning, and fails nothing.
func TestReviewsDue(t *testing.T) {
	duties, err := parseCalendar(string(contents(t, calendarFile)))
	if err != nil {
		t.Fatal(err)
	}
	for _, th := range threats(t) {
		if th.status == "accepted" {
			due, _ := time.Parse(time.DateOnly, th.review)
			duties = append(duties, duty{"accepted risk " + th.id + " (" + threatsFile + ")", due})
		}
	}
	if *today == "" {
		return
	}
	day, err := time.Parse(time.DateOnly, *today)
	if err != nil {
		t.Fatal(err)
	}
	late := overdue(duties, day)
	for _, d := range late {
		t.Logf("WARNING: overdue since %s: %s", d.due.Format(time.DateOnly), d.name)
	}
	t.Logf("%d reviews, %d overdue on %s", len(duties), len(late), *today)
}

// overdue returns the duties whose day has passed.
func overdue(duties []duty, day time.Time) (late []duty) {
	for _, d := range duties {
		if day.After(d.due) {
			late = append(late, d)
		}
	}
	return late
}

var periods = map[string]struct{ years, months int }{"quarter": {0, 3}, "year": {1, 0}}

// parseCalendar reads entries of the members item, every, done and what, in this order.
func parseCalendar(file string) (all []duty, err error) {
	members := []string{"- item", "  every", "  done", "  what"}
	var values []string
	for n, line := range strings.Split(file, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		if name != members[len(values)] || value == "" {
			return nil, fmt.Errorf("%s:%d: want %q", calendarFile, n+1, members[len(values)])
		}
		if values = append(values, value); len(values) < len(members) {
			continue
		}
		period, known := periods[values[1]]
		done, err := time.Parse(time.DateOnly, values[2])
		if _, quoted := strconv.Unquote(values[3]); !known || err != nil || quoted != nil {
			return nil, fmt.Errorf("%s: the entry %s has an unknown period, a wrong date or no quotes", calendarFile, values[0])
		}
		all = append(all, duty{values[0] + " (" + calendarFile + ")", done.AddDate(period.years, period.months, 0)})
		values = nil
	}
	if len(all) == 0 || len(values) != 0 {
		return nil, fmt.Errorf("%s: the last entry is not whole", calendarFile)
	}
	return all, nil
}

func TestOverdue(t *testing.T) {
	const calendar = "# c\n- item: a\n  every: quarter\n  done: 2027-01-31\n  what: \"w\"\n\n- item: b\n  every: year\n  done: 2027-01-31\n  what: \"w\"\n"
	duties, err := parseCalendar(calendar)
	if err != nil {
		t.Fatal(err)
	}
	for day, want := range map[string]int{"2027-01-31": 0, "2027-05-01": 0, "2027-05-02": 1, "2028-01-31": 1, "2028-02-01": 2} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if late := overdue(duties, at); len(late) != want {
			t.Errorf("%s: %d are overdue, want %d", day, len(late), want)
		}
	}
	for name, bad := range map[string]string{
		"nothing":        "",
		"no period":      strings.Replace(calendar, "quarter", "month", 1),
		"no date":        strings.Replace(calendar, "2027-01-31", "soon", 1),
		"no quotes":      strings.Replace(calendar, `"w"`, "w", 1),
		"other order":    strings.Replace(calendar, "every", "what", 1),
		"not whole":      calendar + "- item: c\n",
		"missing member": strings.Replace(calendar, "  done: 2027-01-31\n", "", 1),
	} {
		if got, err := parseCalendar(bad); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}
