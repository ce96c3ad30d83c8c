//go:build linux && !cgo

package sandbox

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// What becomes of a call that is not allowed.
const (
	kills  = unix.SECCOMP_RET_KILL_PROCESS
	denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS) // as if the kernel did not know it
)

// rules are those of a profile. A call without a rule kills.
func rules(profile Profile) []rule {
	all, calls := conditional(), common()
	switch profile {
	case Keyholder:
	case Prover:
		calls = append(calls, connections()...)
		calls = append(calls, unix.SYS_RECVMSG)
	case Notifier:
		calls = append(calls, connections()...)
		calls = append(calls, unix.SYS_CONNECT, unix.SYS_SETSOCKOPT, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_FDATASYNC, unix.SYS_UNAME)
		all = append(all, internetSockets(), rule{statAt, nil, denied}, rule{unix.SYS_BIND, nil, denied})
	}
	if profile != Keyholder {
		all = append(all, rule{unix.SYS_FCNTL, anyOf(1, unix.F_DUPFD_CLOEXEC, unix.F_GETFL, unix.F_SETFL), kills})
	}
	all = append(all, refused()...) // the first rule of a call counts
	for _, call := range calls {
		all = append(all, rule{call, [][]check{{}}, kills})
	}
	return all
}

// common are the system calls of the Go runtime and of reading and writing on
// sockets, found by tracing; nothing here opens, connects or starts anything.
func common() []uint32 {
	return []uint32{
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_CLOSE,
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_SCHED_YIELD, unix.SYS_RESTART_SYSCALL,
		unix.SYS_MUNMAP, unix.SYS_GETPID, unix.SYS_GETTID,
		unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK,
		unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL,
		unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_GETRANDOM,
	}
}

// connections are system calls on connections that the process has.
func connections() []uint32 {
	return []uint32{unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SHUTDOWN}
}

// internetSockets allows TCP and UDP of both versions of IP, as package net asks for
// them.
func internetSockets() rule {
	r := rule{call: unix.SYS_SOCKET, otherwise: denied}
	for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
		for _, kind := range []uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			r.cases = append(r.cases, []check{isInt(0, family), isInt(1, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK), isInt(2, 0)})
		}
	}
	return r
}

// conditional are system calls of the Go runtime that are allowed with some
// arguments only.
func conditional() []rule {
	const (
		private   = unix.MAP_PRIVATE | unix.MAP_ANON
		droppable = unix.MAP_DROPPABLE | unix.MAP_ANON // states of the vDSO's random numbers
	)
	plain, none := isLong(2, unix.PROT_READ|unix.PROT_WRITE), isLong(2, unix.PROT_NONE)
	return []rule{
		{unix.SYS_FUTEX, anyOf(1, futexWaitPrivate, futexWakePrivate), kills},
		// Memory of its own that is never code.
		{unix.SYS_MMAP, [][]check{
			{plain, isLong(3, private)},
			{plain, isLong(3, private|unix.MAP_FIXED)},
			{plain, isLong(3, droppable)},
			{none, isLong(3, private)},
			{none, isLong(3, private|unix.MAP_FIXED)},
		}, kills},
		// What was taken out of dumps and forks stays out.
		{unix.SYS_MADVISE, anyOf(2, unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE), denied},
		{unix.SYS_CLONE, anyOf(0, threadFlags()), denied},
		{unix.SYS_TGKILL, anyOf(0, uint32(os.Getpid())), kills},
		// The runtime names its mappings where the kernel knows that.
		{unix.SYS_PRCTL, [][]check{{isInt(0, unix.PR_SET_VMA), isLong(1, unix.PR_SET_VMA_ANON_NAME)}}, kills},
	}
}

// refused are system calls that never are allowed and fail instead of killing,
// so that the self-test can try them.
func refused() (all []rule) {
	for _, call := range []uint32{unix.SYS_OPENAT, unix.SYS_SOCKET, unix.SYS_EXECVE, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV} {
		all = append(all, rule{call, nil, denied})
	}
	return append(all, rule{unix.SYS_CLONE3, nil, absent})
}

// Operations of futex(2) on what one process has to itself.
const (
	futexWaitPrivate = 128
	futexWakePrivate = 129
)

// threadFlags are those with which the runtime starts a thread: all of them, and
// no other.
func threadFlags() uint32 {
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	if runtime.GOARCH == "amd64" {
		return flags | unix.CLONE_SETTLS
	}
	return flags
}

// anyOf has a case for each value of an int.
func anyOf(arg int, values ...uint32) (cases [][]check) {
	for _, v := range values {
		cases = append(cases, []check{isInt(arg, v)})
	}
	return cases
}

// filter admits the system calls of a profile on every thread.
func filter(profile Profile) Probe {
	all := rules(profile)
	if err := install(assemble(all)); err != nil {
		return Measure(Seccomp, StateMissing, "filter not loaded: "+reason(err))
	}
	allowed, limited := 0, 0
	for _, r := range all {
		if len(r.cases) > 0 {
			allowed++
		}
		if len(r.cases) > 0 && len(r.cases[0]) > 0 {
			limited++
		}
	}
	return Measure(Seccomp, StateOK, fmt.Sprintf("%s allowed, %d of them with some arguments only", plural(allowed, "system call"), limited))
}
