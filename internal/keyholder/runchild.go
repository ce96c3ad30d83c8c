package keyholder

import (
	"errors"
	"strconv"
	"syscall"

	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/sandbox"
)

// childPrefix and a kind make the first argument of a child; the second is the
// user id of [Programs].
const childPrefix = "internal-"

// Exit statuses of a child, as the package comment lists them.
const (
	exitOK         = 0
	exitPanic      = 2 // also of the Go runtime
	exitMalformed  = 3
	exitForeign    = 4
	exitSelfCheck  = 5
	exitSocketFail = 6
	exitTraced     = 7
)

// RunChild runs the program that the arguments of a process ask for: with
// "internal-signer" or "internal-tagger" and a user id as the only arguments it
// serves descriptor 3 until that ends, and returns the exit status and true. Any other
// arguments are not for it. It belongs first in main and, for packages whose
// tests need a signer or a tagger, first in TestMain, so that the test binary
// is its own child:
//
//	func TestMain(m *testing.M) {
//		if status, ok := keyholder.RunChild(os.Args); ok {
//			os.Exit(status)
//		}
//		os.Exit(m.Run())
//	}
func RunChild(args []string) (status int, ok bool) {
	if len(args) != 3+knownArgs {
		return 0, false
	}
	program := SignerMain
	switch args[1] {
	case childPrefix + kindSigner:
	case childPrefix + kindTagger:
		program = TaggerMain
	default:
		return 0, false
	}
	uid, err := strconv.ParseUint(args[2], 10, 31)
	if err != nil {
		return 0, false
	}
	sock, ok := process.Begin()
	if !ok {
		return exitPanic, true
	}
	return exitStatus(program(sock, int(uid))), true
}

// exitStatus maps what a program returned. A socket that broke because the core
// went away without reading everything is its end.
func exitStatus(err error) int {
	switch {
	case err == nil, errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return exitOK
	case errors.Is(err, errMalformed):
		return exitMalformed
	case errors.Is(err, errForeign):
		return exitForeign
	case errors.Is(err, errSelfCheck):
		return exitSelfCheck
	case errors.Is(err, sandbox.ErrTraced):
		return exitTraced
	default:
		return exitSocketFail
	}
}

// exitText says how a child ended, for the log.
func exitText(end process.End) string {
	switch end.Code {
	case exitMalformed:
		return "refused a malformed frame"
	case exitForeign:
		return "refused a payload of another epoch"
	case exitSelfCheck:
		return "its own signature did not verify"
	case exitSocketFail:
		return "its socket failed"
	case exitTraced:
		return "it is traced, by a debugger or strace"
	default:
		return end.Text
	}
}
