//go:build linux && !cgo

package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asIntruder is the environment variable that puts an intruder into td: it reads
// targets from the descriptor it names, tries to open them from inside the
// process, and writes what came of it.
const asIntruder = "RUN_WITH_INTRUDER"

// intruderArgument makes the test binary an intruder by itself.
const intruderArgument = "intruder"

// attempt is one system call against one process.
type attempt struct {
	means, target string
	number        uintptr
	args          [6]uintptr
}

// tried is an attempt and its outcome.
type tried struct {
	Actor, Means, Target string
	Errno                syscall.Errno // 0 if it succeeded
}

// refused reports whether the kernel said no, and not that it does not
// understand.
func (t tried) refused() bool { return t.Errno == unix.EPERM || t.Errno == unix.EACCES }

// mark is at the same address in every process of this binary.
var mark = [8]byte{'t', 'd'}

// Means that a process has over another one of its user, whatever that one gives up:
// to stop and to end it. None of them opens it.
const (
	signals = "signals"
	limit   = "prlimit"
)

// attempts are all means against the targets. The memory that they point to is
// kept; it is in the heap, which does not move.
func attempts(targets map[string]int) (all []attempt, keep []any) {
	local, remote := make([]byte, len(mark)), uintptr(unsafe.Pointer(&mark[0]))
	from := &unix.Iovec{Base: &local[0], Len: uint64(len(local))}
	to := &[2]uint64{uint64(remote), uint64(len(mark))}
	event := &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_TASK_CLOCK, Bits: unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv}
	event.Size = uint32(unsafe.Sizeof(*event))
	old, head, size, page, node := &unix.Rlimit{}, new(uintptr), new(uintptr), &[1]uintptr{remote &^ 4095}, new(int32)
	info := &[128]byte{}
	keep = []any{local, from, to, event, old, head, size, page, node, info}
	pointer := func(p unsafe.Pointer) uintptr { return uintptr(p) }
	text := func(s string) uintptr {
		b := append([]byte(s), 0)
		keep = append(keep, b)
		return pointer(unsafe.Pointer(&b[0]))
	}
	for _, target := range slices.Sorted(maps.Keys(targets)) {
		pid := uintptr(targets[target])
		try := func(means string, number uintptr, args ...uintptr) {
			a := attempt{means: means, target: target, number: number}
			copy(a.args[:], args)
			all = append(all, a)
		}
		try("ptrace attach", unix.SYS_PTRACE, unix.PTRACE_ATTACH, pid)
		try("ptrace seize", unix.SYS_PTRACE, unix.PTRACE_SEIZE, pid)
		try("process_vm_readv", unix.SYS_PROCESS_VM_READV, pid, pointer(unsafe.Pointer(from)), 1, pointer(unsafe.Pointer(to)), 1)
		try("process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, pid, pointer(unsafe.Pointer(from)), 1, pointer(unsafe.Pointer(to)), 1)
		dir := fmt.Sprintf("/proc/%d/", pid)
		cwd := ^uintptr(99) // AT_FDCWD
		try("/proc/PID/mem", unix.SYS_OPENAT, cwd, text(dir+"mem"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/mem, to write", unix.SYS_OPENAT, cwd, text(dir+"mem"), unix.O_RDWR|unix.O_CLOEXEC)
		try("/proc/PID/maps", unix.SYS_OPENAT, cwd, text(dir+"maps"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/environ", unix.SYS_OPENAT, cwd, text(dir+"environ"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/fd/0", unix.SYS_OPENAT, cwd, text(dir+"fd/0"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/exe", unix.SYS_OPENAT, cwd, text(dir+"exe"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/root", unix.SYS_OPENAT, cwd, text(dir+"root"), unix.O_RDONLY|unix.O_CLOEXEC)
		try("/proc/PID/ns/user", unix.SYS_OPENAT, cwd, text(dir+"ns/user"), unix.O_RDONLY|unix.O_CLOEXEC)
		if fd, err := unix.PidfdOpen(int(pid), 0); err == nil {
			try("pidfd_getfd", unix.SYS_PIDFD_GETFD, uintptr(fd), 0, 0)
			try("setns", unix.SYS_SETNS, uintptr(fd), unix.CLONE_NEWNS|unix.CLONE_NEWNET)
			try("process_madvise", unix.SYS_PROCESS_MADVISE, uintptr(fd), pointer(unsafe.Pointer(to)), 1, unix.MADV_COLD)
			try(signals, unix.SYS_PIDFD_SEND_SIGNAL, uintptr(fd), 0)
		}
		try("perf_event_open", unix.SYS_PERF_EVENT_OPEN, pointer(unsafe.Pointer(event)), pid, ^uintptr(0), ^uintptr(0), unix.PERF_FLAG_FD_CLOEXEC)
		try("kcmp", unix.SYS_KCMP, pid, pid, 0, 3, 3)
		try("get_robust_list", unix.SYS_GET_ROBUST_LIST, pid, pointer(unsafe.Pointer(head)), pointer(unsafe.Pointer(size)))
		try("move_pages", unix.SYS_MOVE_PAGES, pid, 1, pointer(unsafe.Pointer(page)), 0, pointer(unsafe.Pointer(node)))
		try(signals, unix.SYS_KILL, pid, 0)
		try(signals, unix.SYS_TGKILL, pid, pid, 0)
		try(limit, unix.SYS_PRLIMIT64, pid, unix.RLIMIT_CORE, 0, pointer(unsafe.Pointer(old)))
	}
	all = append(all, attempt{
		"perf_event_open of all", "everything", unix.SYS_PERF_EVENT_OPEN,
		[6]uintptr{pointer(unsafe.Pointer(event)), ^uintptr(0), 0, ^uintptr(0), unix.PERF_FLAG_FD_CLOEXEC},
	})
	return all, keep
}

// intrude tries everything from every thread of this process, from a new one,
// and from a process in a user namespace of its own, whose capabilities it has.
// An attempt that does not end alike on every thread ends the process.
func intrude(actor string, targets map[string]int) (results []tried) {
	all, keep := attempts(targets)
	defer runtime.KeepAlive(keep)
	note := func(how string, a attempt, errno syscall.Errno) {
		results = append(results, tried{actor + ", " + how, a.means, a.target, errno})
	}
	for _, a := range all {
		_, _, errno := syscall.AllThreadsSyscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], a.args[4], a.args[5])
		note("every thread", a, errno)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // which ends with the function
		for _, a := range all {
			_, _, errno := syscall.RawSyscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], a.args[4], a.args[5])
			note("a new thread", a, errno)
		}
	}()
	<-done
	for i, errno := range inNamespace(all) {
		note("a namespace of its own", all[i], errno)
	}
	return results
}

