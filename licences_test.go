package td_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	licencesFile = "docs/security/licences.md"
	licencesList = "internal/sbom/licences.txt" // the same for the bill of materials
)

// licences are those under which a module may be used here, each with words of its
// text; the first that fits counts.
var licences = []struct{ name, words string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"BSD-3-Clause", "neither the name"},
	{"BSD-3-Clause", "the names of its contributors may not be used"},
	{"BSD-3-Clause", "the name of any author may not be used"},
}

// TestLicences: every module of go.mod stands in the list with its version and a licence
// that is permitted. Where the module is in the module cache, its text is of that licence.
// With -update the lists are written; that needs all modules in the cache.
func TestLicences(t *testing.T) {
	page := "# Licences of modules\n\nEvery module of `go.mod`, with its version and licence. A test compares the list with `go.mod`, and the licences with the texts of the modules where they are present. Not all of them are linked into `td`: the [bill of materials](supply-chain.md#bill-of-materials) of a binary lists those that are, with their licences. The one module under MPL-2.0 is used in tests only.\n\n| module | version | licence |\n|---|---|---|\n"
	have := string(contents(t, licencesFile))
	modules := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(string(contents(t, "go.mod")), -1)
	compared, list := 0, ""
	for _, m := range modules {
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(m[1]+" | "+m[2]) + ` \| (\S+) \|$`).FindStringSubmatch(have)
		found, present := licenceOf(m[1], m[2])
		licence := found
		if !present && row != nil {
			licence = row[1]
		}
		list += m[1] + " " + licence + "\n"
		page += fmt.Sprintf("| %s | %s | %s |\n", m[1], m[2], found)
		if present {
			compared++
		}
		switch {
		case *update:
		case row == nil:
			t.Errorf("%s has no row of %s %s: read its licence, then go test -run TestLicences -update .", licencesFile, m[1], m[2])
		case present && row[1] != found:
			t.Errorf("%s: the list says %s, its text is of %q", m[1], row[1], found)
		case !isPermitted(row[1]):
			t.Errorf("%s: the licence %s is not permitted", m[1], row[1])
		}
	}
	t.Logf("%d modules, %d compared with their texts", len(modules), compared)
	if *update && compared == len(modules) {
		for file, text := range map[string]string{licencesFile: page, licencesList: list} {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !*update && string(contents(t, licencesList)) != list {
		t.Errorf("%s is not what %s says: go test -run TestLicences -update .", licencesList, licencesFile)
	}
	if n := strings.Count(have, "\n| ") - 1; !*update && n != len(modules) {
		t.Errorf("%d rows for %d modules", n, len(modules))
	}
}

func isPermitted(name string) bool {
	for _, l := range licences {
		if l.name == name {
			return true
		}
	}
	return false
}

// licenceOf returns the licence of a module by its text in the module cache, "" if it has
// another one. It is not present if the cache does not hold the module.
func licenceOf(path, version string) (name string, present bool) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", false
	}
	cache := cmp.Or(os.Getenv("GOMODCACHE"), filepath.Join(cmp.Or(os.Getenv("GOPATH"), filepath.Join(home, "go")), "pkg", "mod"))
	escaped := regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(path, func(s string) string { return "!" + strings.ToLower(s) })
	dir := filepath.Join(cache, filepath.FromSlash(escaped)+"@"+version)
	for _, file := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "License"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
		for _, l := range licences {
			if strings.Contains(words, l.words) {
				return l.name, true
			}
		}
		return "", true
	}
	return "", false
}
