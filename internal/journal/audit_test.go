package journal_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// rows returns all audit rows.
func (l *log) rows() []journal.AuditRow {
	l.Helper()
	all, err := l.AuditRows(l.Context(), 0, 4096)
	if err != nil {
		l.Fatal(err)
	}
	return all
}

// mustVerifyAudit checks that rows and leaves agree.
func mustVerifyAudit(tb testing.TB, j interface {
	VerifyAudit(ctx context.Context) (*journal.AuditReport, error)
},
) *journal.AuditReport {
	tb.Helper()
	report, err := j.VerifyAudit(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if len(report.Problems) > 0 {
		tb.Errorf("the audit does not agree with the log: %q", report.Problems)
	}
	return report
}

// TestControlHasRow: every control action and incident, done or refused, has a row, and
// the row of one that was done opens its leaf.
func TestControlHasRow(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	want(t, "an unknown claim", l.control(protocol.ActionFreezeIssue, bytes32()), protocol.CodeNotFound)
	l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	incident := l.mustAppend(&protocol.Incident{Kind: 3})
	for action := protocol.ActionRetireVK; action <= protocol.ActionRevokeEpoch; action++ {
		target := map[protocol.ControlAction]protocol.Digest{
			protocol.ActionRetireVK: l.vk, protocol.ActionRevokeEpoch: journal.EpochTarget(l.epoch.ID),
		}[action]
		l.mustControl(action, target)
	}
	l.mustControl(protocol.ActionSeal, protocol.Digest{})
	want(t, "thaw a sealed log", l.control(protocol.ActionThawAccept, protocol.Digest{}), protocol.CodeFrozen)

	rows := l.rows()
	report := mustVerifyAudit(t, l)
	if len(rows) != 10 || report.Rows != 10 || report.Leaves != 8 || report.Before != 0 {
		t.Errorf("%d rows, %+v", len(rows), report)
	}
	for i, r := range rows {
		refused := i == 1 || i == 9
		if r.ID != uint64(i+1) || r.Actor != "uid 1000" || r.Role != "operator" || r.Reason != "a test" || !r.Time.Equal(l.now) {
			t.Errorf("%+v", r)
		}
		if refused != (r.Outcome == journal.Refused) || refused != (r.Seq == nil) || refused != (r.Code != "") {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if rows[1].Code != "not_found" || rows[9].Code != "frozen" || *rows[3].Seq != incident.Seq {
		t.Errorf("%+v", rows)
	}
	leaf, err := protocol.ParseLeaf(incident.Leaf)
	if err != nil || leaf.Body.(*protocol.Incident).Digest != protocol.IncidentDigest(rows[3].Salt, "uid 1000", "all", "a test") {
		t.Errorf("%+v, %v", leaf, err)
	}
	l.restart()
	mustVerifyAudit(t, l)
}

// TestVerifyAuditInPages: between two pages the writer may replace the files, and rows and
// leaves that are added meanwhile are not compared. Problems of every page are found.
func TestVerifyAuditInPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	row := func(n int) {
		for range n {
			if err := l.Refuse(t.Context(), l.now, asked("thaw"), protocol.CodeForbidden); err != nil {
				t.Fatal(err)
			}
		}
	}
	row(journal.RowPage)
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	pages := 0
	report, err := l.VerifyAuditPaced(t.Context(), func() {
		if pages++; !l.MayReplace() {
			t.Error("the read lock is held between two pages")
		}
		row(1)
	})
	if err != nil || pages != 3 || report.Rows != journal.RowPage+1 || report.Leaves != 1 || len(report.Problems) != 0 {
		t.Errorf("%d pages, %+v, %v", pages, report, err)
	}

	l.stop()
	execRaw(t, path, "DROP TRIGGER audit_kept; DELETE FROM audit WHERE id IN (1, 258)")
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	if report, err = v.VerifyAudit(t.Context()); err != nil || len(report.Problems) != 2 || report.Rows != journal.RowPage+4 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestAudited: the row is there before the effect, and has its outcome afterwards;
// without the row there is no effect.
func TestAudited(t *testing.T) {
	l, f := faultyLog(t)
	seen := journal.Outcome("")
	effect := func(context.Context) error {
		rows := l.rows()
		seen = rows[len(rows)-1].Outcome
		return protocol.Fail(protocol.CodeConflict, "not now")
	}
	want(t, "effect", l.Audited(t.Context(), l.now, asked("reload"), effect), protocol.CodeConflict)
	if r := l.rows()[0]; seen != journal.Requested || r.Outcome != journal.Refused || r.Code != "conflict" {
		t.Errorf("%q, then %+v", seen, r)
	}
	if err := l.Audited(t.Context(), l.now, asked("reload"), func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want(t, "refuse", l.Refuse(t.Context(), l.now, asked("thaw"), protocol.CodeForbidden), protocol.CodeNone)
	rows := l.rows()
	if len(rows) != 3 || rows[1].Outcome != journal.Done || rows[2].Outcome != journal.Refused || rows[2].Code != "forbidden" {
		t.Errorf("%+v", rows)
	}

	seen = ""
	f.set("exec", 1, false)
	want(t, "no row", l.Audited(t.Context(), l.now, asked("reload"), effect), protocol.CodeLedgerUnavailable)
	if seen != "" {
		t.Error("there was an effect without a row")
	}
	mustVerifyAudit(t, l)
}

// TestRequestTexts: a request that cannot be a row is refused before anything is done.
func TestRequestTexts(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	for _, r := range []journal.Request{
		{},
		{Action: "a\nb"},
		{Action: "a", Reason: strings.Repeat("x", 1025)},
		{Action: "a", Target: "\xff"},
		{Action: "a", Reason: "\x1b[2J"},
	} {
		_, err := l.Control(t.Context(), l.now, r, protocol.Control{Action: protocol.ActionFreezeAccept})
		want(t, fmt.Sprintf("%q", r.Action), err, protocol.CodeMalformedRequest)
		_, err = l.Stop(t.Context(), l.now, r, protocol.Control{Action: protocol.ActionFreezeAccept})
		want(t, fmt.Sprintf("stop %q", r.Action), err, protocol.CodeMalformedRequest)
		want(t, "refuse", l.Refuse(t.Context(), l.now, r, protocol.CodeForbidden), protocol.CodeMalformedRequest)
	}
	if l.Check(journal.Accept, l.vk) != nil || len(l.rows()) != 0 {
		t.Error("something was done")
	}
}

// TestVerifyAuditFinds: each way in which rows and leaves can disagree is found.
func TestVerifyAuditFinds(t *testing.T) {
	for name, c := range map[string]struct{ stmt, problem string }{
		"actor":         {"UPDATE audit SET actor = 'uid 0' WHERE id = 2", "row 2: leaf 3 commits to another actor"},
		"action":        {"UPDATE audit SET action = 'freeze' WHERE id = 2", "row 2: leaf 3 is another action"},
		"reason":        {"UPDATE audit SET reason = 'another' WHERE id = 2", "row 2: leaf 3 commits to another reason"},
		"salt":          {"UPDATE audit SET salt = zeroblob(32) WHERE id = 2", "row 2: leaf 3 commits to another actor"},
		"incident":      {"UPDATE audit SET target = 'another' WHERE id = 3", "row 3: leaf 4 commits to another incident"},
		"removed":       {"DELETE FROM audit WHERE id = 1", "row 2: the row before it is missing"},
		"leaf alone":    {"DELETE FROM audit WHERE id = 3", "leaf 4: it has no audit row"},
		"no leaf":       {"UPDATE audit SET seq = NULL WHERE id = 2", "leaf 3: it has no audit row"},
		"another leaf":  {"UPDATE audit SET seq = 1 WHERE id = 2", "row 2: leaf 1 is no control action and no incident"},
		"missing leaf":  {"UPDATE audit SET seq = 99 WHERE id = 2", "row 2: leaf 99 cannot be read"},
		"outcome":       {"UPDATE audit SET outcome = 'refused' WHERE id = 2", "row 2: leaf 3 belongs to a request that was not done"},
		"not done":      {"UPDATE audit SET outcome = 'requested' WHERE id = 2", "row 2: leaf 3 belongs to a request that was not done"},
		"nothing wrong": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			l := newLog(t, sqliteAt(path), journal.Config{})
			l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
			l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
			l.mustAppend(&protocol.Incident{})
			l.stop()
			if c.stmt != "" {
				if err := tryRaw(path, c.stmt); err == nil {
					t.Error("the table is not append-only")
				}
				execRaw(t, path, "PRAGMA foreign_keys = 0; DROP TRIGGER audit_fixed; DROP TRIGGER audit_kept; "+c.stmt)
			}
			v, err := journal.OpenView(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = v.Close() }()
			report, err := v.VerifyAudit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(report.Problems, "; "); !strings.Contains(got, c.problem) || (c.problem == "") != (got == "") {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestMigration: a journal of the version without audit rows opens, keeps what it has,
// and its earlier control leaves need no row.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	l.stop()
	execRaw(t, path, `PRAGMA foreign_keys = 0; DROP TABLE audit; DROP TABLE keys; DROP TABLE clients;
		DROP TABLE anomalies; DELETE FROM meta WHERE name = 'audited_from'; DELETE FROM goose_db_version WHERE version_id >= 2`)
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Check(t.Context()); err != nil {
		t.Errorf("a view of the earlier version: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	l.start()
	if l.Check(journal.Accept, l.vk) == nil {
		t.Error("the freeze is lost")
	}
	l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	if report := mustVerifyAudit(t, l); report.Before != 1 || report.Leaves != 1 {
		t.Errorf("%+v", report)
	}
	l.mustAccept(l.acceptance())
}

// TestStopInMemory: a freeze is in force although the journal cannot be written, is
// committed with its row before the next acceptance, and is not lost.
func TestStopInMemory(t *testing.T) {
	for _, op := range []string{"begin", "exec", "commit"} {
		for _, apply := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s apply=%v", op, apply), func(t *testing.T) {
				l, f := faultyLog(t)
				l.mustAccept(l.acceptance())
				f.set(op, 5, apply)
				if err := l.accept(l.acceptance()); err == nil {
					t.Fatal("the fault does not work")
				}
				_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
				if !errors.Is(err, journal.ErrNotDurable) || protocol.CodeOf(err) != protocol.CodeLedgerUnavailable {
					t.Fatalf("got %v", err)
				}
				if state, _ := l.State(t.Context()); l.Check(journal.Accept, l.vk) == nil || state.NotDurable != 1 || len(state.Holds) != 1 {
					t.Errorf("not in force: %+v", state)
				}
				f.set(op, 0, true)
				for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
					if state, _ := l.State(t.Context()); state.NotDurable == 0 {
						break
					}
					if time.Now().After(end) {
						t.Fatal("the freeze was not committed")
					}
				}
				want(t, "after the freeze", l.accept(l.acceptance()), protocol.CodeFrozen)
				rows := l.rows()
				if len(rows) != 1 || rows[0].Outcome != journal.NotDurable || rows[0].Seq == nil {
					t.Errorf("%+v", rows)
				}
				mustVerifyAudit(t, l)
				l.restart()
				want(t, "after a restart", l.accept(l.acceptance()), protocol.CodeFrozen)
			})
		}
	}
}

// TestStopsAreBounded: while the journal cannot be written, an equal stop takes the place of
// the earlier one, and beyond a bound only one with a further effect is taken. All that
// were taken are written in the end.
func TestStopsAreBounded(t *testing.T) {
	t.Parallel()
	l, f := faultyLog(t)
	f.set("begin", 1<<30, false)
	stop := func(reason string, until time.Time, actions ...protocol.ControlAction) error {
		action, _, _ := strings.Cut(actions[0].String(), "-")
		r := asked(action)
		r.Reason, r.Until = reason, until
		all := make([]protocol.Control, len(actions))
		for i, action := range actions {
			all[i].Action = action
		}
		_, err := l.Stop(t.Context(), l.now, r, all...)
		return err
	}
	both := []protocol.ControlAction{protocol.ActionFreezeAccept, protocol.ActionFreezeIssue}
	held := func(what string, err error, most int) journal.State {
		t.Helper()
		state, _ := l.State(t.Context())
		if !errors.Is(err, journal.ErrNotDurable) || state.NotDurable != most {
			t.Fatalf("%s: %d are held, %v", what, state.NotDurable, err)
		}
		return state
	}
	end := l.now.Add(time.Hour)
	for _, until := range []time.Time{end.Add(-time.Minute), end, end.Add(-time.Second)} {
		state := held("the same again", stop("r", until, both...), 2)
		if got := state.Until[journal.Hold{Operation: journal.Accept}]; got.Before(until) {
			t.Errorf("it ends at %v, before %v", got, until)
		}
	}
	for n := 3; n <= journal.MaxHeld; n++ {
		held("another reason", stop(fmt.Sprint(n), end, protocol.ActionFreezeAccept), n)
	}
	want(t, "beyond the bound", stop("one more", time.Time{}, protocol.ActionFreezeAccept), protocol.CodeOverloaded)
	held("the same again", stop("r", time.Time{}, both...), journal.MaxHeld)
	state := held("another effect", stop("one more", time.Time{}, protocol.ActionRotate), journal.MaxHeld+1)
	if _, ends := state.Until[journal.Hold{Operation: journal.Accept}]; ends || len(state.Holds) != 2 {
		t.Errorf("%+v", state)
	}
	f.set("begin", 0, false)
	for state.NotDurable > 0 {
		state, _ = l.State(t.Context())
		time.Sleep(5 * time.Millisecond)
	}
	rows := l.rows()
	if len(rows) != journal.MaxHeld+1 || rows[0].Reason != "r" || rows[1].Outcome != journal.NotDurable || !rows[0].Until.IsZero() {
		t.Errorf("%d rows, %+v", len(rows), rows[:2])
	}
	mustVerifyAudit(t, l)
}

// TestEqualStopsAtOnce: equal stops at the same moment each have a leaf and a row while the
// journal can be written.
func TestEqualStopsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLog(t, newSQLite(t), journal.Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			entries, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
			if err != nil || entries[0].Leaf == nil || entries[0].Row == 0 {
				t.Errorf("%+v, %v", entries, err)
			}
		})
	}
	wg.Wait()
	if rows := l.rows(); len(rows) != 8 {
		t.Errorf("%d rows", len(rows))
	}
	mustVerifyAudit(t, l)
}

// TestStopOvertakes: acceptances that wait when a freeze returns are refused, although
// it returned before a disk answered.
func TestStopOvertakes(t *testing.T) {
	l, f := faultyLog(t)
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
	if !errors.Is(err, journal.ErrNotDurable) {
		t.Errorf("got %v", err)
	}
	for range 20 {
		wg.Go(func() { want(t, "later", l.accept(l.acceptance()), protocol.CodeFrozen) })
	}
	free()
	wg.Wait()
	l.check(4)
}

// TestStopOvertakesThaw: a thaw that waits when a freeze is asked for does not end it.
func TestStopOvertakesThaw(t *testing.T) {
	l, f := faultyLog(t)
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	wg.Go(func() {
		want(t, "the thaw", l.control(protocol.ActionThawAccept, protocol.Digest{}), protocol.CodeConflict)
	})
	for l.Urgent() == 0 {
		time.Sleep(time.Millisecond) // until the thaw waits
	}
	_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
	if !errors.Is(err, journal.ErrNotDurable) {
		t.Errorf("got %v", err)
	}
	free()
	wg.Wait()
	want(t, "after the freeze", l.accept(l.acceptance()), protocol.CodeFrozen)
	l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	l.mustAccept(l.acceptance())
	mustVerifyAudit(t, l)
}

// TestThawOfUnknown: of two thaws none is done if the target of one is not in the log.
func TestThawOfUnknown(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	both := []protocol.Control{{Action: protocol.ActionThawIssue}, {Action: protocol.ActionThawIssue, Target: bytes32()}}
	_, err := l.Control(t.Context(), l.now, asked("thaw"), both...)
	want(t, "the thaws", err, protocol.CodeNotFound)
	want(t, "issue", l.Check(journal.Issue, l.vk), protocol.CodeFrozen)
	l.check(3)
	if rows := l.rows(); len(rows) != 2 || rows[1].Outcome != journal.Refused || rows[1].Seq != nil {
		t.Errorf("rows are %+v", rows)
	}
}

// TestUnreadableRequests: an incident and a seal whose request could not be read in the
// audit are refused.
func TestUnreadableRequests(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	r := asked("seal")
	r.Reason = "two\nlines"
	_, err := l.Incident(t.Context(), l.now, r, 1)
	want(t, "incident", err, protocol.CodeMalformedRequest)
	_, err = l.BeginSeal(l.now, r)
	want(t, "seal", err, protocol.CodeMalformedRequest)
	l.check(2)
}

// TestForeignCommit: a journal into which another process has committed, also without a
// leaf, takes no further writes.
func TestForeignCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	execRaw(t, path, "UPDATE counter SET commits = commits + 1")
	want(t, "acceptance", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	execRaw(t, path, "UPDATE counter SET commits = commits - 1")
	want(t, "acceptance after it was put back", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
}

// TestSealNotDurable: a seal that cannot be committed at once is in force, and may be
// committed later.
func TestSealNotDurable(t *testing.T) {
	l, f := faultyLog(t)
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	s, err := l.BeginSeal(l.now, asked("seal"))
	if err != nil {
		t.Fatal(err)
	}
	s.StopAcceptance()
	if _, err := s.Commit(t.Context()); !errors.Is(err, journal.ErrNotDurable) {
		t.Errorf("got %v", err)
	}
	want(t, "meanwhile", l.Check(journal.Accept, l.vk), protocol.CodeFrozen)
	free()
	wg.Wait()
}

// TestThawEndedOfAStopped: a journal that has stopped thaws nothing.
func TestThawEndedOfAStopped(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	r := asked("freeze")
	r.Until = l.now.Add(time.Minute)
	if _, err := l.Control(t.Context(), l.now, r, protocol.Control{Action: protocol.ActionFreezeIssue}); err != nil {
		t.Fatal(err)
	}
	l.stop()
	entries, err := l.ThawEnded(t.Context(), r.Until)
	want(t, "the thaw", err, protocol.CodeLedgerUnavailable)
	if len(entries) != 0 {
		t.Errorf("got %d leaves", len(entries))
	}
}

// TestThawsTogether: thaws of one request are done together or not at all. The refused
// request has one row, and one that is done a row for each leaf.
func TestThawsTogether(t *testing.T) {
	t.Parallel()
	l, f := faultyLog(t)
	both := []protocol.Control{{Action: protocol.ActionThawIssue}, {Action: protocol.ActionThawAccept}}
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	var wg sync.WaitGroup
	free := f.holdCommit(l, &wg)
	wg.Go(func() {
		_, err := l.Control(t.Context(), l.now, asked("thaw"), both...)
		want(t, "the thaw", err, protocol.CodeConflict)
	})
	for l.Urgent() == 0 {
		time.Sleep(time.Millisecond) // until the thaw waits
	}
	_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
	if !errors.Is(err, journal.ErrNotDurable) {
		t.Errorf("got %v", err)
	}
	free()
	wg.Wait()
	if state, _ := l.State(t.Context()); len(state.Holds) != 2 {
		t.Errorf("a part of a refused thaw was done: %v", state.Holds)
	}
	if rows := l.rows(); len(rows) != 3 || rows[2].Outcome != journal.Refused || rows[2].Seq != nil {
		t.Errorf("%+v", rows)
	}
	entries, err := l.Control(t.Context(), l.now, asked("thaw"), both...)
	if err != nil || len(entries) != 2 || entries[1].Seq != entries[0].Seq+1 || entries[0].Row != 4 || entries[1].Row != 5 {
		t.Errorf("%+v, %v", entries, err)
	}
	if state, _ := l.State(t.Context()); len(state.Holds) != 0 {
		t.Errorf("%v", state.Holds)
	}
	_, err = l.Control(t.Context(), l.now, asked("seal"), protocol.Control{Action: protocol.ActionSeal}, both[0])
	want(t, "another action in company", err, protocol.CodeInternal)
	mustVerifyAudit(t, l)
}

// TestStopRefused: a stop that the journal refuses is not in force, and has a row.
func TestStopRefused(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	vk := protocol.Digest(bytes32())
	_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept, Target: vk})
	want(t, "unknown claim", err, protocol.CodeNotFound)
	_, err = l.Stop(t.Context(), l.now, asked("thaw"), protocol.Control{Action: protocol.ActionThawAccept})
	want(t, "no stop", err, protocol.CodeInternal)
	if state, _ := l.State(t.Context()); l.Check(journal.Accept, vk) != nil || state.NotDurable != 0 || len(state.Holds) != 0 {
		t.Errorf("in force: %+v", state)
	}
	for _, action := range []protocol.ControlAction{protocol.ActionRotate, protocol.ActionFreezeIssue, protocol.ActionSeal} {
		if e, err := l.Stop(t.Context(), l.now, asked(action.String()), protocol.Control{Action: action}); err != nil || len(e) != 1 || e[0].Leaf == nil {
			t.Errorf("%v: %v", action, err)
		}
	}
	if rows := l.rows(); len(rows) != 4 || rows[0].Outcome != journal.Refused || rows[3].Outcome != journal.Done {
		t.Errorf("%+v", rows)
	}
	mustVerifyAudit(t, l)
}

