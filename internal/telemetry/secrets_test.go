package telemetry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// ownTests are the secret types that cannot be made here, and whose packages have tests of
// their own: TestRedactedDoesNotPrint, TestSecretsDoNotPrint and their like.
var ownTests = []string{"internal/cosign", "internal/keyholder", "internal/secret"}

// TestSecretsAreNotLogged logs a value of every secret type through every path: as a
// value, a pointer, in a struct, in a list, in an error, in a message, in a group. No path
// writes its bytes, raw or in any usual encoding.
func TestSecretsAreNotLogged(t *testing.T) {
	bytesOf := []byte("0123456789abcdefABCDEFfedcba9876")
	tag := protocol.Tag(bytesOf)
	key := principal.NewKey()
	member, opening := claim.NewMemberSecret(), receipt.Opening{Event: string(bytesOf), Blind: protocol.Element(bytesOf)}
	region, err := secret.New(32, secret.Plain)
	if err != nil {
		t.Fatal(err)
	}
	defer region.Close()
	values := map[string]struct {
		value  any
		secret []byte
	}{
		"protocol.Tag":       {tag, bytesOf},
		"*protocol.Tag":      {&tag, bytesOf},
		"principal.Key":      {key, []byte(key.Text())},
		"*principal.Key":     {&key, []byte(key.Text())},
		"claim.MemberSecret": {member, member.Encode()},
		"receipt.Opening":    {opening, bytesOf},
		"*receipt.Opening":   {&opening, bytesOf},
		"*secret.Region":     {region, bytes.Repeat([]byte{0}, 32)},
		"gate.Answer":        {gate.Answer{Tag: tag}, bytesOf},
		"*gate.Challenge":    {&gate.Challenge{Tag: tag}, bytesOf},
		"*gate.Job":          {&gate.Job{Tag: tag}, bytesOf},
		"*api.Challenge":     {&api.Challenge{Tag: tag}, bytesOf},
	}
	for name, v := range values {
		for _, inJSON := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				log, end := run(inJSON)
				nested := struct {
					Any  any
					List []any
					Map  map[string]any
				}{v.value, []any{v.value}, map[string]any{"k": v.value}}
				log.Error("handler panicked", "panic", v.value, "err", fmt.Errorf("could not: %v", v.value))
				log.Warn("call panicked", "panic", nested, "call", slog.AnyValue(nested))
				log.Warn("stopping", slog.Group("g", "panic", &nested)) //nolint:sloglint // groups are what is tested
				log.With("panic", v.value).WithGroup("g").Info("ready", "stack", v.value)
				log.Info("not alive", "why", fmt.Sprintf("%v %+v %v", v.value, []any{v.value}, map[string]any{"k": v.value}))
				log.Info("seal not committed", "err", errors.Join(fmt.Errorf("%v", nested), errors.New("x")))
				text := end()
				for form, b := range encodings(v.secret) {
					if bytes.Contains([]byte(text), b) {
						t.Errorf("%s is in a line %s:\n%s", name, form, text)
					}
				}
				if n := strings.Count(text, "\n"); n != 6 {
					t.Errorf("%s: %d lines", name, n)
				}
			})
		}
	}
}

// encodings returns the forms in which bytes may be written.
func encodings(b []byte) map[string][]byte {
	decimal := strings.Trim(fmt.Sprintf("%d", b[:8]), "[]")
	return map[string][]byte{
		"raw": b, "as hex": []byte(hex.EncodeToString(b[:8])), "as HEX": []byte(strings.ToUpper(hex.EncodeToString(b[:8]))),
		"as base64": []byte(base64.StdEncoding.EncodeToString(b[:15])), "as base64url": []byte(base64.RawURLEncoding.EncodeToString(b[:15])),
		"as numbers": []byte(decimal), "as JSON numbers": []byte(strings.ReplaceAll(decimal, " ", ",")), "as Go": []byte(strings.ReplaceAll(decimal, " ", ", ")),
	}
}

