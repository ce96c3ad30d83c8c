package process

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// self is the running executable, even if its file has been replaced.
const self = "/proc/self/exe"

// Start starts the program of a kind with one end of a socket as its descriptor
// 3; see [command] for what else it gets.
func (d Direct) Start(kind string) (*Child, error) {
	args, ok := d.Programs[kind]
	if !ok {
		return nil, fmt.Errorf("launcher: no program for a child of kind %q", kind)
	}
	core, theirs, err := socketpair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd, err := command(cmp.Or(d.Executable, self), args, theirs)
	if err != nil {
		_ = core.Close()
		return nil, err
	}
	ended, err := start(cmd)
	if err != nil {
		_ = core.Close()
		return nil, fmt.Errorf("launcher: start %s: %w", kind, err)
	}
	return &Child{PID: cmd.Process.Pid, Sock: core, Ended: ended, kill: func() { _ = cmd.Process.Kill() }}, nil
}

// command is a program with an empty environment, /dev/null as its standard
// streams, the root as its directory and one socket, nothing else. Whatever this
// process was given without close-on-exec stays here.
func command(path string, args []string, sock *os.File) (*exec.Cmd, error) {
	if err := closeOnExec(); err != nil {
		return nil, fmt.Errorf("launcher: descriptors cannot be kept from a child: %w", err)
	}
	return &exec.Cmd{
		Path:        path,
		Args:        append([]string{"td"}, args...),
		Env:         []string{},
		Dir:         "/",
		ExtraFiles:  []*os.File{sock},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}, nil
}

// closeOnExec keeps every descriptor but the standard streams from programs that
// are started, also where the kernel has no close_range.
func closeOnExec() error {
	if unix.CloseRange(ChildSocket, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	return closeEachOnExec()
}

func closeEachOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= ChildSocket {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// start starts cmd on a thread of its own, which waits for it: the kernel kills
// the process with the thread that started it.
func start(cmd *exec.Cmd) (<-chan End, error) {
	started, ended := make(chan error), make(chan End, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says it all
			ended <- End{cmd.ProcessState.ExitCode(), sandbox.EndText(cmd.ProcessState)}
		}
	}()
	return ended, <-started
}

// Socket returns the socket that this process was started with. The error, if there
// is none, is written for a user who started the process by hand. The socket is
// non-blocking: a thread that is blocked in a read wakes the Go runtime's monitor,
// in a signer under load more than once for each anchor.
func Socket() (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(ChildSocket, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errByHand
	}
	if err := unix.SetNonblock(ChildSocket, true); err != nil {
		return nil, err
	}
	return os.NewFile(ChildSocket, "core"), nil
}

// socketpair returns the core's end, which does not block its thread, and the
// other as a child is given it.
func socketpair(kind int) (core, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("launcher: socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "child")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("launcher: socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "core"), theirs, nil
}
