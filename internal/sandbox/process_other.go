//go:build !linux

package sandbox

// wholeProcess knows nothing to do on this system.
func wholeProcess(uint64) ([]Probe, error) {
	return []Probe{Measure(Limits, StateMissing, notInBuild), Measure(Dumpable, StateMissing, notInBuild), Measure(Tracer, StateMissing, notInBuild)}, nil
}
