//go:build linux && !cgo

package sandbox_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// child is the program of the children of these tests. Its words are steps:
//
//	deny CALLS    an outer filter refuses the calls, separated by commas, with
//	              EPERM; then the program is executed again with the other words
//	enter UID     enters the sandbox of a keyholder and writes the posture
//	prover        enters that of a prover
//	notifier      enters that of a notifier
//	sockets       makes the sockets that a notifier must not have, and writes which it got
//	thread        starts a thread, writes its id and waits for a line
//	clutter       opens what no child should have
//	descriptors   waits for a line
//	work          what a Go program does: threads, collections, timers, random
//	abort         ends by a panic with a core dump, as far as it may
//	core DIR FILE UID locks itself up as a core does, see lockedCore
//	wait          does nothing until its standard input ends
//	call NAME     does something that is killed for
//	refused       does all that is refused, and writes what was not
//	admitted      does what is allowed, and writes what was not
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
			if err := enter(sandbox.Config{Profile: sandbox.Keyholder, UID: uid}); err != nil {
				return fault(err)
			}
		case "prover":
			if err := enter(sandbox.Config{Profile: sandbox.Prover}); err != nil {
				return fault(err)
			}
		case "notifier":
			if err := enter(sandbox.Config{Profile: sandbox.Notifier, MaxFile: page}); err != nil {
				return fault(err)
			}
		case "thread":
			thread := make(chan int)
			go func() {
				runtime.LockOSThread()
				thread <- unix.Gettid()
				select {}
			}()
			fmt.Println(<-thread)
			line()
		case "clutter":
			for _, name := range []string{"/dev/null", "/proc/self/exe", "/"} {
				if _, err := unix.Open(name, unix.O_RDONLY, 0); err != nil {
					return fault(err)
				}
			}
			if _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
				return fault(err)
			}
		case "descriptors":
			line()
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
			try, ok := forbiddenToProvers()[words[0]] // those of a notifier are among them
			if !ok {
				try = forbidden()[words[0]]
			}
			fmt.Println("trying")
			try()
			words = words[1:]
		case "refused":
			refused()
		case "admitted":
			admitted()
		case "sockets":
			sockets()
		}
	}
	fmt.Println("end")
	return 0
}

func enter(cfg sandbox.Config) error {
	posture, err := sandbox.Enter(cfg)
	fmt.Print(posture.Text())
	return err
}

// line waits for a line on standard input.
func line() { _, _ = os.Stdin.Read(make([]byte, 1)) }

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
	// More threads that draw random numbers than the runtime has states for.
	var drawn, draw sync.WaitGroup
	draw.Add(1)
	for range 64 {
		drawn.Add(1)
		all.Go(func() {
			runtime.LockOSThread()
			_, _ = randRead(make([]byte, 8))
			drawn.Done()
			draw.Wait()
		})
	}
	drawn.Wait()
	draw.Done()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		runtime.GC()
	}
	all.Wait()
	debug.FreeOSMemory()
}

// page is the length of what is mapped and advised here.
const page = 4096

// above is a bit that the kernel does not see in an argument that it takes as
// int.
const above = 1 << 40

// call makes a system call of up to six arguments.
func call(number uintptr, args ...uintptr) syscall.Errno {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	return errno
}

