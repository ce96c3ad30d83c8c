//go:build linux && cgo

package sandbox

import (
	"fmt"
	"os"
)

// wholeProcess is what holds for all threads at once: no core file, no debugger.
func wholeProcess(maxFile uint64) (probes []Probe, err error) {
	note(&probes, Limits, limitFiles(maxFile), fmt.Sprintf("core 0, file size %d", maxFile))
	note(&probes, Dumpable, notDumpable(), "0")
	tracer, err := traced(os.DirFS("/proc/self"))
	return append(probes, tracer), err
}
