package admin_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// TestWithAJournal: with the journal as it is, every row opens its leaf, the end of a
// freeze and open incidents survive a restart, and a freeze is in force when it returns.
func TestWithAJournal(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	w := start(t, newCore(), func(cfg *admin.Config) { onJournal(cfg, j) })
	operator, commander := w.as(principal.Operator), w.over(principal.Commander)
	if _, err := operator.Freeze(t.Context(), freezes("both", time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(t, "in force", j.Check(journal.Accept, protocol.Digest{1}), protocol.CodeFrozen)
	if _, err := commander.Thaw(t.Context(), thaws("issue")); err != nil {
		t.Fatal(err)
	}
	_, err := operator.Thaw(t.Context(), thaws("accept"))
	want(t, "an operator thaws", err, protocol.CodeForbidden)
	opened, err := operator.OpenIncident(t.Context(), admin.IncidentRequest{Reason: reason, Kind: "prover-compromise"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commander.AddClient(t.Context(), admin.AddKeyRequest{Reason: reason, Client: "north"}); err != nil {
		t.Fatal(err)
	}
	_, err = commander.AddClient(t.Context(), admin.AddKeyRequest{Reason: reason, Client: "north"})
	want(t, "twice", err, protocol.CodeConflict)
	clock := w.clock.Load()
	w.stop()

	w = start(t, newCore(), func(cfg *admin.Config) { onJournal(cfg, j) })
	w.clock.Store(clock)
	viewer := w.as(principal.Viewer)
	s, err := viewer.Status(t.Context())
	if err != nil || len(s.Ends) != 1 || s.Ends[0].Operation != "accept" || len(s.Incidents) != 1 || s.Incidents[0].Index != opened.Incident {
		t.Errorf("%+v, %v", s, err)
	}
	w.pass(time.Hour)
	if _, err := j.ThawEnded(t.Context(), time.UnixMilli(w.clock.Load())); err != nil {
		t.Error(err)
	}
	want(t, "ended", j.Check(journal.Accept, protocol.Digest{1}), protocol.CodeNone)
	want(t, "of the incident", j.Check(journal.Issue, protocol.Digest{1}), protocol.CodeFrozen)

	v, err := w.as(principal.Operator).VerifyAudit(t.Context(), admin.VerifyRequest{Reason: reason})
	if err != nil || len(v.Problems) != 0 || v.Leaves != 7 {
		t.Errorf("%+v, %v", v, err)
	}
	rows, err := viewer.Audit(t.Context(), 0, 0)
	var actions []string
	for _, r := range rows.Rows {
		actions = append(actions, r.Action+" "+r.Outcome)
	}
	if wanted := []string{
		"freeze done", "freeze done", "thaw done", "thaw refused", "freeze done", "incident/open done", "invalidate done",
		"clients/add done", "clients/add refused", "thaw done", "audit/verify done",
	}; err != nil || !slices.Equal(actions, wanted) {
		t.Errorf("%q, %v", actions, err)
	}
}

// onJournal puts a journal under an administration.
func onJournal(cfg *admin.Config, j *journal.Journal) {
	cfg.Journal, cfg.Control = j, newControl(j, cfg.Epochs.(manager), cfg.Gate.(gateOf), nil)
}

func openJournal(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{
		Path: filepath.Join(t.TempDir(), "journal.db"), Log: slog.New(slog.DiscardHandler), Committed: func([]journal.Entry) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}
