package datadir_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/torchwood"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

func mustAudit(t *testing.T, dir string) *audit.Report {
	t.Helper()
	r, err := datadir.Audit(t.Context(), dir, audit.Options{Proofs: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAudit: a sound directory has no difference, and its rows beyond the log are
// audited too.
func TestAudit(t *testing.T) {
	r := mustAudit(t, newDir(t))
	if !r.OK || r.Verdict != receipt.Valid || r.Size != length-1 || r.Rows != length || r.Known != 2 || r.Proofs != 3 || len(r.Faults) != 0 {
		t.Errorf("%+v", r)
	}
}

// rewrite replaces a leaf in the journal, with the triggers off.
func rewrite(index int, change func(leaf []byte)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		leaf := bytes.Clone(leafOf(t, index))
		change(leaf)
		execSQL(t, dir, "DROP TRIGGER leaves_fixed", fmt.Sprintf("UPDATE leaves SET leaf = x'%s' WHERE seq = %d", hex.EncodeToString(leaf), index))
	}
}

// leafOf returns a leaf of the template's log.
func leafOf(t *testing.T, index int) []byte {
	t.Helper()
	return entries(t, template(), index/tiles.Width)[index%tiles.Width]
}

func bundleFile(t *testing.T, dir string, n int) string {
	t.Helper()
	return filepath.Join(dir, datadir.LedgerDir, filepath.FromSlash(tiles.Path(tiles.At(tiles.Entries, uint64(n), length-1))))
}

func entries(t *testing.T, dir string, n int) (all [][]byte) {
	t.Helper()
	b, err := os.ReadFile(bundleFile(t, dir, n))
	for len(b) > 0 && err == nil {
		var e []byte
		e, b, err = torchwood.ReadTileEntry(b)
		all = append(all, e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// relog replaces a leaf in the entry bundle of the log.
func relog(index int, change func(leaf []byte)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		n := index / tiles.Width
		var bundle []byte
		for i, e := range entries(t, dir, n) {
			if i == index%tiles.Width {
				change(e)
			}
			bundle, _ = torchwood.AppendTileEntry(bundle, e)
		}
		if err := os.WriteFile(bundleFile(t, dir, n), bundle, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// both changes a leaf in the journal and in the log.
func both(index int, change func(leaf []byte)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		rewrite(index, change)(t, dir)
		relog(index, change)(t, dir)
	}
}

func flip(at int) func([]byte) { return func(leaf []byte) { leaf[at] ^= 1 } }

// The places of two fields in an accepted leaf, from its end and its beginning.
func flipProof(leaf []byte)  { leaf[len(leaf)-1-protocol.ElementSize] ^= 1 }
func flipIssued(leaf []byte) { leaf[30+256+32+32+8+8] ^= 1 }

func file(name string, change func([]byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(pattern string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func in(queries ...string) func(*testing.T, string) {
	return func(t *testing.T, dir string) { t.Helper(); execSQL(t, dir, queries...) }
}

const drop = "DROP TRIGGER leaves_kept"

// republish writes the log of a changed history, signed by the same epoch key.
func republish(change func(*logtest.Log)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		log := &logtest.Log{}
		for n := 0; n*tiles.Width < length-1; n++ {
			for _, e := range entries(t, dir, n) {
				log.AddRaw(e)
			}
		}
		change(log)
		ledger := filepath.Join(dir, datadir.LedgerDir)
		if err := os.RemoveAll(filepath.Join(ledger, "tile")); err != nil {
			t.Fatal(err)
		}
		log.Write(ledger, signer)
	}
}

// TestAuditFindsEveryDifference plants one difference at a time.
func TestAuditFindsEveryDifference(t *testing.T) {
	invalid, contradicted := receipt.Invalid, receipt.Contradicted
	for name, tt := range map[string]struct {
		plant   func(*testing.T, string)
		verdict string
		want    []string // each in some fault
	}{
		"a row changed":               {rewrite(100, flip(31)), invalid, []string{"entry 100 is not row 100 of the journal"}},
		"a row of the tail changed":   {in("DROP TRIGGER leaves_fixed", "UPDATE leaves SET leaf = (SELECT leaf FROM leaves WHERE seq = 2) WHERE seq = 260"), invalid, []string{"entry 260 says that it is number 2", "leaf 260"}},
		"a row removed":               {in(drop, "DELETE FROM leaves WHERE seq = 100"), invalid, []string{"entry 100 is not in the journal", "leaf 101: not in its place"}},
		"the last row removed":        {in(drop, "DELETE FROM leaves WHERE seq = 260"), invalid, []string{"row 260 is not in the journal", "differs from the leaves"}},
		"the end of the journal gone": {in(drop, "DROP TRIGGER accepted_kept", "DELETE FROM accepted WHERE seq > 258", "DELETE FROM leaves WHERE seq > 258", "UPDATE counter SET next = 259"), invalid, []string{"the log is ahead of the journal", "entry 259 is not in the journal"}},
		"a row added":                 {in("INSERT INTO leaves SELECT 261, type, leaf FROM leaves WHERE seq = 100"), invalid, []string{"leaf 261: not in its place"}},
		"an acceptance not indexed":   {in("DROP TRIGGER accepted_kept", "DELETE FROM accepted WHERE seq = 2"), invalid, []string{"accepted: differs from the leaves"}},
		"a nullifier added":           {in("INSERT INTO nullifiers VALUES (zeroblob(32), zeroblob(32), 2)"), invalid, []string{"nullifiers: differs from the leaves"}},
		"the seal removed":            {in("UPDATE counter SET sealed = 1"), invalid, []string{"counter: differs from the leaves"}},
		"a hold added":                {in("INSERT INTO holds VALUES (2, zeroblob(32))"), invalid, []string{"holds: differs from the leaves"}},
		"a leaf changed":              {relog(100, flip(31)), invalid, []string{"entry 100 is not row 100 of the journal", "the root of the checkpoint is not that of the entries"}},
		"a leaf changed in both":      {both(100, flip(31)), invalid, []string{"tile 0 of level 0 does not hold the hashes", "the log contradicts a checkpoint of 259 entries that is known"}},
		"an issued root changed":      {both(first, flipIssued), invalid, []string{"entry 2: ", "the log contradicts a checkpoint of 3 entries"}},
		"proof bytes changed":         {both(first, flipProof), invalid, []string{"entry 2: its proof does not verify"}},
		"proof bytes of the tail":     {in("DROP TRIGGER leaves_fixed", "UPDATE leaves SET leaf = CAST(substr(leaf, 1, length(leaf) - 1) || x'ff' AS BLOB) WHERE seq = 260"), invalid, []string{"entry 260: its proof does not verify", "differs from the leaves"}},
		"a tile changed":              {file("ledger/tile/0/000", func(b []byte) []byte { return append(flipped(b, 40), b[len(b):]...) }), invalid, []string{"tile 0 of level 0 does not hold the hashes"}},
		"an upper tile changed":       {file("ledger/tile/1/000.p/1", func(b []byte) []byte { return flipped(b, 0) }), invalid, []string{"tile 0 of level 1 does not hold the hashes"}},
		"the checkpoint changed":      {file("ledger/checkpoint", func(b []byte) []byte { return bytes.Replace(b, []byte("\n260\n"), []byte("\n259\n"), 1) }), invalid, []string{"the checkpoint is not signed by the key of any epoch in the log"}},
		"its signature changed":       {file("ledger/checkpoint", func(b []byte) []byte { b[len(b)-8] ^= 1; return b }), invalid, []string{"the checkpoint is not signed by the key of any epoch in the log"}},
		"the checkpoint removed":      {remove("ledger/checkpoint"), invalid, []string{"the log has no checkpoint, and checkpoints of it are known"}},
		"the log removed":             {remove("ledger"), invalid, []string{"the directory of the log is missing"}},
		"the origin changed":          {file("ledger/origin", func([]byte) []byte { return []byte("other/1\n") }), invalid, []string{"the directory holds the log of another origin"}},
		"the tree is shorter":         {republish(func(l *logtest.Log) { *l = *l.Fork(100) }), receipt.Unavailable, nil},
		"the tree is longer":          {republish(func(l *logtest.Log) { l.Add(&protocol.Incident{}); l.Add(&protocol.Incident{}) }), invalid, []string{"the log is ahead of the journal", "entry 261 is not in the journal"}},
		"a bundle beyond the journal": {copyFile("ledger/tile/entries/001.p/4", "ledger/tile/entries/001.p/9"), invalid, []string{"the log is ahead of the journal: 265 entries, 261 rows"}},
		"another tree of that size":   {republish(func(l *logtest.Log) { *l = *l.Fork(259); l.Add(&protocol.Incident{Kind: 9}) }), invalid, []string{"entry 259 is not row 259 of the journal"}},
		"another history": {republish(func(l *logtest.Log) {
			*l = *l.Fork(258)
			l.Add(&protocol.Incident{Kind: 9})
			l.Add(&protocol.Incident{})
		}), contradicted, []string{"the log contradicts a checkpoint of 259 entries that is known"}},
		"a record changed":          {record(func(b []byte) []byte { return bytes.Replace(b, []byte("\n259 "), []byte("\n258 "), 1) }), invalid, []string{"has a wrong signature"}},
		"the record lost its lines": {record(func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] }), invalid, []string{"the file has lost its records"}},
		"the record removed":        {remove("published"), receipt.Unvouched, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			tt.plant(t, dir)
			r, err := datadir.Audit(t.Context(), dir, audit.Options{Proofs: true})
			if err != nil {
				t.Fatal(err)
			}
			if r.OK || r.Verdict != tt.verdict || (len(tt.want) > 0) != (len(r.Faults) > 0) {
				t.Errorf("%+v, want %s", r, tt.verdict)
			}
			for _, want := range tt.want {
				if all := strings.Join(r.Faults, "\n"); !strings.Contains(all, want) {
					t.Errorf("faults\n%s\nwant %q", all, want)
				}
			}
		})
	}
}

func flipped(b []byte, at int) []byte { b[at] ^= 1; return b }

func copyFile(from, to string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, from))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// record changes the record of the published checkpoints.
func record(change func([]byte) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, datadir.PublishedDir, "*.trust"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		file(filepath.Join(datadir.PublishedDir, filepath.Base(names[0])), change)(t, dir)
	}
}

// TestAuditCannotRead: what cannot be read is a fault with its own exit code, and no
// verdict.
func TestAuditCannotRead(t *testing.T) {
	for name, tt := range map[string]struct {
		plant func(*testing.T, string)
		exit  int
		want  string
	}{
		"no directory":       {remove(""), fault.NotFound, "is not a directory"},
		"nothing in it":      {remove("*"), fault.NotFound, "holds no journal"},
		"no journal":         {remove("journal.db"), fault.Negative, "the journal is missing beside a log that has entries"},
		"not a journal":      {file("journal.db", func([]byte) []byte { return bytes.Repeat([]byte("x"), 4096) }), fault.Unavailable, "the file is not a journal"},
		"half of a journal":  {file("journal.db", func(b []byte) []byte { return b[:len(b)/2] }), fault.Negative, "the file is damaged"},
		"no page but one":    {file("journal.db", func(b []byte) []byte { return append(b[:4096], make([]byte, len(b)-4096)...) }), fault.Negative, "the file is damaged"},
		"no file of the log": {remove("ledger/tile/entries/000"), 0, "the log lacks its file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			tt.plant(t, dir)
			_, err := datadir.Audit(t.Context(), dir, audit.Options{})
			told := new(fault.Fault)
			if errors.As(err, &told); err == nil || told.Exit != tt.exit || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, exit %d, want %q and %d", err, told.Exit, tt.want, tt.exit)
			}
		})
	}
}

// TestAuditReadOnlyMedium: a copy on a medium that nothing can write is audited and
// restored.
func TestAuditReadOnlyMedium(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir, mounted := newDir(t), t.TempDir()
	mount := func(name string, arg ...string) {
		if out, err := exec.Command(name, arg...).CombinedOutput(); err != nil {
			t.Skipf("cannot mount: %v, %s", err, out)
		}
	}
	mount("mount", "--bind", dir, mounted)
	defer mount("umount", mounted)
	mount("mount", "-o", "remount,ro,bind", mounted)
	if r := mustAudit(t, mounted); !r.OK || r.Rows != length {
		t.Errorf("%+v", r)
	}
	if r, err := datadir.Restore(t.Context(), mounted, filepath.Join(t.TempDir(), "data"), history(t).Note(length-1, signer), audit.Options{}); err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
}
