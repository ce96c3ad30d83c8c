package journal_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// freeze freezes acceptance for a time; 0 is for ever.
func (l *log) freeze(d time.Duration) {
	l.Helper()
	r := asked("freeze")
	if d > 0 {
		r.Until = l.now.Add(d)
	}
	if _, err := l.Stop(l.Context(), l.now, r, protocol.Control{Action: protocol.ActionFreezeAccept}); err != nil {
		l.Fatal(err)
	}
}

// thawed has the freezes thawed whose end has come after a time, and returns how many.
func (l *log) thawed(d time.Duration) int {
	l.Helper()
	entries, err := l.ThawEnded(l.Context(), l.now.Add(d))
	if err != nil {
		l.Fatal(err)
	}
	for _, e := range entries {
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			l.Fatal(err)
		}
		if c := leaf.Body.(*protocol.Control); c.Action != protocol.ActionThawAccept || c.Reason != journal.ReasonEnded {
			l.Errorf("thawed by %+v", c)
		}
	}
	return len(entries)
}

// TestFreezeEnds: a freeze ends at the latest end of its repetitions, and never if one of
// them has none or a thaw came first, also over a restart.
func TestFreezeEnds(t *testing.T) {
	const h = time.Hour
	for name, c := range map[string]struct {
		freezes []time.Duration // 0 for ever; less than 0 is a thaw
		end     time.Duration   // 0 for never
	}{
		"one":                   {[]time.Duration{2 * h}, 2 * h},
		"never":                 {[]time.Duration{0}, 0},
		"longer":                {[]time.Duration{h, 3 * h}, 3 * h},
		"shorter":               {[]time.Duration{3 * h, h}, 3 * h},
		"then for ever":         {[]time.Duration{h, 0}, 0},
		"for ever before":       {[]time.Duration{0, h}, 0},
		"for ever, then thawed": {[]time.Duration{0, -1, h}, h},
	} {
		for _, restart := range []bool{false, true} {
			l := newLog(t, newSQLite(t), journal.Config{})
			for _, d := range c.freezes {
				if d < 0 {
					l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
				} else {
					l.freeze(d)
				}
			}
			if restart {
				l.restart()
			}
			state, err := l.State(t.Context())
			end := state.NextEnd()
			if err != nil || end.IsZero() != (c.end == 0) || c.end > 0 && !end.Equal(l.now.Add(c.end)) {
				t.Errorf("%s, restart %t: ends %v", name, restart, end)
			}
			early, late := max(0, c.end-time.Millisecond), c.end
			if c.end == 0 {
				early, late = 1000*h, 1000*h
			}
			if n := l.thawed(early); n != 0 || l.Check(journal.Accept, l.vk) == nil {
				t.Errorf("%s, restart %t: %d thawed early", name, restart, n)
			}
			if n := l.thawed(late); (n == 1) != (c.end > 0) || (l.Check(journal.Accept, l.vk) == nil) != (c.end > 0) {
				t.Errorf("%s, restart %t: %d thawed", name, restart, n)
			}
			if n := l.thawed(2000 * h); n != 0 {
				t.Errorf("%s, restart %t: %d thawed twice", name, restart, n)
			}
			mustVerifyAudit(t, l)
			l.restart()
			if (l.Check(journal.Accept, l.vk) == nil) != (c.end > 0) {
				t.Errorf("%s: the state is lost", name)
			}
		}
	}
}

// TestEndIsCommitted: the leaf of a freeze commits to its end, so that a row with another
// end does not open it.
func TestEndIsCommitted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.freeze(time.Hour)
	mustVerifyAudit(t, l)
	l.stop()
	execRaw(t, path, "DROP TRIGGER audit_fixed; UPDATE audit SET until = until - 1")
	l.start()
	if report, err := l.VerifyAudit(t.Context()); err != nil || len(report.Problems) != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	r := asked("thaw")
	r.Until = l.now
	_, err := l.Control(t.Context(), l.now, r, protocol.Control{Action: protocol.ActionThawAccept})
	want(t, "a thaw that ends", err, protocol.CodeMalformedRequest)
}

// TestRetiredAndSealed: the code for a retired key is unknown_claim, for a sealed log
// frozen, and no retry changes either.
func TestRetiredAndSealed(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	if err := l.Check(journal.Issue, l.vk); errors.Is(err, protocol.ErrPermanent) {
		t.Errorf("a freeze: %v", err)
	}
	l.mustControl(protocol.ActionRetireVK, l.vk)
	err := l.Check(journal.Accept, l.vk)
	want(t, "retired", err, protocol.CodeUnknownClaim)
	want(t, "retired, in the transaction", l.accept(l.acceptance()), protocol.CodeUnknownClaim)
	if !errors.Is(err, protocol.ErrPermanent) {
		t.Error("a retired key is not permanent")
	}
	l.mustControl(protocol.ActionSeal, protocol.Digest{})
	err = l.Check(journal.Accept, l.vk)
	want(t, "sealed", err, protocol.CodeFrozen)
	if !errors.Is(err, protocol.ErrPermanent) {
		t.Error("a seal is not permanent")
	}
}