// forbidden are calls that the filter kills for. Nothing is called before one
// of them is.
func forbidden() map[string]func() {
	all := map[string]func(){}
	kills := func(name string, number uintptr, args ...uintptr) {
		all[name] = func() { fmt.Println("survived:", call(number, args...)) }
	}
	const anon, none = unix.MAP_PRIVATE | unix.MAP_ANON, ^uintptr(0)
	kills("mprotect", unix.SYS_MPROTECT, 0, page, unix.PROT_READ|unix.PROT_EXEC)
	kills("pkey_mprotect", unix.SYS_PKEY_MPROTECT, 0, page, unix.PROT_READ|unix.PROT_EXEC, none)
	for name, prot := range map[string]uintptr{
		"exec": unix.PROT_EXEC, "read exec": unix.PROT_READ | unix.PROT_EXEC, "write exec": unix.PROT_WRITE | unix.PROT_EXEC,
		"read": unix.PROT_READ, "above": above | unix.PROT_READ | unix.PROT_WRITE,
		// Numbers of calls that are allowed.
		"madvise": 28, "read of arm64": 63, "gettid": unix.SYS_GETTID, "write": unix.SYS_WRITE,
	} {
		kills("mmap "+name, unix.SYS_MMAP, 0, page, prot, anon, none)
	}
	for name, flags := range map[string]uintptr{
		"shared": unix.MAP_SHARED | unix.MAP_ANON, "of a file": unix.MAP_PRIVATE, "huge": anon | unix.MAP_HUGETLB,
		"down": anon | unix.MAP_GROWSDOWN, "locked": anon | unix.MAP_LOCKED, "above": above | anon,
	} {
		kills("mmap "+name+" flags", unix.SYS_MMAP, 0, page, unix.PROT_READ|unix.PROT_WRITE, flags, none)
	}
	for name, op := range map[string]uintptr{
		"shared wait": 0, "shared wake": 1, "lock": 6 | 128, "requeue": 12 | 128, "other clock": 128 | 256, "lock above": above | 6 | 128,
	} {
		kills("futex "+name, unix.SYS_FUTEX, 0, op)
	}
	for name, option := range map[string]uintptr{
		"dumpable": unix.PR_SET_DUMPABLE, "dumpable above": above | unix.PR_SET_DUMPABLE, "ptracer": unix.PR_SET_PTRACER, "mm": unix.PR_SET_MM,
	} {
		kills("prctl "+name, unix.SYS_PRCTL, option, 1)
	}
	kills("prctl vma", unix.SYS_PRCTL, unix.PR_SET_VMA, 1)
	kills("prctl vma above", unix.SYS_PRCTL, unix.PR_SET_VMA, above|unix.PR_SET_VMA_ANON_NAME)
	for name, number := range map[string]uintptr{
		"kill": unix.SYS_KILL, "tkill": unix.SYS_TKILL, "tgkill": unix.SYS_TGKILL, "rt_sigqueueinfo": unix.SYS_RT_SIGQUEUEINFO,
		"rt_tgsigqueueinfo": unix.SYS_RT_TGSIGQUEUEINFO, "pidfd_send_signal": unix.SYS_PIDFD_SEND_SIGNAL, "pidfd_open": unix.SYS_PIDFD_OPEN,
		"setuid": unix.SYS_SETUID, "munlockall": unix.SYS_MUNLOCKALL, "connect": unix.SYS_CONNECT,
		"dup": unix.SYS_DUP, "execveat": unix.SYS_EXECVEAT, "openat2": unix.SYS_OPENAT2, "bpf": unix.SYS_BPF, "io_uring": unix.SYS_IO_URING_SETUP,
		"vm_writev": unix.SYS_PROCESS_VM_WRITEV, "userfaultfd": unix.SYS_USERFAULTFD, "process_madvise": unix.SYS_PROCESS_MADVISE,
		"memfd_create": unix.SYS_MEMFD_CREATE, "mremap": unix.SYS_MREMAP, "shmat": unix.SYS_SHMAT, "setns": unix.SYS_SETNS,
		"seccomp": unix.SYS_SECCOMP, "rseq": unix.SYS_RSEQ, "set_robust_list": unix.SYS_SET_ROBUST_LIST, "getppid": unix.SYS_GETPPID,
	} {
		kills(name, number, 1, 1)
	}
	kills("tgkill above", unix.SYS_TGKILL, above|1, 1)
	kills("socketpair", unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM)
	kills("recvmsg", unix.SYS_RECVMSG, 3)
	kills("sendmsg", unix.SYS_SENDMSG, 3)
	kills("ioctl", unix.SYS_IOCTL, 0, unix.TIOCSTI)
	kills("fcntl", unix.SYS_FCNTL, 1, unix.F_GETFL)
	kills("unshare", unix.SYS_UNSHARE, unix.CLONE_NEWUSER)
	return all
}

// forbiddenToProvers are those besides, which are another matter for a
// keyholder.
func forbiddenToProvers() map[string]func() {
	all := forbidden()
	maps.DeleteFunc(all, func(name string, _ func()) bool { return name == "recvmsg" || name == "fcntl" })
	for name, command := range map[string]uintptr{
		"owner": unix.F_SETOWN, "signal": unix.F_SETSIG, "seals": unix.F_ADD_SEALS, "lease": unix.F_SETLEASE, "owner above": above | unix.F_SETOWN,
	} {
		all["fcntl "+name] = func() { fmt.Println("survived:", call(unix.SYS_FCNTL, 1, command)) }
	}
	return all
}

