package journal_test

import (
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// TestAddedClaimIsFrozen: a claim that is added after a freeze of its id is frozen with its
// leaf, as the others of the id are. A freeze of one fingerprint does not spread.
func TestAddedClaimIsFrozen(t *testing.T) {
	t.Parallel()
	l := newLog(t, newSQLite(t), journal.Config{})
	of := func(target string, until time.Time, action protocol.ControlAction, vk protocol.Digest) {
		t.Helper()
		r := asked("freeze")
		r.Target, r.Until = target, until
		if action == protocol.ActionThawIssue {
			r.Action = "thaw"
		}
		if _, err := l.Control(t.Context(), l.now, r, protocol.Control{Action: action, Target: vk}); err != nil {
			t.Fatal(err)
		}
	}
	held := func(what string, vk protocol.Digest, issue bool) {
		t.Helper()
		if err := l.Check(journal.Issue, vk); (err != nil) != issue {
			t.Errorf("%s: issue: %v", what, err)
		}
		if err := l.Check(journal.Accept, vk); err != nil {
			t.Errorf("%s: acceptance: %v", what, err)
		}
	}
	end := l.now.Add(time.Hour)
	of("issue open/1", end, protocol.ActionFreezeIssue, l.vk)
	of("issue open/1", end.Add(-time.Minute), protocol.ActionFreezeIssue, l.vk)
	of("issue range/1", time.Time{}, protocol.ActionFreezeIssue, l.vk) // as if it had this id, too
	added := l.addClaim()
	held("after a freeze of the id", added, true)
	state, _ := l.State(t.Context())
	if until := state.Until[journal.Hold{Operation: journal.Issue, VK: added}]; !until.Equal(end) {
		t.Errorf("it ends at %v, want %v", until, end)
	}
	row := l.rows()[3]
	if row.Actor != "core" || row.Target != "issue "+added.String() || row.Outcome != journal.Done {
		t.Errorf("%+v", row)
	}
	l.restart()
	held("after a restart", added, true)
	mustVerifyAudit(t, l)

	of("issue open/1", time.Time{}, protocol.ActionThawIssue, l.vk)
	held("while one of the id is frozen by itself", l.addClaim(), false)
	of("issue "+l.vk.String(), time.Time{}, protocol.ActionFreezeIssue, l.vk)
	held("after a freeze of one fingerprint", l.addClaim(), false)
	if _, err := l.ThawEnded(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	held("after the end", added, false)
	mustVerifyAudit(t, l)
}