// TestSecretTypesAreKnown finds the types that redact themselves, so that the test above
// names each, or its own package does.
func TestSecretTypesAreKnown(t *testing.T) {
	known := []string{
		"protocol.Tag", "internal/principal.Key", "receipt.Opening",
		"claim.MemberSecret", "claim.Assignment", // by claim.hidden, which claim tests
		"api.Challenge", "api.ProofRequest", "internal/gate.Answer", "internal/gate.Challenge", "internal/gate.Job",
		"internal/gate.Pushed", "internal/prover.Job", "internal/prover.Answer", // they hold one of the above, see TestHoldersRedact
	}
	roots := []string{"../../protocol", "../../claim", "../../receipt", "../../client", "../../internal", "../../api"}
	eachSource(t, roots, func(dir string, files []*ast.File) {
		dir = filepath.ToSlash(strings.TrimPrefix(dir, "../../"))
		for _, f := range files {
			for _, name := range redacting(f) {
				if full := dir + "." + name; !slices.Contains(known, full) && !slices.Contains(ownTests, dir) && name != "hidden" {
					t.Errorf("%s redacts itself, and no test logs it", full)
				}
			}
		}
	})
}

// redacting returns the types of a file that embed what redacts, or have a method Format.
func redacting(f *ast.File) (names []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					if text := fmt.Sprint(field.Type); len(field.Names) == 0 && (text == "hidden" || strings.Contains(text, "Redacted")) {
						names = append(names, n.Name.Name)
					}
				}
			}
		case *ast.FuncDecl:
			if n.Name.Name == "Format" && n.Recv != nil && len(n.Type.Params.List) == 2 {
				names = append(names, strings.TrimPrefix(fmt.Sprint(n.Recv.List[0].Type), "*"))
			}
		}
		return true
	})
	return names
}

// TestWireKeepsTags: a tag is redacted in logs, and goes over the wire as it is.
func TestWireKeepsTags(t *testing.T) {
	tag := protocol.Tag([]byte("0123456789abcdefABCDEFfedcba9876"))
	b, err := json.Marshal(tag)
	if err != nil || !strings.Contains(string(b), tag.String()) || fmt.Sprint(tag) != "redacted" || fmt.Sprintf("%x%d%#v", tag, tag, &tag) != strings.Repeat("redacted", 3) {
		t.Errorf("%s %v", b, tag)
	}
}

// verbs are all that package fmt knows, and two that it does not.
var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%O", "%c", "%U", "%e", "%f", "%g", "%t", "%z", "%!"}

// TestNoVerbPrintsASecret: where a verb does not fit a pointer in a map, package fmt prints
// what it points to and asks none of the types in it for their text. So what holds a secret
// has a text of its own, which is asked for first.
func TestNoVerbPrintsASecret(t *testing.T) {
	bytesOf := []byte("0123456789abcdefABCDEFfedcba9876")
	tag := protocol.Tag(bytesOf)
	opening := receipt.Opening{Event: string(bytesOf)}
	for _, v := range []any{
		map[string]protocol.Tag{"k": tag},
		map[string]*protocol.Tag{"k": &tag},
		map[protocol.Tag]int{tag: 1},
		map[*protocol.Tag]bool{&tag: true},
		map[string]*receipt.Opening{"k": &opening},
		map[string]receipt.Opening{"k": opening},
		map[string]*gate.Answer{"k": {Tag: tag}},
		map[string]*gate.Challenge{"k": {Tag: tag}},
		map[string]*gate.Job{"k": {Tag: tag}},
		map[string]*gate.Pushed{"k": {Opening: opening}},
		map[string]gate.Pushed{"k": {Opening: opening}},
		map[string]*api.Challenge{"k": {Tag: tag}},
		map[string]*api.ProofRequest{"k": {Tag: tag}},
		map[string]*prover.Job{"k": {Tag: tag}},
		map[string][]*prover.Answer{"k": {{Tag: tag}}},
		map[string]map[int]*gate.Job{"k": {1: {Tag: tag}}},
		map[string]any{"k": &gate.Job{Tag: tag}},
		[]*gate.Job{{Tag: tag}},
	} {
		for _, verb := range verbs {
			text := fmt.Sprintf(verb, v)
			for form, b := range encodings(bytesOf) {
				if bytes.Contains([]byte(text), b) {
					t.Errorf("%s prints a %T %s", verb, v, form)
				}
			}
		}
	}
}

