package td_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/terradourada/td"

// floors is the plan of the house, bottom up: a package imports packages of
// lower floors only, and every package stands on one.
var floors = [][]string{
	0:  {".", "protocol", "model", "proof/field", "proof/merkle"}, // "." is the module's own documentation
	1:  {"internal/approval", "internal/fault", "internal/lifecycle", "internal/limit", "internal/sbom", "internal/telemetry", "internal/tiles", "proof/poseidon", "proof/transcript"},
	2:  {"internal/rules", "internal/fsutil", "internal/termui", "internal/localserver", "internal/principal", "internal/telemetry/metrics", "internal/systemd", "internal/accesslog", "internal/anomaly", "proof/ligero"},
	3:  {"claim", "claim/internal/srsgen", "api", "internal/input", "proof/circuit", "internal/config", "internal/secret", "internal/sandbox", "internal/attest", "internal/watch", "internal/anomaly/inject", "internal/anomaly/seriesfile"},
	4:  {"receipt", "internal/anomaly/nab", "proof/claims", "internal/process", "internal/session", "internal/journal", "internal/ledger", "internal/memberlist"},
	5:  {"client", "internal/addcheckpoint", "internal/keyholder", "internal/notify", "internal/prover", "internal/epochs", "internal/gate"},
	6:  {"audit", "internal/control", "internal/server", "internal/remote", "internal/draft"},
	7:  {"internal/admin", "internal/cosign", "internal/datadir", "internal/submit", "internal/verify"},
	8:  {"internal/node", "internal/probe"},
	9:  {"internal/doctor", "internal/demo", "internal/bench"}, // the demo keeps receipts as submit does
	10: {"cmd/td", "internal/attack", "internal/faults", "internal/failpoints", "internal/efficiency", "internal/mutants"},
}

// allowedImports names the only packages that may import a path. A name that
// ends in a slash covers everything below it; the longest match counts.
var allowedImports = map[string][]string{
	"unsafe":                               {"internal/admin", "internal/secret", "internal/sandbox", "internal/node"}, // node with the tag gameday alone
	"C":                                    {},
	"log":                                  {},
	"math/rand":                            {},
	"math/rand/v2":                         {"client", "internal/server", "internal/anomaly/inject"}, // jitter of retries, traffic that can be repeated
	"os/exec":                              {"internal/localserver", "internal/process", "internal/node", "claim/internal/srsgen"},
	"net/http":                             {"client", "internal/addcheckpoint", "internal/admin", "internal/cosign", "internal/notify", "internal/prover", "internal/server", "internal/node", "internal/bench", "internal/telemetry/metrics"},
	"database/sql":                         {"internal/cosign", "internal/journal"},
	"crypto/hmac":                          {"internal/notify"}, // would put keys on the heap: it signs webhooks in a process without a key of the protocol
	"crypto/ed25519":                       {"protocol", "internal/keyholder", "receipt", "internal/ledger", "internal/cosign"},
	"filippo.io/edwards25519":              {"internal/keyholder"},
	"filippo.io/torchwood":                 {"receipt", "internal/cosign", "internal/ledger", "internal/tiles"},
	"github.com/cloudflare/circl/":         {"internal/keyholder"},
	"github.com/consensys/gnark-crypto/":   {"claim", "claim/internal/srsgen"},
	"github.com/consensys/gnark/":          {"claim"},
	"github.com/crate-crypto/go-eth-kzg":   {"claim/internal/srsgen"},
	"github.com/danielgtaylor/huma/":       {"internal/server"},
	"github.com/elastic/go-seccomp-bpf":    {}, // in tests only: see docs/decisions/0001-dependencies.md
	"github.com/go-json-experiment/":       {"protocol"},
	"github.com/google/go-configfs-tsm/":   {"internal/attest"},
	"github.com/google/go-sev-guest/":      {"internal/attest"},
	"github.com/google/go-tdx-guest/":      {"internal/attest"},
	"github.com/google/go-tpm/":            {"internal/attest"},
	"github.com/hanwen/go-fuse/":           {}, // in tests only, as go-seccomp-bpf
	"github.com/landlock-lsm/":             {"internal/sandbox"},
	"github.com/pelletier/go-toml/":        {"internal/config"},
	"github.com/pires/":                    {"internal/node"},
	"github.com/pressly/goose/":            {"internal/journal"},
	"github.com/prometheus/":               {"internal/telemetry/metrics"},
	"github.com/spf13/":                    {"cmd/td"},
	"github.com/transparency-dev/formats/": {"receipt", "internal/cosign"},
	"golang.org/x/mod/":                    {"protocol", "receipt", "internal/addcheckpoint", "internal/cosign", "internal/keyholder", "internal/ledger", "internal/tiles"},
	"golang.org/x/term":                    {"internal/termui"},
	"golang.org/x/sync/":                   {"audit", "claim", "internal/prover", "internal/bench", "internal/submit", "internal/node"},
	"golang.org/x/sys/":                    {"internal/admin", "internal/fsutil", "internal/systemd", "internal/secret", "internal/sandbox", "internal/process", "internal/keyholder", "internal/notify", "internal/prover", "internal/journal", "internal/ledger", "internal/datadir", "internal/node", "internal/doctor", "internal/bench"},
	"modernc.org/":                         {"internal/cosign", "internal/journal"},
}

