package attest

import (
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/internal/fault"
)

// Policy is the input of a verifier beside the evidence.
type Policy struct {
	// Roots vouch for keys beside the vendors' roots, which are built in. May be
	// nil.
	Roots *Roots
	// At is the time at which certificates must be valid: the opening of the
	// epoch.
	At time.Time
	// Measurements that the quote must show, by name, in lower-case hexadecimal.
	Measurements map[string]string

	vendor vendorRoots // in tests
}

// Verdict is what valid evidence shows.
type Verdict struct {
	Kind         Kind          `json:"kind"`
	State        State         `json:"state"`
	By           string        `json:"by,omitempty"`  // who vouches for the key; with Attested only
	Key          string        `json:"key,omitempty"` // that signed, PEM; to pin it, of a TPM only
	Measurements []Measurement `json:"measurements"`
	Compared     int           `json:"compared"` // number of them compared with the policy's
	Notes        []string      `json:"notes"`    // what was not checked
}

// Measurement is one value that the hardware measured of the running software.
type Measurement struct {
	Name  string `json:"name"`
	Value string `json:"value"` // lower-case hexadecimal
}

// Verify checks that evidence binds report data and is signed, as far as keys
// and roots allow; the verdict's state says how far. It is pure: no device, no
// network. An error is a refusal: malformed_request, too_large or
// proof_rejected. It is proof_rejected if the evidence is about something else,
// has a false signature, shows another measurement than required, or comes from
// a machine that its host may debug.
func Verify(evidence []byte, data ReportData, p Policy) (v *Verdict, err error) {
	e, err := ParseEvidence(evidence)
	if err != nil {
		return nil, err
	}
	// From here on, libraries read bytes that may come from anyone.
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, refuseFor("the evidence has a form that its reader does not withstand", fmt.Errorf("panic: %w", fault.Panicked(r)))
		}
	}()
	switch e.Kind {
	case KindTPM:
		v, err = verifyTPM(e.Parts, data, &p)
	case KindSNP:
		v, err = verifySNP(e.Parts, data, &p)
	default:
		v, err = verifyTDX(e.Parts, data, &p)
	}
	if err != nil {
		return nil, err
	}
	v.Kind = e.Kind
	return v, v.compare(p.Measurements)
}

// compare checks the measurements that the verifier expects.
func (v *Verdict) compare(want map[string]string) error {
	for name, value := range want {
		i := slices.IndexFunc(v.Measurements, func(m Measurement) bool { return m.Name == name })
		if i < 0 {
			return refuse("the quote has no measurement of that name: it has " + v.names())
		}
		if v.Measurements[i].Value != strings.ToLower(value) {
			return refuse("a measurement is not the one that was expected: " + name)
		}
		v.Compared++
	}
	return nil
}

func (v *Verdict) names() string {
	names := make([]string, len(v.Measurements))
	for i, m := range v.Measurements {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

// Sentence returns the verdict for people, in one line.
func (v *Verdict) Sentence() string {
	s := fmt.Sprintf("%s: %s quote that names this epoch", v.State, v.Kind)
	switch v.State {
	case Attested:
		s += ", signed by a key that is vouched for by " + v.By
	case Usable:
		s += ", signed by a key that nothing vouches for"
	default:
		s += "; its signature could not be checked"
	}
	if v.Compared == 0 {
		s += "; no measurement was compared"
	} else {
		s += fmt.Sprintf("; %d of %d measurements as expected", v.Compared, len(v.Measurements))
	}
	if len(v.Notes) > 0 {
		s += "; not checked: " + strings.Join(v.Notes, ", ")
	}
	return s
}

// same compares two byte strings in constant time.
func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
