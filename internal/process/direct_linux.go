package process

import (
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
	core, theirs, err := Pair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	given := []*os.File{theirs}
	if f := d.Files[kind]; f != nil {
		given = append(given, f)
	}
	cmd, err := command(self, args, given...)
	if err != nil {
		_ = core.Close()
		return nil, err
	}
	end, err := start(cmd)
	if err != nil {
		_ = core.Close()
		return nil, fmt.Errorf("launcher: start %s: %w", kind, err)
	}
	return &Child{PID: cmd.Process.Pid, Sock: core, ending: end, kill: func() { _ = cmd.Process.Kill() }}, nil
}

// command is a program with an empty environment, /dev/null as its standard
// streams, the root as its directory and the given descriptors from 3 on, nothing else.
// Whatever this process was given without close-on-exec stays here.
func command(path string, args []string, given ...*os.File) (*exec.Cmd, error) {
	if err := closeOnExec(); err != nil {
		return nil, fmt.Errorf("launcher: descriptors cannot be kept from a child: %w", err)
	}
	return &exec.Cmd{
		Path:        path,
		Args:        append([]string{"td"}, args...),
		Env:         []string{},
		Dir:         "/",
		ExtraFiles:  given,
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
func start(cmd *exec.Cmd) (*ending, error) {
	started, end := make(chan error), newEnding()
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says it all
			end.set(End{cmd.ProcessState.ExitCode(), sandbox.EndText(cmd.ProcessState)})
		}
	}()
	return end, <-started
}