// TestFloors parses the import lines itself. A test that ran "go list" would be
// answered from the test cache even after a forbidden import was added.
func TestFloors(t *testing.T) {
	floorOf := map[string]int{}
	for i, packages := range floors {
		for _, p := range packages {
			floorOf[p] = i
		}
	}
	seen := map[string]bool{}
	eachFile(t, func(pkg, file string, f *ast.File) {
		floor, ok := floorOf[pkg]
		if !ok {
			t.Errorf("%s: package %s stands on no floor", file, pkg)
			return
		}
		seen[pkg] = true
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(imported, module+"/"); ok {
				if target, ok := floorOf[own]; !ok || target >= floor {
					t.Errorf("%s: %s (floor %d) may not import %s", file, pkg, floor, own)
				}
				continue
			}
			checkImport(t, file, pkg, imported)
		}
	})
	for p := range floorOf {
		if !seen[p] {
			t.Errorf("the plan names package %s, which does not exist", p)
		}
	}
}

func checkImport(t *testing.T, file, pkg, imported string) {
	t.Helper()
	allowed, listed := importersAllowed(imported)
	switch {
	case listed && !slices.Contains(allowed, pkg):
		t.Errorf("%s: %s may not import %s", file, pkg, imported)
	case !listed && strings.Contains(strings.Split(imported, "/")[0], "."):
		t.Errorf("%s: module of %s is not in allowedImports: every direct dependency is imported by one named package", file, imported)
	}
}

func importersAllowed(imported string) ([]string, bool) {
	best, allowed := "", []string(nil)
	for k, h := range allowedImports {
		match := imported == k || strings.HasSuffix(k, "/") && strings.HasPrefix(imported+"/", k)
		if match && len(k) > len(best) {
			best, allowed = k, h
		}
	}
	return allowed, best != ""
}

// TestSequential checks that a package which the race detector leaves out has
// no goroutine and no lock.
func TestSequential(t *testing.T) {
	for _, dir := range makeList(t, "SEQUENTIAL") {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no package, %v", dir, err)
		}
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt, *ast.ChanType:
					t.Errorf("%s has goroutines or channels", name)
				case *ast.ImportSpec:
					if n.Path.Value == `"sync"` {
						t.Errorf("%s imports sync", name)
					}
				}
				return true
			})
		}
	}
}

// TestCalculations checks that each name of a test which the race detector leaves out is
// that of one test.
func TestCalculations(t *testing.T) {
	found := map[string]int{}
	for _, at := range testsOf(t) {
		found[at.name]++
	}
	for _, name := range makeList(t, "CALCULATIONS") {
		if found[name] != 1 {
			t.Errorf("%s is the name of %d tests", name, found[name])
		}
	}
}

// makeList returns a list of the Makefile.
func makeList(t *testing.T, name string) []string {
	t.Helper()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(makefile), "\n"+name+" := ")
	list, _, _ = strings.Cut(list, "\n")
	words := strings.Fields(list)
	if len(words) == 0 {
		t.Fatalf("the Makefile has no list %s", name)
	}
	return words
}

// TestPackageDocs checks that every package has one package comment.
func TestPackageDocs(t *testing.T) {
	docs := map[string]int{}
	eachFile(t, func(pkg, _ string, f *ast.File) {
		docs[pkg] += 0
		if f.Doc != nil && strings.HasPrefix(f.Doc.Text(), "Package ") || f.Name.Name == "main" && f.Doc != nil && strings.HasPrefix(f.Doc.Text(), "Command ") {
			docs[pkg]++
		}
	})
	for pkg, n := range docs {
		if n != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, n)
		}
	}
}

func eachFile(t *testing.T, visit func(pkg, file string, f *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || name == "tools" || name == "docs") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		visit(path.Dir(filepath.ToSlash(name)), name, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