func newRecord(scopes string) (principal.Key, principal.Record) {
	k := principal.NewKey()
	s, err := principal.ParseScopes(scopes)
	if err != nil {
		panic(err)
	}
	return k, principal.Record{ID: k.ID(), Digest: k.Digest(), Scopes: s}
}

// TestClients: clients and keys from their making to their end, over restarts.
func TestClients(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	valid := func(when string, k principal.Key, at time.Time, want bool) {
		t.Helper()
		p, err := l.Clients().Authenticate(k.Text(), at)
		if (err == nil) != want || want && (p.Client != "north" || p.Index != 1) {
			t.Errorf("%s: %+v, %v", when, p, err)
		}
	}
	first, record := newRecord("challenge proof")
	ok := func(what string, err error) { t.Helper(); want(t, what, err, protocol.CodeNone) }
	r := asked("clients add")
	ok("add", l.AddClient(t.Context(), l.now, r, "north", record))
	valid("new", first, l.now, true)
	want(t, "reserved", l.AddClient(t.Context(), l.now, r, "local", record), protocol.CodeMalformedRequest)
	want(t, "again", l.AddClient(t.Context(), l.now, r, "north", record), protocol.CodeConflict)
	want(t, "same key", l.AddClient(t.Context(), l.now, r, "south", record), protocol.CodeConflict)
	want(t, "no scope", l.AddClient(t.Context(), l.now, r, "south", principal.Record{ID: principal.KeyID{1}, Digest: bytes32()}), protocol.CodeMalformedRequest)

	second, record := newRecord("challenge")
	ok("rotate", l.AddKey(t.Context(), l.now, r, "north", record, time.Hour))
	later := l.now.Add(time.Hour)
	valid("overlap", first, later.Add(-time.Millisecond), true)
	valid("overlap", second, l.now, true)
	valid("after the overlap", first, later, false)
	third, record := newRecord("challenge")
	want(t, "three at once", l.AddKey(t.Context(), l.now, r, "north", record, time.Hour), protocol.CodeConflict)
	want(t, "no client", l.AddKey(t.Context(), l.now, r, "south", record, 0), protocol.CodeNotFound)
	ok("rotate at once", l.AddKey(t.Context(), later, r, "north", record, 0))
	valid("replaced", second, later, false)
	valid("in its place", third, later, true)

	l.restart()
	valid("after a restart", third, later, true)
	valid("after a restart", second, later, false)

	ok("revoke", l.RevokeKey(t.Context(), later, r, third.ID()))
	valid("revoked", third, later, false)
	want(t, "revoke again", l.RevokeKey(t.Context(), later, r, third.ID()), protocol.CodeConflict)
	want(t, "revoke none", l.RevokeKey(t.Context(), later, r, principal.KeyID{}), protocol.CodeNotFound)
	fourth, record := newRecord("verify")
	ok("a new key", l.AddKey(t.Context(), later, r, "north", record, 0))
	valid("a new key", fourth, later, true)
	ok("disable", l.DisableClient(t.Context(), later, r, "north"))
	valid("disabled", fourth, later, false)
	want(t, "disable again", l.DisableClient(t.Context(), later, r, "north"), protocol.CodeNotFound)
	_, record = newRecord("verify")
	want(t, "the id is not used again", l.AddClient(t.Context(), later, r, "north", record), protocol.CodeConflict)
	l.restart()
	valid("after a restart", fourth, later, false)
	if rows := l.rows(); len(rows) != 15 {
		t.Errorf("%d rows", len(rows))
	}
	mustVerifyAudit(t, l)
}

