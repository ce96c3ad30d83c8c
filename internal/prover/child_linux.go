package prover

import (
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/terradourada/td/internal/sandbox"
)

// childSocket is the descriptor of a prover's socket.
const childSocket = 3

// child is a running prover process.
type child struct {
	process *os.Process
	sock    *net.UnixConn // connections are handed over here
	ended   <-chan string // one value, how it ended, when it is reaped
}

// spawn starts the prover with an empty environment, /dev/null as its standard
// streams, the root as its directory and one socket, nothing else. The kernel
// kills it with the thread that started it, which therefore waits for it.
func spawn(cfg *PoolConfig) (*child, error) {
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	sock, err := unixConn(ours)
	if err != nil {
		return nil, err
	}
	// Whatever this process was given without close-on-exec stays here.
	if err := unix.CloseRange(childSocket, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		cfg.Log.Warn("descriptors cannot be kept from the prover", "err", err)
	}
	cmd := &exec.Cmd{
		Path:        cfg.Executable,
		Args:        append([]string{"td"}, cfg.Args...),
		Env:         []string{},
		Dir:         "/",
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	ended, err := start(cmd)
	if err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("prover: starting the prover: %w", err)
	}
	return &child{process: cmd.Process, sock: sock, ended: ended}, nil
}

// start starts cmd on a thread of its own, which waits for it.
func start(cmd *exec.Cmd) (<-chan string, error) {
	started, ended := make(chan error), make(chan string, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says it all
			ended <- sandbox.EndText(cmd.ProcessState)
		}
	}()
	return ended, <-started
}
