//go:build linux && !cgo

package sandbox

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// trials are what a sandboxed process must not be able to do. Arguments that
// are no good keep a trial from having an effect where it is not refused.
var trials = []struct {
	name string
	try  func() error
}{
	{"open", func() error {
		fd, err := unix.Openat(unix.AT_FDCWD, "/", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}},
	{"socket", func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}},
	{"exec", func() error { return raw(unix.SYS_EXECVE) }},
	{"ptrace", func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_CONT) }},
	{"process_vm_readv", func() error { return raw(unix.SYS_PROCESS_VM_READV, uintptr(os.Getpid())) }},
}

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
	var held, open []string
	for _, t := range trials {
		if err := t.try(); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			held = append(held, t.name)
			continue
		}
		open = append(open, t.name)
	}
	if filtered {
		if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_EXECVE, 0, 0, 0); errno != unix.EPERM {
			open = append(open, "exec on every thread")
		}
	}
	if len(open) > 0 {
		return Measure(SelfTest, StateMissing, "not refused: "+strings.Join(open, ", "))
	}
	return Measure(SelfTest, StateOK, "refused: "+strings.Join(held, ", "))
}
