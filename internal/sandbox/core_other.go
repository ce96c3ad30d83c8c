//go:build !linux || cgo

package sandbox

// EnterCore takes nothing away in this build.
func EnterCore(CoreConfig) ([]Probe, error) {
	return []Probe{Measure(NoNewPrivs, StateMissing, notInBuild), Measure(Core, StateMissing, notInBuild)}, nil
}

// MayBecome reports false in this build.
func MayBecome(int) bool { return false }

// MayNotEnd reports false in this build.
func MayNotEnd() bool { return false }
