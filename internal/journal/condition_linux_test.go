package journal_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/journal"
)

// Each condition that keeps a journal from opening has its own sentence and
// remedy, is not called damage, and leaves the directory as it was.
func TestOpenConditions(t *testing.T) {
	for _, c := range []struct {
		name    string
		cause   journal.Cause
		prepare func(t *testing.T, dir string) // which has a journal of 20 entries in it
		user    int                            // how it is opened
	}{
		{"a directory of another user", journal.CauseDenied, func(t *testing.T, dir string) {
			t.Helper()
			run(t, "chmod", "755", dir)
		}, 65534},
		{"a journal of another user", journal.CauseDenied, func(t *testing.T, dir string) {
			t.Helper()
			run(t, "chown", "65534", dir, filepath.Join(dir, "journal.db.lock"))
		}, 65534},
		{"a file system mounted read-only", journal.CauseReadOnly, func(t *testing.T, dir string) {
			t.Helper()
			mount(t, dir, "-o", "size=4m", "none")
			run(t, "mount", "-o", "remount,ro", dir)
		}, 0},
		{"a full file system", journal.CauseFull, func(t *testing.T, dir string) {
			t.Helper()
			mount(t, dir, "-o", "size=4m", "none")
			if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 8<<20), 0o600); err == nil {
				t.Error("it is not full")
			}
		}, 0},
		{"no free inodes", journal.CauseInodes, func(t *testing.T, dir string) {
			t.Helper()
			mount(t, dir, "-o", "nr_inodes=3", "none")
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Geteuid() != 0 || runtime.GOOS != "linux" {
				t.Skip("this needs root on Linux")
			}
			top := t.TempDir()
			for dir := top; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				run(t, "chmod", "755", dir)
			}
			dir := filepath.Join(top, "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "journal.db")
			l := newLog(t, sqliteAt(path), journal.Config{})
			l.stop()
			c.prepare(t, dir)
			before := names(t, dir)
			as(c.user, func() { wantCause(t, journal.Config{Path: path}, c.cause) })
			if after := names(t, dir); after != before {
				t.Errorf("the directory has %s, had %s", after, before)
			}
		})
	}
}

// A journal that is missing beside a log with entries is not created anew, and
// one that another process writes is reported as such.
func TestOpenMissingOrLocked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	wantCause(t, journal.Config{Path: path, MustExist: true}, journal.CauseMissing)
	if n := names(t, dir); n != "" {
		t.Errorf("created %s", n)
	}
	l := newLog(t, sqliteAt(path), journal.Config{})
	wantCause(t, journal.Config{Path: path, MustExist: true}, journal.CauseLocked)
	l.stop()
	j, err := journal.Open(t.Context(), journal.Config{Path: path, MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
}

func wantCause(t *testing.T, cfg journal.Config, cause journal.Cause) {
	t.Helper()
	j, err := journal.Open(t.Context(), cfg)
	if err == nil {
		t.Fatal("opened", j.Close())
	}
	if journal.CauseOf(err) != cause || strings.Count(err.Error(), string(cause)) != 1 || errors.Is(err, journal.ErrDamaged) || cause.Remedy() == "" {
		t.Errorf("refused with %q, remedy %q; want %q", err, journal.CauseOf(err).Remedy(), cause)
	}
}

// Every cause has a remedy of its own.
func TestRemedies(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, c := range []journal.Cause{
		journal.CauseDevice, journal.CauseFull, journal.CauseInodes, journal.CauseReadOnly, journal.CauseDenied,
		journal.CauseLocked, journal.CauseForeign, journal.CauseMissing, journal.CauseDamaged,
	} {
		if seen[c.Remedy()] {
			t.Errorf("%q has no remedy of its own", c)
		}
		seen[c.Remedy()] = true
	}
}

// mount covers dir with a tmpfs that has the same contents.
func mount(t *testing.T, dir string, args ...string) {
	t.Helper()
	aside := t.TempDir()
	run(t, "cp", "-a", dir+"/.", aside)
	if out, err := exec.Command("mount", append([]string{"-t", "tmpfs"}, append(args, dir)...)...).CombinedOutput(); err != nil {
		t.Skipf("no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() { run(t, "umount", dir) })
	run(t, "cp", "-a", aside+"/.", dir)
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// as runs f as another user, on a thread that ends with f.
func as(user int, f func()) {
	if user == 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		id := uintptr(user)
		if _, _, err := syscall.RawSyscall(unix.SYS_SETRESUID, id, id, id); err != 0 {
			panic(err)
		}
		f()
	}()
	<-done
}
