//go:build !linux || cgo

package sandbox

// Enter takes nothing away in this build: only on Linux and without cgo can a
// Go program restrict every thread of its own. The posture says so.
func Enter(cfg Config) (Posture, error) {
	probes := cfg.Before
	for _, id := range []string{Limits, NoNewPrivs, User, Dumpable, ParentDeath, HugePages, Landlock, Seccomp, SelfTest} {
		probes = append(probes, Measure(id, StateMissing, notInBuild))
	}
	return Posture{Profile: cfg.Profile, Probes: probes}, nil
}
