//go:build !linux

package sandbox

import "os"

// EndText returns how a process ended, for the log.
func EndText(state *os.ProcessState) string { return state.String() }
