//go:build unix

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes a file for this process alone, until it is closed; false means
// that another process has it.
func lockFile(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}
