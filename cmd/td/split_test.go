package main_test

import (
	"database/sql"
	"errors"
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

// TestDamagedTable: a commitment is accepted once, also after another program has
// written into the stopped journal. The advice is not to go on elsewhere.
func TestDamagedTable(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	b := startBackend(t, data)
	b.wantAccepted(t.Context(), b.mustAnswer(t.Context()))
	b.stop(10 * time.Second)
	db, err := sql.Open("sqlite", filepath.Join(data, "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "DROP TRIGGER accepted_kept; DELETE FROM accepted"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	again, err := tryBackend(t, data)
	if err == nil {
		t.Fatal("it starts")
	}
	said := again.stderr()
	if code := again.cmd.ProcessState.ExitCode(); code != 8 || !strings.Contains(said, "the file is damaged: accepted: differs from the leaves") ||
		!strings.Contains(said, "docs/operate.md") || strings.Contains(said, "--data") {
		t.Errorf("exit code %d", code)
	}
}

// TestDamagedTrust: the record of what was published says what it is before
// it is removed.
func TestDamagedTrust(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	startBackend(t, data).stop(10 * time.Second)
	files, err := filepath.Glob(filepath.Join(data, "published", "*.trust"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	kept, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	noFile := func() error { return errors.Join(os.Remove(files[0]), os.Mkdir(files[0], 0o700)) }
	noDirectory := func() error {
		return errors.Join(os.RemoveAll(filepath.Dir(files[0])), os.WriteFile(filepath.Dir(files[0]), nil, 0o600))
	}
	header := func() error { return os.WriteFile(files[0], append([]byte("x"), kept...), 0o600) }
	for i, damage := range []func() error{header, noFile, noDirectory} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		again, err := tryBackend(t, data)
		if err == nil {
			t.Fatalf("damage %d: it starts", i)
		}
		said := again.stderr()
		if code := again.cmd.ProcessState.ExitCode(); code != 8 || !strings.Contains(said, "error: the record of what this server has published") ||
			!strings.Contains(said, "second history") || !strings.Contains(said, "docs/operate.md") {
			t.Errorf("damage %d: exit code %d", i, code)
		}
	}
}
