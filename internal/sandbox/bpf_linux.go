//go:build linux && !cgo

package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rule says what happens to a system call: it is allowed if all checks of one
// of the cases hold. Otherwise the result is a value SECCOMP_RET.
type rule struct {
	call      uint32
	cases     [][]check
	otherwise uint32
}

// check compares an argument as the kernel takes it. Of an int the kernel
// ignores the upper half, so the check does not look at it either.
type check struct {
	arg   int
	value uint64
	long  bool // the kernel takes all 64 bits
}

func isInt(arg int, value uint32) check { return check{arg: arg, value: uint64(value)} }

func isLong(arg int, value uint64) check { return check{arg: arg, value: value, long: true} }

// Offsets in what a filter sees of a call (struct seccomp_data), in bytes. The
// processors that auditArch knows are little-endian.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16
)

// auditArch returns the number by which filters know this processor, 0 if there
// is no filter for it.
func auditArch() uint32 {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64
	default:
		return 0
	}
}

// assemble returns the program of some rules, of which the first for a call
// counts. A call without a rule kills the process, and so does one by the
// convention of another processor. The part of each rule ends in a result:
// whatever it loads, the next rule is reached with the number of the call.
func assemble(rules []rule) []unix.SockFilter {
	parts := []unix.SockFilter{load(offsetCall)}
	for _, r := range rules {
		body := r.body()
		parts = append(append(parts, unless(r.call, len(body))), body...)
	}
	kill := result(unix.SECCOMP_RET_KILL_PROCESS)
	return append(append([]unix.SockFilter{load(offsetArch), onlyIf(auditArch(), 1), kill}, parts...), kill)
}

func (r rule) body() (b []unix.SockFilter) {
	allow := result(unix.SECCOMP_RET_ALLOW)
	for _, checks := range r.cases {
		part := []unix.SockFilter{allow} // from the end, where the distance to the next case is known
		for _, c := range checks {
			at := uint32(offsetArgs + 8*c.arg)
			if c.long {
				part = append([]unix.SockFilter{load(at + 4), unless(uint32(c.value>>32), len(part))}, part...)
			}
			part = append([]unix.SockFilter{load(at), unless(uint32(c.value), len(part))}, part...)
		}
		b = append(b, part...)
	}
	return append(b, result(r.otherwise))
}

// load reads a word of what the filter sees.
func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// unless skips n instructions if the word that was read is another one, onlyIf
// if it is this one.
func unless(word uint32, n int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: word, Jf: short(n)}
}

func onlyIf(word uint32, n int) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: word, Jt: short(n)}
}

func short(n int) uint8 {
	if n > 255 {
		panic("sandbox: internal error: a rule is too long")
	}
	return uint8(n)
}

func result(r uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: r}
}

// install puts a program on every thread of the process. It needs no_new_privs.
func install(p []unix.SockFilter) error {
	if auditArch() == 0 {
		return errors.New("there is none for " + runtime.GOARCH)
	}
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))) //nolint:gosec // the kernel takes an address
	switch {
	case errno != 0:
		return errno
	case thread != 0: // not an error to the kernel, and no thread has it
		return fmt.Errorf("thread %d cannot take it", thread)
	}
	return nil
}
