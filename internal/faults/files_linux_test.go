package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/terradourada/td/internal/testdata/proctest"
)

// fileFault is a fault of the files of a server.
type fileFault struct {
	name    string
	running bool // the server runs, under load
	root    bool // it needs root
	disk    bool // it needs a disk of its own
	do      func(data string) error
	undo    func(data string) error // nil: a copy is put back if the server refuses to start
	remount bool                    // it is undone when the file system is mounted again
}

// foreign is a user that no server runs as.
const foreign = 54321

// fileFaults are all of them; the short plan has a read-only disk and the first four.
var fileFaults = []fileFault{
	{name: "journal missing", do: remove("journal.db")},
	{name: "ledger moved away", running: true, do: move("ledger", "aside"), undo: move("aside", "ledger")},
	{name: "disk full", running: true, disk: true, do: fillDisk, undo: freeDisk},
	{name: "WAL missing", do: remove("journal.db-wal")},

	{name: "journal and WAL missing", do: remove("journal.db", "journal.db-wal", "journal.db-shm")},
	{name: "journal truncated", do: truncate("journal.db", 2)},
	{name: "journal empty", do: truncate("journal.db", 0)},
	{name: "WAL truncated", do: truncate("journal.db-wal", 2)},
	{name: "ledger missing", do: remove("ledger")},
	{name: "tiles missing", do: remove("ledger/tile")},
	{name: "checkpoint missing", do: remove("ledger/checkpoint")},
	{name: "checkpoint empty", do: truncate("ledger/checkpoint", 0)},
	{name: "journal of another owner", root: true, do: own("journal.db")},
	{name: "data directory of another owner", root: true, do: own(".")},
	{name: "journal immutable", root: true, disk: true, do: immutable("+i", "journal.db"), undo: immutable("-i", "journal.db")},
	{name: "read-only file system", disk: true, do: remount("ro"), undo: remount("rw")},
	{name: "disk full at start", disk: true, do: fillDisk, undo: freeDisk},
	{name: "inodes used up", running: true, disk: true, do: fillInodes, undo: freeDisk},
	{name: "ledger without permissions", running: true, do: permit("ledger", 0), undo: permit("ledger", 0o755)},
	{name: "ledger of another owner", running: true, root: true, do: own("ledger"), undo: disown("ledger")},
	{name: "journal immutable under load", running: true, root: true, disk: true, do: immutable("+i", "journal.db", "journal.db-wal"), undo: immutable("-i", "journal.db", "journal.db-wal")},
	{name: "data directory moved away", running: true, do: move(".", "../aside"), undo: move("../aside", ".")},
	{name: "file system read-only under load", running: true, root: true, disk: true, do: readOnly, remount: true},
}

// filled are the faults of a disk that is full, out of inodes or read-only.
var filled = func() (some []fileFault) {
	for _, name := range []string{"file system read-only under load", "disk full", "inodes used up", "disk full at start", "read-only file system"} {
		some = append(some, fileFaults[slices.IndexFunc(fileFaults, func(f fileFault) bool { return f.name == name })])
	}
	return some
}()

func remove(names ...string) func(string) error {
	return func(data string) (err error) {
		for _, name := range names {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, name)))
		}
		return err
	}
}

// move replaces the target.
func move(from, to string) func(string) error {
	return func(data string) error {
		from, to := filepath.Join(data, from), filepath.Join(data, to)
		return errors.Join(os.RemoveAll(to), os.Rename(from, to))
	}
}

// truncate leaves one of n parts of a file, nothing if n is 0.
func truncate(name string, n int64) func(string) error {
	return func(data string) error {
		name := filepath.Join(data, name)
		info, err := os.Stat(name)
		if err != nil || n == 0 {
			return errors.Join(err, os.Truncate(name, 0))
		}
		return os.Truncate(name, info.Size()/n)
	}
}

// own makes a foreign user the owner of a file that no one else may use.
func own(name string) func(string) error {
	return func(data string) error {
		name := filepath.Join(data, name)
		return errors.Join(os.Chmod(name, 0o700), os.Chown(name, foreign, foreign))
	}
}

// disown makes the owner of the data directory the owner of a directory again.
func disown(name string) func(string) error {
	return func(data string) error {
		info, err := os.Stat(data)
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t)
		return os.Chown(filepath.Join(data, name), int(owner.Uid), int(owner.Gid))
	}
}

