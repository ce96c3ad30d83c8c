package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/torchwood"

	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/protocol"
)

// startOn is start on a model.
func startOn(t *testing.T, m *model, r *rows, adjust func(*ledger.Config)) *running {
	t.Helper()
	return start(t, t.TempDir(), r, func(c *ledger.Config) {
		c.UseStorage(m)
		if adjust != nil {
			adjust(c)
		}
	})
}

var kinds = map[syscall.Errno]string{
	syscall.EMFILE: "too many open files",
	syscall.EROFS:  "the file system is read-only",
	syscall.ENOSPC: "no space or no inodes left on the device",
	syscall.EIO:    "the device fails",
	syscall.EACCES: "permission denied",
	syscall.ENXIO:  "the log cannot be read or written",
}

// TestFaults: each operation fails with each error, before or after its effect,
// for as long as it takes. The log stops growing and says so, what was published
// is read, and when the fault is gone it catches up.
func TestFaults(t *testing.T) {
	for _, op := range []string{"ReadFile", "Create", "Mkdir", "Rename", "SyncDir"} {
		for errno, kind := range kinds {
			if testing.Short() && errno != syscall.EIO && errno != syscall.ENOSPC {
				continue // the errors differ in their sentence alone
			}
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/%v", op, errno, done), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { stall(t, op, errno, done, kind) })
				})
			}
		}
	}
}

func stall(t *testing.T, op string, errno error, done bool, kind string) {
	t.Helper()
	m, r := newModel(), &rows{}
	l := startOn(t, m, r, func(c *ledger.Config) { c.MaxLag = 250 })
	l.newEpoch(newSigner(t))
	good := l.await(r.commit(someLeaves("good", 20)...))
	if c := l.Condition(); c != (ledger.Condition{Size: 21}) {
		t.Fatalf("before: %+v", c)
	}
	m.set(func(m *model) {
		m.fault = func(o, _ string) (error, bool) {
			if o == op {
				return errno, done
			}
			return nil, false
		}
	})
	last := r.commit(someLeaves("stuck", 300)...)
	begun := time.Now()
	time.Sleep(time.Minute)

	c := l.Condition()
	if c.Size != 21 || c.Behind != 300 || c.Err != kind || c.Since.Before(begun) || c.Since.Sub(begun) > time.Second {
		t.Errorf("while %s fails: %+v", op, c)
	}
	if l.Size() != good.Size || !errors.Is(l.Admit(), protocol.CodeLedgerUnavailable) {
		t.Errorf("size %d, admit %v", l.Size(), l.Admit())
	}
	if b, err := l.Read(t.Context(), "checkpoint"); err != nil || string(b) != string(good.Note) {
		t.Errorf("checkpoint: %v", err)
	}
	_, err := l.Read(t.Context(), "tile/0/000.p/21")
	if _, perr := l.Proof(t.Context(), good, 3); (err == nil) != (op != "ReadFile") || (perr == nil) != (err == nil) {
		t.Errorf("reading a tile: %v, a proof: %v", err, perr)
	}
	m.mu.Lock()
	calls := m.calls[op]
	m.mu.Unlock()
	time.Sleep(time.Minute)
	m.set(func(m *model) { // at most one attempt a second, of some calls
		if n := m.calls[op] - calls; n < 50 || n > 250 {
			t.Errorf("%d calls of %s in a minute", n, op)
		}
		m.fault = nil
	})
	cp := l.await(last)
	checkFS(t, m.files(), r, cp)
	synctest.Wait() // the checkpoint wakes its waiters before the attempt counts as a success
	if c := l.Condition(); c != (ledger.Condition{Size: last + 1}) {
		t.Errorf("after: %+v", c)
	}
	if n := m.count(".new-"); n > 0 {
		t.Errorf("%d temporary files are left", n)
	}
	if err := l.halt(); err != nil {
		t.Fatal(err)
	}
	checkFS(t, m.cut(rand.New(rand.NewPCG(1, 1)), 0).files(), r, cp)
}

// TestCheckpointCannotBeWritten: the log grows and publishes nothing.
func TestCheckpointCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newModel(), &rows{}
		l := startOn(t, m, r, nil)
		l.newEpoch(newSigner(t))
		l.await(0)
		m.set(func(m *model) {
			m.fault = func(op, name string) (error, bool) {
				if op == "Rename" && name == "checkpoint" {
					return syscall.ENOSPC, false
				}
				return nil, false
			}
		})
		last := r.commit(someLeaves("x", 20)...)
		time.Sleep(time.Minute)
		if c := l.Condition(); c.Size != 1 || c.Behind != 0 || c.Err != kinds[syscall.ENOSPC] || c.Since.IsZero() {
			t.Errorf("%+v", c)
		}
		m.set(func(m *model) { m.fault = nil })
		cp := l.await(last)
		checkFS(t, m.files(), r, cp)
	})
}

