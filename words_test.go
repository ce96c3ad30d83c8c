package td_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// words are the expressions that puzzled readers, each with the number of
// places that may still have it. A limit is only ever lowered.
var words = map[string]struct {
	pattern string
	limit   int
}{
	"X gives":  {`^\w+ gives\b`, 1000}, // at the start of a comment
	"gives":    {`\bgives\b( up)?`, 1000},
	"tells":    {`\btells\b`, 1000},
	"is told":  {`\b(is|are|was|were|be|been|being) told\b`, 1000},
	"whoever":  {`\bwho(m|so)?ever\b`, 1000},
	"nobody":   {`\bnobody\b`, 1000},
	"somebody": {`\bsomebody\b`, 1000},
	"he":       {`\b(he|his|him|himself|she|her|hers|herself)\b`, 1000},
	"organ":    {`\borgans?\b`, 1000},
	"in hand":  {`\bin (its |their |the )?hands?\b`, 1000},
	"dies":     {`\b(die|dies|died|dying)\b`, 1000},
	"lied":     {`\b(lied|liars?)\b|\b(lie|lies|lying) (to|about)\b`, 1000},
	"picture":  {`\b(luck|grief|dribbles?|has no word|walls)\b`, 1000},
}

// permitted are matches that are no fault.
var permitted = []string{"gives up"}

// TestWords counts these expressions in comments, strings and documents. A word
// that stands alone in quotes is a name and is not counted.
func TestWords(t *testing.T) {
	patterns, counts := map[string]*regexp.Regexp{}, map[string]int{}
	for word, w := range words {
		patterns[word] = regexp.MustCompile(`(?i)` + w.pattern)
	}
	places := map[string][]string{}
	eachText(t, func(place, text string) {
		text = quotedWord.ReplaceAllString(text, "")
		for word, pattern := range patterns {
			for _, match := range pattern.FindAllString(text, -1) {
				if !slices.Contains(permitted, strings.ToLower(match)) {
					counts[word]++
					places[word] = append(places[word], place)
				}
			}
		}
	})
	var line strings.Builder
	for _, word := range slices.Sorted(maps.Keys(words)) {
		fmt.Fprintf(&line, " %q %d", word, counts[word])
		if limit := words[word].limit; counts[word] > limit {
			t.Errorf("%q stands in %d places, limit %d:\n%s", word, counts[word], limit, strings.Join(places[word], "\n"))
		}
	}
	t.Logf("words:%s", &line)
}

var quotedWord = regexp.MustCompile("[\"`'][\\w-]+[\"`']")

// eachText visits every comment and string of the Go files, and every paragraph
// of the other texts.
func eachText(t *testing.T, visit func(place, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" || name == "bin"):
			return filepath.SkipDir
		case d.IsDir() || name == "words_test.go":
			return nil
		case filepath.Ext(name) == ".go":
			return eachGoText(name, visit)
		case slices.Contains([]string{".md", ".sh", ".yaml", ".html", ".toml"}, filepath.Ext(name)),
			filepath.Ext(name) == ".txt" && strings.HasPrefix(name, "cmd"),
			name == "Makefile", name == "docs/openapi.json":
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			all := string(text)
			if name == "CHANGELOG.md" { // what is released is not rewritten
				_, all, _ = strings.Cut(all, "\n## Unreleased")
				all, _, _ = strings.Cut(all, "\n## ")
			}
			for i, line := range strings.Split(all, "\n") {
				visit(fmt.Sprintf("%s:%d", name, i+1), line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func eachGoText(name string, visit func(place, text string)) error {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range f.Comments {
		visit(files.Position(group.Pos()).String(), group.Text())
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && strings.Contains(text, " ") {
				visit(files.Position(lit.Pos()).String(), text)
			}
		}
		return true
	})
	return nil
}
