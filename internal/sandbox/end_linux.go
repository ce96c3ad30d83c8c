package sandbox

import (
	"os"
	"syscall"
)

// EndText says how a process ended, for the log. A filter kills with SIGSYS and
// nothing else does, so that this end is told by name: whoever had got into the
// process may have brought it about.
func EndText(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGSYS {
		return "killed by its sandbox for a system call that is not allowed (SIGSYS)"
	}
	return state.String()
}