// TestClientsFail: a change that was not committed has no effect.
func TestClientsFail(t *testing.T) {
	for _, op := range []string{"exec", "commit"} {
		l, f := faultyLog(t)
		k, record := newRecord("challenge")
		f.set(op, 1, false)
		want(t, op, l.AddClient(t.Context(), l.now, asked("clients add"), "north", record), protocol.CodeLedgerUnavailable)
		if _, err := l.Clients().Authenticate(k.Text(), l.now); err == nil {
			t.Error("the key is valid")
		}
		if err := l.AddClient(t.Context(), l.now, asked("clients add"), "north", record); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Clients().Authenticate(k.Text(), l.now); err != nil {
			t.Error(err)
		}
	}
}

// TestMissingRowIsDamage: a journal that lost an audit row is not opened.
func TestMissingRowIsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	l.stop()
	execRaw(t, path, "PRAGMA foreign_keys = 0; DROP TRIGGER audit_kept; DELETE FROM audit WHERE id = 1")
	j, err := openFree(t, journal.Config{Path: path})
	if err == nil {
		closeJournal(t, j)
	}
	if !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// TestCopyKeepsAdministration: a copy that lost a client, a revocation or a row that was
// acknowledged does not take the journal's place; a complete one does.
func TestCopyKeepsAdministration(t *testing.T) {
	for name, lose := range map[string]string{
		"nothing":      "",
		"a client":     "PRAGMA foreign_keys = 0; DROP TRIGGER clients_kept; DROP TRIGGER keys_kept; DELETE FROM keys; DELETE FROM clients",
		"a revocation": "UPDATE keys SET revoked = 0",
		"a row":        "PRAGMA foreign_keys = 0; DROP TRIGGER audit_kept; DELETE FROM audit WHERE id = (SELECT max(id) FROM audit)",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			var once sync.Once
			broken := make(chan bool, 1)
			l := newLog(t, sqliteAt(path), journal.WithFault(journal.Config{}, func(op string) (bool, error) {
				switch {
				case op == "commit" && len(broken) > 0:
					<-broken
					return false, errors.New("the device failed")
				case op == "verify" && lose != "":
					once.Do(func() {
						if err := tryRaw(path+".copying", lose); err != nil {
							t.Error(err)
						}
					})
				}
				return true, nil
			}))
			k, record := newRecord("challenge")
			for _, err := range []error{
				l.AddClient(t.Context(), l.now, asked("clients add"), "north", record),
				l.RevokeKey(t.Context(), l.now, asked("clients revoke"), k.ID()),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			broken <- true
			if err := l.accept(l.acceptance()); err == nil {
				t.Fatal("the fault does not work")
			}
			// The writer has decided about the copy before it takes the next entry.
			if err := l.accept(l.acceptance()); (err == nil) != (lose == "") {
				t.Errorf("after the copy: %v, %+v", err, l.Condition())
			}
		})
	}
}
