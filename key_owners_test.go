package td_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// keeper is the only package that holds private keys of the protocol.
const keeper = "internal/keyholder"

// cosigner is the only package with keys that last. They are not the protocol's: they
// sign public checkpoints, in a process outside of the backend. Only the command may
// import it, so that no part of a server can.
const cosigner = "internal/cosign"

// keyImports names the only packages that may import packages that make, hold
// or use private keys.
var keyImports = map[string][]string{
	module + "/internal/secret":        {keeper},
	module + "/" + keeper:              {"internal/node", "internal/doctor", "internal/bench"}, // which wire it, try it and measure it
	module + "/" + cosigner:            {"cmd/td"},
	"github.com/cloudflare/circl/sign": {keeper},
	"filippo.io/edwards25519":          {keeper},
	"filippo.io/mldsa":                 {},
	"crypto/hmac":                      {"internal/notify"}, // signs webhooks, in a process of its own
	"crypto/ecdsa":                     {"internal/attest"}, // which only verifies with it
	"crypto/rsa":                       {},
	"crypto/ecdh":                      {},
	"crypto/mlkem":                     {},
	"golang.org/x/crypto":              {},
}

// keyNames are the names of private keys in packages that also verify. No
// package but the cosigner may use them, not even the keeper, which has an
// implementation of its own.
var keyNames = map[string][]string{
	"crypto/ed25519":              {"PrivateKey", "PrivateKeySize", "GenerateKey", "NewKeyFromSeed", "Sign"},
	"crypto/ecdsa":                {"PrivateKey", "GenerateKey", "Sign", "SignASN1", "ParseRawPrivateKey"},
	"golang.org/x/mod/sumdb/note": {"GenerateKey", "NewSigner", "NewEd25519SignerKey"},
	"filippo.io/torchwood":        {"NewCosignatureSigner"},

	"github.com/transparency-dev/formats/note": {"GenerateMLDSAKey", "NewMLDSASigner", "NewSignerForCosignatureV1", "NewEd25519SignerVerifier"},
}

// keyFiles names the files of the keeper that may name a type which is a key or
// contains one: the file that declares it and the one program that owns it. The
// core's side of the sockets is in other files.
var keyFiles = map[string][]string{
	"originSecret":     {"originkey.go", "memory.go"},
	"originKey":        {"originkey.go", "signerprogram.go"},
	"preimage":         {"memory.go", "originkey.go", "signerprogram.go"},
	"checkpointSecret": {"checkpointkey.go", "memory.go"},
	"checkpointKey":    {"checkpointkey.go", "signerprogram.go"},
	"signerMemory":     {"memory.go", "signerprogram.go"},
	"signerProgram":    {"signerprogram.go"},
	"tagSecret":        {"tagkey.go", "memory.go"},
	"tagKey":           {"tagkey.go", "taggerprogram.go"},
	"taggerMemory":     {"memory.go", "taggerprogram.go"},
	"taggerProgram":    {"taggerprogram.go"},
	"mldsa65":          {"originkey.go", "baseline.go"}, // the latter with a key of its own
}

// TestKeyOwners: only the packages and files named here handle keys, and no
// package exports a value that is one.
func TestKeyOwners(t *testing.T) {
	declared := map[string]bool{}
	eachFile(t, func(pkg, file string, _ *ast.File) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, complaint := range keyComplaints(pkg, path.Base(file), f) {
			t.Errorf("%s: %s", file, complaint)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && pkg == keeper {
				declared[spec.Name.Name] = true
			}
			return true
		})
	})
	for name := range keyFiles {
		if !declared[name] && name != "mldsa65" {
			t.Errorf("the keeper has no type %s: this test looks for the wrong thing", name)
		}
	}
}

// keyComplaints reports what a file does that only an owner of keys may do.
func keyComplaints(pkg, file string, f *ast.File) (complaints []string) {
	local := map[string]string{} // name in this file -> import path
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return []string{err.Error()}
		}
		for k, may := range keyImports {
			if (imported == k || strings.HasPrefix(imported, k+"/")) && !slices.Contains(may, pkg) {
				complaints = append(complaints, "may not import "+imported)
			}
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if local[name] = imported; name == "." && keyNames[imported] != nil {
			complaints = append(complaints, "may not import all names of "+imported)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && pkg != cosigner && slices.Contains(keyNames[local[x.Name]], n.Sel.Name) {
				complaints = append(complaints, "may not use "+x.Name+"."+n.Sel.Name)
			}
		case *ast.Ident:
			if may := keyFiles[n.Name]; pkg == keeper && may != nil && !slices.Contains(may, file) {
				complaints = append(complaints, "may not name "+n.Name)
			}
		case *ast.FuncDecl:
			complaints = append(complaints, offered(pkg, n.Name, n.Type)...)
		case *ast.TypeSpec:
			complaints = append(complaints, offered(pkg, n.Name, n.Type)...)
		case *ast.ValueSpec:
			for _, name := range n.Names {
				complaints = append(complaints, offered(pkg, name, n.Type)...)
			}
		}
		return true
	})
	return complaints
}

