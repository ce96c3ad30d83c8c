package telemetry_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/telemetry"
)

var update = flag.Bool("update", false, "write docs/reference/log.md")

//go:generate go test -count=1 -run ^TestLogReference$ -update .

// TestFieldsAndEvents: every line that the program logs is in the table of events, and
// every field in the table of fields; the tables name nothing else, and nothing twice.
func TestFieldsAndEvents(t *testing.T) {
	messages, keys := logged(t)
	var inTable []string
	for _, e := range telemetry.LogEvents {
		inTable = append(inTable, e.Message)
		if !messages[e.Message] {
			t.Errorf("nothing logs %q", e.Message)
		}
	}
	for m := range messages {
		if !slices.Contains(inTable, m) {
			t.Errorf("%q is not in the table of events", m)
		}
	}
	var fields, names []string
	for _, f := range telemetry.Fields {
		fields = append(fields, f.Name)
		if !keys[f.Name] && f.Name != "event" {
			t.Errorf("no line has the field %q", f.Name)
		}
	}
	for k := range keys {
		if !slices.Contains(fields, k) {
			t.Errorf("%q is not in the table of fields", k)
		}
	}
	for _, e := range telemetry.LogEvents {
		names = append(names, e.Name)
	}
	for _, list := range [][]string{fields, names, inTable} {
		slices.Sort(list)
		if once := slices.Compact(slices.Clone(list)); len(once) != len(list) {
			t.Errorf("a name is twice in %q", list)
		}
	}
}

// logged returns the messages and the keys of all calls of loggers in the program.
func logged(t *testing.T) (messages, keys map[string]bool) {
	t.Helper()
	messages, keys = map[string]bool{}, map[string]bool{}
	for _, root := range []string{"../../cmd", "../../internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err == nil {
				ast.Inspect(f, func(n ast.Node) bool {
					switch n := n.(type) {
					case *ast.CallExpr:
						call(n, messages, keys)
					case *ast.FuncDecl:
						attrs(n, keys)
					}
					return true
				})
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return messages, keys
}

// call notes message and keys of a call such as log.Info("message", "key", value).
func call(c *ast.CallExpr, messages, keys map[string]bool) {
	f, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	args := c.Args
	switch f.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
	case "LogAttrs":
		args = args[2:]
	case "WriteObject":
		args = args[2:]
	case "With":
		for i := 0; i < len(args); i += 2 {
			note(args[i], keys)
		}
		return
	case "NewRecord": // of package slog
		note(args[2], messages)
		return
	case "String", "Int", "Float64": // of package slog
		if from, ok := f.X.(*ast.Ident); ok && from.Name == "slog" && len(args) == 2 {
			note(args[0], keys)
		}
		return
	default:
		return
	}
	if len(args) == 0 || !isLogger(f) {
		return
	}
	note(args[0], messages)
	for i := 1; i < len(args); i += 2 {
		note(args[i], keys)
	}
}

// isLogger reports whether a method is called of what is named as a logger.
func isLogger(f *ast.SelectorExpr) bool {
	switch x := f.X.(type) {
	case *ast.Ident:
		return strings.EqualFold(x.Name, "log") || x.Name == "telemetry"
	case *ast.SelectorExpr:
		return strings.EqualFold(x.Sel.Name, "log")
	case *ast.CallExpr: // slog.New(...)
		return true
	}
	return false
}

// attrs notes the keys of slices named attrs, which are passed to loggers.
func attrs(f *ast.FuncDecl, keys map[string]bool) {
	if f.Body == nil {
		return
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || len(a.Lhs) != 1 {
			return true
		}
		if name, ok := a.Lhs[0].(*ast.Ident); !ok || name.Name != "attrs" {
			return true
		}
		switch v := a.Rhs[0].(type) {
		case *ast.CompositeLit:
			for i := 0; i < len(v.Elts); i += 2 {
				note(v.Elts[i], keys)
			}
		case *ast.CallExpr: // append(attrs, key, value, ...)
			for i := 1; i < len(v.Args); i += 2 {
				note(v.Args[i], keys)
			}
		}
		return true
	})
}

func note(e ast.Expr, into map[string]bool) {
	if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
		text, _ := strconv.Unquote(lit.Value)
		into[text] = true
	}
}

// TestLogReference: docs/reference/log.md is what the tables say.
func TestLogReference(t *testing.T) {
	const file = "../../docs/reference/log.md"
	var b bytes.Buffer
	b.WriteString(`# The log

Written by "make docs" from the tables in internal/telemetry. ` + "`td serve`" + ` writes its log to
standard error, as text or, with ` + "`--log-format json`" + `, one object a line. Every line has
time, level, msg, and event: the name of what happened, which stays the same when a message
is reworded.

* Texts are bounded: 256 bytes, sentences of the program 2 KiB. Control characters and
  marks of direction are escaped.
* No key, tag, proof or part of an event is in a line. Values of types that the log does not
  know are written as "redacted".
* Ten lines of one event and reason (the field cause, code, reason or id) are written in a
  second. The others are counted, and a line lines_summarised follows; while they go on, the
  time between two such lines doubles up to a minute. Lines of level debug are all written.
* Each minute has one line, traffic, for each class of operations with requests. A request
  that was refused for a cause that may be an attack or a fault has a line of its own,
  request_refused.
* Addresses of clients are in the field source. With ` + "`--log-addresses hash`" + ` it is an address
  of fd00::/8 in their place, the same for the same address until the server ends.

## Fields

| field | meaning |
|---|---|
`)
	for _, f := range telemetry.Fields {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.Name, f.Meaning)
	}
	b.WriteString("\n## Events\n\n| event | msg |\n|---|---|\n")
	for _, e := range telemetry.LogEvents {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.Name, e.Message)
	}
	fmt.Fprintf(&b, "| `other` | lines of libraries |\n\n## Causes of refusals\n\nThey are in the field cause of request_refused and in [metrics](metrics.md); no answer has one.\n\n")
	for _, c := range telemetry.Causes() {
		fmt.Fprintf(&b, "* `%s`: %s\n", c, telemetry.MeaningOf(c))
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what the tables say: make docs (%v)", file, err)
	}
}
