package receipt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// plainLog is a log of leaves that mean nothing, for tests of checkpoints
// alone.
type plainLog struct {
	*world
	by *epochKey
}

func newPlainLog(tb testing.TB, leaves int) *plainLog {
	tb.Helper()
	w := newWorld(tb)
	l := &plainLog{w, w.openEpoch(nil, 0)}
	for range leaves - 1 {
		w.append(&protocol.Incident{})
	}
	return l
}

func (l *plainLog) at(size uint64) *receipt.Checkpoint {
	l.t.Helper()
	c, err := receipt.ParseCheckpoint(string(l.checkpoint(size, l.signer(l.by))), l.by.open.CheckpointKey)
	l.must(err)
	return c
}

func check(trust *receipt.TrustStore, c *receipt.Checkpoint, log receipt.Log) error {
	return trust.Check(context.Background(), c, log)
}

func record(trust *receipt.TrustStore, c *receipt.Checkpoint, log receipt.Log) error {
	return trust.Pin(context.Background(), c, log, now)
}

func isSplit(err error) bool { return errors.As(err, new(*receipt.SplitViewError)) }

func TestTrust(t *testing.T) {
	log, fork := newPlainLog(t, 20), newPlainLog(t, 20)
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	trust := openTrust(t, dir)

	if err := check(trust, log.at(8), log); !errors.Is(err, receipt.ErrUnknownLog) {
		t.Errorf("before anything is recorded: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("Check made the directory")
	}
	if err := record(trust, log.at(8), nil); err != nil {
		t.Fatalf("first Pin: %v", err)
	}
	for name, tt := range map[string]struct {
		c    *receipt.Checkpoint
		log  receipt.Log
		want error // nil, a sentinel, or errAny; split below
	}{
		"recorded":                       {log.at(8), nil, nil},
		"later, nothing to show it":      {log.at(9), nil, receipt.ErrNotShown},
		"earlier, nothing to show it":    {log.at(7), nil, receipt.ErrNotShown},
		"later, shown":                   {log.at(9), log, nil},
		"earlier, shown":                 {log.at(7), log, nil},
		"first leaf alone, shown":        {log.at(1), log, nil},
		"later, log fails":               {log.at(9), failingLog{}, errLog},
		"fork of the same size":          {fork.at(8), nil, errSplit},
		"fork of the same size and log":  {fork.at(8), fork, errSplit},
		"later fork, its log":            {fork.at(9), fork, errSplit},
		"earlier fork, its log":          {fork.at(7), fork, errSplit},
		"later fork, the true log":       {fork.at(9), log, errSplit},
		"later, a log of rubbish":        {log.at(9), rubbishLog{}, errSplit},
		"later fork, nothing to show it": {fork.at(9), nil, receipt.ErrNotShown},
	} {
		t.Run(name, func(t *testing.T) {
			for verb, do := range map[string]func(*receipt.TrustStore, *receipt.Checkpoint, receipt.Log) error{"Check": check, "Pin": record} {
				trust := openTrust(t, t.TempDir())
				if err := record(trust, log.at(8), nil); err != nil {
					t.Fatal(err)
				}
				err := do(trust, tt.c, tt.log)
				if !fits(err, tt.want) {
					t.Errorf("%s: got %v, want %v", verb, err, tt.want)
				}
				// Whatever was refused is not recorded, whatever was pinned is.
				err = check(trust, tt.c, nil)
				if want := verb == "Pin" && tt.want == nil || tt.c.Size == 8 && tt.want == nil; (err == nil) != want {
					t.Errorf("after %s: recorded is %t, want %t", verb, err == nil, want)
				}
				if err := check(trust, log.at(8), nil); err != nil {
					t.Errorf("after %s: what was recorded before is gone: %v", verb, err)
				}
			}
		})
	}
	t.Run("a split view is loud", func(t *testing.T) {
		err := check(trust, fork.at(8), nil)
		for _, want := range []string{"possible split view", testOrigin, trust.Path(testOrigin)} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %q", err, want)
			}
		}
	})
	t.Run("another log is another matter", func(t *testing.T) {
		other := newPlainLog(t, 20)
		other.origin = "terradourada/other"
		if err := record(trust, other.at(8), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("unknown logs leave no trace", func(t *testing.T) {
		before := trust.Cached()
		for i := range 100 {
			other := newPlainLog(t, 1)
			other.origin = fmt.Sprintf("made/up/%d", i)
			if err := check(trust, other.at(1), nil); !errors.Is(err, receipt.ErrUnknownLog) {
				t.Fatalf("got %v, want ErrUnknownLog", err)
			}
		}
		if now := trust.Cached(); now != before {
			t.Errorf("%d logs are in memory, %d before", now, before)
		}
	})
	t.Run("private files", func(t *testing.T) {
		info, err := os.Stat(trust.Path(testOrigin))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("file has mode %v, %v", info.Mode(), err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("directory has mode %v, %v", info.Mode(), err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "new-*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

var (
	errLog   = errors.New("log is away")
	errSplit = errors.New("stands for a split view in tables")
)

type failingLog struct{}

func (failingLog) Consistency(context.Context, uint64, uint64) ([][32]byte, error) {
	return nil, errLog
}

type rubbishLog struct{}

func (rubbishLog) Consistency(context.Context, uint64, uint64) ([][32]byte, error) {
	return make([][32]byte, 3), nil
}

// A thousand receipts got on this machine, under as many checkpoints, verify
// later without flag or network, in another process.
func TestManyCheckpoints(t *testing.T) {
	const n = 1000
	log := newPlainLog(t, n)
	dir := t.TempDir()
	trust := openTrust(t, dir)
	for size := uint64(1); size <= n; size += 3 {
		if err := record(trust, log.at(size), log); err != nil {
			t.Fatal(err)
		}
	}
	for size := uint64(3); size <= n; size += 3 { // not in order of size
		if err := record(trust, log.at(size), log); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(trust.Path(testOrigin))
	if err != nil {
		t.Fatal(err)
	}
	for size := uint64(1); size <= n; size++ {
		for _, s := range []*receipt.TrustStore{trust, openTrust(t, dir)}[:1+int(size%100)/99] {
			if err := check(s, log.at(size), nil); (err == nil) != (size%3 != 2) {
				t.Fatalf("size %d: %v", size, err)
			}
		}
	}
	t.Logf("%d bytes per checkpoint", info.Size()/(2*n/3))
}

// Processes share a directory: each sees what the others have recorded.
func TestSharedDirectory(t *testing.T) {
	log, fork := newPlainLog(t, 50), newPlainLog(t, 50)
	dir := t.TempDir()
	if err := record(openTrust(t, dir), log.at(1), nil); err != nil {
		t.Fatal(err)
	}
	one := openTrust(t, dir)
	if err := check(one, log.at(1), nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range uint64(4) {
		trust := openTrust(t, dir)
		checkpoints := make([]*receipt.Checkpoint, 10)
		for i := range checkpoints {
			checkpoints[i] = log.at(2 + 4*uint64(i) + worker)
		}
		wg.Go(func() {
			for _, c := range checkpoints {
				if err := record(trust, c, log); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for size := uint64(1); size <= 41; size++ {
		if err := check(one, log.at(size), nil); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		if err := check(one, fork.at(size), nil); !isSplit(err) {
			t.Errorf("fork of size %d: %v", size, err)
		}
	}
}

func TestTrustFile(t *testing.T) {
	log := newPlainLog(t, 20)
	for name, tt := range map[string]struct {
		damage func(string) string
		seven  error // what Check says about the checkpoint of size 7, the last recorded
		five   error
	}{
		"untouched":              {func(s string) string { return s }, nil, nil},
		"last line interrupted":  {func(s string) string { return s[:len(s)-30] }, receipt.ErrNotShown, nil},
		"last line end missing":  {func(s string) string { return s[:len(s)-1] }, receipt.ErrNotShown, nil},
		"line of rubbish":        {func(s string) string { return s + "rubbish\n" }, nil, nil},
		"nothing but the header": {func(s string) string { return s[:strings.Index(s, "\n")+1] }, receipt.ErrUnknownLog, receipt.ErrUnknownLog},
		"empty":                  {func(string) string { return "" }, receipt.ErrUnknownLog, receipt.ErrUnknownLog},
		"header of another log":  {func(s string) string { return strings.Replace(s, testOrigin, "other", 1) }, errAny, errAny},
		"no header":              {func(s string) string { return s[strings.Index(s, "\n")+1:] }, errAny, errAny},
		"forked file": {func(s string) string {
			lines := strings.Split(s, "\n")
			return s + strings.Replace(lines[1], "5 ", "7 ", 1) + "\n"
		}, errSplit, errSplit},
	} {
		t.Run(name, func(t *testing.T) {
			trust := openTrust(t, t.TempDir())
			for _, size := range []uint64{5, 7} {
				if err := record(trust, log.at(size), log); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(trust.Path(testOrigin))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(trust.Path(testOrigin), []byte(tt.damage(string(b))), 0o600); err != nil {
				t.Fatal(err)
			}
			for size, want := range map[uint64]error{5: tt.five, 7: tt.seven} {
				for who, trust := range map[string]*receipt.TrustStore{"fresh": openTrust(t, filepath.Dir(trust.Path(testOrigin)))} {
					if err := check(trust, log.at(size), nil); !fits(err, want) {
						t.Errorf("%s, size %d: got %v, want %v", who, size, err, want)
					}
				}
			}
			if errors.Is(tt.seven, errAny) || errors.Is(tt.seven, errSplit) {
				if err := record(openTrust(t, filepath.Dir(trust.Path(testOrigin))), log.at(9), log); err == nil {
					t.Error("a damaged file was written on")
				}
				return
			}
			// The next record heals an interrupted one.
			fresh := openTrust(t, filepath.Dir(trust.Path(testOrigin)))
			for _, size := range []uint64{9, 7} {
				if err := record(fresh, log.at(size), log); err != nil {
					t.Fatal(err)
				}
			}
			for _, size := range []uint64{7, 9} {
				if err := check(openTrust(t, filepath.Dir(trust.Path(testOrigin))), log.at(size), nil); err != nil {
					t.Errorf("after healing, size %d: %v", size, err)
				}
			}
		})
	}
}

var errAny = errors.New("stands for any error in tables")

func fits(err, want error) bool {
	switch {
	case errors.Is(want, errAny):
		return err != nil
	case errors.Is(want, errSplit):
		return isSplit(err)
	}
	return errors.Is(err, want)
}

func TestTrustIsBounded(t *testing.T) {
	log := newPlainLog(t, 60)
	trust := openTrust(t, t.TempDir())
	trust.SetMaxRecorded(10)
	for size := uint64(1); size <= 60; size++ {
		if err := record(trust, log.at(size), log); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		b, err := os.ReadFile(trust.Path(testOrigin))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(b), "\n"); lines > 1+10 {
			t.Fatalf("file has %d lines", lines)
		}
		if err := check(trust, log.at(size), nil); err != nil {
			t.Fatalf("size %d was just recorded: %v", size, err)
		}
	}
	if err := check(trust, log.at(1), nil); !errors.Is(err, receipt.ErrNotShown) {
		t.Errorf("the oldest: %v", err)
	}
	if err := check(trust, log.at(1), log); err != nil {
		t.Errorf("the oldest, with the log: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(trust.Path(testOrigin)), "new-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTrustThatCannotBeKept(t *testing.T) {
	log := newPlainLog(t, 20)
	if _, err := receipt.OpenTrust(""); err == nil {
		t.Error("no directory was opened")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := receipt.OpenTrust(file); err == nil {
		t.Error("a file was opened as a directory")
	}
	if err := record(openTrust(t, filepath.Join(file, "below")), log.at(3), nil); err == nil {
		t.Error("a checkpoint was recorded below a file")
	}
	dir := t.TempDir()
	trust := openTrust(t, dir)
	if err := os.Mkdir(trust.Path(testOrigin), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := check(trust, log.at(3), nil); err == nil || errors.Is(err, receipt.ErrUnknownLog) {
		t.Errorf("an unreadable file counts as none: %v", err)
	}
	if err := record(openTrust(t, t.TempDir()), &receipt.Checkpoint{Origin: testOrigin, Size: 3}, nil); err == nil {
		t.Error("a checkpoint that nobody verified was recorded")
	}
}

// Lists that are kept come back; a file that was changed is an error.
func TestKeptLists(t *testing.T) {
	trust := openTrust(t, filepath.Join(t.TempDir(), "trust"))
	if lists, err := trust.Lists(); err != nil || len(lists) != 0 {
		t.Fatalf("a new store has lists %v, %v", lists, err)
	}
	list, err := claim.NewList("Orchard council", []protocol.Member{claim.NewMemberSecret().Member()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := trust.AddList(list); err != nil {
			t.Fatal(err)
		}
	}
	lists, err := trust.Lists()
	if err != nil || len(lists) != 1 || lists[0].ID() != list.ID() {
		t.Fatalf("got lists %v, %v", lists, err)
	}
	file := filepath.Join(filepath.Dir(trust.Path(testOrigin)), "lists", list.ID().String()+".json")
	if err := os.WriteFile(file, []byte(strings.Replace(string(list.Encode()), "Orchard", "Forged", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if lists, err := trust.Lists(); err == nil {
		t.Errorf("a changed list came back: %v", lists)
	}
}

func TestDefaultTrustDir(t *testing.T) {
	for _, tt := range []struct{ state, home, want string }{
		{"/state", "/home/u", "/state/terradourada/trust"},
		{"", "/home/u", "/home/u/.local/state/terradourada/trust"},
		{"relative", "/home/u", "/home/u/.local/state/terradourada/trust"},
	} {
		t.Setenv("XDG_STATE_HOME", tt.state)
		t.Setenv("HOME", tt.home)
		got, err := receipt.DefaultTrustDir()
		if err != nil || got != tt.want {
			t.Errorf("with %q and %q: got %q, %v, want %q", tt.state, tt.home, got, err, tt.want)
		}
	}
}

func TestParseCheckpoint(t *testing.T) {
	log := newPlainLog(t, 5)
	signed := string(log.checkpoint(4, log.signer(log.by)))
	key := log.by.open.CheckpointKey
	c, err := receipt.ParseCheckpoint(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != testOrigin || c.Size != 4 || c.Root != log.root(4) || c.Key != key || c.Note != signed {
		t.Errorf("got %+v", c)
	}
	other := newKey(t)
	for name, tt := range map[string]struct {
		signed string
		key    [32]byte
	}{
		"other key":           {signed, newPlainLog(t, 1).by.open.CheckpointKey},
		"zero key":            {signed, [32]byte{}},
		"signed by another":   {string(log.checkpoint(4, noteSigner(t, testOrigin, other))), key},
		"signed as another":   {string(log.checkpoint(4, noteSigner(t, "somebody", log.by.key))), key},
		"another text":        {strings.Replace(signed, "\n4\n", "\n5\n", 1), key},
		"text after it":       {signed + "more\n", key},
		"nothing":             {"", key},
		"larger than allowed": {signed + strings.Repeat("— a AAAAAAA=\n", 10000), key},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := receipt.ParseCheckpoint(tt.signed, tt.key); err == nil {
				t.Error("was accepted")
			}
		})
	}
	t.Run("beside other signatures", func(t *testing.T) {
		both := string(log.checkpoint(4, noteSigner(t, testOrigin, other), log.signer(log.by), note.Signer(cosigner(t, "alice.example"))))
		if _, err := receipt.ParseCheckpoint(both, key); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := sharedScene()
	r := s.receipt(s.ranges, s.second)
	o := pinned(b, r)
	for b.Loop() {
		if p := receipt.Verify(context.Background(), r, o); !p.OK {
			b.Fatal(fmt.Sprint(p))
		}
	}
}
