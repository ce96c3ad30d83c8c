package faults_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// workPrefix begins the name of the directory of a run, in the directory for
// temporary files.
const workPrefix = "td-faults-"

// newWork makes the directory of this run. Its lock is held until the process
// ends, so that no other run sweeps it.
func newWork() (dir string, err error) {
	for range 10 { // another run may sweep it before it is locked
		if dir, err = os.MkdirTemp("", workPrefix); err != nil {
			return "", err
		}
		if err = os.Chmod(dir, 0o755); err == nil { // the server runs as another user
			_, err = lockWork(dir)
		}
		if err == nil {
			break
		}
	}
	return dir, err
}

// lockWork fails if another process holds the lock.
func lockWork(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	locks = append(locks, f)
	return f, nil
}

// starting is held while a server is started or something is mounted, and for
// ever once the run was interrupted.
var starting sync.RWMutex

// locks keeps the files of held locks open.
var locks []*os.File

// sweepOthers removes what interrupted runs have left.
func sweepOthers() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	for _, dir := range dirs {
		if _, locked := lockWork(dir); locked == nil {
			err = errors.Join(err, sweep(dir))
		}
	}
	return err
}

// sweep kills the processes that a run has started, unmounts whatever is
// mounted below its directory and removes it. Unmounting frees the loop
// devices.
func sweep(dir string) error {
	killNaming(dir)
	err := eventually(unmountTime, "file systems are mounted below "+dir, func() bool {
		for _, at := range slices.Backward(mountsBelow(dir)) {
			_ = command("umount", at) // what is still in use is retried
		}
		return len(mountsBelow(dir)) == 0
	})
	if err != nil {
		return err // nothing is removed from a disk
	}
	return os.RemoveAll(dir)
}

// mountsBelow returns the mount points below a directory, in the order of
// their mounting.
func mountsBelow(dir string) (below []string) {
	b, _ := os.ReadFile("/proc/self/mountinfo") // without it nothing can be mounted
	for line := range strings.Lines(string(b)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, dir+"/") {
			below = append(below, at)
		}
	}
	return below
}

// sweepWhenInterrupted ends the process on SIGINT and SIGTERM, and leaves nothing
// behind.
func sweepWhenInterrupted(dir string) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-c
		starting.Lock()
		_ = sweep(dir) // the next run tries again
		os.Exit(130)
	}()
}

// killNaming kills the processes whose command line names a path below a
// directory. Servers do not end with the process that started them: the
// parent-death signal is cleared when they change their user.
func killNaming(dir string) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, name := range names {
		b, _ := os.ReadFile(name) // a process that has ended needs no signal
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		named := slices.ContainsFunc(strings.Split(string(b), "\x00"), func(arg string) bool { return strings.HasPrefix(arg, dir+"/") })
		if named && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
