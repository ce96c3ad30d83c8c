package protocol_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

var update = flag.Bool("update", false, "write the golden files")

// Every state and every event that differ in what Step does.
var stepStates = []protocol.State{
	{},
	{Phase: protocol.PhaseIssued},
	{Phase: protocol.PhaseClaimed, Stage: protocol.StageRedeem},
	{Phase: protocol.PhaseClaimed, Stage: protocol.StageVerify},
	{Phase: protocol.PhaseClaimed, Stage: protocol.StageCommit},
	{Phase: protocol.PhaseClaimed, Stage: protocol.StageUnknown},
	{Phase: protocol.PhaseAccepted, Index: 7},
	{Phase: protocol.PhaseRejected, Reason: protocol.CodeProofRejected},
	{Phase: protocol.PhaseInvalidated, Reason: protocol.CodeFrozen},
	{Phase: protocol.PhaseInvalidated, Reason: protocol.CodeProverTimeout},
	{Phase: protocol.PhaseExpired},
}

var stepEvents = []struct {
	name  string
	event protocol.Event
}{
	{"open", protocol.EventOpen{}},
	{"open, issue on hold", protocol.EventOpen{Frozen: true}},
	{"open, no epoch is ACTIVE", protocol.EventOpen{NoEpoch: true}},
	{"open, journal not writable", protocol.EventOpen{JournalUnavailable: true}},
	{"issued", protocol.EventIssued{EpochLive: true}},
	{"issued, epoch has died", protocol.EventIssued{}},
	{"answer", protocol.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true}},
	{"answer, another proof", protocol.EventAnswer{ClientMatches: true, TagMatches: true}},
	{"answer, wrong tag", protocol.EventAnswer{ClientMatches: true, SameProof: true}},
	{"answer, wrong client", protocol.EventAnswer{TagMatches: true, SameProof: true}},
	{"answer, acceptance on hold", protocol.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, Frozen: true}},
	{"answer, journal not writable", protocol.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, JournalUnavailable: true}},
	{"answer, projection too far behind", protocol.EventAnswer{ClientMatches: true, TagMatches: true, SameProof: true, LagTooFar: true}},
	{"redeemed: ok", protocol.EventRedeemed{Verdict: protocol.RedeemOK}},
	{"redeemed: expired", protocol.EventRedeemed{Verdict: protocol.RedeemExpired}},
	{"redeemed: mismatch", protocol.EventRedeemed{Verdict: protocol.RedeemMismatch}},
	{"redeemed: unknown", protocol.EventRedeemed{Verdict: protocol.RedeemUnknown}},
	{"redeemed: used", protocol.EventRedeemed{Verdict: protocol.RedeemUsed}},
	{"verified: true", protocol.EventVerified{OK: true}},
	{"verified: false", protocol.EventVerified{}},
	{"committed", protocol.EventCommitted{Outcome: protocol.CommitDone, Index: 7}},
	{"commit refused: nullifier_used", protocol.EventCommitted{Outcome: protocol.CommitRefused, Code: protocol.CodeNullifierUsed}},
	{"commit refused: conflict", protocol.EventCommitted{Outcome: protocol.CommitRefused, Code: protocol.CodeConflict}},
	{"commit refused: frozen", protocol.EventCommitted{Outcome: protocol.CommitRefused, Code: protocol.CodeFrozen}},
	{"commit refused: ledger_unavailable", protocol.EventCommitted{Outcome: protocol.CommitRefused, Code: protocol.CodeLedgerUnavailable}},
	{"commit unknown", protocol.EventCommitted{Outcome: protocol.CommitUnknown}},
	{"aborted", protocol.EventAborted{}},
	{"prover failed: statement_false", protocol.EventProverFailed{Code: protocol.CodeStatementFalse}},
	{"prover failed: prover_timeout", protocol.EventProverFailed{Code: protocol.CodeProverTimeout}},
	{"prover failed: anything else", protocol.EventProverFailed{Code: protocol.CodeFrozen}},
	{"expire", protocol.EventExpire{}},
	{"invalidate: invalidated", protocol.EventInvalidate{Reason: protocol.CodeInvalidated}},
}

func stateName(s protocol.State) string {
	switch {
	case s.Stage != protocol.StageNone:
		return fmt.Sprintf("%v (%v)", s.Phase, s.Stage)
	case s.Reason != protocol.CodeNone:
		return fmt.Sprintf("%v (%v)", s.Phase, s.Reason)
	default:
		return s.Phase.String()
	}
}

