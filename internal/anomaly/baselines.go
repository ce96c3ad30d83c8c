package anomaly

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// What is usual survives a restart as one state: that of each detector, and the thresholds
// that feedback has raised. Marks of proofs do not, and verdicts in force do not. A state
// holds names of clients, networks as prefixes, and numbers: no secret, no address, and
// nothing of an event. The SHA-256 of a state is its end.

// setState is the name of a saved state.
const setState = "td-anomaly/2"

// mostBlob bounds the state of one detector, in bytes.
const mostBlob = 8 << 20

func (s *saver) blob(b []byte) {
	s.count(len(b))
	s.b = append(s.b, b...)
}

func (r *restorer) blob() []byte {
	n := r.count(mostBlob)
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// stateful is a detector that can be saved.
type stateful interface {
	Save() []byte
	Restore(b []byte) error
}

func (s *Set) stateful() []stateful { return []stateful{s.rates, s.relate, s.profiles, s.provers} }

// statefulText names the detectors of stateful.
var statefulText = [...]Detector{Rate, Correlate, Behaviour, Prover}

// Save returns what is usual.
func (s *Set) Save(now time.Time) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := new(saver)
	w.text(setState)
	w.moment(now)
	w.text(telemetry.Bounded(s.version))
	for _, d := range s.stateful() {
		w.blob(d.Save())
	}
	w.count(len(s.series))
	for i := range s.series {
		w.text(measured[i].name)
		w.blob(s.series[i].save())
	}
	w.count(len(s.raised))
	for key, r := range s.raised {
		w.count(int(key.detector))
		w.text(key.kind)
		w.text(key.scope)
		w.text(key.cause.String())
		w.number(r.by)
		w.moment(r.until)
	}
	return sealed(w.b)
}

// sealed returns a state with its SHA-256.
func sealed(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// unsealed returns a state without its SHA-256, nil if the state is damaged.
func unsealed(b []byte) []byte {
	n := len(b) - sha256.Size
	if n < 0 || sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return nil
	}
	return b[:n:n]
}

// Restore replaces what is usual by a saved state, and returns when that was saved. A state
// that is damaged is refused whole: the set has learned nothing, and the time is zero. Of a
// whole state, a detector or a series that refuses its part begins anew, and the error names
// it. A series that this program does not measure is left out.
func (s *Set) Restore(b []byte) (saved time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget()
	r := restore(unsealed(b), setState)
	saved = r.moment()
	version := r.text(mostText)
	var refused []string
	for i, d := range s.stateful() {
		if blob := r.blob(); !r.failed && d.Restore(blob) != nil {
			refused = append(refused, statefulText[i].String())
		}
	}
	for n := r.count(1024); n > 0 && !r.failed; n-- {
		name, blob := r.text(mostText), r.blob()
		for i := range s.series {
			if measured[i].name == name && !r.failed && s.series[i].restore(blob) != nil {
				refused = append(refused, name)
			}
		}
	}
	raised := make(map[subject]raise)
	for n := r.count(maxRaised); n > 0 && !r.failed; n-- {
		key := subject{detector: Detector(r.count(int(Behaviour))), kind: r.text(mostText), scope: r.text(mostText)}
		key.cause = telemetry.CauseNamed(r.text(mostText))
		raised[key] = raise{r.number(mostNumber), r.moment()}
	}
	if err := r.end(); err != nil {
		s.forget()
		return time.Time{}, fmt.Errorf("what is usual cannot be restored: %w", err)
	}
	s.version, s.raised = version, raised
	if refused != nil {
		return saved, fmt.Errorf("what is usual begins anew for %s: %w", strings.Join(refused, ", "), errState)
	}
	return saved, nil
}

// forget begins with detectors that have learned nothing.
func (s *Set) forget() {
	fresh := NewSet()
	s.rates, s.relate, s.profiles, s.provers, s.series = fresh.rates, fresh.relate, fresh.profiles, fresh.provers, fresh.series
}
