package journal_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// Any path works, and other users cannot read the files.
func TestOpenPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c%41#e&_pragma=synchronous(0).db")
	for range 2 {
		j, err := journal.Open(t.Context(), journal.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 2 { // the database and its lock
		t.Errorf("files: %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", f.Name(), info.Mode(), err)
		}
	}
}

func TestOrigin(t *testing.T) {
	open := newSQLite(t)
	l := emptyLog(t, open, journal.Config{})
	if !regexp.MustCompile(`^terradourada/[0-9a-f]{16}$`).MatchString(l.Origin()) {
		t.Errorf("origin is %q", l.Origin())
	}
	other := emptyLog(t, newSQLite(t), journal.Config{Origin: "example.org/log"})
	if other.Origin() != "example.org/log" || l.Origin() == emptyLog(t, newSQLite(t), journal.Config{}).Origin() {
		t.Error("the origin is neither the configured one nor random")
	}
	other.restart()
	other.cfg.Origin = ""
	other.restart()
	if other.Origin() != "example.org/log" {
		t.Errorf("the origin became %q", other.Origin())
	}
}

// refused opens path and wants a refusal that contains the text.
func refused(t *testing.T, cfg journal.Config, text string) {
	t.Helper()
	j, err := journal.Open(t.Context(), cfg)
	if err == nil {
		_ = j.Close()
		t.Fatalf("opened; want a refusal with %q", text)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("refused with %q; want %q in it", err, text)
	}
}

func TestOpenRefuses(t *testing.T) {
	filled := func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "journal.db")
		l := newLog(t, sqliteAt(path), journal.Config{Origin: "example.org/log"})
		for range 20 {
			l.mustAccept(l.acceptance())
		}
		l.stop()
		return path
	}
	t.Run("no directory", func(t *testing.T) {
		refused(t, journal.Config{Path: filepath.Join(t.TempDir(), "none", "journal.db")}, "no such file")
	})
	t.Run("another origin", func(t *testing.T) {
		refused(t, journal.Config{Path: filled(t), Origin: "example.org/other"}, `"example.org/log"`)
	})
	t.Run("a bad origin", func(t *testing.T) {
		for _, o := range []string{"a b", "a+b", "a\nb", "ä", strings.Repeat("a", 129)} {
			refused(t, journal.Config{Path: filepath.Join(t.TempDir(), "journal.db"), Origin: o}, "origin")
		}
	})
	t.Run("no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.db")
		overwrite(t, path, bytes.Repeat([]byte("not a database\n"), 1000))
		refused(t, journal.Config{Path: path}, "not a journal")
	})
	t.Run("another database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "journal.db")
		execRaw(t, path, "CREATE TABLE cats (name TEXT)")
		before, _ := os.ReadFile(path)
		refused(t, journal.Config{Path: path}, "not a journal")
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Error("the other database was changed")
		}
	})
	t.Run("a newer schema", func(t *testing.T) {
		path := filled(t)
		execRaw(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
		refused(t, journal.Config{Path: path}, "newer version")
	})
	t.Run("an older format", func(t *testing.T) {
		path := filled(t)
		execRaw(t, path, "PRAGMA application_id = 0x54444a31")
		before, _ := os.ReadFile(path)
		const text = "journal: an earlier development version wrote this journal and this one cannot read it; keep the data directory and start with a new one"
		_, err1 := journal.Open(t.Context(), journal.Config{Path: path})
		_, err2 := journal.OpenView(t.Context(), path)
		for _, err := range []error{err1, err2} {
			if err == nil || err.Error() != text || errors.Is(err, journal.ErrDamaged) {
				t.Errorf("got %v", err)
			}
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Error("the journal was changed")
		}
	})
	t.Run("damaged", func(t *testing.T) {
		path := filled(t)
		b, _ := os.ReadFile(path)
		for i := 4096 * 3; i < len(b); i += 4096 {
			copy(b[i:], bytes.Repeat([]byte{0xa5}, 64))
		}
		overwrite(t, path, b)
		refused(t, journal.Config{Path: path}, "damaged")
	})
	t.Run("called off", func(t *testing.T) {
		path := filled(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		j, err := journal.Open(ctx, journal.Config{Path: path})
		if err == nil {
			t.Fatal(errors.Join(errors.New("a start that was called off opened the journal"), j.Close()))
		}
		if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "damaged") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		path := filled(t)
		b, _ := os.ReadFile(path)
		overwrite(t, path, b[:4096*10])
		refused(t, journal.Config{Path: path}, "damaged")
	})
	for name, stmt := range map[string]string{
		"counter ahead":  "UPDATE counter SET next = next + 1",
		"counter behind": "UPDATE counter SET next = next - 1",
		"counter at 0":   "UPDATE counter SET next = 0",
		"time behind":    "UPDATE counter SET time = time - 1",
		"last leaf lost": "DROP TRIGGER leaves_kept; PRAGMA foreign_keys = 0; DELETE FROM leaves WHERE seq = 21",
		"first lost":     "DROP TRIGGER leaves_kept; PRAGMA foreign_keys = 0; DELETE FROM leaves WHERE seq = 0",
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			execRaw(t, path, stmt)
			refused(t, journal.Config{Path: path}, "the file is damaged: ")
		})
	}
}

