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
	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// ownTests are the secret types that cannot be made here, and whose packages have tests of
// their own: TestRedactedDoesNotPrint, TestSecretsDoNotPrint and their like.
var ownTests = []string{"internal/keyholder", "internal/secret"}

// TestSecretsAreNotLogged logs a value of every secret type through every path: as a
// value, a pointer, in a struct, in a list, in an error, in a message, in a group. No path
// writes its bytes, raw or in any usual encoding. Package fmt itself asks no type for its
// text where a verb does not fit a pointer in a map; sloglint and vet forbid such messages.
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
	}
	for _, root := range []string{"../../protocol", "../../claim", "../../receipt", "../../client", "../../internal", "../../api"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			dir := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(path, "../../")))
			for _, name := range redacting(f) {
				if full := dir + "." + name; !slices.Contains(known, full) && !slices.Contains(ownTests, dir) && name != "hidden" {
					t.Errorf("%s redacts itself, and no test logs it", full)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
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
