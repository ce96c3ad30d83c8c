package keyholder

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a started process and the core's end of its socket.
type child struct {
	process *os.Process
	sock    *os.File
	ended   <-chan *os.ProcessState // one value, when it is reaped
}

// spawn starts a program with an empty environment, /dev/null as its standard
// streams, the root as its directory and one socket, nothing else. The kernel
// kills it with the thread that started it, which therefore waits for it.
func spawn(cfg Config, kind string) (*child, error) {
	core, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// Whatever this process was given without close-on-exec stays here.
	if err := unix.CloseRange(childSocket, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		cfg.Log.Warn("descriptors cannot be kept from the child", "err", err)
	}
	cmd := &exec.Cmd{
		Path:        cfg.Executable,
		Args:        append([]string{"td"}, cfg.Args(kind)...),
		Env:         []string{},
		Dir:         "/",
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	started := make(chan error)
	ended := make(chan *os.ProcessState, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says it all
			ended <- cmd.ProcessState
		}
	}()
	if err := <-started; err != nil {
		_ = core.Close()
		return nil, fmt.Errorf("keyholder: start %s: %w", kind, err)
	}
	return &child{process: cmd.Process, sock: tap(core, kind), ended: ended}, nil
}

// socketpair gives the core's end, which does not block its thread, and the
// child's, which does: a child has no poller.
func socketpair() (core, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("keyholder: socketpair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "child")
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("keyholder: socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "core"), theirs, nil
}

// sinceBoot is CLOCK_BOOTTIME: it runs on while the machine sleeps and is never
// set.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("keyholder: internal error: no boot clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}