// forbiddenToNotifiers are those of a prover, but that it connects.
func forbiddenToNotifiers() map[string]func() {
	all := forbiddenToProvers()
	delete(all, "connect")
	return all
}

// sockets makes sockets that are refused, and the four that are not.
func sockets() {
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	for _, family := range []uintptr{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET, unix.AF_VSOCK} {
		for _, kind := range []uintptr{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET} {
			internet, plain := family == unix.AF_INET || family == unix.AF_INET6, kind == unix.SOCK_STREAM || kind == unix.SOCK_DGRAM
			got := call(unix.SYS_SOCKET, family, kind|flags, 0)
			if allowed := internet && plain; (got == unix.EPERM) == allowed {
				fmt.Printf("socket %d %d: %v\n", family, kind, got)
			}
			if got := call(unix.SYS_SOCKET, family, kind|flags, 132); got != unix.EPERM {
				fmt.Printf("socket %d %d of another protocol: %v\n", family, kind, got)
			}
		}
	}
	if got := call(unix.SYS_BIND, 0, page, 16); got != unix.EPERM {
		fmt.Println("bind:", got)
	}
	if _, err := os.Stat("/etc/hosts"); !errors.Is(err, unix.EPERM) {
		fmt.Println("stat:", err)
	}
}

// thread are the flags with which the runtime starts one.
func thread() uintptr {
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	if runtime.GOARCH == "amd64" {
		return flags | unix.CLONE_SETTLS
	}
	return flags
}

// refused makes the calls that fail and are survived. Were one of the clones
// not refused, the new process or thread would end the child.
func refused() {
	want := func(errno syscall.Errno, what string, number uintptr, args ...uintptr) {
		if got := call(number, args...); got != errno {
			fmt.Printf("%s: %v, want %v\n", what, got, errno)
		}
	}
	flags := []uintptr{0, unix.CLONE_VM, unix.CLONE_THREAD, unix.CLONE_VM | unix.CLONE_VFORK, uintptr(unix.SIGCHLD), unix.CLONE_VM | uintptr(unix.SIGCHLD)}
	for bit := range 32 {
		flags = append(flags, thread()^1<<bit) // one less, or one more
	}
	for _, f := range flags {
		want(unix.EPERM, fmt.Sprintf("clone %#x", f), unix.SYS_CLONE, f)
		want(unix.EPERM, fmt.Sprintf("clone %#x above", f), unix.SYS_CLONE, above|f)
	}
	allowed := []int{unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_COLLAPSE}
	for advice := range 128 {
		if !slices.Contains(allowed, advice) {
			want(unix.EPERM, fmt.Sprintf("madvise %d", advice), unix.SYS_MADVISE, 0, page, uintptr(advice))
			want(unix.EPERM, fmt.Sprintf("madvise %d above", advice), unix.SYS_MADVISE, 0, page, above|uintptr(advice))
		}
	}
	want(unix.ENOSYS, "clone3", unix.SYS_CLONE3)
	want(unix.EPERM, "open", unix.SYS_OPENAT, uintptr(1))
	want(unix.EPERM, "socket", unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM)
	want(unix.EPERM, "exec", unix.SYS_EXECVE)
	want(unix.EPERM, "ptrace", unix.SYS_PTRACE, unix.PTRACE_TRACEME)
	want(unix.EPERM, "process_vm_readv", unix.SYS_PROCESS_VM_READV)
}

// admitted makes calls that are allowed: with something above their int the
// answer is the same.
func admitted() {
	pid := uintptr(unix.Getpid())
	futex := uintptr(unsafe.Pointer(new(uint32)))
	for what, with := range map[string]func(above uintptr) syscall.Errno{
		"futex":   func(above uintptr) syscall.Errno { return call(unix.SYS_FUTEX, futex, above|129, 1) },
		"madvise": func(above uintptr) syscall.Errno { return call(unix.SYS_MADVISE, 0, 0, above|unix.MADV_DONTNEED) },
		"tgkill":  func(above uintptr) syscall.Errno { return call(unix.SYS_TGKILL, above|pid, above|pid, above) },
		"prctl":   func(above uintptr) syscall.Errno { return call(unix.SYS_PRCTL, above|unix.PR_SET_VMA, 0) },
	} {
		if got, want := with(above), with(0); got != want {
			fmt.Printf("%s: %v, want %v\n", what, got, want)
		}
	}
}
