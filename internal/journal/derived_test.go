package journal_test

import (
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// addGroup registers a claim group/1 of some list.
func (l *log) addGroup() protocol.Digest {
	l.Helper()
	c := claimLeaf()
	c.ClaimID = "group/1"
	l.mustAppend(c)
	return protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)
}

// vote is a fresh acceptance of a member in a scope.
func (l *log) vote(vk protocol.Digest, scope string, n protocol.Nullifier) *journal.Acceptance {
	const name = "council"
	a := acceptance(&l.epoch, vk)
	a.Claim = "group/1"
	a.Leaf.Params = fmt.Appendf(nil, `{"list":"%064x","name":"%s","nullifier":"%s","scope":"%s"}`, 7, name, hex.EncodeToString(n[:]), scope)
	a.HasNullifier, a.Scope, a.Nullifier = true, protocol.ScopeElement(name, scope), n
	return a
}

// fullJournal is the path of a stopped journal with every kind of leaf and rows
// in every table.
func fullJournal(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "journal.db")
	l := newLog(tb, sqliteAt(path), journal.Config{})
	group, retired := l.addGroup(), l.addClaim()
	for range 3 {
		l.mustAccept(l.acceptance())
		l.mustAccept(l.vote(group, "motion-1", bytes32()))
	}
	if err := l.SaveAttestation(tb.Context(), l.epoch.ID, []byte("evidence")); err != nil {
		tb.Fatal(err)
	}
	revoked := l.epoch.ID
	l.closeEpoch()
	l.openEpoch()
	l.mustAccept(l.vote(group, "motion-2", bytes32()))
	l.mustAppend(&protocol.Incident{Kind: 1, Digest: bytes32()})
	all := protocol.Digest{}
	for _, c := range []protocol.Control{
		{Action: protocol.ActionFreezeIssue, Target: all},
		{Action: protocol.ActionFreezeAccept, Target: l.vk},
		{Action: protocol.ActionFreezeAccept, Target: all},
		{Action: protocol.ActionThawAccept, Target: all},
		{Action: protocol.ActionThawIssue, Target: retired}, // there were no holds
		{Action: protocol.ActionInvalidate},
		{Action: protocol.ActionRotate},
		{Action: protocol.ActionRetireVK, Target: retired},
		{Action: protocol.ActionRevokeEpoch, Target: journal.EpochTarget(revoked)},
	} {
		l.mustControl(c.Action, c.Target)
	}
	l.stop()
	return path
}