func closeJournal(t *testing.T, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func execRaw(tb testing.TB, path, stmt string) {
	tb.Helper()
	if err := tryRaw(path, stmt); err != nil {
		tb.Fatal(err)
	}
}

func tryRaw(path, stmt string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.Exec(stmt)
	return err
}

// A second opener is refused while the first is open, under any name of the
// path, and the first is not disturbed.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	j, err := journal.Open(t.Context(), journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	link, linkedDir := filepath.Join(dir, "link.db"), filepath.Join(t.TempDir(), "dir")
	if os.Symlink(path, link) != nil || os.Symlink(dir, linkedDir) != nil {
		t.Fatal("no symbolic links here")
	}
	for _, p := range []string{path, link, filepath.Join(linkedDir, "journal.db"), filepath.Join(dir, ".", "journal.db")} {
		refused(t, journal.Config{Path: p}, "another process")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(t.Context(), journal.Config{Path: link}); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
}

// A write of another process stops this writer; reading continues.
func TestForeignWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.mustAccept(l.acceptance())
	execRaw(t, path, "UPDATE counter SET next = next + 1; INSERT INTO leaves SELECT 3, type, leaf FROM leaves WHERE seq = 2")
	for range 2 {
		want(t, "accept", l.accept(l.acceptance()), protocol.CodeLedgerUnavailable)
	}
	l.check(3)
}

// Rows of another process are counted and not read.
func TestForeignRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	execRaw(t, path, "INSERT INTO leaves VALUES (2, 1, zeroblob(30))")
	size, _ := l.Size(t.Context())
	rows, err := l.Rows(t.Context())
	leaves, _ := l.Leaves(t.Context(), 0, 99)
	if size != 2 || rows != 3 || err != nil || len(leaves) != 2 {
		t.Errorf("size %d, %d rows (%v), %d leaves", size, rows, err, len(leaves))
	}
}

// Entries of the log cannot be changed, even by a faulty program.
func TestAppendOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := journal.Open(t.Context(), journal.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`PRAGMA foreign_keys = 0;
		INSERT INTO leaves VALUES (0, 1, zeroblob(30));
		INSERT INTO accepted VALUES (0, zeroblob(16), zeroblob(32), zeroblob(32), zeroblob(32), '');
		INSERT INTO nullifiers VALUES (zeroblob(32), zeroblob(32), 0);
		INSERT INTO withdrawals VALUES (6, zeroblob(32), 0);
		INSERT INTO attestations VALUES (zeroblob(16), zeroblob(1))`); err != nil {
		t.Fatal(err)
	}
	for table, set := range map[string]string{"leaves": "seq = 9", "accepted": "seq = 9", "nullifiers": "seq = 9", "withdrawals": "seq = 9", "attestations": "evidence = x'01'"} {
		for _, stmt := range []string{"UPDATE " + table + " SET " + set, "DELETE FROM " + table} {
			if _, err := db.Exec(stmt); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", stmt, err)
			}
		}
	}
}

// The file holds no tag and nothing of an event, and there is no column for it.
func TestNothingSecret(t *testing.T) {
	dir := t.TempDir()
	event, tag := []byte(`{"patient":"Maria","reading":42}`), protocol.Tag(bytes32())
	var logged bytes.Buffer
	l := newLog(t, sqliteAt(filepath.Join(dir, "journal.db")), journal.Config{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	a := l.acceptance()
	a.Leaf.TagHash = protocol.TagElement(tag)
	change(a, func(p *protocol.Payload) { p.Commitment = protocol.Commitment(protocol.EventElement(event)) })
	l.mustAccept(a)
	look := func(when string) {
		all := logged.Bytes()
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		if !bytes.Contains(all, a.Leaf.TagHash[:]) {
			t.Errorf("%s: not even t is there: this test looks in the wrong place", when)
		}
		for _, secret := range [][]byte{tag[:], event, []byte("Maria"), []byte(tag.String())} {
			if bytes.Contains(all, secret) {
				t.Errorf("%s: %q is on the disk", when, secret)
			}
		}
	}
	look("open")
	l.stop()
	look("closed")
	columns(t, filepath.Join(dir, "journal.db"))
}

// columns compares the schema with the one list of what may be stored.
func columns(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var got string
	if err := db.QueryRow(`SELECT group_concat(t.name || '.' || c.name, ' ' ORDER BY t.name, c.cid)
		FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND t.name NOT LIKE 'goose%' AND t.name NOT LIKE 'sqlite%'`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	const allowed = "accepted.seq accepted.request_id accepted.anchor accepted.cm accepted.proof_digest accepted.claim " +
		"anomalies.id anomalies.at anomalies.since anomalies.detector anomalies.kind anomalies.scope anomalies.cause anomalies.observed anomalies.expected " +
		"anomalies.score anomalies.sentence anomalies.agrees anomalies.runbook anomalies.evidence anomalies.feedback " +
		"attestations.epoch attestations.evidence " +
		"audit.id audit.time audit.actor audit.role audit.action audit.target audit.reason audit.salt audit.outcome audit.code audit.seq audit.until " +
		"claims.vk claims.seq " +
		"clients.idx clients.id clients.created clients.disabled " +
		"counter.id counter.next counter.time counter.withdrawals counter.commits counter.touches counter.sealed " +
		"epochs.id epochs.number epochs.instance epochs.checkpoint_key epochs.opened epochs.closed epochs.accepted epochs.issued " +
		"holds.operation holds.vk " +
		"keys.id keys.client keys.digest keys.scopes keys.created keys.expires keys.revoked " +
		"leaves.seq leaves.type leaves.leaf " +
		"meta.name meta.value " +
		"nullifiers.scope nullifiers.nullifier nullifiers.seq " +
		"withdrawals.action withdrawals.target withdrawals.seq"
	if got != allowed {
		t.Errorf("the schema has\n%s\nwant\n%s", got, allowed)
	}
	var loose int
	if err := db.QueryRow(`SELECT count(*) FROM pragma_table_list
		WHERE strict = 0 AND type = 'table' AND name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%'`).Scan(&loose); err != nil || loose != 0 {
		t.Errorf("%d tables are not STRICT (%v)", loose, err)
	}
}
