package anomaly

import (
	"fmt"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// What is usual survives a restart as one state: that of each detector, and the thresholds
// that feedback has raised. Marks of proofs do not, and verdicts in force do not. A state
// holds names of clients, networks as prefixes, and numbers: no secret, no address, and
// nothing of an event.

// setState is the name of a saved state.
const setState = "td-anomaly/1"

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
	return w.b
}

// Restore replaces what is usual by a saved state, and returns when that was saved. After an
// error the set has learned nothing. A series that this program does not measure is left
// out.
func (s *Set) Restore(b []byte) (saved time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := restore(b, setState)
	saved = r.moment()
	version := r.text(mostText)
	for _, d := range s.stateful() {
		if blob := r.blob(); !r.failed {
			r.failed = d.Restore(blob) != nil
		}
	}
	for n := r.count(1024); n > 0 && !r.failed; n-- {
		name, blob := r.text(mostText), r.blob()
		for i := range s.series {
			if measured[i].name == name && !r.failed {
				r.failed = s.series[i].restore(blob) != nil
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
	return saved, nil
}

// forget begins with detectors that have learned nothing.
func (s *Set) forget() {
	fresh := NewSet()
	s.rates, s.relate, s.profiles, s.provers, s.series = fresh.rates, fresh.relate, fresh.profiles, fresh.provers, fresh.series
}
