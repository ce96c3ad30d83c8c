//go:build linux && !cgo

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// trials are what a sandboxed process must not be able to do, and the error that
// it has to get. Arguments that are no good keep a trial from having an effect
// where it is not refused.
func trials() []trial {
	thread := uintptr(threadFlags())
	return []trial{
		{"open", unix.EPERM, func() error {
			fd, err := unix.Openat(unix.AT_FDCWD, "/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}},
		{"socket", unix.EPERM, func() error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err == nil {
				_ = unix.Close(fd)
			}
			return err
		}},
		{"exec", unix.EPERM, func() error { return raw(unix.SYS_EXECVE) }},
		{"ptrace", unix.EPERM, func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_CONT) }},
		{"process_vm_readv", unix.EPERM, func() error { return raw(unix.SYS_PROCESS_VM_READV, uintptr(os.Getpid())) }},

		// The kernel makes a thread only with signal handlers in common, and a
		// namespace of mounts only without directories in common.
		{"clone of a process", unix.EPERM, func() error { return raw(unix.SYS_CLONE, unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_NEWNS) }},
		{"clone with a flag less", unix.EPERM, func() error { return raw(unix.SYS_CLONE, thread&^unix.CLONE_SIGHAND) }},
		{"clone with a flag more", unix.EPERM, func() error { return raw(unix.SYS_CLONE, thread|unix.CLONE_NEWNS) }},
		{"clone3", unix.ENOSYS, func() error { return raw(unix.SYS_CLONE3) }},
		{"madvise", unix.EPERM, func() error { return raw(unix.SYS_MADVISE, 0, 0, unix.MADV_DOFORK) }},

		// What lies above an int changes nothing, either way.
		{"clone above an int", unix.EPERM, func() error { return raw(unix.SYS_CLONE, aboveInt|unix.CLONE_VM|unix.CLONE_FS|unix.CLONE_NEWNS) }},
		{"madvise above an int", unix.EPERM, func() error { return raw(unix.SYS_MADVISE, 0, 0, aboveInt|unix.MADV_DOFORK) }},
		{"allowed madvise above an int", nil, func() error { return raw(unix.SYS_MADVISE, 0, 0, aboveInt|unix.MADV_DONTNEED) }},
	}
}

type trial struct {
	name string
	want error
	try  func() error
}

// aboveInt is a bit of an argument that the kernel does not see where it takes
// an int.
const aboveInt = 1 << 32

func raw(number uintptr, args ...uintptr) error {
	var a [3]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall(number, a[0], a[1], a[2])
	if errno == 0 {
		return nil
	}
	return errno
}

// selfTest tries what is forbidden. With the filter in place exec is tried on
// every thread: the runtime ends the process if they do not all answer the same.
func selfTest(filtered bool) Probe {
	var open []string
	all := trials()
	for _, t := range all {
		if err := t.try(); !errors.Is(err, t.want) {
			open = append(open, t.name)
		}
	}
	if filtered {
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_EXECVE, 0, 0, 0); errno != unix.EPERM {
			open = append(open, "exec on every thread")
		}
	}
	if len(open) > 0 {
		return Measure(SelfTest, StateMissing, "not as wanted: "+strings.Join(open, ", "))
	}
	return Measure(SelfTest, StateOK, fmt.Sprintf("%s as wanted, exec on every thread", plural(len(all), "trial")))
}
