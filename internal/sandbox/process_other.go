//go:build !linux

package sandbox

// wholeProcess knows nothing to do on this system.
func wholeProcess() []Probe {
	return []Probe{Measure(Limits, StateMissing, notInBuild), Measure(Dumpable, StateMissing, notInBuild)}
}
