package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDamagedJournalPublishesNothing: a journal that contradicts what was
// published neither grows nor is published, even when its log is rebuilt: a
// second history would be signed otherwise.
func TestDamagedJournalPublishesNothing(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	b := startBackend(t, data)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.stop(10 * time.Second)

	journal := filepath.Join(data, "journal.db")
	before, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	// The signer's public key in the leaf of the epoch, wherever the file has a
	// copy: no structure of the database, and nothing that a table repeats.
	leaf := regexp.MustCompile(`TDLEAF01\x00\x02`)
	copies := leaf.FindAllIndex(before, -1)
	if len(copies) == 0 {
		t.Fatal("the leaf of the epoch is not in the file")
	}
	for _, at := range copies {
		before[at[1]+100] ^= 1
	}
	if err := os.WriteFile(journal, before, 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(data, "ledger")
	if err := os.Rename(log, log+".aside"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again, err := tryBackend(t, data)
		if err == nil {
			t.Fatal("it starts")
		}
		if code := again.cmd.ProcessState.ExitCode(); code != 8 || !strings.Contains(again.stderr(), "possible split view") {
			t.Errorf("exit code %d", code)
		}
		if strings.Contains(again.stderr(), "epoch active") {
			t.Error("an epoch was opened")
		}
		if _, err := os.Stat(filepath.Join(log, "checkpoint")); !os.IsNotExist(err) {
			t.Errorf("a checkpoint was published: %v", err)
		}
	}
}
