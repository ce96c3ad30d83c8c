package process

import (
	"errors"
	"os"
)

// Argument is the first argument of a launcher.
const Argument = "internal-launcher"

// ChildSocket is the descriptor of a child's socket.
const ChildSocket = 3

var errByHand = errors.New("this command is started by the server and cannot be used by hand")

// Child is a started process.
type Child struct {
	PID   int
	Sock  *os.File   // the core's end of its socket; does not block its thread
	Ended <-chan End // one value, when it is reaped
	kill  func()
}

// Kill ends the child by SIGKILL; it does nothing if the child has ended.
func (c *Child) Kill() { c.kill() }

// End is how a child ended.
type End struct {
	Code int    // its exit status; -1 if a signal ended it or it is not known
	Text string // the same in words, for the log
}

// Direct starts children from this process, whose user and privileges they
// have: for tests, for tools, and for the launcher itself.
type Direct struct {
	// Executable is the absolute path of the program; empty is the running one,
	// even if its file has been replaced meanwhile.
	Executable string

	// Programs are the arguments behind the program's name for each kind.
	Programs map[string][]string
}