// neverPrinted are holders that no program passes to anything that could print them: a
// method of theirs would be one that nothing calls, which scripts/deadcode.sh reports.
var neverPrinted = []string{"../../internal/gate.issued", "../../internal/remote.Token", "../../internal/bench.prepared"}

// TestHoldersRedact: each struct of this program with a field of a secret type prints as
// redacted itself; see TestNoVerbPrintsASecret.
func TestHoldersRedact(t *testing.T) {
	eachSource(t, []string{"../../internal", "../../api"}, func(dir string, files []*ast.File) {
		var holders, redact []string
		for _, f := range files {
			redact = append(redact, redacting(f)...)
			ast.Inspect(f, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if s, is := structOf(spec, ok); is && slices.ContainsFunc(s.Fields.List, holdsSecret) {
					holders = append(holders, spec.Name.Name)
				}
				return true
			})
		}
		for _, name := range holders {
			if !slices.Contains(redact, name) && !slices.Contains(neverPrinted, dir+"."+name) {
				t.Errorf("%s.%s holds a secret and has no method Format", dir, name)
			}
		}
	})
}

func structOf(spec *ast.TypeSpec, ok bool) (*ast.StructType, bool) {
	if !ok {
		return nil, false
	}
	s, is := spec.Type.(*ast.StructType)
	return s, is
}

// holdsSecret reports whether a field is of a secret type, or points to one.
func holdsSecret(f *ast.Field) bool {
	typ := f.Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	s, ok := typ.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"protocol.Tag", "principal.Key", "receipt.Opening", "claim.MemberSecret"}, fmt.Sprintf("%s.%s", s.X, s.Sel.Name))
}

// TestPanicsAreNotFormatted: what recover returns goes to the log as it is, which writes
// its text or its type, or through fault.Panicked. Package fmt would print all of it.
func TestPanicsAreNotFormatted(t *testing.T) {
	found := 0
	eachSource(t, []string{"../../internal", "../../claim", "../../cmd", "../../client", "../../receipt"}, func(dir string, files []*ast.File) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if body, ok := n.(*ast.BlockStmt); ok {
					for name := range recovered(body) {
						found++
						if formats(body, name) {
							t.Errorf("%s formats %s, which recover has returned", dir, name)
						}
					}
				}
				return true
			})
		}
	})
	if found < 4 {
		t.Errorf("%d calls of recover were found", found)
	}
}

// recovered returns the variables that hold what recover returns in a block.
func recovered(body *ast.BlockStmt) map[string]bool {
	names := map[string]bool{}
	for _, s := range body.List {
		ast.Inspect(s, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || len(a.Rhs) != 1 || len(a.Lhs) != 1 {
				return true
			}
			call, ok := a.Rhs[0].(*ast.CallExpr)
			if ok && fmt.Sprint(call.Fun) == "recover" {
				names[fmt.Sprint(a.Lhs[0])] = true
			}
			return true
		})
	}
	return names
}

// formats reports whether a block passes a variable to package fmt itself.
func formats(body *ast.BlockStmt, name string) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && fmt.Sprint(f.X) == "fmt" {
			found = found || slices.ContainsFunc(call.Args, func(a ast.Expr) bool { return fmt.Sprint(a) == name })
		}
		return true
	})
	return found
}

// eachSource visits the files of each package below some folders, without tests.
func eachSource(t *testing.T, roots []string, visit func(dir string, files []*ast.File)) {
	t.Helper()
	packages := map[string][]*ast.File{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for dir, files := range packages {
		visit(dir, files)
	}
}
