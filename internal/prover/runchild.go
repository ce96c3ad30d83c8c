package prover

import (
	"context"
	"net"
	"os"
	"strconv"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// childArg is the first argument of the prover's process; the second is the
// number of its workers, the third the user id it becomes if it is root.
const childArg = "internal-prover"

// Exit statuses of the prover's process.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// RunChild runs the prover if the arguments of a process ask for it, and returns
// the exit status with true. Any other arguments are not for it. It belongs
// first in main and, for packages whose tests need a prover, first in TestMain,
// so that the test binary is its own child:
//
//	if status, ok := prover.RunChild(os.Args); ok {
//		os.Exit(status)
//	}
func RunChild(args []string) (status int, ok bool) {
	if len(args) != 4 || args[1] != childArg {
		return 0, false
	}
	workers, err := strconv.ParseUint(args[2], 10, 31)
	uid, uerr := strconv.ParseUint(args[3], 10, 31)
	if err != nil || uerr != nil || workers < 1 {
		return 0, false
	}
	sock, ok := process.Begin()
	if !ok {
		return exitUsage, true
	}
	if err := serveChild(sock, int(workers), int(uid)); err != nil {
		return exitError, true
	}
	return exitOK, true
}

// handedOver admits every connection: only the core has the other end of the
// socket that they come over, and it may be of another user.
func handedOver(net.Conn) error { return nil }

// serveChild serves the core until the core ends. The core bounds the jobs that
// wait. Assignments pass through this process: it drops everything but its socket
// before it reads from the socket and before it makes other descriptors of it.
func serveChild(sock *os.File, workers, uid int) error {
	posture, err := sandbox.Enter(sandbox.Config{Profile: sandbox.Prover, UID: uid})
	if err != nil {
		return err
	}
	ln, err := newHandoff(sock)
	if err != nil {
		return err
	}
	p, err := claim.NewProver()
	if err != nil {
		return err
	}
	return Serve(context.Background(), ln, p, Config{Workers: workers, Peer: handedOver, Posture: posture.Text()})
}
