//go:build unix

package fsutil

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes the lock of a file for this process until the file is closed. It
// does not wait, and reports false if another process has the lock.
func Lock(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
