package datadir_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// key signs what it is asked to under the key of an epoch.
type key struct{ *logtest.Epoch }

func (k key) Key() [32]byte                                   { return k.Open.CheckpointKey }
func (k key) Begin(context.Context, protocol.Range) error     { return nil }
func (k key) Extend(context.Context, []protocol.Digest) error { return nil }

func (k key) Checkpoint(_ context.Context, size uint64, root [32]byte) ([64]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", logtest.Origin, size, base64.StdEncoding.EncodeToString(root[:]))
	return [64]byte(ed25519.Sign(k.Epoch.Key, []byte(text))), nil
}

// source is the journal as the ledger reads it.
type source struct{ *journal.Journal }

func (s source) Leaves(ctx context.Context, from uint64, most int) ([][]byte, error) {
	entries, err := s.Journal.Leaves(ctx, from, most)
	return journal.LeavesOf(entries), err
}

// TestBackupWhileRunning: what is copied under load is consistent, and its checkpoint is
// one that was published.
func TestBackupWhileRunning(t *testing.T) {
	dir := newDir(t)
	var l *ledger.Ledger
	s := openWith(dir, func(entries []journal.Entry) { l.Committed(entries[0].Seq, journal.LeavesOf(entries)) })
	defer s.stop()
	l, err := ledger.Open(t.Context(), ledger.Config{Dir: filepath.Join(dir, datadir.LedgerDir), Origin: logtest.Origin, Source: source{s.Journal}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- l.Run(ctx) }()
	l.SetSigner(key{signer}, signer.Index)
	grown := make(chan struct{}, 1)
	go func() { // the load
		for ctx.Err() == nil {
			s.incident(3)
			select {
			case grown <- struct{}{}:
			default:
			}
		}
		ended <- nil
	}()
	var last uint64
	for i := range 3 {
		for range 20 {
			<-grown
		}
		path, r, err := datadir.BackupAs(t.Context(), dir, fmt.Sprint("copy-", i), audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK || r.Rows < r.Size || r.Rows <= last {
			t.Errorf("%+v after %d rows", r, last)
		}
		last = r.Rows
		if again := mustAudit(t, path); !again.OK || again.Rows != r.Rows || again.Size != r.Size {
			t.Errorf("%+v, then %+v", r, again)
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	leaveNothing(t, filepath.Join(dir, datadir.BackupsDir), 3)
}

// leaveNothing checks that a directory holds so many copies and nothing else.
func leaveNothing(t *testing.T, dir string, copies int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left in %s", e.Name(), dir)
		}
	}
	if len(entries) != copies {
		t.Errorf("%s holds %d names, want %d", dir, len(entries), copies)
	}
}

// TestBackupOfABackup: a copy is a data directory like any other, with its modes.
func TestBackupOfABackup(t *testing.T) {
	dir := t.TempDir()
	from := newDir(t)
	for _, name := range []string{"one", "two"} {
		to := filepath.Join(dir, name)
		r, err := datadir.Backup(t.Context(), from, to, audit.Options{Proofs: true})
		if err != nil || !r.OK || r.Rows != length || r.Proofs != 3 {
			t.Fatalf("%+v, %v", r, err)
		}
		from = to
	}
	for _, name := range []string{".", datadir.JournalFile, "ledger/checkpoint"} {
		if info, err := os.Stat(filepath.Join(from, name)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	leaveNothing(t, dir, 2)
}

// TestBackupRefuses: nothing is replaced, what is damaged is not copied, and no refusal
// leaves anything behind.
func TestBackupRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		plant func(*testing.T, string)
		to    string
		exit  int
		want  string
	}{
		"a file in its place": {func(t *testing.T, dir string) { t.Helper(); writeText(t, filepath.Join(dir, "..", "there")) }, "there", fault.Usage, "exists already"},
		"a row changed":       {rewrite(100, flip(31)), "to", fault.Negative, "the copy does not pass its audit"},
		"a tile missing":      {remove("ledger/tile/0"), "to", fault.Negative, "the log in"},
		"a tile cut short":    {file("ledger/tile/0/000", func(b []byte) []byte { return b[:40] }), "to", fault.Negative, "tile/0/000 does not hold 256 hashes"},
		"no log":              {remove("ledger"), "to", fault.Negative, "the log has no checkpoint, and checkpoints of it are known"},
		"no parent":           {func(*testing.T, string) {}, "none/to", fault.Unavailable, "cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newDir(t)
			tt.plant(t, dir)
			before, _ := os.ReadDir(filepath.Dir(dir))
			_, err := datadir.Backup(t.Context(), dir, filepath.Join(filepath.Dir(dir), tt.to), audit.Options{})
			told := new(fault.Fault)
			if !errors.As(err, &told) || told.Exit != tt.exit || !strings.Contains(told.What, tt.want) {
				t.Errorf("%v, exit %d, want %q and %d", err, told.Exit, tt.want, tt.exit)
			}
			leaveNothing(t, filepath.Dir(dir), len(before))
		})
	}
}

func writeText(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBackupCancelled: an end at any moment leaves nothing behind.
func TestBackupCancelled(t *testing.T) {
	dir := newDir(t)
	for _, when := range []string{"before", "in the audit"} {
		ctx, cancel := context.WithCancel(t.Context())
		if when == "before" {
			cancel()
		}
		_, err := datadir.Backup(ctx, dir, filepath.Join(filepath.Dir(dir), "to"), audit.Options{Progress: func(int, int) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", when, err)
		}
		leaveNothing(t, filepath.Dir(dir), 1)
		cancel()
	}
}

// TestBackupNames: a name cannot lead out of the directory.
func TestBackupNames(t *testing.T) {
	dir := newDir(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a b", strings.Repeat("a", 65), "/tmp/x"} {
		if _, _, err := datadir.BackupAs(t.Context(), dir, name, audit.Options{}); fault.Of(err).Exit != fault.Usage {
			t.Errorf("%q: %v", name, err)
		}
	}
	leaveNothing(t, filepath.Join(dir, datadir.BackupsDir), 0)
}
