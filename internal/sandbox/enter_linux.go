//go:build linux && !cgo

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Enter drops everything that the profile of this process does not need, for good,
// and returns the outcome as a posture. An error means that the process must end: it
// is traced ([ErrTraced]), or its parent has ended, so that no process would end this
// one.
//
// What the process opens or starts later fails or ends it: files, children,
// connections.
func Enter(cfg Config) (Posture, error) {
	parent := os.Getppid()
	settle()
	probes := cfg.Before
	kept, held := childSocket, "standard streams, socket, poller"
	if cfg.Profile == Notifier {
		kept, held = childFile, "standard streams, socket, file, poller"
	}
	note(&probes, Descriptors, closeOthers(kept), held)
	probes = append(probes, swapAreas(os.DirFS("/")))
	note(&probes, Limits, errors.Join(limit(unix.RLIMIT_CORE), limitFile(cfg.MaxFile)), fmt.Sprintf("core 0, file size %d", cfg.MaxFile))
	note(&probes, NoNewPrivs, noNewPrivs(), "on every thread")
	probes = append(probes, dropUser(cfg.UID))
	note(&probes, Dumpable, notDumpable(), "0")
	tracer, err := traced(os.DirFS("/proc/self"))
	if err != nil {
		return Posture{}, err
	}
	probes = append(probes, tracer)
	note(&probes, ParentDeath, unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0), "SIGKILL")
	if os.Getppid() != parent {
		return Posture{}, errors.New("sandbox: the parent is gone")
	}
	note(&probes, HugePages, unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0), "off")
	probes = append(probes, restrict(confinement{scoped: true, connects: cfg.Profile == Notifier})) // nothing else that it can hold back is allowed
	if cfg.Profile == Keyholder {
		_ = limit(unix.RLIMIT_NOFILE) // the filter lets nothing open one anyway
	}
	filtered := filter(cfg.Profile)
	probes = append(probes, filtered, selfTest(filtered.State == StateOK))
	return Posture{Profile: cfg.Profile, Probes: probes}, nil
}

// childSocket is the descriptor of a child's socket, the last one that its
// parent passes to it.
const childSocket = 3

// childFile is the descriptor of a notifier's file.
const childFile = 4

// closeOthers closes all descriptors beyond a number but the two of the runtime's
// poller. The runtime has opened files of the control
// group, which it does not read any more (see settle).
func closeOthers(kept int) error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= kept {
			continue
		}
		switch target, err := os.Readlink("/proc/self/fd/" + e.Name()); {
		case err != nil: // of this directory, and closed
		case target == "anon_inode:[eventpoll]", target == "anon_inode:[eventfd]":
		default:
			if err := unix.Close(fd); err != nil {
				return fmt.Errorf("close %s: %w", target, err)
			}
		}
	}
	return nil
}

// settle makes the runtime do now what it would otherwise do later with calls
// that are not on the list.
func settle() {
	debug.SetTraceback("none")                // words of the stack may be secret
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0)) // set by hand it is not read from the cgroup again
	time.NewTimer(time.Hour).Stop()           // opens the poller
}

// noNewPrivs sets the flag on every thread: a filter on a thread without it
// would need privileges, and a thread without a filter is a hole.
func noNewPrivs() error {
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("prctl: %w", errno)
	}
	return nil
}

// dropUser drops root and its groups. A process that is not root keeps its
// user.
func dropUser(uid int) Probe {
	was := os.Geteuid()
	if was != 0 {
		return Measure(User, StateWeak, "user "+strconv.Itoa(was)+", that of the core")
	}
	if uid == 0 {
		return Measure(User, StateMissing, "root, as configured")
	}
	groups := syscall.Setgroups(nil)
	if err := syscall.Setresgid(uid, uid, uid); err != nil {
		return Measure(User, StateMissing, fmt.Sprintf("root, setresgid: %v", err))
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return Measure(User, StateMissing, fmt.Sprintf("root, setresuid: %v", err))
	}
	// An id that the kernel takes for "leave it as it is" changes nothing.
	if r, e, s := unix.Getresuid(); r != uid || e != uid || s != uid {
		return Measure(User, StateMissing, fmt.Sprintf("user %d, not %d", e, uid))
	}
	if r, e, s := unix.Getresgid(); r != uid || e != uid || s != uid {
		return Measure(User, StateMissing, fmt.Sprintf("group %d, not %d", e, uid))
	}
	if groups != nil {
		return Measure(User, StateMissing, fmt.Sprintf("%d, with the groups of root: %v", uid, groups))
	}
	return Measure(User, StateOK, strconv.Itoa(uid)+" instead of root")
}
