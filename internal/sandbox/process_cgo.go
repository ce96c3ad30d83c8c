//go:build linux && cgo

package sandbox

import (
	"os"

	"golang.org/x/sys/unix"
)

// wholeProcess is what holds for all threads at once: no core file, no debugger.
func wholeProcess() (probes []Probe, err error) {
	note(&probes, Limits, limit(unix.RLIMIT_CORE, unix.RLIMIT_FSIZE), "core 0, file size 0")
	note(&probes, Dumpable, notDumpable(), "0")
	tracer, err := traced(os.DirFS("/proc/self"))
	return append(probes, tracer), err
}