// TestSealing: a seal stops issue, then acceptance, in memory and at once; its leaf is
// written when it is asked for and is the last one.
func TestSealing(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	s, err := l.BeginSeal(l.now, asked("seal"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.BeginSeal(l.now, asked("seal"))
	want(t, "a second seal", err, protocol.CodeFrozen)
	want(t, "issue", l.Check(journal.Issue, l.vk), protocol.CodeFrozen)
	if err := l.Check(journal.Accept, l.vk); err != nil {
		t.Errorf("acceptance: %v", err)
	}
	l.mustAccept(l.acceptance())
	s.StopAcceptance()
	want(t, "acceptance", l.Check(journal.Accept, l.vk), protocol.CodeFrozen)
	l.closeEpoch()
	size, _ := l.Size(t.Context())
	if state, _ := l.State(t.Context()); state.NotDurable != 1 || !state.Sealed {
		t.Errorf("before it is committed: %+v", state)
	}
	e, err := s.Commit(t.Context())
	if err != nil || e.Seq != size {
		t.Fatalf("leaf %d, %v", e.Seq, err)
	}
	if state, _ := l.State(t.Context()); state.NotDurable != 0 || !state.Sealed || state.Sealing {
		t.Errorf("afterwards: %+v", state)
	}
	_, err = l.BeginSeal(l.now, asked("seal"))
	want(t, "sealed already", err, protocol.CodeFrozen)
	next := l.nextEpoch()
	_, err = l.Append(t.Context(), l.now, &next)
	want(t, "an epoch after the seal", err, protocol.CodeFrozen)
	for _, action := range []protocol.ControlAction{protocol.ActionFreezeAccept, protocol.ActionRetireVK, protocol.ActionInvalidate} {
		want(t, action.String()+" after the seal", l.control(action, protocol.Digest{}), protocol.CodeFrozen)
	}
	if now, _ := l.Size(t.Context()); now != size+1 {
		t.Errorf("%d leaves after the seal", now-size-1)
	}
	mustVerifyAudit(t, l)
	l.restart()
	want(t, "after a restart", l.Check(journal.Issue, l.vk), protocol.CodeFrozen)
}

// TestStopsTogether: the freezes of one request are in force together, have one row
// each, and their leaves have the order of the request.
func TestStopsTogether(t *testing.T) {
	l := newLog(t, newSQLite(t), journal.Config{})
	entries, err := l.Stop(t.Context(), l.now, asked("freeze"),
		protocol.Control{Action: protocol.ActionFreezeAccept}, protocol.Control{Action: protocol.ActionFreezeIssue})
	if err != nil || len(entries) != 2 || entries[1].Seq != entries[0].Seq+1 {
		t.Fatalf("%v, %v", entries, err)
	}
	if rows := l.rows(); len(rows) != 2 || *rows[0].Seq != entries[0].Seq {
		t.Errorf("%+v", rows)
	}
	if leaf, err := protocol.ParseLeaf(entries[0].Leaf); err != nil || leaf.Body.(*protocol.Control).Action != protocol.ActionFreezeAccept {
		t.Errorf("acceptance is not first: %v", err)
	}
}

// TestLostStopIsReported: a stop that could never be written is in force until the
// process ends, which logs that it is lost.
func TestLostStopIsReported(t *testing.T) {
	var logged bytes.Buffer
	f := &faults{}
	l := newLog(t, newSQLite(t), journal.WithFault(journal.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))}, f.hook))
	f.set("begin", 1000, false)
	_, err := l.Stop(t.Context(), l.now, asked("freeze"), protocol.Control{Action: protocol.ActionFreezeAccept})
	if !errors.Is(err, journal.ErrNotDurable) || l.Check(journal.Accept, l.vk) == nil {
		t.Fatalf("got %v", err)
	}
	l.stop()
	if !strings.Contains(logged.String(), "lost with this process") {
		t.Errorf("the log says nothing: %s", &logged)
	}
	f.set("begin", 0, false)
	l.start()
	if err := l.Check(journal.Accept, l.vk); err != nil {
		t.Errorf("a freeze that was never written is in force: %v", err)
	}
}
