//go:build !linux

package sandbox

import "os"

// EndText says how a process ended, for the log.
func EndText(state *os.ProcessState) string { return state.String() }
