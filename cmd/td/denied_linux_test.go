package main_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// runDenied starts this program again under a filter that answers EPERM to some
// calls, as an old kernel or the profile of a container does.
func runDenied(denied string) int {
	group := seccomp.SyscallGroup{Names: strings.Split(denied, ","), Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)}
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy:     seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}},
	})
	if err == nil {
		_ = os.Unsetenv(deniedCalls)
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
