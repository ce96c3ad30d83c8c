package td_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dependenciesFile has a line for every direct dependency.
const dependenciesFile = "docs/decisions/0001-dependencies.md"

// TestDependencies: every module in go.mod has a line with its reason, and the
// line names the packages that import it.
func TestDependencies(t *testing.T) {
	direct := directRequires(string(contents(t, "go.mod")))
	listed := map[string]string{} // module -> its importers
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|.*\\| ([^|]+) \\|$")
	for _, m := range row.FindAllStringSubmatch(string(contents(t, dependenciesFile)), -1) {
		listed[m[1]] = m[2]
	}
	if len(direct) == 0 || len(listed) == 0 {
		t.Fatalf("%d modules in go.mod and %d in %s", len(direct), len(listed), dependenciesFile)
	}
	importers := importersOf(t, direct)
	name := regexp.MustCompile("`([^`]+)`")
	for _, m := range direct {
		text, ok := listed[m]
		if !ok {
			t.Errorf("go.mod requires %s, which is missing in %s", m, dependenciesFile)
			continue
		}
		var said []string
		for _, n := range name.FindAllStringSubmatch(text, -1) {
			said = append(said, n[1])
		}
		slices.Sort(said)
		if !slices.Equal(said, importers[m]) {
			t.Errorf("%s: %s is imported by %q, not by %q", dependenciesFile, m, importers[m], said)
		}
	}
	for m, text := range listed {
		if !slices.Contains(direct, m) && text != "not used yet" {
			t.Errorf("%s lists %s, which go.mod does not require", dependenciesFile, m)
		}
	}
}

// importersOf returns the packages whose files, without tests, import a module.
func importersOf(t *testing.T, modules []string) map[string][]string {
	t.Helper()
	importers := map[string][]string{}
	eachFile(t, func(pkg, _ string, f *ast.File) {
		for _, spec := range f.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			of := ""
			for _, m := range modules {
				if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(of) {
					of = m
				}
			}
			if of != "" && pkg != "internal/depspin" && !slices.Contains(importers[of], pkg) {
				importers[of] = append(importers[of], pkg)
				slices.Sort(importers[of])
			}
		}
	})
	return importers
}

// directRequires lists the modules of go.mod that are not marked as indirect.
func directRequires(text string) (modules []string) {
	block := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		rest, single := strings.CutPrefix(line, "require ")
		switch {
		case line == "require (":
			block = true
		case line == ")":
			block = false
		case (block || single) && line != "" && !strings.HasSuffix(line, "// indirect"):
			modules = append(modules, strings.Fields(rest)[0])
		}
	}
	return modules
}
