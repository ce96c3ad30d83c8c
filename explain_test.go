package td_test

import (
	"go/ast"
	"path/filepath"
	"slices"
	"testing"
)

// explainers are the packages that may ask an error for the text with the user's values,
// by Explain or by fault.Of. None of them runs in a server's handlers, whose answers and
// logs never hold values of an event.
var explainers = []string{
	"internal/rules", "internal/fault", "internal/fsutil", "internal/remote", "internal/draft",
	"internal/doctor", "internal/probe", "internal/verify", "cmd/td",
}

func TestOnlyClientsExplain(t *testing.T) {
	found := map[string]bool{}
	for name, f := range sources(t) {
		pkg := filepath.ToSlash(filepath.Dir(name))
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			if sel.Sel.Name == "Explain" && len(call.Args) == 0 || x != nil && x.Name == "fault" && (sel.Sel.Name == "Of" || sel.Sel.Name == "Explain") {
				found[pkg] = true
				if !slices.Contains(explainers, pkg) {
					t.Errorf("%s asks an error for the text with the user's values", name)
				}
			}
			return true
		})
	}
	for _, pkg := range []string{"internal/fault", "internal/remote", "cmd/td"} {
		if !found[pkg] {
			t.Errorf("%s does not explain: the test finds it no longer", pkg)
		}
	}
}
