//go:build linux && cgo

package sandbox

import "golang.org/x/sys/unix"

// wholeProcess is what holds for all threads at once: no core file, no debugger.
func wholeProcess() (probes []Probe) {
	note(&probes, Limits, limit(unix.RLIMIT_CORE, unix.RLIMIT_FSIZE), "core 0, file size 0")
	note(&probes, Dumpable, notDumpable(), "0")
	return probes
}
