package faults_test

import (
	"bufio"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// workPrefix is how the directory of a run is called, in the directory for
// temporary files.
const workPrefix = "td-faults-"

// newWork makes the directory of this run. Its lock is held until the process
// ends, so that no other run sweeps it.
func newWork() (dir string, err error) {
	if dir, err = os.MkdirTemp("", workPrefix); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the server is another user
		return "", err
	}
	_, err = lockWork(dir)
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

// locks keeps the files of held locks open.
var locks []*os.File

// sweepOthers removes what runs have left behind that did not end in order.
func sweepOthers() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), workPrefix+"*"))
	for _, dir := range dirs {
		if _, locked := lockWork(dir); locked == nil {
			err = errors.Join(err, sweep(dir))
		}
	}
	return err
}

// sweep unmounts whatever is mounted below the directory of a run, which frees
// the loop devices, and removes it.
func sweep(dir string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var below []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if at := strings.Fields(lines.Text())[4]; strings.HasPrefix(at, dir+"/") {
			below = append(below, at)
		}
	}
	for _, at := range slices.Backward(below) {
		if err := unmount(at); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

// sweepWhenInterrupted ends the process on SIGINT and SIGTERM, and leaves nothing
// behind.
func sweepWhenInterrupted(dir string) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-c
		for _, pid := range pidsBelow(os.Getpid()) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = sweep(dir) // the next run tries again
		os.Exit(130)
	}()
}
