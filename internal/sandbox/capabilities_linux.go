//go:build linux && !cgo

package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe" // for pointers of a system call that is made on every thread

	"golang.org/x/sys/unix"
)

// AllThreads reports whether a program of this build can restrict every thread
// of its own.
const AllThreads = true

// capabilities is a set of them, one bit each.
type capabilities uint64

func only(caps ...int) (set capabilities) {
	for _, c := range caps {
		set |= 1 << c
	}
	return set
}

// held returns the sets of this thread.
func held() (data [2]unix.CapUserData, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err = unix.Capget(&header, &data[0]); err != nil {
		err = fmt.Errorf("capget: %w", err)
	}
	return data, err
}

// effective is what this thread may use now.
func effective() (capabilities, error) {
	data, err := held()
	return capabilities(data[0].Effective) | capabilities(data[1].Effective)<<32, err
}

// bound takes everything but these from the bounding set of every thread, and
// all from the ambient set. A process without CAP_SETPCAP keeps its bounding
// set, which grants nothing to a process with no_new_privs.
func bound(keep capabilities) error {
	// Kernels before 4.3 have no ambient set.
	_, _, _ = syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	have, err := effective()
	if err != nil || have&only(unix.CAP_SETPCAP) == 0 {
		return err
	}
	for c := range 64 {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // beyond the last one of this kernel
			return nil
		}
		if err != nil {
			return fmt.Errorf("prctl: %w", err)
		}
		if held == 0 || keep&only(c) != 0 {
			continue
		}
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); errno != 0 {
			return fmt.Errorf("prctl: %w", errno)
		}
	}
	return nil
}

// permit takes everything but these from the effective, permitted and
// inheritable sets of every thread. A process without any needs no call, which a
// filter may deny: its threads have what it was started with, and cannot get more.
func permit(keep capabilities) error {
	sets, err := held()
	if err != nil || sets == [2]unix.CapUserData{} {
		return err
	}
	have := keep & (capabilities(sets[0].Effective) | capabilities(sets[1].Effective)<<32)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // pid 0: each thread its own
	data := &[2]unix.CapUserData{
		{Effective: uint32(have), Permitted: uint32(have)},
		{Effective: uint32(have >> 32), Permitted: uint32(have >> 32)},
	}
	//nolint:gosec // both live on the heap, which does not move, until after the call
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	runtime.KeepAlive(header)
	runtime.KeepAlive(data)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}
