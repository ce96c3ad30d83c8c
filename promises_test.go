package td_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const promisesFile = "docs/promises.yaml"

// promise is one entry of docs/promises.yaml.
type promise struct {
	id, text, status, reason string
	where, tests             []string
}

// mustBeShown are the promises that this version keeps; "K9-K19" is a range.
const mustBeShown = "K1-K19 H1-H11 C1-C7 R1.5 R1.6 R2.1 R2.2 R2.3 R2.4 R3.1 R3.2 R3.3 R3.4 R3.5 R3.6 R3.7 R4.1 R4.2 R4.3 R4.4 R4.5 R4.6"

// TestPromises: every promise with status shown has packages and tests that
// exist, every other one has a reason, and no promise of this version is
// missing.
func TestPromises(t *testing.T) {
	promises, err := parsePromises(string(contents(t, promisesFile)))
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, at := range testsOf(t) {
		if at.pkg == "." {
			at.pkg = "td"
		}
		exist[at.pkg+"."+at.name] = true
	}
	status := map[string]string{}
	for _, p := range promises {
		if status[p.id] != "" {
			t.Errorf("%s stands there twice", p.id)
		}
		status[p.id] = p.status
		for _, dir := range p.where {
			if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
				t.Errorf("%s is kept in %s, which does not exist", p.id, dir)
			}
		}
		for _, name := range p.tests {
			if !exist[name] {
				t.Errorf("%s is shown by %s, which does not exist", p.id, name)
			}
		}
		if p.status == "shown" && (len(p.tests) == 0 || len(p.where) == 0) {
			t.Errorf("%s is shown by %d tests in %d packages", p.id, len(p.tests), len(p.where))
		}
	}
	for _, id := range ids(t, mustBeShown) {
		if status[id] != "shown" {
			t.Errorf("%s is not shown", id)
		}
	}
}

// ids expands "K9-K19" and the like.
func ids(t *testing.T, list string) (all []string) {
	t.Helper()
	letter := regexp.MustCompile(`^([A-Z])(\d+)-([A-Z])(\d+)$`)
	for _, word := range strings.Fields(list) {
		m := letter.FindStringSubmatch(word)
		if m == nil {
			all = append(all, word)
			continue
		}
		from, _ := strconv.Atoi(m[2])
		to, _ := strconv.Atoi(m[4])
		if m[1] != m[3] || from >= to {
			t.Fatalf("%q is no range", word)
		}
		for n := from; n <= to; n++ {
			all = append(all, fmt.Sprintf("%s%d", m[1], n))
		}
	}
	return all
}

// TestPromisesAreTheList compares ids and texts with the list of promises,
// where that file is present.
func TestPromisesAreTheList(t *testing.T) {
	list, err := os.ReadFile("../shared/promises.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the list of promises is not present: texts were not compared")
	}
	if err != nil {
		t.Fatal(err)
	}
	ours, err := parsePromises(string(contents(t, promisesFile)))
	if err != nil {
		t.Fatal(err)
	}
	theirs := readList(string(list))
	if len(theirs) < 50 {
		t.Fatalf("%d promises were read from the list", len(theirs))
	}
	for i, p := range ours {
		if i < len(theirs) && (p.id != theirs[i].id || p.text != theirs[i].text) {
			t.Errorf("promise %d: got %s %q, want %s %q", i, p.id, p.text, theirs[i].id, theirs[i].text)
		}
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d promises, the list has %d", len(ours), len(theirs))
	}
}

// readList reads lines of "K13 text, K14 text", several to a line.
func readList(list string) (all []promise) {
	id := regexp.MustCompile(`\b([KHC]\d+|R\d\.\d) `)
	for line := range strings.Lines(list) {
		if at := id.FindStringIndex(line); at == nil || at[0] != 0 {
			continue
		}
		found := id.FindAllStringSubmatchIndex(line, -1)
		for i, m := range found {
			end := len(line)
			if i+1 < len(found) {
				end = found[i+1][0]
			}
			text := strings.TrimSpace(line[m[1]:end])
			if i+1 < len(found) {
				text = strings.TrimSuffix(text, ",")
			}
			all = append(all, promise{id: line[m[2]:m[3]], text: text})
		}
	}
	return all
}

// parsePromises reads the flat subset of YAML that the file uses, and nothing
// else: comments, empty lines, and entries of exactly the members id, text,
// where, tests, status and, if the status is later, reason, in this order.
// Texts are quoted, lists are in brackets.
func parsePromises(file string) (all []promise, err error) {
	members := []string{"- id", "  text", "  where", "  tests", "  status", "  reason"}
	next := 0
	for n, line := range strings.Split(file, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ": ")
		if name == members[0] && (next == 0 || next == 5 && all[len(all)-1].status == "shown") {
			all, next = append(all, promise{}), 0
		}
		if !found || name != members[next] {
			return nil, fmt.Errorf("%s:%d: want %q", promisesFile, n+1, members[next])
		}
		p := &all[len(all)-1]
		switch next {
		case 0:
			p.id = value
		case 1:
			p.text, err = strconv.Unquote(value)
		case 2:
			p.where, err = parseNames(value)
		case 3:
			p.tests, err = parseNames(value)
		case 4:
			if p.status = value; !slices.Contains([]string{"shown", "later"}, value) {
				err = errors.New("a status is shown or later")
			}
		case 5:
			p.reason, err = strconv.Unquote(value)
			if p.status != "later" || p.reason == "" {
				err = errors.New("a reason belongs to the status later")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", promisesFile, n+1, err)
		}
		next = (next + 1) % len(members)
	}
	if len(all) == 0 || next != 0 && (next != 5 || all[len(all)-1].status != "shown") {
		return nil, fmt.Errorf("%s: the last entry is not whole", promisesFile)
	}
	return all, nil
}

// parseNames reads "[a, b]".
func parseNames(s string) ([]string, error) {
	inner, opened := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed {
		return nil, errors.New("a list is in brackets")
	}
	if inner == "" {
		return nil, nil
	}
	names := strings.Split(inner, ", ")
	for _, n := range names {
		if !regexp.MustCompile(`^[a-zA-Z0-9_./]+$`).MatchString(n) {
			return nil, fmt.Errorf("%q is no name", n)
		}
	}
	return names, nil
}

func TestParsePromisesRefuses(t *testing.T) {
	const good = "- id: A1\n  text: \"t\"\n  where: [p]\n  tests: [p.T]\n  status: shown\n"
	if p, err := parsePromises("# c\n\n" + good + good); err != nil || len(p) != 2 || p[1].tests[0] != "p.T" {
		t.Fatalf("%+v, %v", p, err)
	}
	for name, bad := range map[string]string{
		"nothing":           "",
		"unknown member":    strings.Replace(good, "  where", "  were", 1),
		"other order":       "- id: A1\n  where: [p]\n  text: \"t\"\n",
		"missing member":    strings.Replace(good, "  where: [p]\n", "", 1),
		"cut short":         "- id: A1\n  text: \"t\"\n",
		"not quoted":        strings.Replace(good, `"t"`, "t", 1),
		"no brackets":       strings.Replace(good, "[p]", "p", 1),
		"other status":      strings.Replace(good, "shown", "perhaps", 1),
		"later, no reason":  strings.Replace(good, "shown", "later", 1),
		"later, then next":  strings.Replace(good, "shown", "later", 1) + good,
		"shown with reason": good + "  reason: \"r\"\n",
		"strange name":      strings.Replace(good, "[p]", "[p q]", 1),
		"indented comment":  good + " # c\n",
	} {
		if p, err := parsePromises(bad); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}