const lifecycleHead = `# The lifecycle of a request

Generated from ` + "`protocol.Step`" + ` by its tests; do not edit. Section 11 of [TD/1](td-1.md) says what it means.
NONE is the state of a request that nobody knows. A pair of state and event that is not listed leaves the state as
it is and answers ` + "`internal`" + `: the caller has broken an invariant.

| state | events | next state | effects | code |
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
func lifecycleRows(s protocol.State) (rows []lifecycleRow) {
	for _, e := range stepEvents {
		to, effects, code := protocol.Step(s, e.event)
		if code == protocol.CodeInternal && to == s && effects == nil {
			continue
		}
		next, told := stateName(to), code.String()
		if to == s {
			next = "the same"
		}
		if code == protocol.CodeNone {
			told = ""
		}
		result := fmt.Sprintf("%s | %s | %s", next, names(effects), told)
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
	const path = "../docs/spec/lifecycle.md"
	got := lifecycleTable()
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

// Whatever comes in whatever state: only the arrows of section 11.
func TestStepArrows(t *testing.T) {
	arrows := map[protocol.Phase][]protocol.Phase{
		protocol.PhaseNone:   {protocol.PhaseIssued, protocol.PhaseInvalidated},
		protocol.PhaseIssued: {protocol.PhaseClaimed, protocol.PhaseExpired, protocol.PhaseInvalidated},
		protocol.PhaseClaimed: {
			protocol.PhaseAccepted, protocol.PhaseRejected, protocol.PhaseInvalidated, protocol.PhaseExpired,
		},
	}
	met := map[string]bool{}
	for _, s := range stepStates {
		for _, e := range stepEvents {
			to, effects, code := protocol.Step(s, e.event)
			if to.Phase != s.Phase {
				met[fmt.Sprint(s.Phase, to.Phase)] = true
				if !slices.Contains(arrows[s.Phase], to.Phase) {
					t.Errorf("%s becomes %s on %q", stateName(s), stateName(to), e.name)
				}
			}
			if s.Terminal() && to != s {
				t.Errorf("%s changes on %q", stateName(s), e.name)
			}
			if code == protocol.CodeInternal && (to != s || effects != nil) {
				t.Errorf("%s does something on the stray event %q", stateName(s), e.name)
			}
			if (to.Phase == protocol.PhaseClaimed) != (to.Stage != protocol.StageNone) {
				t.Errorf("%s has stage %v", stateName(to), to.Stage)
			}
		}
	}
	if len(met) != 9 {
		t.Errorf("%d arrows met, want all 9: %v", len(met), met)
	}
	if to, effects, code := protocol.Step(protocol.State{}, nil); to != (protocol.State{}) || effects != nil || code != protocol.CodeInternal {
		t.Errorf("no event: %v %v %v", to, effects, code)
	}
}

func TestOutcome(t *testing.T) {
	rows := []struct {
		state protocol.State
		code  protocol.Code
		done  bool
	}{
		{protocol.State{}, 0, false},
		{protocol.State{Phase: protocol.PhaseIssued}, 0, false},
		{protocol.State{Phase: protocol.PhaseClaimed, Stage: protocol.StageUnknown}, 0, false},
		{protocol.State{Phase: protocol.PhaseAccepted}, 0, true},
		{protocol.State{Phase: protocol.PhaseExpired}, protocol.CodeExpired, true},
		{protocol.State{Phase: protocol.PhaseRejected, Reason: protocol.CodeNullifierUsed}, protocol.CodeNullifierUsed, true},
	}
	for _, c := range protocol.Codes() {
		want := protocol.CodeInvalidated
		switch c {
		case protocol.CodeStatementFalse, protocol.CodeProverTimeout, protocol.CodeProverBadResponse,
			protocol.CodeProverTagMismatch, protocol.CodeOverloaded:
			want = c
		}
		rows = append(rows, struct {
			state protocol.State
			code  protocol.Code
			done  bool
		}{protocol.State{Phase: protocol.PhaseInvalidated, Reason: c}, want, true})
	}
	for _, row := range rows {
		if code, done := row.state.Outcome(); code != row.code || done != row.done {
			t.Errorf("%s: outcome %v, %t, want %v, %t", stateName(row.state), code, done, row.code, row.done)
		}
	}
}

func TestStateIsSmall(t *testing.T) {
	if size := reflect.TypeFor[protocol.State]().Size(); size > 16 {
		t.Errorf("a state takes %d bytes, want at most 16: 100,000 are kept", size)
	}
}

func TestStepNames(t *testing.T) {
	rows := []struct{ got, want string }{
		{upTo[protocol.Phase](8), "NONE ISSUED CLAIMED ACCEPTED REJECTED INVALIDATED EXPIRED unknown"},
		{upTo[protocol.Stage](6), " redeem verify commit unknown ?"},
		{upTo[protocol.Redemption](7), "invalid ok mismatch unknown used expired invalid"},
		{upTo[protocol.Effect](11), "invalid issue redeem verify commit resolve reply await cancel destroy_epoch invalid"},
		{upTo[protocol.EpochPhase](5), "STARTING ACTIVE DRAINING DESTROYED unknown"},
		{upTo[protocol.EpochEffect](7), "invalid wipe invalidate stop kill close invalid"},
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
