package main_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// runDenied starts this program again under a filter that answers EPERM to some
// calls, as an old kernel or the profile of a container does. "memlock" among
// them leaves 64 KiB of memory that can be locked, "root" leaves root, "kill"
// leaves root without CAP_KILL, and "capabilities" its user and nothing else.
func runDenied(denied string) int {
	denied, memlock := cutWord(denied, "memlock")
	denied, root := cutWord(denied, "root")
	denied, kill := cutWord(denied, "kill")
	denied, capabilities := cutWord(denied, "capabilities")
	runtime.LockOSThread() // the one that executes
	for c := range uintptr(64) {
		if capabilities || kill && c == unix.CAP_KILL {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
	}
	if memlock {
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10})
	}
	if root && os.Geteuid() == 0 {
		_, _ = syscall.Setresgid(ordinary, ordinary, ordinary), syscall.Setresuid(ordinary, ordinary, ordinary)
	}
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

// ordinary is a user without rights.
const ordinary = 1000

// cutWord takes a word out of a list; a list that is empty then denies a call
// that no program makes.
func cutWord(list, word string) (rest string, found bool) {
	words := strings.Split(list, ",")
	rest = strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == word }), ",")
	if rest == "" {
		rest = "acct"
	}
	return rest, rest != list
}
