package sandbox

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// limit sets limits of this process to zero.
func limit(resources ...int) error {
	for _, r := range resources {
		if err := syscall.Setrlimit(r, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("setrlimit: %w", err)
		}
	}
	return nil
}

// limitFile bounds the size of files that this process writes.
func limitFile(size uint64) error {
	if err := syscall.Setrlimit(unix.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
		return fmt.Errorf("setrlimit: %w", err)
	}
	return nil
}

func notDumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	if got, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || got != 0 {
		return errors.New("prctl has no effect")
	}
	return nil
}
