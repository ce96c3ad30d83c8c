//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package receipt

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A lock is held for a few writes. If it is not released within 10 s, a stopped
// process holds it, and waiting on would block this process too.
const (
	lockPause = 5 * time.Millisecond
	lockTries = 2000
)

// lockFile waits until no other process, and no other store in this one, holds
// the file. It returns the function that releases it. The file is not removed:
// otherwise two processes could lock two files of one name.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for range lockTries {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		time.Sleep(lockPause)
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, f.Close())
	}
	return func() { _ = f.Close() }, nil // which releases the lock
}
