package mutants_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// part is a package with the files of it that decide, and the packages whose tests are run
// for what its own tests do not notice.
type part struct {
	dir   string
	files []string
	users []string
	every bool // every condition counts, see the package comment
	long  bool // its tests are not run in short
}

var parts = []part{
	{
		dir: "internal/lifecycle", files: []string{"epoch.go", "opening.go", "request.go"},
		users: []string{"internal/session", "internal/gate"}, every: true,
	},
	{
		dir: "receipt",
		files: []string{
			"binding.go", "extend.go", "identity.go", "logtext.go", "opening.go", "policy.go", "receipt.go",
			"steps.go", "trust.go", "trustrules.go", "verify.go", "withdrawals.go",
		},
		users: []string{"client", "audit"}, long: true,
	},
	{
		dir: "internal/gate", files: []string{"accept.go", "admission.go", "effects.go", "open.go"},
		users: []string{"internal/failpoints"},
	},
	{
		dir: "internal/journal", files: []string{"accept.go", "append.go", "audit.go", "control.go", "group.go", "state.go", "stop.go", "until.go"},
		users: []string{"internal/gate", "internal/failpoints"},
	},
}

// guardsOf returns the guards of a part, and its files with their switches by path from
// the root.
func guardsOf(t *testing.T, p part) (all []guard, changed map[string]string) {
	t.Helper()
	changed = make(map[string]string)
	for _, name := range p.files {
		file := path.Join(p.dir, name)
		source, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		guards, text := find(t, file, string(source), p.every, len(all))
		if len(guards) == 0 {
			t.Errorf("%s has no guard", file)
		}
		all, changed[file] = append(all, guards...), text
	}
	return all, changed
}

// TestGuards checks what the mutants are made from: every file has guards, and every
// guard that needs no test is still there, once.
func TestGuards(t *testing.T) {
	var all []guard
	for _, p := range parts {
		guards, _ := guardsOf(t, p)
		all = append(all, guards...)
		t.Logf("%s: %d guards", p.dir, len(guards))
	}
	for _, e := range equivalents {
		n := 0
		for _, g := range all {
			if e.is(g) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %q of %s occurs %d times", e.file, e.text, e.function, n)
		}
		if e.reason == "" {
			t.Errorf("%s: %q of %s has no reason", e.file, e.text, e.function)
		}
	}
}

// TestFind: each form of a guard is found, and nothing else.
func TestFind(t *testing.T) {
	const source = `package p

func f(a, b, c bool, n int) error {
	if a || b && (c || n > 3) {
		return errors.New("first")
	}
	if err := g(); err != nil {
		return err
	}
	if err := rows.Scan(&n); err != nil {
		return err
	}
	if a {
		return nil
	}
	switch n {
	case 1, 2:
		return protocol.Fail(1, "second")
	case 3:
		n++
	default:
		return protocol.Fail(2, "third")
	}
	switch {
	case a && b:
		return h()
	case c:
		return nil
	}
	return errors.New("fourth")
}

func g() (x int, code protocol.Code) {
	if x > 1 {
		return 1, protocol.CodeNone
	}
	if x > 2 {
		return 2, protocol.CodeFrozen
	}
	return 0, protocol.CodeNone
}
`
	guards, changed := find(t, "p.go", source, false, 0)
	var texts []string
	for _, g := range guards {
		texts = append(texts, g.text)
	}
	want := []string{
		"a in a || b && (c || n > 3)", "c in a || b && (c || n > 3)", "n > 3 in a || b && (c || n > 3)",
		"err != nil of g()", "n == 1", "n == 2", `default: return protocol.Fail(2, "third")`,
		"a && b", `errors.New("fourth")`, "x > 2",
	}
	if !slices.Equal(texts, want) {
		t.Errorf("guards:\n%s\nwant:\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range []string{
		"if (a) && mutantOn(0) || b && ((c) && mutantOn(1) || (n > 3) && mutantOn(2)) {",
		"case (n) == (1) && mutantOn(4), (n) == (2) && mutantOn(5):",
		"case (n) == (3):",
		`default: if mutantOn(6) {`,
		`return mutantError(8, errors.New("fourth"))`,
	} {
		if !strings.Contains(changed, line) {
			t.Errorf("the changed source has no line %q:\n%s", line, changed)
		}
	}
}