// offered reports exported names of the keeper with a key in their type.
func offered(pkg string, name *ast.Ident, of ast.Node) (complaints []string) {
	if pkg != keeper || !name.IsExported() || of == nil {
		return nil
	}
	ast.Inspect(of, func(n ast.Node) bool {
		if ident, ok := n.(*ast.Ident); ok && keyFiles[ident.Name] != nil {
			complaints = append(complaints, "may not offer "+ident.Name+" by "+name.Name)
		}
		return true
	})
	return complaints
}

// TestKeyComplaints: each way to obtain a key is reported, and what owners do
// is not.
func TestKeyComplaints(t *testing.T) {
	for _, c := range []struct{ pkg, file, source, want string }{
		{"internal/gate", "x.go", `import _ "github.com/terradourada/td/internal/secret"`, "may not import"},
		{"internal/gate", "x.go", `import "github.com/terradourada/td/internal/keyholder"`, "may not import"},
		{"cmd/td", "x.go", `import "github.com/cloudflare/circl/sign/mldsa/mldsa65"`, "may not import"},
		{"receipt", "x.go", `import m "github.com/cloudflare/circl/sign/mldsa/mldsa87"`, "may not import"},
		{"receipt", "x.go", `import "filippo.io/mldsa"`, "may not import"},
		{keeper, "x.go", `import "crypto/hmac"`, "may not import"},
		{"receipt", "x.go", `import "crypto/ed25519"; var k ed25519.PrivateKey`, "may not use ed25519.PrivateKey"},
		{keeper, "x.go", `import e "crypto/ed25519"; var _, _, _ = e.GenerateKey(nil)`, "may not use e.GenerateKey"},
		{"receipt", "x.go", `import . "crypto/ed25519"; var k PrivateKey`, "may not import all names"},
		{"internal/ledger", "x.go", `import "golang.org/x/mod/sumdb/note"; var _, _ = note.NewSigner("")`, "may not use note.NewSigner"},
		{"receipt", "x.go", `import "github.com/transparency-dev/formats/note"; var _, _ = note.NewMLDSASigner("")`, "may not use note.NewMLDSASigner"},
		{"internal/node", "x.go", `import "github.com/terradourada/td/internal/cosign"`, "may not import"},
		{"internal/notify", "x.go", `import "github.com/terradourada/td/internal/cosign"`, "may not import"},
		{cosigner, "x.go", `import "github.com/terradourada/td/internal/keyholder"`, "may not import"},
		{keeper, "link.go", `type link struct { key *originKey }`, "may not name originKey"},
		{keeper, "signer.go", `func (s *Signer) steal(p *signerProgram) {}`, "may not name signerProgram"},
		{keeper, "frame.go", `import "github.com/cloudflare/circl/sign/mldsa/mldsa65"; var k mldsa65.PrivateKey`, "may not name mldsa65"},
		{keeper, "originkey.go", `func Export() *originKey { return nil }`, "may not offer originKey by Export"},
		{keeper, "tagkey.go", `type Key = tagSecret`, "may not offer tagSecret by Key"},
		{keeper, "memory.go", `type Loot struct { Region *signerMemory }`, "may not offer signerMemory by Loot"},
		{keeper, "tagkey.go", `var Key *tagKey`, "may not offer tagKey by Key"},

		{keeper, "originkey.go", `import ("github.com/cloudflare/circl/sign/mldsa/mldsa65"; "github.com/terradourada/td/internal/secret"); type originSecret struct { private mldsa65.PrivateKey; r *secret.Region }`, ""},
		{"receipt", "x.go", `import "crypto/ed25519"; func check(k ed25519.PublicKey) bool { return ed25519.Verify(k, nil, nil) }`, ""},
		{"internal/node", "x.go", `import "github.com/terradourada/td/internal/keyholder"; var s *keyholder.Signer`, ""},
		{"internal/gate", "x.go", `type tagKey struct{}`, ""}, // a name of its own
		{cosigner, "x.go", `import "crypto/ed25519"; func sign(k ed25519.PrivateKey) []byte { return ed25519.Sign(k, nil) }`, ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), c.file, "package p\n"+c.source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("%s: %v", c.source, err)
		}
		got := strings.Join(keyComplaints(c.pkg, c.file, f), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s, %s: %s\ncomplaints %q, want %q", c.pkg, c.file, c.source, got, c.want)
		}
	}
}
