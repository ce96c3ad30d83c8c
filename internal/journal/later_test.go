package journal_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// laterLog is a journal that leaves every comparison to Compare, with an acceptance and
// a hold. It was closed in order.
func laterLog(t *testing.T) (l *log, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "journal.db")
	l = newLog(t, sqliteAt(path), journal.Config{CheckLater: 1})
	l.mustAccept(l.acceptance())
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	l.stop()
	return l, path
}

// TestCompareLater: acceptances wait for the comparison unless the journal was closed in
// order and its file is the same as then.
func TestCompareLater(t *testing.T) {
	touched := func(t *testing.T, path string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*testing.T, string)
		waits  bool
	}{
		"closed in order":    {func(*testing.T, string) {}, false},
		"written since":      {touched, true},
		"the memory removed": {func(t *testing.T, path string) { t.Helper(); removeFile(t, path+".checked") }, true},
		"the memory cut": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Truncate(path+".checked", 60); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, path := laterLog(t)
			tt.change(t, path)
			l.start()
			if l.Unchecked() != tt.waits || l.Writable() == tt.waits {
				t.Fatalf("unchecked %v, writable %v", l.Unchecked(), l.Writable())
			}
			_, err := l.Accept(t.Context(), l.now, l.acceptance())
			if tt.waits != errors.Is(err, protocol.CodeLedgerUnavailable) {
				t.Errorf("before the comparison: %v", err)
			}
			l.closeEpoch() // not only acceptances are written before the comparison
			l.openEpoch()
			if err := l.Compare(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.mustAccept(l.acceptance())
			if by := l.mustState().By; len(by) != 1 {
				t.Errorf("holds by %v", by)
			}
			l.restart() // the sum over all leaves was carried on
			if l.Unchecked() || len(l.mustState().By) != 1 {
				t.Error("the comparison was not remembered")
			}
		})
	}
}

func removeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// TestCompareLaterAfterAKill: what an earlier process remembered does not count once the
// journal was written again.
func TestCompareLaterAfterAKill(t *testing.T) {
	l, path := laterLog(t)
	remembered, err := os.ReadFile(path + ".checked")
	if err != nil {
		t.Fatal(err)
	}
	l.start()
	if fileExists(path + ".checked") {
		t.Error("a start leaves what is remembered")
	}
	l.openNextEpoch()
	copied := filepath.Join(t.TempDir(), "journal.db") // the files as a kill leaves them
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(copied+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(copied+".checked", remembered, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), journal.Config{Path: copied, CheckLater: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !j.Unchecked() {
		t.Error("acceptances do not wait after a kill")
	}
	if err := j.Close(); err != nil || fileExists(copied+".checked") {
		t.Errorf("a journal that was not compared is remembered as compared, %v", err)
	}
}

func (l *log) mustState() journal.State {
	l.Helper()
	s, err := l.State(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return s
}

func (l *log) openNextEpoch() { l.closeEpoch(); l.openEpoch() }

// TestCompareLaterFindsDamage: acceptances that wait are refused for good.
func TestCompareLaterFindsDamage(t *testing.T) {
	l, path := laterLog(t)
	execRaw(t, path, "INSERT INTO nullifiers VALUES (zeroblob(32), zeroblob(32), 2)")
	l.start()
	if err := l.Compare(t.Context()); !errors.Is(err, journal.ErrDamaged) || !l.Unchecked() {
		t.Errorf("%v, unchecked %v", err, l.Unchecked())
	}
	if _, err := l.Accept(t.Context(), l.now, l.acceptance()); !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Errorf("accepted: %v", err)
	}
}

// TestCompareLaterIsInherited: a process that ends before its comparison leaves what it
// found; one that finds a difference does not.
func TestCompareLaterIsInherited(t *testing.T) {
	l, path := laterLog(t)
	l.restart()
	l.restart()
	l.mustAccept(l.acceptance())
	l.stop()
	remembered, err := os.ReadFile(path + ".checked")
	if err != nil {
		t.Fatal(err)
	}
	execRaw(t, path, "INSERT INTO nullifiers VALUES (zeroblob(32), zeroblob(32), 2)")
	changed := strings.Fields(string(remembered))[1]
	info, err := journal.Identity(path) // as if the disk had changed it, and not a program
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".checked", []byte(strings.Replace(string(remembered), changed, info, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.start()
	if l.Unchecked() {
		t.Fatal("the forged memory did not count")
	}
	if err := l.Compare(t.Context()); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("compared: %v", err)
	}
	l.restart()
	if !l.Unchecked() {
		t.Error("a journal with a difference is remembered as compared")
	}
}

// TestCopyBeforeTheComparison: a journal whose device fails before its comparison copies
// itself, compared with all its leaves.
func TestCopyBeforeTheComparison(t *testing.T) {
	l, path := laterLog(t)
	removeFile(t, path+".checked")
	var armed, failed atomic.Bool
	l.cfg = journal.WithFault(l.cfg, func(op string) (bool, error) {
		if op == "commit" && armed.Load() && !failed.Swap(true) {
			return false, errors.New("injected")
		}
		return true, nil
	})
	l.start()
	armed.Store(true)
	_, err := l.Append(context.Background(), l.now, claimLeaf())
	if err != nil && !errors.Is(err, journal.ErrUnknown) && !errors.Is(err, protocol.CodeLedgerUnavailable) {
		t.Fatal(err)
	}
	if !failed.Load() {
		t.Fatal("no commit failed")
	}
	if err := l.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.mustAccept(l.acceptance())
}

// TestControlBeforeTheComparison: holds that begin, end and are repeated before the
// comparison are as after one.
func TestControlBeforeTheComparison(t *testing.T) {
	for _, remembered := range []bool{true, false} {
		l, path := laterLog(t)
		l.start()
		l.freeze(time.Hour)
		l.mustControl(protocol.ActionFreezeIssue, l.vk)
		l.stop()
		if !remembered {
			removeFile(t, path+".checked")
		}
		l.start()
		l.freeze(2 * time.Hour)                                    // repeated, and ends later
		l.mustControl(protocol.ActionThawIssue, l.vk)              // ends
		l.mustControl(protocol.ActionFreezeAccept, l.vk)           // begins
		l.mustControl(protocol.ActionThawIssue, protocol.Digest{}) // ends and begins again
		l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
		if err := l.Compare(t.Context()); err != nil {
			t.Fatal(err)
		}
		found := l.mustState()
		l.stop()
		l.cfg.CheckLater = 0
		l.start()
		whole := l.mustState()
		if !reflect.DeepEqual(found.By, whole.By) || !maps.EqualFunc(found.Until, whole.Until, time.Time.Equal) || len(whole.Until) != 1 {
			t.Errorf("remembered %t: by %v until %v, and by %v until %v", remembered, found.By, found.Until, whole.By, whole.Until)
		}
		if n := l.thawed(time.Hour); n != 0 {
			t.Errorf("remembered %t: %d thawed early", remembered, n)
		}
	}
}
