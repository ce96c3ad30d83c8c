//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package receipt

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockFile waits until no other process, and no other store in this one, holds
// the file, and returns what releases it. The file stays: to remove it would let
// two processes lock two files of one name.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, f.Close())
	}
	return func() { _ = f.Close() }, nil // which releases the lock
}
