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

// words are expressions that have puzzled readers, each with the number of places
// that may still contain it. A limit may only be lowered.
var words = map[string]struct {
	pattern string
	limit   int
}{
	"X gives":  {`^\w+ gives\b`, 0}, // at the start of a comment
	"gives":    {`\bgives\b( up)?`, 0},
	"tells":    {`\btells\b`, 0},
	"is told":  {`\b(is|are|was|were|be|been|being) told\b`, 0},
	"whoever":  {`\bwho(m|so)?ever\b`, 0},
	"nobody":   {`\bnobody\b`, 0},
	"somebody": {`\bsomebody\b`, 0},
	"he":       {`\b(he|his|him|himself|she|her|hers|herself)\b`, 0},
	"organ":    {`\borgans?\b`, 0},
	"in hand":  {`\bin (its |their |the )?hands?\b`, 0},
	"dies":     {`\b(die|dies|dying)\b`, 0},
	"lied":     {`\b(lied|liars?)\b|\b(lie|lies|lying) (to|about)\b`, 0},
	"picture":  {`\b(luck|grief|dribbles?|has no word|walls)\b`, 0},
}

// permitted are matches that are not counted.
var permitted = []string{"gives up"}

// TestWords counts these expressions in comments, strings and documents, and
// logs the counts in one line. A single word in quotes is a name and is not
// counted.
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
