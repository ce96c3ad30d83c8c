package node

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// openRecordsOnly opens the records of a new data directory and runs journal and ledger.
func openRecordsOnly(t *testing.T, log *bytes.Buffer) *records {
	t.Helper()
	cfg, err := testConfig(t.TempDir(), slog.NewTextHandler(log, nil))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRecords(t.Context(), cfg.Settings, cfg.Log)
	if err != nil {
		t.Fatal(err)
	}
	s := newServices()
	s.start("journal", r.journal.Run)
	s.start("ledger", r.ledger.Run)
	s.start("watch on the ledger", r.freezeOnDivergence)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	key, _ := claim.KnownKey(claim.Open)
	leaf := &protocol.ClaimLeaf{ClaimID: claim.Open.String(), SRS: claim.SRSDigest(), VK: key.Encode()}
	if _, err := r.journal.Append(t.Context(), time.Now(), leaf); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAuditFreezes: a difference that the server's own audit finds is in the status and
// in one log line, and freezes acceptance; what is only missing does not.
func TestAuditFreezes(t *testing.T) {
	var log bytes.Buffer
	r := openRecordsOnly(t, &log)
	if result := r.auditOnce(t.Context()); result.State != stateFailing || result.Why != auditUnrecorded || r.ledger.Admit() != nil {
		t.Errorf("before anything is published: %+v, %v", result, r.ledger.Admit())
	}
	db, err := sql.Open("sqlite", filepath.Join(r.cfg.Data, datadir.JournalFile))
	if err == nil {
		_, err = db.ExecContext(t.Context(), "INSERT INTO holds VALUES (1, zeroblob(32))")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	result := r.auditOnce(t.Context())
	if result.State != stateStopped || result.Why != auditDiffers || result.Entries != 1 {
		t.Errorf("after a row was added: %+v", result)
	}
	if protocol.CodeOf(r.ledger.Admit()) != protocol.CodeLedgerUnavailable {
		t.Errorf("it still admits: %v", r.ledger.Admit())
	}
	for r.journal.Check(journal.Accept, protocol.Digest{}) == nil {
		if t.Context().Err() != nil {
			t.Fatal("acceptance is not frozen")
		}
		time.Sleep(time.Millisecond)
	}
	if n := strings.Count(log.String(), "data directory has differences; acceptance is frozen"); n != 1 || !strings.Contains(log.String(), "holds: differs from the leaves") {
		t.Errorf("%d lines in\n%s", n, &log)
	}
}

// TestAuditEnds: a stop ends an audit at once, and no result of it is kept.
func TestAuditEnds(t *testing.T) {
	var log bytes.Buffer
	r := openRecordsOnly(t, &log)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.auditRecords(ctx); err != nil || r.audited.Load() != nil {
		t.Errorf("%v, %+v", err, r.audited.Load())
	}
	if result := r.auditOnce(ctx); result.Why != "" || log.Len() > 0 {
		t.Errorf("%+v, log %s", result, &log)
	}
}