// TestDerivedAgrees: a journal that was not changed from outside opens, with
// every kind of leaf in it, and so does a sealed one.
func TestDerivedAgrees(t *testing.T) {
	path := fullJournal(t)
	l := emptyLog(t, sqliteAt(path), journal.Config{})
	l.mustControl(protocol.ActionSeal, protocol.Digest{})
	l.restart()
	if s, _ := l.State(t.Context()); !s.Sealed || len(s.Holds) != 2 || len(s.Retired) != 1 {
		t.Errorf("the state is %+v", s)
	}
	l.stop()
	v, err := journal.OpenView(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// tamper changes a stopped journal with its triggers removed, and restores
// them afterwards.
func tamper(t *testing.T, path, stmt string) {
	t.Helper()
	execRaw(t, path, `PRAGMA foreign_keys = 0; PRAGMA writable_schema = 1; CREATE TABLE kept AS SELECT * FROM sqlite_schema WHERE type = 'trigger';
		DELETE FROM sqlite_schema WHERE type = 'trigger'; PRAGMA writable_schema = RESET`)
	execRaw(t, path, "PRAGMA foreign_keys = 0; "+stmt)
	execRaw(t, path, `PRAGMA writable_schema = 1; INSERT INTO sqlite_schema SELECT * FROM kept; PRAGMA writable_schema = RESET; DROP TABLE kept`)
}

// The rows that decide about acceptances are compared with the leaves at every
// start: without a removed row, the same commitment or the same member could
// be accepted twice.
func TestDerivedTablesAreChecked(t *testing.T) {
	for name, stmt := range map[string]string{
		"accepted, last gone":       "DELETE FROM accepted WHERE seq = (SELECT max(seq) FROM accepted)",
		"accepted, request changed": "UPDATE accepted SET request_id = zeroblob(16) WHERE seq = 4",
		"accepted, anchor changed":  "UPDATE accepted SET anchor = zeroblob(32) WHERE seq = 4",
		"accepted, cm changed":      "UPDATE accepted SET cm = zeroblob(32) WHERE seq = 4",
		"accepted, proof changed":   "UPDATE accepted SET proof_digest = zeroblob(32) WHERE seq = 4",
		"accepted, claim changed":   "UPDATE accepted SET claim = 'sum/1' WHERE seq = 4",
		"accepted, moved":           "UPDATE accepted SET seq = 0 WHERE seq = 4",
		"accepted, added":           "INSERT INTO accepted VALUES (0, zeroblob(16), zeroblob(32), zeroblob(32), zeroblob(32), 'open/1')",
		"nullifiers, gone":          "DELETE FROM nullifiers WHERE seq = 5",
		"nullifiers, all gone":      "DELETE FROM nullifiers",
		"nullifiers, changed":       "UPDATE nullifiers SET nullifier = zeroblob(32) WHERE seq = 5",
		"nullifiers, scope":         "UPDATE nullifiers SET scope = zeroblob(32) WHERE seq = 5",
		"nullifiers, of another":    "UPDATE nullifiers SET seq = 4 WHERE seq = 5",
		"nullifiers, added":         "INSERT INTO nullifiers VALUES (zeroblob(32), zeroblob(32), 5)",
		"epochs, gone":              "DELETE FROM epochs WHERE number = 1",
		"epochs, number":            "UPDATE epochs SET number = 0 WHERE number = 1",
		"epochs, instance":          "UPDATE epochs SET instance = zeroblob(16) WHERE number = 1",
		"epochs, key":               "UPDATE epochs SET checkpoint_key = zeroblob(32) WHERE number = 1",
		"epochs, opened":            "UPDATE epochs SET opened = 1 WHERE number = 1",
		"epochs, open again":        "UPDATE epochs SET closed = NULL WHERE number = 1",
		"epochs, closed":            "UPDATE epochs SET closed = 0 WHERE number = 2",
		"epochs, count":             "UPDATE epochs SET accepted = accepted + 1 WHERE number = 2",
		"epochs, smaller root":      "UPDATE epochs SET issued = 4 WHERE number = 1",
		"epochs, no root":           "UPDATE epochs SET issued = NULL WHERE number = 1",
		"epochs, another's root":    "UPDATE epochs SET issued = (SELECT issued FROM epochs WHERE number = 2) WHERE number = 1",
		"epochs, added":             "INSERT INTO epochs VALUES (zeroblob(16), 3, zeroblob(16), zeroblob(32), 0, NULL, 0, NULL)",
		"claims, gone":              "DELETE FROM claims WHERE seq = 2",
		"claims, changed":           "UPDATE claims SET vk = zeroblob(32) WHERE seq = 2",
		"claims, moved":             "UPDATE claims SET seq = 1 WHERE seq = 2",
		"claims, added":             "INSERT INTO claims VALUES (zeroblob(32), 0)",
		"holds, gone":               "DELETE FROM holds WHERE operation = 2",
		"holds, changed":            "UPDATE holds SET operation = 1 WHERE operation = 2",
		"holds, added":              "INSERT INTO holds VALUES (2, zeroblob(32))",
		"withdrawals, gone":         "DELETE FROM withdrawals WHERE action = 9",
		"withdrawals, changed":      "UPDATE withdrawals SET target = zeroblob(32) WHERE action = 6",
		"withdrawals, added":        "INSERT INTO withdrawals VALUES (9, zeroblob(32), 0)",
		"sealed":                    "UPDATE counter SET sealed = 1",
		"counter, one more":         "UPDATE counter SET withdrawals = withdrawals + 1",
		"counter, one less":         "UPDATE counter SET withdrawals = withdrawals - 1",
		"leaves, another type":      "UPDATE leaves SET type = 6 WHERE seq = 4",
		"leaves, one gone":          "DELETE FROM leaves WHERE seq = 4; DELETE FROM accepted WHERE seq = 4",
		"leaves, one changed":       "UPDATE leaves SET leaf = (SELECT leaf FROM leaves WHERE seq = 6) WHERE seq = 4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := fullJournal(t)
			tamper(t, path, stmt)
			refused(t, journal.Config{Path: path}, "the file is damaged: ")
			v, err := journal.OpenView(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(v.Check(t.Context()), v.Close()); !errors.Is(err, journal.ErrDamaged) {
				t.Errorf("a view finds %v", err)
			}
		})
	}
}

// Each header counts the withdrawals before it. (The last two leaves of a full
// journal are withdrawals.)
func TestWithdrawalsAreCounted(t *testing.T) {
	for _, c := range []struct{ where, count string }{
		{"seq = 0", "00000001"},
		{"seq = 4", "00000001"},
		{"seq = 4", "01000000"},
		{"seq = (SELECT min(seq) FROM withdrawals)", "00000001"},
		{"seq = (SELECT max(seq) FROM withdrawals)", "00000000"},
		{"seq = (SELECT max(seq) FROM withdrawals)", "00000002"},
	} {
		path := fullJournal(t)
		tamper(t, path, fmt.Sprintf("UPDATE leaves SET leaf = CAST(substr(leaf, 1, 26) || x'%s' || substr(leaf, 31) AS BLOB) WHERE %s", c.count, c.where))
		refused(t, journal.Config{Path: path}, "it counts other withdrawals than the leaves before it")
	}
}

// A seal that was removed from the file is noticed, and so is one that was
// added.
func TestLiftedSeal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	l := newLog(t, sqliteAt(path), journal.Config{})
	l.mustControl(protocol.ActionSeal, protocol.Digest{})
	l.stop()
	tamper(t, path, "UPDATE counter SET sealed = 0")
	refused(t, journal.Config{Path: path}, "the file is damaged: counter")
}

