package lifecycle_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

var update = flag.Bool("update", false, "write the golden files")

// Every state and every event that Step treats differently.
var stepStates = []lifecycle.State{
	{},
	{Phase: lifecycle.PhaseIssued},
	{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageRedeem},
	{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageVerify},
	{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageCommit},
	{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageUnknown},
	{Phase: lifecycle.PhaseAccepted, Index: 7},
	{Phase: lifecycle.PhaseRejected, Reason: protocol.CodeProofRejected},
	{Phase: lifecycle.PhaseInvalidated, Reason: protocol.CodeFrozen},
	{Phase: lifecycle.PhaseInvalidated, Reason: protocol.CodeProverTimeout},
	{Phase: lifecycle.PhaseExpired},
}

var stepEvents = []struct {
	name  string
	event lifecycle.Event
}{
	{"open", lifecycle.EventOpen{}},
	{"open, issue on hold", lifecycle.EventOpen{Frozen: true}},
	{"open, no epoch is ACTIVE", lifecycle.EventOpen{NoEpoch: true}},
	{"open, journal not writable", lifecycle.EventOpen{JournalUnavailable: true}},
	{"issued", lifecycle.EventIssued{EpochLive: true}},
	{"issued, epoch has died", lifecycle.EventIssued{}},
	{"answer", lifecycle.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true}},
	{"answer, another proof", lifecycle.EventAnswer{ClientMatches: true, TagMatches: true}},
	{"answer, wrong tag", lifecycle.EventAnswer{ClientMatches: true, SameProof: true}},
	{"answer, wrong client", lifecycle.EventAnswer{TagMatches: true, SameProof: true}},
	{"answer, acceptance on hold", lifecycle.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, Frozen: true}},
	{"answer, journal not writable", lifecycle.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, JournalUnavailable: true}},
	{"answer, projection too far behind", lifecycle.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, LagTooFar: true}},
	{"redeemed: ok", lifecycle.EventRedeemed{Verdict: protocol.RedeemOK}},
	{"redeemed: expired", lifecycle.EventRedeemed{Verdict: protocol.RedeemExpired}},
	{"redeemed: mismatch", lifecycle.EventRedeemed{Verdict: protocol.RedeemMismatch}},
	{"redeemed: unknown", lifecycle.EventRedeemed{Verdict: protocol.RedeemUnknown}},
	{"redeemed: used", lifecycle.EventRedeemed{Verdict: protocol.RedeemUsed}},
	{"verified: true", lifecycle.EventVerified{OK: true}},
	{"verified: false", lifecycle.EventVerified{}},
	{"committed", lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: 7}},
	{"commit refused: nullifier_used", lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeNullifierUsed}},
	{"commit refused: conflict", lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeConflict}},
	{"commit refused: frozen", lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeFrozen}},
	{"commit refused: ledger_unavailable", lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeLedgerUnavailable}},
	{"commit unknown", lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}},
	{"aborted", lifecycle.EventAborted{}},
	{"prover failed: statement_false", lifecycle.EventProverFailed{Code: protocol.CodeStatementFalse}},
	{"prover failed: prover_timeout", lifecycle.EventProverFailed{Code: protocol.CodeProverTimeout}},
	{"prover failed: anything else", lifecycle.EventProverFailed{Code: protocol.CodeFrozen}},
	{"expire", lifecycle.EventExpire{}},
	{"invalidate: invalidated", lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated}},
}

func stateName(s lifecycle.State) string {
	switch {
	case s.Stage != lifecycle.StageNone:
		return fmt.Sprintf("%v (%v)", s.Phase, s.Stage)
	case s.Reason != protocol.CodeNone:
		return fmt.Sprintf("%v (%v)", s.Phase, s.Reason)
	default:
		return s.Phase.String()
	}
}

const lifecycleHead = `# The lifecycle of a request

Generated from ` + "`lifecycle.Step`" + ` by its tests; do not edit. Section 11 of [TD/1](td-1.md) says what it means.
NONE is the state of an unknown request. A pair of state and event that is not listed leaves the state as
it is and answers ` + "`internal`" + `: the caller has broken an invariant.

| state | events | next state | effect | code |
|---|---|---|---|---|
`

func lifecycleTable() string {
	var b strings.Builder
	b.WriteString(lifecycleHead)
	for _, s := range stepStates {
		for _, row := range lifecycleRows(s) {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", stateName(s), strings.Join(row.events, "; "), row.result)
		}
	}
	return b.String()
}

type lifecycleRow struct {
	events []string
	result string
}

// lifecycleRows puts events with one result into one row.
func lifecycleRows(s lifecycle.State) (rows []lifecycleRow) {
	for _, e := range stepEvents {
		to, effect, code := lifecycle.Step(s, e.event)
		if code == protocol.CodeInternal && to == s && effect == lifecycle.EffectNone {
			continue
		}
		next, text := stateName(to), code.String()
		if to == s {
			next = "the same"
		}
		if code == protocol.CodeNone {
			text = ""
		}
		result := fmt.Sprintf("%s | %v | %s", next, effect, text)
		i := slices.IndexFunc(rows, func(r lifecycleRow) bool { return r.result == result })
		if i < 0 {
			rows = append(rows, lifecycleRow{result: result})
			i = len(rows) - 1
		}
		rows[i].events = append(rows[i].events, e.name)
	}
	return rows
}

