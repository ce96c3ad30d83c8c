package proctest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// unmountTime is the time that the kernel may need to release a file system.
const unmountTime = 10 * time.Second

// NewWork makes the directory of a run in the directory for temporary files, after it
// has removed what interrupted runs with this prefix have left. Its lock is held until
// the process ends, so that no other run sweeps it. The caller sweeps it at the end; an
// interruption of the process sweeps it too.
func NewWork(prefix string) (dir string, err error) {
	if err := sweepOthers(prefix); err != nil {
		return "", err
	}
	for range 10 { // another run may sweep it before it is locked
		if dir, err = os.MkdirTemp("", prefix); err != nil {
			return "", err
		}
		if err = os.Chmod(dir, 0o755); err == nil { // the server runs as another user
			_, err = lockWork(dir)
		}
		if err == nil {
			sweepWhenInterrupted(dir)
			return dir, nil
		}
	}
	return "", err
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

// Starting is held for reading while a process is started or something is mounted. Once
// the run was interrupted it is held for writing, permanently.
var Starting sync.RWMutex

// locks keeps the files of held locks open.
var locks []*os.File

// sweepOthers removes what interrupted runs have left.
func sweepOthers(prefix string) error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		if _, locked := lockWork(dir); locked == nil {
			err = errors.Join(err, Sweep(dir))
		}
	}
	return err
}

// Sweep kills the processes that a run has started, unmounts whatever is
// mounted below its directory and removes it. Unmounting frees the loop
// devices.
func Sweep(dir string) error {
	killNaming(dir)
	err := Eventually(unmountTime, "file systems are mounted below "+dir, func() bool {
		for _, at := range slices.Backward(mountsBelow(dir)) {
			_ = Command("umount", at) // what is still in use is retried
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
		Starting.Lock()
		_ = Sweep(dir) // the next run tries again
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

// Command runs a command; the error holds what it printed.
func Command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
