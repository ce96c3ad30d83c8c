package datadir_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// history returns the template's log, all rows of it.
func history(t *testing.T) *logtest.Log {
	t.Helper()
	view, err := journal.OpenView(t.Context(), filepath.Join(newDir(t), datadir.JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	leaves, err := datadir.Rows{View: view}.Leaves(t.Context(), 0, length)
	if err != nil || len(leaves) != length {
		t.Fatal(len(leaves), err)
	}
	log := &logtest.Log{Epochs: []*logtest.Epoch{signer}}
	for _, leaf := range leaves {
		log.AddRaw(leaf)
	}
	return log
}

// TestRestore holds a copy against checkpoints from outside.
func TestRestore(t *testing.T) {
	from := newDir(t)
	log := history(t)
	grown := log.Fork(length)
	for range 7 {
		grown.Add(&protocol.Incident{Kind: 3})
	}
	fork := log.Fork(200)
	fork.Add(&protocol.Incident{Kind: 9})
	later := grown.Open(nil)
	for name, tt := range map[string]struct {
		checkpoint string
		exit       int
		want       string
	}{
		"of its log":         {log.Note(length-1, signer), 0, ""},
		"smaller":            {log.Note(3, signer), 0, ""},
		"of all its rows":    {log.Note(length, signer), 0, ""},
		"ahead":              {grown.Note(length+7, signer), fault.Unavailable, "7 of 268 entries would be lost"},
		"ahead, a later key": {grown.Note(length+8, later), fault.Unavailable, "8 of 269 entries would be lost"},
		"another history":    {fork.Note(201, signer), fault.Contradicted, "contradicts a checkpoint of 201 entries"},
		"an unknown key":     {log.Note(200, later), fault.Negative, "that no epoch of the log signed"},
		"another log":        {strings.Replace(log.Note(200, signer), logtest.Origin, "terradourada/x", 1), fault.Usage, "is of the log terradourada/x"},
		"no checkpoint":      {"x", fault.Usage, "is not a checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			to := filepath.Join(dir, "data")
			r, err := datadir.Restore(t.Context(), from, to, tt.checkpoint, audit.Options{})
			if tt.exit != 0 {
				if told := fault.Of(err); err == nil || told.Exit != tt.exit || !strings.Contains(told.What, tt.want) {
					t.Errorf("%v, want %d %q", err, tt.exit, tt.want)
				}
				leaveNothing(t, dir, 0)
				return
			}
			if err != nil || !r.OK || r.Rows != length {
				t.Fatalf("%+v, %v", r, err)
			}
			leaveNothing(t, dir, 1)
			goesOn(t, to)
		})
	}
}

// goesOn adds a row to a restored directory, as a server would.
func goesOn(t *testing.T, dir string) {
	t.Helper()
	s := open(dir)
	s.incident(4)
	s.stop()
	if r := mustAudit(t, dir); !r.OK || r.Rows != length+1 {
		t.Errorf("%+v", r)
	}
}

// TestRestoreRecordsTheCheckpoint: every later start compares it.
func TestRestoreRecordsTheCheckpoint(t *testing.T) {
	from, to := newDir(t), filepath.Join(t.TempDir(), "data")
	if _, err := datadir.Restore(t.Context(), from, to, history(t).Note(length-1, signer), audit.Options{}); err != nil {
		t.Fatal(err)
	}
	trust, err := receipt.OpenTrust(filepath.Join(to, datadir.PublishedDir))
	if err != nil {
		t.Fatal(err)
	}
	if size, _, ok, err := trust.Newest(logtest.Origin); err != nil || !ok || size != length-1 {
		t.Errorf("the newest recorded checkpoint has size %d: %v, %v", size, ok, err)
	}
}

// TestRestoreAsNew: the new log has another origin and nothing in it; the old one can be
// audited, and an acceptance of it is in no way part of the new one.
func TestRestoreAsNew(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "data")
	if err := os.Mkdir(to, 0o700); err != nil { // an empty one may be there
		t.Fatal(err)
	}
	if _, err := datadir.RestoreAsNew(t.Context(), newDir(t), to, logtest.Origin, audit.Options{}); fault.Of(err).Exit != fault.Usage {
		t.Errorf("the same origin: %v", err)
	}
	r, err := datadir.RestoreAsNew(t.Context(), newDir(t), to, "", audit.Options{})
	if err != nil || !r.OK || r.Origin != logtest.Origin || r.NewOrigin == logtest.Origin || !strings.HasPrefix(r.NewOrigin, "terradourada/") {
		t.Fatalf("%+v, %v", r, err)
	}
	leaveNothing(t, dir, 1)
	old := filepath.Join(to, datadir.PreviousDir)
	if again := mustAudit(t, old); !again.OK || again.Proofs != 3 {
		t.Errorf("%+v", again)
	}
	if _, err := client.NewLogDir(filepath.Join(old, datadir.LedgerDir)).SignedCheckpoint(t.Context()); err != nil {
		t.Error(err)
	}
	view, err := journal.OpenView(t.Context(), filepath.Join(to, datadir.JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if n, err := view.Size(t.Context()); err != nil || n != 0 || view.Origin() != r.NewOrigin {
		t.Errorf("%d rows of %s, %v", n, view.Origin(), err)
	}
	if _, err := datadir.RestoreAsNew(t.Context(), old, to, "", audit.Options{}); fault.Of(err).Exit != fault.Usage {
		t.Errorf("over a data directory: %v", err)
	}
}

// older makes the journal of a directory one of schema 1.
func older(t *testing.T, dir string) {
	t.Helper()
	execSQL(t, dir, "DROP TABLE anomalies", "DROP TABLE audit", "DROP TABLE keys", "DROP TABLE clients", "DELETE FROM meta WHERE name = 'audited_from'", "DELETE FROM goose_db_version WHERE version_id >= 2")
}

// TestBackupBeforeUpgrade: a journal is converted only after a backup of it, which the
// older program can read.
func TestBackupBeforeUpgrade(t *testing.T) {
	dir := newDir(t)
	older(t, dir)
	full := errors.New("full")
	cfg := journal.Config{Path: filepath.Join(dir, datadir.JournalFile)}
	cfg.BeforeUpgrade = func(context.Context, int64, int64) error { return full }
	if _, err := journal.Open(t.Context(), cfg); !errors.Is(err, full) {
		t.Fatalf("opened without a backup: %v", err)
	}
	if got := schemaOf(t, dir); got != 1 {
		t.Errorf("converted to schema %d without a backup", got)
	}
	var path string
	cfg.BeforeUpgrade = func(ctx context.Context, from, to int64) (err error) {
		if from != 1 || to != journal.Schema() {
			err = fmt.Errorf("from %d to %d", from, to)
		}
		if err == nil {
			path, err = datadir.BackupBeforeUpgrade(ctx, dir, from, now)
		}
		return err
	}
	for range 2 { // the second start converts nothing
		j, err := journal.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, copied := schemaOf(t, dir), schemaOf(t, path); got != journal.Schema() || copied != 1 || filepath.Base(path) != "schema-1-20270115T080000Z" {
		t.Errorf("schema %d, and %d in %s", got, copied, path)
	}
	if r := mustAudit(t, path); !r.OK || r.Rows != length {
		t.Errorf("%+v", r)
	}
}

// TestUpgradeOfAnUnfinishedJournal: a first start that ended between two conversions left a
// journal without an origin. The next start has nothing to back up, and goes on.
func TestUpgradeOfAnUnfinishedJournal(t *testing.T) {
	dir := newDir(t)
	older(t, dir)
	execSQL(t, dir, "DELETE FROM meta WHERE name = 'origin'")
	cfg := journal.Config{Path: filepath.Join(dir, datadir.JournalFile)}
	cfg.BeforeUpgrade = func(ctx context.Context, from, _ int64) error {
		_, err := datadir.BackupBeforeUpgrade(ctx, dir, from, now)
		return err
	}
	j, err := journal.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if j.Origin() == "" {
		t.Error("the journal has no origin")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func schemaOf(t *testing.T, dir string) (version int64) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, datadir.JournalFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// TestNewerJournal: an older program refuses a converted journal in one sentence.
func TestNewerJournal(t *testing.T) {
	dir := newDir(t)
	execSQL(t, dir, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, 1)")
	_, err := journal.Open(t.Context(), journal.Config{Path: filepath.Join(dir, datadir.JournalFile)})
	_, viewErr := datadir.Audit(t.Context(), dir, audit.Options{})
	for _, err := range []error{err, viewErr} {
		if err == nil || !strings.Contains(err.Error(), "a newer version wrote this journal: its schema is 9, and this program knows") {
			t.Errorf("%v", err)
		}
	}
}
