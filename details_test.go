package td_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// details names the functions that make an error, with the position of its text.
// [TestErrorDetails] adds the functions that pass a parameter on as the text.
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
	files := sources(t)
	for known := 0; known < len(details); {
		known = len(details)
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
					addMaker(f.Name.Name, fn)
				}
			}
		}
	}
	if len(details) < 20 {
		t.Errorf("only %d functions make errors: the test finds them no longer", len(details))
	}
	checked := 0
	for name, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if text := textOf(f.Name.Name, n); text != nil {
				checked++
				if why := badDetail(text); why != "" {
					t.Errorf("%s: %s", name, why)
				}
			}
			return true
		})
	}
	if checked < 800 {
		t.Errorf("only %d texts were found: the test reads them no longer", checked)
	}
}

// sources parses every file of the module that is no test.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "tools" || name == "docs" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// addMaker adds a function that makes an error of one of its parameters.
func addMaker(pkg string, fn *ast.FuncDecl) {
	at := map[string]int{}
	n := 0
	for _, p := range fn.Type.Params.List {
		for _, name := range p.Names {
			at[name.Name] = n
			n++
		}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		if text, ok := begin(textOf(pkg, n)).(*ast.Ident); ok {
			if i, ok := at[text.Name]; ok {
				details[pkg+"."+fn.Name.Name] = i
			}
		}
		return true
	})
}

// textOf returns the text of an error that a node makes, or nil.
func textOf(pkg string, n ast.Node) ast.Expr {
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
			return n.Args[at]
		}
	case *ast.KeyValueExpr: // of a Fault or an Error
		if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "What" || key.Name == "Detail") {
			return n.Value
		}
	}
	return nil
}

// begin returns the expression that a text begins with.
func begin(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return begin(e.X)
	case *ast.CallExpr:
		if fun, ok := e.Fun.(*ast.SelectorExpr); ok && fun.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return begin(e.Args[0])
		}
	}
	return e
}

// end returns the expression that a text ends with.
func end(e ast.Expr) ast.Expr {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return end(sum.Y)
	}
	return begin(e)
}

// constant returns the text of a literal, or "".
func constant(e ast.Expr) string {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

// names may begin a detail.
var names = []string{"Content-Type", "Intel's"}

// badDetail returns what is wrong with a text, or "".
func badDetail(text ast.Expr) string {
	first, last := constant(begin(text)), constant(end(text))
	r, size := utf8.DecodeRuneInString(first)
	second, _ := utf8.DecodeRuneInString(first[size:])
	word, _, _ := strings.Cut(first, " ")
	switch {
	case strings.HasSuffix(last, ".") && !strings.HasSuffix(last, "..."), strings.HasSuffix(last, "!"), strings.HasSuffix(last, "\n"):
		return strconv.Quote(last) + " ends with a period"
	case unicode.IsUpper(r) && unicode.IsLower(second) && !slices.Contains(names, word):
		return strconv.Quote(first) + " begins with a capital"
	}
	return ""
}

func TestBadDetail(t *testing.T) {
	for text, bad := range map[string]bool{
		`"the log is malformed"`:               false,
		`"Intel's root cannot be read"`:        false,
		`"TLS is missing"`:                     false,
		`"waiting ..."`:                        false,
		`name + ": it does not exist"`:         false,
		`"The log is malformed"`:               true,
		`"the log is malformed."`:              true,
		`"the log " + name + " is malformed."`: true,
		`fmt.Sprintf("Log %s is bad", name)`:   true,
		`fmt.Sprintf("log %s is bad!", name)`:  true,
	} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := badDetail(e); (got != "") != bad {
			t.Errorf("%s: %q", text, got)
		}
	}
}