// inNamespace makes the attempts in a forked process that has all capabilities
// over a new user namespace; nil if no namespace can be made.
func inNamespace(all []attempt) []syscall.Errno {
	shared, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil || len(all) > len(shared) {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return nil
	}
	if pid == 0 { // no other thread is here: nothing but system calls
		for i := range all {
			a := &all[i]
			_, _, errno := syscall.RawSyscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], a.args[4], a.args[5])
			shared[i] = byte(errno)
		}
		for {
			_, _, _ = syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if _, err := unix.Wait4(int(pid), nil, 0, nil); err != nil {
		return nil
	}
	errnos := make([]syscall.Errno, len(all))
	for i := range errnos {
		errnos[i] = syscall.Errno(shared[i])
	}
	return errnos
}

// harbour runs the intruder of a td that has one.
func harbour() {
	fd, err := strconv.Atoi(os.Getenv(asIntruder))
	if err != nil {
		return
	}
	unix.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "intruder")
	go func() {
		var targets map[string]int
		if json.NewDecoder(pipe).Decode(&targets) == nil {
			_ = json.NewEncoder(pipe).Encode(intrude("core", targets))
		}
	}()
}

// intruder is a process of its own with the credentials it was started with and
// none of the confinement of a child. Its arguments are its name and targets as
// KIND=PID.
func intruder(args []string) int {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	targets := map[string]int{}
	for _, arg := range args[1:] {
		kind, pid, _ := strings.Cut(arg, "=")
		targets[kind], _ = strconv.Atoi(pid)
	}
	all, keep := attempts(targets)
	defer runtime.KeepAlive(keep)
	runtime.LockOSThread()
	var results []tried
	for _, a := range all {
		_, _, errno := syscall.RawSyscall6(a.number, a.args[0], a.args[1], a.args[2], a.args[3], a.args[4], a.args[5])
		results = append(results, tried{args[0], a.means, a.target, errno})
		if errno == 0 && a.number == unix.SYS_PTRACE { // the next one must find it as it was
			pid := int(a.args[1])
			if a.args[0] == unix.PTRACE_ATTACH {
				_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
			} else {
				_ = unix.PtraceInterrupt(pid)
				_, _ = unix.Wait4(pid, nil, unix.WALL, nil)
			}
			_ = unix.PtraceDetach(pid)
		}
	}
	if json.NewEncoder(os.Stdout).Encode(results) != nil {
		return 1
	}
	return 0
}
