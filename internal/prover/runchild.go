package prover

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/terradourada/td/claim"
)

// childArg is the first argument of the prover's process; the second is the
// number of its workers.
const childArg = "internal-prover"

// Exit statuses of the prover's process.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// RunChild runs the prover if the arguments of a process ask for it, and gives
// the exit status with true. Any other arguments are not for it. It belongs
// first in main and, for packages whose tests need a prover, first in TestMain,
// so that the test binary is its own child:
//
//	if status, ok := prover.RunChild(os.Args); ok {
//		os.Exit(status)
//	}
func RunChild(args []string) (status int, ok bool) {
	if len(args) != 3 || args[1] != childArg {
		return 0, false
	}
	workers, err := strconv.Atoi(args[2])
	sock := os.NewFile(childSocket, "core")
	if info, serr := sock.Stat(); err != nil || workers < 1 || serr != nil || info.Mode()&os.ModeSocket == 0 {
		_, _ = os.Stderr.WriteString("this command is started by the server and cannot be used by hand\n")
		return exitUsage, true
	}
	// Its socket ends it: a Ctrl-C reaches the whole group, and the core may
	// still want a proof while it stops in order.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := serveChild(sock, workers); err != nil {
		return exitError, true
	}
	return exitOK, true
}

// serveChild serves the core until that is gone. The core bounds what waits.
func serveChild(sock *os.File, workers int) error {
	if err := shut(); err != nil {
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
	return Serve(context.Background(), ln, p, Config{Workers: workers})
}