const (
	cmUnique = `UNIQUE CHECK (length(cm) = 32),
    proof_digest BLOB NOT NULL CHECK (length(proof_digest) = 32),
    claim        TEXT NOT NULL`
	cmDescending = `, proof_digest BLOB NOT NULL, claim TEXT NOT NULL, UNIQUE (cm DESC)`
)

// An index with another entry finds nothing where the table has a row, and one
// in another order misses rows. SQLite's quick check detects neither.
func TestDerivedIndexesAreChecked(t *testing.T) {
	for name, c := range map[string]struct{ table, old, new, change, root, twin string }{
		"request ids":   {"accepted", "", "", "request_id = zeroblob(16) WHERE seq = 4", "sqlite_autoindex_accepted_1", "sqlite_autoindex_twin_1"},
		"anchors":       {"accepted", "", "", "anchor = zeroblob(32) WHERE seq = 4", "sqlite_autoindex_accepted_2", "sqlite_autoindex_twin_2"},
		"commitments":   {"accepted", "", "", "cm = zeroblob(32) WHERE seq = 4", "sqlite_autoindex_accepted_3", "sqlite_autoindex_twin_3"},
		"numbers":       {"epochs", "", "", "number = 0 WHERE number = 1", "sqlite_autoindex_epochs_2", "sqlite_autoindex_twin_2"},
		"keys":          {"epochs", "", "", "checkpoint_key = zeroblob(32) WHERE number = 1", "sqlite_autoindex_epochs_3", "sqlite_autoindex_twin_3"},
		"order of cm":   {"accepted", cmUnique, cmDescending, "", "sqlite_autoindex_accepted_3", "sqlite_autoindex_twin_3"},
		"order of null": {"nullifiers", "(scope, nullifier)", "(scope DESC, nullifier DESC)", "", "nullifiers", "twin"},
		"order of ids":  {"epochs", "PRIMARY KEY", "PRIMARY KEY DESC", "", "epochs", "twin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := fullJournal(t)
			schema := queryRaw(t, path, "SELECT sql FROM sqlite_schema WHERE name = '"+c.table+"'")
			schema = strings.Replace(schema, "CREATE TABLE "+c.table, "CREATE TABLE twin", 1)
			execRaw(t, path, strings.Replace(schema, c.old, c.new, 1)+"; INSERT INTO twin SELECT * FROM "+c.table)
			if c.change != "" {
				execRaw(t, path, "UPDATE twin SET "+c.change)
			}
			swap(t, path, c.root, c.twin)
			refused(t, journal.Config{Path: path}, "the file is damaged: ")
		})
	}
}

// swap exchanges the names of two trees of the file.
func swap(t *testing.T, path, a, b string) {
	t.Helper()
	names := fmt.Sprintf("WHERE name IN ('%s', '%s')", a, b)
	if n := queryRaw(t, path, "SELECT count(*) FROM sqlite_schema "+names); n != "2" {
		t.Fatalf("%s of %s and %s are there", n, a, b)
	}
	execRaw(t, path, "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET rootpage = (SELECT sum(rootpage) FROM sqlite_schema "+names+") - rootpage "+names)
	if check := queryRaw(t, path, "PRAGMA quick_check(1)"); check != "ok" {
		t.Fatalf("quick_check finds it itself: %s", check)
	}
}

func queryRaw(t *testing.T, path, query string) (s string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(query).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}
