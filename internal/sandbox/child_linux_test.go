//go:build linux && !cgo

package sandbox_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// child is the program of the children of these tests. Its words are steps:
//
//	deny CALLS    an outer filter refuses the calls, separated by commas, with
//	              EPERM; then the program is executed again with the other words
//	enter UID     enters the sandbox of a keyholder and writes the posture
//	work          what a Go program does: threads, collections, timers, random
//	abort         dies by a panic with a core dump, as far as it may
//	core DIR FILE UID locks itself up as a core does, see lockedCore
//	wait          does nothing until its standard input ends
//	call NAME     does something that is not allowed
func child(words []string) int {
	for len(words) > 0 {
		step := words[0]
		words = words[1:]
		switch step {
		case "deny":
			denied := strings.Split(words[0], ",")
			return fault(outer(denied, append([]string{"td", childArgument}, words[1:]...)))
		case "enter":
			uid, _ := strconv.Atoi(words[0])
			words = words[1:]
			posture, err := sandbox.Enter(sandbox.Config{Profile: sandbox.Keyholder, UID: uid})
			if err != nil {
				return fault(err)
			}
			fmt.Print(posture.Text())
		case "core":
			uid, _ := strconv.Atoi(words[2])
			return lockedCore(words[0], words[1], uid)
		case "wait":
			_, _ = io.Copy(io.Discard, os.Stdin)
		case "work":
			work()
		case "abort":
			debug.SetTraceback("crash")
			panic("on purpose")
		case "call":
			forbidden()[words[0]]()
			words = words[1:]
		}
	}
	fmt.Println("end")
	return 0
}

func fault(err error) int {
	fmt.Println("fault:", err)
	return 1
}

// outer refuses calls to this process and to what it executes.
func outer(denied, args []string) error {
	group := seccomp.SyscallGroup{Action: seccomp.ActionErrno | seccomp.Action(unix.EPERM)}
	for _, name := range denied {
		if name == "seccomp" {
			group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{
				Name: "prctl", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: unix.PR_SET_SECCOMP}},
			})
		}
		if name == "prctl" {
			group.NamesWithCondtions = append(group.NamesWithCondtions, seccomp.NameWithConditions{
				Name: "prctl", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: unix.PR_SET_DUMPABLE}},
			})
			continue
		}
		group.Names = append(group.Names, name)
	}
	if err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy:     seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}},
	}); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", args, nil)
}

// work makes new threads, collects garbage, waits for timers and draws random
// numbers, as the signer does all day.
func work() {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			runtime.LockOSThread() // ends its thread when it returns
			var keep [][]byte
			for range 50 {
				b := make([]byte, 1<<20)
				_, _ = randRead(b[:64])
				keep = append(keep[max(0, len(keep)-3):], b)
			}
			runtime.KeepAlive(keep)
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		runtime.GC()
	}
	all.Wait()
	debug.FreeOSMemory()
}

// forbidden are things that the filter kills for.
func forbidden() map[string]func() {
	call := func(number uintptr, args ...uintptr) func() {
		return func() {
			var a [6]uintptr
			copy(a[:], args)
			_, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
			fmt.Println("survived:", errno)
		}
	}
	const page = 4096
	return map[string]func(){
		"mprotect":     call(unix.SYS_MPROTECT, 0, page, unix.PROT_READ|unix.PROT_EXEC),
		"mmap_exec":    call(unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON, ^uintptr(0)),
		"kill":         call(unix.SYS_KILL, uintptr(os.Getppid())),
		"tgkill_other": call(unix.SYS_TGKILL, uintptr(os.Getppid()), uintptr(os.Getppid())),
		"connect":      call(unix.SYS_CONNECT),
		"socketpair":   call(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM),
		"recvmsg":      call(unix.SYS_RECVMSG, 3),
		"sendmsg":      call(unix.SYS_SENDMSG, 3),
		"ioctl":        call(unix.SYS_IOCTL, 0, unix.TIOCSTI),
		"fcntl":        call(unix.SYS_FCNTL, 1, unix.F_GETFL),
		"dup":          call(unix.SYS_DUP, 1),
		"prctl":        call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1),
		"fork":         call(unix.SYS_CLONE, uintptr(unix.SIGCHLD)),
		"clone3":       call(unix.SYS_CLONE3),
		"execveat":     call(unix.SYS_EXECVEAT),
		"openat2":      call(unix.SYS_OPENAT2),
		"setuid":       call(unix.SYS_SETUID),
		"dodump":       call(unix.SYS_MADVISE, 0, page, unix.MADV_DODUMP),
		"bpf":          call(unix.SYS_BPF),
		"io_uring":     call(unix.SYS_IO_URING_SETUP, 1),
		"pidfd_open":   call(unix.SYS_PIDFD_OPEN, 1),
		"vm_writev":    call(unix.SYS_PROCESS_VM_WRITEV, 1),
		"userfaultfd":  call(unix.SYS_USERFAULTFD),
		"unshare":      call(unix.SYS_UNSHARE, unix.CLONE_NEWUSER),
		"munlockall":   call(unix.SYS_MUNLOCKALL),
	}
}