// TestPruningFailsQuietly: what cannot be removed stalls nothing.
func TestPruningFailsQuietly(t *testing.T) {
	for _, op := range []string{"Remove", "ReadDir"} {
		synctest.Test(t, func(t *testing.T) {
			m, r := newModel(), &rows{}
			l := startOn(t, m, r, nil)
			l.newEpoch(newSigner(t))
			l.await(0)
			m.set(func(m *model) {
				m.fault = func(o, _ string) (error, bool) {
					if o == op {
						return syscall.EIO, false
					}
					return nil, false
				}
			})
			for range 40 {
				l.await(r.commit(someLeaves("x", 1)...))
			}
			if c := l.Condition(); c != (ledger.Condition{Size: 41}) {
				t.Errorf("%s: %+v", op, c)
			}
		})
	}
}

// TestConditionOfOtherFailures: the journal, the signer, a disagreement.
func TestConditionOfOtherFailures(t *testing.T) {
	for kind, harm := range map[string]func(l *running, s *signer){
		"the journal cannot be read": func(l *running, _ *signer) {
			l.rows.set(func(r *rows) { r.fail = errInjected })
		},
		"the signer does not sign the checkpoint": func(_ *running, s *signer) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.extend = func() error { return errInjected }
		},
		"the journal and the log disagree": func(l *running, _ *signer) {
			l.Committed(99, [][]byte{[]byte("x")})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &rows{}
			l := startOn(t, newModel(), r, nil)
			s := newSigner(t)
			l.newEpoch(s)
			l.await(0)
			harm(l, s)
			begun := time.Now()
			r.commit([]byte("late"))
			time.Sleep(time.Minute)
			if c := l.Condition(); c.Err != kind || c.Since.Before(begun) || c.Size != 1 {
				t.Errorf("%+v, want %q", c, kind)
			}
		})
	}
}

// TestUnreadableIsNotDamaged: an error of the file system at the start is not reported
// as damage, and nothing is written.
func TestUnreadableIsNotDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newModel(), &rows{}
		l := startOn(t, m, r, nil)
		l.newEpoch(newSigner(t))
		l.await(r.commit(someLeaves("x", 300)...))
		if err := l.halt(); err != nil {
			t.Fatal(err)
		}
		for name := range m.files() {
			for errno := range kinds {
				m.set(func(m *model) {
					clear(m.calls)
					m.fault = func(op, n string) (error, bool) {
						if n == name || op == "ReadDir" && strings.HasPrefix(name, n+"/") && n != "." {
							return errno, false
						}
						return nil, false
					}
				})
				again, err := open(t, t.TempDir(), r, func(c *ledger.Config) { c.UseStorage(m) })
				if err == nil {
					if err := again.Close(); err != nil {
						t.Fatal(err)
					}
					continue // not needed for the start
				}
				if !errors.Is(err, errno) || errors.Is(err, ledger.ErrMismatch) || errors.Is(err, ledger.ErrAhead) {
					t.Errorf("%s: %v", name, err)
				}
				if m.calls["Create"]+m.calls["Remove"]+m.calls["Rename"] > 0 {
					t.Errorf("%s: written before a refusal: %v", name, m.calls)
				}
			}
		}
	})
}

// TestFailedSyncIsNotForgotten: one sync fails and all later ones succeed. What
// is published after that is there after a power cut.
func TestFailedSyncIsNotForgotten(t *testing.T) {
	for _, name := range []string{"Create ", "SyncDir tile/0/000.p", "SyncDir tile/entries/001.p", "SyncDir tile/0", "SyncDir tile", "SyncDir ."} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				op, dir, _ := strings.Cut(name, " ")
				m, r := newModel(), &rows{}
				l := startOn(t, m, r, nil)
				failures := 1
				m.set(func(m *model) {
					m.fault = func(o, n string) (error, bool) {
						if o == "Remove" && strings.Contains(n, ".new-") {
							return syscall.EIO, false // what has failed stays in the way
						}
						if o == op && (dir == "" || n == dir) && failures > 0 {
							failures--
							return syscall.EIO, true
						}
						return nil, false
					}
				})
				l.newEpoch(newSigner(t))
				l.await(r.commit(someLeaves("x", 20)...))
				cp := l.await(r.commit(someLeaves("y", 300)...))
				if failures > 0 {
					t.Fatal("nothing has failed")
				}
				checkFS(t, m.cut(rand.New(rand.NewPCG(1, 1)), 0).files(), r, cp)
			})
		})
	}
}

// TestRandomFaultsAndCuts grows a log through faults, kills, power cuts and
// restarts, in any order. After each of them what the disk has is a log of the
// journal's rows that its checkpoint covers, no older than what was shown.
func TestRandomFaultsAndCuts(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { storm(t, rand.New(rand.NewPCG(uint64(seed), 5))) })
		})
	}
}

