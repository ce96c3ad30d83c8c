//go:build linux && !cgo

package sandbox

import (
	"fmt"
	"os"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// common are the system calls of the Go runtime and of reading and writing on
// sockets, found by tracing; nothing here opens, connects or starts anything.
func common() []string {
	return []string{
		"read", "write", "close",
		"futex", "nanosleep", "clock_nanosleep", "clock_gettime", "sched_yield", "restart_syscall",
		"munmap", "getpid", "gettid",
		"rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "sigaltstack",
		"epoll_pwait", "epoll_ctl",
		"set_robust_list", "rseq", "exit", "exit_group", "getrandom",
	}
}

// probed are the system calls that fail with EPERM instead of killing, so that
// the self-test can try them.
func probed() []string {
	return []string{"openat", "socket", "execve", "ptrace", "process_vm_readv"}
}

// conditional are system calls that are allowed with some arguments only.
func conditional() []seccomp.NameWithConditions {
	has := func(arg uint32, op seccomp.Operation, value uint64) seccomp.Condition {
		return seccomp.Condition{Argument: arg, Operation: op, Value: value}
	}
	return []seccomp.NameWithConditions{
		{Name: "clone", Conditions: seccomp.ArgumentConditions{has(0, seccomp.BitsSet, unix.CLONE_THREAD|unix.CLONE_VM)}},
		{Name: "mmap", Conditions: seccomp.ArgumentConditions{has(2, seccomp.BitsNotSet, unix.PROT_EXEC)}},
		{Name: "tgkill", Conditions: seccomp.ArgumentConditions{has(0, seccomp.Equal, uint64(os.Getpid()))}},
		// What was taken out of dumps and forks stays out.
		{Name: "madvise", Conditions: seccomp.ArgumentConditions{
			has(2, seccomp.NotEqual, unix.MADV_DODUMP), has(2, seccomp.NotEqual, unix.MADV_DOFORK), has(2, seccomp.NotEqual, unix.MADV_KEEPONFORK),
		}},
		// The runtime gives names to its mappings where the kernel knows that.
		{Name: "prctl", Conditions: seccomp.ArgumentConditions{has(0, seccomp.Equal, unix.PR_SET_VMA), has(1, seccomp.Equal, unix.PR_SET_VMA_ANON_NAME)}},
	}
}

// connections are what a prover needs to take connections from its socket.
func connections() ([]string, []seccomp.NameWithConditions) {
	conditions := make([]seccomp.NameWithConditions, 0, 5)
	for _, command := range []uint64{unix.F_DUPFD_CLOEXEC, unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD} {
		conditions = append(conditions, seccomp.NameWithConditions{
			Name:       "fcntl",
			Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: command}},
		})
	}
	return []string{"recvmsg", "getsockopt", "getsockname", "getpeername", "shutdown"}, conditions
}

// filter admits the system calls of a profile on every thread.
func filter(profile Profile) Probe {
	names, conditions := common(), conditional()
	if profile == Prover {
		more, conditional := connections()
		names, conditions = append(names, more...), append(conditions, conditional...)
	}
	err := seccomp.LoadFilter(seccomp.Filter{
		Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionKillProcess,
			Syscalls: []seccomp.SyscallGroup{
				{Names: names, NamesWithCondtions: conditions, Action: seccomp.ActionAllow},
				{Names: probed(), Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)},
			},
		},
	})
	if err != nil {
		return Measure(Seccomp, StateMissing, "filter not loaded: "+reason(err))
	}
	return Measure(Seccomp, StateOK, fmt.Sprintf("%s allowed, others kill", plural(len(names)+5, "system call")))
}
