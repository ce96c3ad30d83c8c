//go:build !linux || cgo

package sandbox

import "slices"

// Enter takes little away in this build: only on Linux and without cgo can a Go
// program restrict every thread of its own. The posture says so.
func Enter(cfg Config) (Posture, error) {
	whole, err := wholeProcess(cfg.MaxFile)
	if err != nil {
		return Posture{}, err
	}
	probes := slices.Concat(cfg.Before, whole)
	for _, id := range []string{NoNewPrivs, User, ParentDeath, HugePages, Landlock, Seccomp, SelfTest} {
		probes = append(probes, Measure(id, StateMissing, notInBuild))
	}
	return Posture{Profile: cfg.Profile, Probes: probes}, nil
}
