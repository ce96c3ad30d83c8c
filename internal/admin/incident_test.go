package admin_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// TestIncidents: each kind takes its steps in order, keeps evidence that only the server's
// user can read, and is closed by exactly its checks.
func TestIncidents(t *testing.T) {
	t.Parallel()
	for kind, order := range map[string]string{
		"key-compromise":       "freeze accept all, freeze issue all, rotate now, incident/open, revoke",
		"prover-compromise":    "freeze issue all, incident/open, invalidate prover server",
		"abnormal-traffic":     "freeze issue all, incident/open",
		"ledger-inconsistency": "freeze accept all, freeze issue all, incident/open",
		"operator-error":       "freeze accept all, freeze issue all, incident/open",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := start(t, newCore(), nil)
			operator, commander := w.as(principal.Operator), w.over(principal.Commander)
			opened, err := operator.OpenIncident(t.Context(), admin.IncidentRequest{Reason: reason, Kind: kind})
			if err != nil || opened.Incident == 0 || opened.Kind != kind || len(opened.Left) != len(admin.Kinds()[kind]) {
				t.Fatalf("%+v, %v", opened, err)
			}
			checkOrder(t, w, order)
			for _, s := range opened.Steps {
				if s.Code != "" {
					t.Errorf("%+v", s)
				}
			}
			checkBundle(t, opened.Bundle)
			closeIncident(t, commander, opened)
			if s, err := commander.Status(t.Context()); err != nil || len(s.Incidents) != 0 {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// checkOrder compares the rows with what is wanted, of which each is the begin of one.
func checkOrder(t *testing.T, w *world, order string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := strings.Split(order, ", ")
	if len(w.rows) != len(wanted) {
		t.Fatalf("%d rows, want %q", len(w.rows), wanted)
	}
	for i, r := range w.rows {
		if text := r.Action + " " + r.Target; !strings.HasPrefix(text, wanted[i]) || r.Reason != "drill" || r.Role != "operator" {
			t.Errorf("row %d is %q, want %q", i+1, text, wanted[i])
		}
	}
}

func checkBundle(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 6 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
	info, err := os.Stat(dir)
	b, rerr := os.ReadFile(filepath.Join(dir, "sessions.json"))
	if err != nil || info.Mode().Perm() != 0o700 || rerr != nil || bytes.Count(b, []byte(`"id"`)) != 3 {
		t.Errorf("%v, %v, %v: %s", info.Mode(), err, rerr, b)
	}
}

func closeIncident(t *testing.T, c *admin.Conn, opened *admin.IncidentOpened) {
	t.Helper()
	var ids []string
	for _, check := range opened.Left {
		ids = append(ids, check.ID)
	}
	end := func(index uint64, confirmed []string, code protocol.Code) {
		t.Helper()
		_, err := c.CloseIncident(t.Context(), admin.CloseRequest{Reason: reason, Incident: index, Confirmed: confirmed})
		want(t, "close", err, code)
	}
	end(opened.Incident, ids[1:], protocol.CodeMalformedRequest)
	end(opened.Incident, append(slices.Clone(ids), "other"), protocol.CodeMalformedRequest)
	end(opened.Incident+1000, ids, protocol.CodeNotFound)
	if all, err := c.Incidents(t.Context()); err != nil || len(all.Incidents) != 1 || all.Incidents[0].Closed != nil || len(all.Incidents[0].Left) != len(ids) {
		t.Errorf("%+v, %v", all, err)
	}
	end(opened.Incident, ids, protocol.CodeNone)
	end(opened.Incident, ids, protocol.CodeConflict)
	if all, err := c.Incidents(t.Context()); err != nil || all.Incidents[0].Closed == nil || all.Incidents[0].Left != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestIncidentWithoutJournal: what stops is stopped, the answer says what is missing, and
// evidence is kept nevertheless.
func TestIncidentWithoutJournal(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	w.held = true
	opened, err := w.as(principal.Operator).OpenIncident(t.Context(), admin.IncidentRequest{Reason: reason, Kind: "key-compromise"})
	if err != nil || opened.Outcome != admin.OutcomeNotDurable || opened.Incident != 0 {
		t.Fatalf("%+v, %v", opened, err)
	}
	if done := w.take(); !slices.Equal(done, []string{"held freeze-accept", "held freeze-issue", "effect now", "held rotate"}) {
		t.Errorf("%q", done)
	}
	checkBundle(t, opened.Bundle)
	for _, s := range opened.Steps {
		if missing := slices.Contains([]string{"open the incident", "revoke the suspected epoch, and invalidate its pending requests"}, s.Step); missing != (s.Code != "") {
			t.Errorf("%+v", s)
		}
	}
}

// TestIncidentRequests: what cannot be opened is refused, with a row and nothing else.
func TestIncidentRequests(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Operator)
	for _, r := range []admin.IncidentRequest{
		{Reason: reason, Kind: "break-glass"},
		{Reason: reason, Kind: ""},
		{Reason: reason, Kind: "../../etc"},
		{Reason: reason, Kind: "abnormal-traffic", Epoch: &protocol.EpochID{1}},
		{Kind: "abnormal-traffic"},
	} {
		_, err := c.OpenIncident(t.Context(), r)
		want(t, r.Kind, err, protocol.CodeMalformedRequest)
		if done := w.take(); !slices.Equal(done, []string{"row incident/open refused"}) {
			t.Errorf("%q", done)
		}
	}
}

// TestBreakGlass: a restart thaws everything for one person, and is an incident.
func TestBreakGlass(t *testing.T) {
	t.Parallel()
	c := newCore()
	ctl := newControl(c, manager{c}, gateOf{c}, nil)
	by := principal.Principal{Kind: principal.LocalUser, UID: 7}
	now := time.UnixMilli(1_800_000_000_000)
	if n, err := admin.BreakGlass(t.Context(), c, ctl, now, by, "alone"); n != 0 || err != nil || len(c.rows) != 0 {
		t.Errorf("%d, %v: %d rows", n, err, len(c.rows))
	}
	for _, a := range []protocol.ControlAction{protocol.ActionFreezeAccept, protocol.ActionFreezeIssue} {
		if _, err := c.Stop(t.Context(), now, journal.Request{Action: "freeze"}, protocol.Control{Action: a}); err != nil {
			t.Fatal(err)
		}
	}
	c.take()
	_, err := admin.BreakGlass(t.Context(), c, ctl, now, by, "")
	want(t, "without a reason", err, protocol.CodeMalformedRequest)
	n, err := admin.BreakGlass(t.Context(), c, ctl, now, by, "alone")
	if done := c.take(); n != 2 || err != nil || !slices.Equal(done, []string{"row incident/open done", "row thaw done", "row thaw done"}) {
		t.Errorf("%d, %v: %q", n, err, done)
	}
	w := start(t, c, nil)
	s, err := w.as(principal.Viewer).Status(t.Context())
	if err != nil || len(s.Incidents) != 1 || s.Incidents[0].Kind != "break-glass" || s.Incidents[0].Actor != "uid 7" || len(s.Incidents[0].Left) == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	c.state.Sealed = true
	c.state.Holds = []journal.Hold{{Operation: journal.Issue}}
	_, err = admin.BreakGlass(t.Context(), c, ctl, now, by, "alone")
	want(t, "sealed", err, protocol.CodeFrozen)
}