func TestLifecycleTable(t *testing.T) {
	const path = "../../docs/spec/lifecycle.md"
	got := lifecycleTable() + openingTable()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what Step does; look at the change and run the test with -update", path)
	}
}

// TestStepArrows checks that every step is an arrow of section 11.
func TestStepArrows(t *testing.T) {
	arrows := map[lifecycle.Phase][]lifecycle.Phase{
		lifecycle.PhaseNone:   {lifecycle.PhaseIssued, lifecycle.PhaseInvalidated},
		lifecycle.PhaseIssued: {lifecycle.PhaseClaimed, lifecycle.PhaseExpired, lifecycle.PhaseInvalidated},
		lifecycle.PhaseClaimed: {
			lifecycle.PhaseAccepted, lifecycle.PhaseRejected, lifecycle.PhaseInvalidated, lifecycle.PhaseExpired,
		},
	}
	met := map[string]bool{}
	for _, s := range stepStates {
		for _, e := range stepEvents {
			to, effect, code := lifecycle.Step(s, e.event)
			if to.Phase != s.Phase {
				met[fmt.Sprint(s.Phase, to.Phase)] = true
				if !slices.Contains(arrows[s.Phase], to.Phase) {
					t.Errorf("%s becomes %s on %q", stateName(s), stateName(to), e.name)
				}
			}
			if s.Terminal() && to != s {
				t.Errorf("%s changes on %q", stateName(s), e.name)
			}
			if code == protocol.CodeInternal && (to != s || effect != lifecycle.EffectNone) {
				t.Errorf("%s does something on the stray event %q", stateName(s), e.name)
			}
			if (to.Phase == lifecycle.PhaseClaimed) != (to.Stage != lifecycle.StageNone) {
				t.Errorf("%s has stage %v", stateName(to), to.Stage)
			}
		}
	}
	if len(met) != 9 {
		t.Errorf("%d arrows met, want all 9: %v", len(met), met)
	}
	if to, effect, code := lifecycle.Step(lifecycle.State{}, nil); to != (lifecycle.State{}) || effect != lifecycle.EffectNone || code != protocol.CodeInternal {
		t.Errorf("no event: %v %v %v", to, effect, code)
	}
}

// TestRefusedWithoutCode: a refusal of the journal that names no code ends the request
// with the reason internal.
func TestRefusedWithoutCode(t *testing.T) {
	claimed := lifecycle.State{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageCommit}
	s, _, code := lifecycle.Step(claimed, lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused})
	if want := (lifecycle.State{Phase: lifecycle.PhaseInvalidated, Reason: protocol.CodeInternal}); s != want || code != protocol.CodeInvalidated {
		t.Errorf("%s, %v", stateName(s), code)
	}
}

func TestOutcome(t *testing.T) {
	rows := []struct {
		state lifecycle.State
		code  protocol.Code
		done  bool
	}{
		{lifecycle.State{}, 0, false},
		{lifecycle.State{Phase: lifecycle.PhaseIssued}, 0, false},
		{lifecycle.State{Phase: lifecycle.PhaseClaimed, Stage: lifecycle.StageUnknown}, 0, false},
		{lifecycle.State{Phase: lifecycle.PhaseAccepted}, 0, true},
		{lifecycle.State{Phase: lifecycle.PhaseExpired}, protocol.CodeExpired, true},
		{lifecycle.State{Phase: lifecycle.PhaseRejected, Reason: protocol.CodeNullifierUsed}, protocol.CodeNullifierUsed, true},
	}
	for _, c := range protocol.Codes() {
		want := protocol.CodeInvalidated
		switch c {
		case protocol.CodeStatementFalse, protocol.CodeProverTimeout, protocol.CodeProverBadResponse,
			protocol.CodeProverTagMismatch, protocol.CodeOverloaded:
			want = c
		}
		rows = append(rows, struct {
			state lifecycle.State
			code  protocol.Code
			done  bool
		}{lifecycle.State{Phase: lifecycle.PhaseInvalidated, Reason: c}, want, true})
	}
	for _, row := range rows {
		if code, done := row.state.Outcome(); code != row.code || done != row.done {
			t.Errorf("%s: outcome %v, %t, want %v, %t", stateName(row.state), code, done, row.code, row.done)
		}
	}
}

func TestStateIsSmall(t *testing.T) {
	if size := reflect.TypeFor[lifecycle.State]().Size(); size > 16 {
		t.Errorf("a state takes %d bytes, want at most 16: 100,000 are kept", size)
	}
}

func TestStepNames(t *testing.T) {
	rows := []struct{ got, want string }{
		{upTo[lifecycle.Phase](8), "NONE ISSUED CLAIMED ACCEPTED REJECTED INVALIDATED EXPIRED unknown"},
		{upTo[lifecycle.Stage](6), " redeem verify commit unknown ?"},
		{upTo[lifecycle.Effect](11), " issue redeem verify commit resolve reply await cancel destroy_epoch invalid"},
		{upTo[lifecycle.EpochPhase](5), "STARTING ACTIVE DRAINING DESTROYED unknown"},
		{upTo[lifecycle.EpochEffect](7), "invalid wipe invalidate stop kill close seal"},
	}
	for _, row := range rows {
		if row.got != row.want {
			t.Errorf("names = %q, want %q", row.got, row.want)
		}
	}
}

func upTo[T interface {
	~uint8
	fmt.Stringer
}](n T) string {
	var s []string
	for v := T(0); v < n; v++ {
		s = append(s, v.String())
	}
	return strings.Join(s, " ")
}