func storm(t *testing.T, rng *rand.Rand) {
	t.Helper()
	m, r := newModel(), &rows{}
	var shown ledger.Checkpoint
	for range 6 {
		l := startOn(t, m, r, func(c *ledger.Config) { c.BatchSize = 1 + rng.IntN(600) })
		l.newEpoch(newSigner(t))
		weather := newWeather(rand.New(rand.NewPCG(rng.Uint64(), 1)))
		m.set(func(m *model) { m.fault = weather.fault })
		for range 1 + rng.IntN(12) {
			r.commit(someLeaves(fmt.Sprint(rng.Uint32()), 1+rng.IntN(1+rng.IntN(400)))...)
			time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
			if rng.IntN(5) == 0 {
				l.newEpoch(newSigner(t))
			}
		}
		if rng.IntN(2) == 0 {
			m.set(func(m *model) { m.fault = nil })
			size, err := r.Size(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			shown = l.await(size - 1)
		}
		if cp, ok := l.Latest(); ok {
			shown = cp
		}
		if rng.IntN(3) > 0 { // not in order: nothing more is done
			m.set(func(m *model) { m.fault = func(string, string) (error, bool) { return syscall.EIO, false } })
		}
		if err := l.halt(); err != nil {
			t.Fatalf("Run: %v", err)
		}
		if cp, ok := l.Latest(); ok {
			shown = cp
		}
		m.set(func(m *model) { m.fault = nil })
		if rng.IntN(3) > 0 {
			m = m.cut(rng, []float64{0, 0.5, 1}[rng.IntN(3)])
		}
		checkLeft(t, m, r, shown)
	}
	l := startOn(t, m, r, nil)
	l.newEpoch(newSigner(t))
	cp := l.await(r.commit([]byte("last")))
	checkFS(t, m.files(), r, cp)
	synctest.Wait() // for the removal
	if n := m.count(".new-"); n > 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

// checkLeft verifies what a process has left on the disk.
func checkLeft(t *testing.T, m *model, r *rows, shown ledger.Checkpoint) {
	t.Helper()
	note, err := fs.ReadFile(m.files(), "checkpoint")
	if errors.Is(err, fs.ErrNotExist) && shown.Note == nil {
		return
	}
	if err != nil {
		t.Fatalf("a checkpoint of size %d was shown: %v", shown.Size, err)
	}
	text, _, _ := strings.Cut(string(note), "\n\n")
	cp, err := torchwood.ParseCheckpoint(text + "\n")
	if err != nil || uint64(cp.N) < shown.Size {
		t.Fatalf("a checkpoint of size %d was shown, the disk has %d: %v", shown.Size, cp.N, err)
	}
	if root := treeHash(t, r.hashes(uint64(cp.N))); root != [32]byte(cp.Hash) {
		t.Fatalf("the checkpoint of size %d is not of the rows", cp.N)
	}
	checkTree(t, m.files(), r, uint64(cp.N))
}

// weather makes a device that fails now and then, differently in each process.
type weather struct {
	rng    *rand.Rand
	odds   float64
	errnos []syscall.Errno
	die    int // operations until nothing is done any more
}

func newWeather(rng *rand.Rand) *weather {
	w := &weather{rng: rng, odds: []float64{0, 0.01, 0.1, 0.4}[rng.IntN(4)], die: 1 << 30}
	for errno := range kinds {
		w.errnos = append(w.errnos, errno)
	}
	if rng.IntN(2) == 0 {
		w.die = rng.IntN(300)
	}
	return w
}

func (w *weather) fault(string, string) (error, bool) {
	if w.die--; w.die < 0 {
		return syscall.EIO, false
	}
	if w.rng.Float64() >= w.odds {
		return nil, false
	}
	return w.errnos[w.rng.IntN(len(w.errnos))], w.rng.IntN(2) == 0
}

// TestMoved: a directory that is moved away or replaced under the log stops its growth
// with a sentence, and the log goes on when it is back.
func TestMoved(t *testing.T) {
	for name, replace := range map[string]bool{"moved": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			synctest.Test(t, func(t *testing.T) {
				r := &rows{}
				l := start(t, dir, r, nil)
				l.newEpoch(newSigner(t))
				l.await(r.commit(someLeaves("good", 20)...))
				must := func(err error) {
					if err != nil {
						t.Fatal(err)
					}
				}
				must(os.Rename(dir, dir+".aside"))
				if replace {
					must(os.Mkdir(dir, 0o700))
				}
				time.Sleep(10 * time.Second)
				last := r.commit(someLeaves("stuck", 3)...)
				time.Sleep(10 * time.Second)
				if c := l.Condition(); c.Err != "the directory of the log was moved away" || c.Behind != 3 {
					t.Errorf("moved: %+v", c)
				}
				if replace {
					must(os.Remove(dir))
				}
				must(os.Rename(dir+".aside", dir))
				check(t, dir, r, l.await(last))
				if c := l.Condition(); c.Err != "" {
					t.Errorf("back: %+v", c)
				}
			})
		})
	}
}
