package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// guard is one condition of Step, and how a copy of request.go loses it: each old text
// occurs once and becomes the next one, in which REMOVED is true if the guard is removed.
type guard struct {
	name  string
	edits []string // old, new, old, new
}

var guards = []guard{
	{"hold at open", []string{"\tcase e.Frozen:", "\tcase e.Frozen && !REMOVED:"}},
	{"epoch at issue", []string{"case !e.EpochLive:", "case !e.EpochLive && !REMOVED:"}},
	{"known request", []string{"if s.Phase == PhaseNone {", "if s.Phase == PhaseNone && !REMOVED {"}},
	{"client and tag", []string{"if !e.ClientMatches || !e.TagMatches {", "if (!e.ClientMatches || !e.TagMatches) && !REMOVED {"}},
	{"claim once", []string{"if s.Phase > PhaseIssued {", "if s.Phase > PhaseIssued && !REMOVED {"}},
	{"same proof", []string{"s.Phase == PhaseAccepted && !e.SameProof:", "s.Phase == PhaseAccepted && !e.SameProof && !REMOVED:"}},
	{"hold at answer", []string{"\tif e.Frozen {", "\tif e.Frozen && !REMOVED {"}},
	{"redeem verdict", []string{"switch e.Verdict {", "switch pick(REMOVED, protocol.RedeemOK, e.Verdict) {"}},
	{"disagreement", []string{"EffectDestroyEpoch, protocol.CodeInvalidated\n", "pick(REMOVED, EffectNone, EffectDestroyEpoch), protocol.CodeInvalidated\n"}},
	{"proof verdict", []string{"if !e.OK {", "if !e.OK && !REMOVED {"}},
	{"journal refusal", []string{"switch e.Outcome {", "switch pick(REMOVED && e.Outcome == CommitRefused, CommitDone, e.Outcome) {"}},
	{"outcome code", []string{"s = refused(e.Code)\n\t\tcode, _ := s.Outcome()\n", "s = refused(e.Code)\n\t\tcode, _ := s.Outcome()\n\t\tcode = pick(REMOVED, e.Code, code)\n"}},
	{"unknown commit", []string{"\t\ts.Stage = StageUnknown\n", "\t\tif REMOVED {\n\t\t\treturn invalidated(protocol.CodeLedgerUnavailable), EffectNone, protocol.CodeInvalidated\n\t\t}\n\t\ts.Stage = StageUnknown\n"}},
	{"expire issued only", []string{"if s.Phase == PhaseIssued {\n\t\treturn State{Phase: PhaseExpired}", "if s.Phase == PhaseIssued || s.Phase == PhaseClaimed && REMOVED {\n\t\treturn State{Phase: PhaseExpired}"}},
	{"invalidate issued only", []string{"if s.Phase == PhaseIssued {\n\t\treturn invalidated(e.Reason)", "if s.Phase == PhaseIssued || s.Phase == PhaseClaimed && REMOVED {\n\t\treturn invalidated(e.Reason)"}},
	{"cancel", []string{
		"State{Phase: PhaseExpired}, EffectCancel", "State{Phase: PhaseExpired}, pick(REMOVED, EffectNone, EffectCancel)",
		"invalidated(e.Reason), EffectCancel", "invalidated(e.Reason), pick(REMOVED, EffectNone, EffectCancel)",
	}},
}

// withSwitches returns the source of Step with a switch for each guard.
func withSwitches(t *testing.T, source string) string {
	t.Helper()
	for i, g := range guards {
		for e := 0; e < len(g.edits); e += 2 {
			if n := strings.Count(source, g.edits[e]); n != 1 {
				t.Fatalf("%s: %q occurs %d times", g.name, g.edits[e], n)
			}
			source = strings.Replace(source, g.edits[e], strings.ReplaceAll(g.edits[e+1], "REMOVED", fmt.Sprintf("(Removed&%d != 0)", 1<<i)), 1)
		}
	}
	return source + `
// Removed is the set of guards that are removed.
var Removed uint32

func init() { removedGuards = &Removed }

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}
`
}

// removed points at the set of removed guards, in the copy that has switches.
func removed() *uint32 { return lifecycle.RemovedGuards() }

// needSwitches skips a test that runs in the copy only.
func needSwitches(t *testing.T) {
	t.Helper()
	if removed() == nil {
		t.Skip("runs in the copy of Step that has switches, see TestGuards")
	}
}

// stepWithout returns Step without the guards among the names. Its caller runs alone.
func stepWithout(names faults) func(lifecycle.State, lifecycle.Event) (lifecycle.State, lifecycle.Effect, protocol.Code) {
	if set := removed(); set != nil {
		*set = 0
		for i, g := range guards {
			if names.has(g.name) {
				*set |= 1 << i
			}
		}
	}
	return lifecycle.Step
}

// TestGuards runs the tests of planted faults in a copy of Step that has a switch for
// each guard. The program has none.
func TestGuards(t *testing.T) {
	if removed() != nil {
		t.Skip("this is the copy")
	}
	source, err := os.ReadFile("request.go")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "request.go")
	if err := os.WriteFile(changed, []byte(withSwitches(t, string(source))), 0o600); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs("request.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-count=1", "-vet=off", "-v", "-overlay", file, "-run", "^(TestStepPlantedFaults|TestStepSecondLines)$"}
	if testing.Short() {
		args = append(args, "-short")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestStepPlantedFaults/") {
		t.Fatalf("%v\n%s", err, out)
	}
}
