package td_test

import (
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// outer are the layers that may be changed, replaced or left out without a change of what
// is accepted or of how it is verified.
var outer = []string{
	"internal/limit", "internal/telemetry", "internal/telemetry/metrics", "internal/accesslog", "internal/watch", "internal/notify",
	"internal/anomaly", "internal/admin", "internal/server", "internal/attest", "internal/systemd", "internal/termui",
}

// TestInnerLayers: formats, claims, lifecycle, keyholders and verifiers contain no outer
// layer, also not through another package. So the known-answer vectors, what a keyholder
// does, and the verdict on a receipt cannot depend on one. The gate paces
// and reports by some of them, and accepts the same without them: cmd/td.TestOuterLayers.
func TestInnerLayers(t *testing.T) {
	imports := map[string][]string{}
	eachFile(t, func(pkg, _ string, f *ast.File) {
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				imports[pkg] = append(imports[pkg], own)
			}
		}
	})
	for pkg, may := range map[string][]string{
		"protocol": nil, "claim": nil, "receipt": nil, "audit": nil, "internal/lifecycle": nil, "internal/keyholder": nil,
		"internal/session": {"internal/limit"},                                           // the payer of a challenge
		"internal/gate":    {"internal/limit", "internal/telemetry", "internal/anomaly"}, // pace; the report of a request; the journal stores findings
	} {
		within := map[string]bool{}
		collect(imports, pkg, within)
		if len(within) == 0 && pkg != "protocol" {
			t.Errorf("%s imports nothing: the test reads it no longer", pkg)
		}
		for _, own := range slices.Sorted(maps.Keys(within)) {
			if slices.Contains(outer, own) && !slices.Contains(may, own) {
				t.Errorf("%s contains the outer layer %s", pkg, own)
			}
		}
	}
}

// collect adds what a package imports, directly or not.
func collect(imports map[string][]string, pkg string, within map[string]bool) {
	for _, own := range imports[pkg] {
		if !within[own] {
			within[own] = true
			collect(imports, own, within)
		}
	}
}

// TestProofsWithoutGnark: suite 2, the native rules and the values that travel need no
// library of curves, also not through another package.
func TestProofsWithoutGnark(t *testing.T) {
	imports, curves := map[string][]string{}, map[string]bool{}
	eachFile(t, func(pkg, _ string, f *ast.File) {
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				imports[pkg] = append(imports[pkg], own)
			}
			curves[pkg] = curves[pkg] || strings.Contains(path, "gnark")
		}
	})
	if !curves["claim"] {
		t.Error("claim does not import gnark: the test finds it no longer")
	}
	within := map[string]bool{"proof/claims": true}
	collect(imports, "proof/claims", within)
	if !within["internal/rules"] || !within["protocol"] {
		t.Errorf("proof/claims imports %v: the test reads it no longer", within)
	}
	for _, pkg := range slices.Sorted(maps.Keys(within)) {
		if curves[pkg] || pkg == "claim" || strings.HasPrefix(pkg, "internal/server") {
			t.Errorf("proof/claims contains %s", pkg)
		}
	}
}
