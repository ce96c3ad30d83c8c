package sandbox

import (
	"os"
	"syscall"
)

// EndText returns how a process ended, for the log. Only a filter kills with SIGSYS.
// That end has a text of its own: an attacker in the process may have caused it.
func EndText(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGSYS {
		return "killed by its sandbox for a system call that is not allowed (SIGSYS)"
	}
	return state.String()
}
