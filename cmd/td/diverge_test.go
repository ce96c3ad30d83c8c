package main_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// TestForgedLog: another process changes the files of a running
// server. Acceptance stops by itself and is not reported as a refusal of the
// client; reading, receipts and verification go on.
func TestForgedLog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		forge func(*testing.T, string)
		says  string
	}{
		"a row in the journal": {func(t *testing.T, data string) {
			t.Helper()
			db, err := sql.Open("sqlite", filepath.Join(data, "journal.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), `UPDATE counter SET next = next + 1;
				INSERT INTO leaves SELECT max(seq) + 1, type, leaf FROM leaves`); err != nil {
				t.Fatal(err)
			}
		}, "the journal was changed by another process"},
		"a hash in a tile": {func(t *testing.T, data string) {
			t.Helper()
			tiles, err := filepath.Glob(filepath.Join(data, "ledger", "tile", "0", "000.p", "*"))
			if err != nil || len(tiles) == 0 {
				t.Fatalf("%d tiles, %v", len(tiles), err)
			}
			for _, tile := range tiles {
				b, err := os.ReadFile(tile)
				if err != nil {
					t.Fatal(err)
				}
				b[3] ^= 1
				if err := os.WriteFile(tile, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}, "journal and log disagree; acceptance is frozen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forged(t, c.forge, c.says)
		})
	}
}

func forged(t *testing.T, forge func(*testing.T, string), says string) {
	t.Helper()
	ctx := t.Context()
	trust, err := receipt.OpenTrust(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := startBackend(t, t.TempDir())
	kept := b.wantAccepted(ctx, b.mustAnswer(ctx))
	cp, err := kept.Receipt.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Record(ctx, cp, client.NewLog(b.Client), asLive, time.Now()); err != nil {
		t.Fatal(err)
	}
	after := b.answers(ctx, 2)
	forge(t, b.data)
	late := 0
	for stopped := false; !stopped; { // until it is noticed
		_, err := b.send(ctx, b.mustAnswer(ctx), 0)
		if stopped = stops(t, err); !stopped {
			late++
		}
		if late > 100 {
			t.Fatalf("%d answers were accepted after the forgery\n%s", late, b.stderr())
		}
	}
	for _, a := range after {
		if _, err := b.send(ctx, a, 0); !stops(t, err) {
			t.Error("accepted after acceptance had stopped")
		}
	}
	eventually(t, 5*time.Second, "nothing is said about it", func() bool {
		return strings.Contains(b.stderr(), says)
	})
	if s, err := b.Status(ctx); err != nil || (s.Ledger.State != "stopped" || s.Ledger.Why == "") && (s.Journal.State != "failing" || s.Journal.Why == "") {
		t.Errorf("status: %+v, %v", s, err)
	}
	if _, err := b.Checkpoint(ctx); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	// With a damaged tile the server cannot make its own proofs. It says so, and
	// accuses no receipt.
	if report, err := b.Verify(ctx, kept.Receipt, true); err != nil || !report.OK && report.Verdict != receipt.Unavailable {
		t.Errorf("the server's own verification: %+v, %v", report, err)
	}
	wantValid(t, kept.Receipt, receipt.Options{Trust: trust})
	b.kill()
	wantValid(t, kept.Receipt, receipt.Options{Trust: trust})
	t.Logf("%d more were accepted before it was noticed", late)
}

// stops says whether an answer was turned away as it must be.
func stops(t *testing.T, err error) bool {
	t.Helper()
	switch protocol.CodeOf(err) {
	case protocol.CodeNone:
		return false
	case protocol.CodeFrozen, protocol.CodeLedgerUnavailable, protocol.CodeInvalidated:
	default:
		t.Errorf("an answer after the forgery: %v", err)
	}
	return true
}
