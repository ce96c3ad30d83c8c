package td_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// details names the functions that make an error, with the position of its text.
var details = map[string]int{
	"errors.New":     0,
	"fmt.Errorf":     0,
	"fault.New":      1,
	"protocol.Fail":  1,
	"protocol.Failf": 1,
	"protocol.Wrap":  1,
	"protocol.Wrapf": 1,
}

// TestErrorDetails: the text of an error is lower case without a period, because
// programs and people read it within a sentence. A name may begin with a capital.
func TestErrorDetails(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "tools" || name == "docs" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			for _, text := range detailOf(f.Name.Name, n) {
				checked++
				if why := badDetail(text); why != "" {
					t.Errorf("%s: %q %s", files.Position(n.Pos()), text, why)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 600 {
		t.Errorf("only %d texts were found: the test reads them no longer", checked)
	}
}

// detailOf returns the literal text of an error that a node makes.
func detailOf(pkg string, n ast.Node) []string {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch fun := n.Fun.(type) {
		case *ast.SelectorExpr:
			if in, ok := fun.X.(*ast.Ident); ok {
				name = in.Name + "." + fun.Sel.Name
			}
		case *ast.Ident:
			name = pkg + "." + fun.Name
		}
		if at, ok := details[name]; ok && at < len(n.Args) {
			return literal(n.Args[at])
		}
	case *ast.KeyValueExpr: // of a Fault or an Error
		if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "What" || key.Name == "Detail") {
			return literal(n.Value)
		}
	}
	return nil
}

// literal returns the constant beginning or end of a text, or both.
func literal(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING && s != "" {
			return []string{s}
		}
	case *ast.BinaryExpr:
		if begins := literal(e.X); begins != nil {
			return begins
		}
	case *ast.CallExpr:
		if fun, ok := e.Fun.(*ast.SelectorExpr); ok && fun.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return literal(e.Args[0])
		}
	}
	return nil
}

// badDetail says what is wrong with a text, or "".
func badDetail(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	second, _ := utf8.DecodeRuneInString(text[size:])
	word, _, _ := strings.Cut(text, " ")
	switch {
	case strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..."), strings.HasSuffix(text, "!"), strings.HasSuffix(text, "\n"):
		return "ends with a period"
	case unicode.IsUpper(first) && unicode.IsLower(second) && word == strings.ToUpper(word[:size])+strings.ToLower(word[size:]):
		return "begins with a capital"
	}
	return ""
}