func permit(name string, mode fs.FileMode) func(string) error {
	return func(data string) error { return os.Chmod(filepath.Join(data, name), mode) }
}

func immutable(change string, names ...string) func(string) error {
	return func(data string) (err error) {
		for _, name := range names {
			err = errors.Join(err, proctest.Command("chattr", change, filepath.Join(data, name)))
		}
		return err
	}
}

func remount(option string) func(string) error {
	return func(data string) error { return proctest.Command("mount", "-o", "remount,"+option, filepath.Dir(data)) }
}

// readOnly makes the kernel find an error in the file system, after which it is
// read-only although files are open.
func readOnly(data string) error {
	dir := filepath.Dir(data)
	source, err := exec.Command("findmnt", "-n", "-o", "SOURCE", dir).Output()
	if err != nil {
		return err
	}
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(strings.TrimSpace(string(source))), "trigger_fs_error")
	return errors.Join(proctest.Command("mount", "-o", "remount,errors=remount-ro", dir), os.WriteFile(trigger, []byte("fault"), 0))
}

// ballast is a file beside the data directory.
func ballast(data string) string { return filepath.Join(filepath.Dir(data), "ballast") }

// fillDisk takes all free blocks, in pieces of decreasing size.
func fillDisk(data string) error {
	f, err := os.Create(ballast(data))
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size >= 1<<10; size /= 2 {
		for err = error(nil); err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
	}
	return f.Sync()
}

// fillInodes creates files until no more can be created.
func fillInodes(data string) error {
	err := os.Mkdir(ballast(data), 0o700)
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(ballast(data), fmt.Sprint(i)), nil, 0o600)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

func freeDisk(data string) error { return os.RemoveAll(ballast(data)) }

// faultFiles injects the file faults, one after the other.
func (r *run) faultFiles(t *testing.T, rng *rand.Rand) {
	t.Helper()
	newWorld := func() *world { return r.newWorld(t, rng, r.content != nil, "--prover", "none") }
	r.inject(t, len(r.plan.fileFaults), "file faults", newWorld, func(w *world, i int) {
		f := r.plan.fileFaults[i]
		switch {
		case f.root && os.Geteuid() != 0, f.disk && r.content == nil:
			r.skip("file fault: "+f.name, "it needs root, FUSE and a loop device")
			return
		case !w.begin() || !w.mustAccept(t.Context(), callTime):
			return
		}
		r.injected("file fault")
		if f.running {
			w.faultRunning(f)
		} else {
			w.faultStopped(f)
		}
	})
}

// faultRunning injects a fault under load, repairs it after a while and ends
// the server.
func (w *world) faultRunning(f fileFault) {
	w.Helper()
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	load, before := w.keepUp(ctx, 1), w.seen.size()
	w.must(f.do(w.data))
	time.Sleep(randomTime(w.rng, time.Second, 2*time.Second))
	during := w.seen.size()
	if f.undo != nil {
		w.must(f.undo(w.data))
		time.Sleep(time.Second)
	}
	stop()
	load.Wait()
	w.Logf("%s: %d acknowledged meanwhile, %d after it", f.name, during-before, w.seen.size()-during)
	if w.rng.IntN(2) == 0 {
		w.kill()
	} else {
		w.stop()
	}
	if f.remount {
		w.must(errors.Join(w.disk.unmount(), w.disk.mount()))
	}
}

// faultStopped injects a fault while no server runs. The server started then
// may refuse, with a sentence; if it does not, it must have everything.
func (w *world) faultStopped(f fileFault) {
	w.Helper()
	w.kill()
	copied := filepath.Join(w.dir, "copy")
	w.must(errors.Join(os.RemoveAll(copied), proctest.Command("cp", "-a", w.data, copied)))
	w.must(f.do(w.data))
	w.launch()
	if err := w.srv.await(); err == nil {
		w.Logf("%s: started", f.name)
		w.check(w.Context())
		w.kill()
	} else {
		w.Logf("%s: %v", f.name, err)
		if w.srv.Sentence() == "" {
			w.complain("%s: the server says no reason", f.name)
		}
		w.srv = nil
		if f.undo == nil {
			w.must(errors.Join(os.RemoveAll(w.data), proctest.Command("cp", "-a", copied, w.data)))
		}
	}
	if f.undo != nil {
		w.must(f.undo(w.data))
	}
}
