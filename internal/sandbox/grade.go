package sandbox

import (
	"fmt"
	"strings"
)

// Grade sums up a posture, from the best, GradeA, to the worst, GradeD. The
// values are those of the epoch-open leaf; 0 is not graded.
type Grade uint8

// The grades of a keyholder:
//
//	A  keys in memory that even root cannot read, computed on without a trace,
//	   by a process that has no files and no network, and that a core under the
//	   attacker's control cannot read or trace
//	B  one of these: locked memory instead of memfd_secret; an overwritten stack
//	   instead of runtime/secret; no Landlock. Or the core could open it.
//	C  memory that may be swapped, or two of B, or dumps are possible, or it
//	   cannot be seen whether the process is traced
//	D  no seccomp, or no child at all: for development
const (
	GradeNone Grade = iota
	GradeA
	GradeB
	GradeC
	GradeD
)

// String is the letter.
func (g Grade) String() string {
	if g == GradeNone || g > GradeD {
		return "none"
	}
	return string('A' + rune(g) - 1)
}

// MarshalText is String.
func (g Grade) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// ParseGrade reads a letter.
func ParseGrade(s string) (Grade, error) {
	for g := GradeA; g <= GradeD; g++ {
		if s == g.String() {
			return g, nil
		}
	}
	return GradeNone, fmt.Errorf("sandbox: a grade is A, B, C or D")
}

// Meets reports whether g is as good as the least that is wanted. What is not
// graded meets nothing.
func (g Grade) Meets(least Grade) bool { return g != GradeNone && g <= least }

// Posture is what a child has found out about itself.
type Posture struct {
	Profile Profile
	Probes  []Probe
}

// Probe is that of one measure; a measure that was not taken is unknown.
func (p Posture) Probe(id string) Probe {
	for _, probe := range p.Probes {
		if probe.ID == id {
			return probe
		}
	}
	return Measure(id, StateUnknown, "not measured")
}

// State is that of one measure.
func (p Posture) State(id string) State { return p.Probe(id).State }

// Grade is pure: the same probes have the same grade. A prover holds no key, so
// that only its confinement counts.
func (p Posture) Grade() Grade {
	g := GradeA
	for _, f := range p.faults() {
		g = max(g, f.grade)
	}
	return g
}

// fault is a measure that keeps a posture from grade A, and the grade it leaves.
type fault struct {
	id    string
	grade Grade
}

// faults lists what keeps the posture from grade A. Two of the measures that
// leave B alone leave C together; user and core are not among those.
func (p Posture) faults() (faults []fault) {
	note := func(id string, g Grade) {
		if p.State(id) != StateOK {
			faults = append(faults, fault{id, g})
		}
	}
	if p.Profile == Keyholder {
		memory := GradeC
		if p.State(KeyMemory) == StateWeak { // locked
			memory = GradeB
		}
		note(KeyMemory, memory)
		note(KeyCompute, GradeB)
	}
	note(Landlock, GradeB)
	if len(faults) > 1 {
		for i := range faults {
			faults[i].grade = max(faults[i].grade, GradeC)
		}
	}
	if p.Profile == Keyholder {
		note(Core, GradeB)
	}
	// Who has the user of the core, and not its groups or root, is closed to a
	// core that cannot open it.
	if p.Profile != Keyholder || p.State(User) != StateWeak || p.State(Core) != StateOK {
		note(User, GradeB)
	}
	note(Dumpable, GradeC)
	note(Tracer, GradeC)
	note(NoNewPrivs, GradeD)
	note(Seccomp, GradeD)
	note(SelfTest, GradeD)
	return faults
}

// notInBuild is the value of every measure of a build that takes none.
const notInBuild = "not in this build"

// Shortfall is one sentence about why a posture does not meet the least grade
// and what to do about it; "" if it does. kind names the child. It names what
// left the grade as low as it is, not everything that is not ok.
func (p Posture) Shortfall(kind string, least Grade) string {
	if p.Grade().Meets(least) {
		return ""
	}
	var missing, fixes []string
	for _, f := range p.faults() {
		probe := p.Probe(f.id)
		follows := f.id == SelfTest && missing != nil || probe.Value == notInBuild && f.id != NoNewPrivs
		if f.grade != p.Grade() || follows {
			continue
		}
		missing = append(missing, fmt.Sprintf("%s is %s (%s)", strings.ReplaceAll(probe.ID, "_", " "), probe.State, probe.Value))
		fixes = append(fixes, probe.Remedy)
	}
	return fmt.Sprintf("the %s has protection grade %s but min_grade is %s, because %s: %s",
		kind, p.Grade(), least, strings.Join(missing, " and "), strings.Join(fixes, "; "))
}

// Refusal is a posture that does not meet the least grade, as one sentence.
type Refusal struct{ sentence string }

// Error is the sentence: what is missing and what to do about it.
func (r *Refusal) Error() string { return r.sentence }

// Require returns a [*Refusal] when the posture does not meet the least grade;
// GradeNone asks for nothing.
func (p Posture) Require(kind string, least Grade) error {
	if s := p.Shortfall(kind, least); s != "" && least != GradeNone {
		return &Refusal{s}
	}
	return nil
}
