package anomaly

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// A state is saved as a name with a version, then numbers and texts in a fixed order.
// Decoding is strict: each value has a range, and nothing may follow the last one.

// errState is why a saved state is refused.
var errState = errors.New("anomaly: the saved state is damaged or of another version")

// saver appends values.
type saver struct{ b []byte }

func (s *saver) count(n int)        { s.b = binary.AppendUvarint(s.b, uint64(n)) }
func (s *saver) number(v float64)   { s.b = binary.LittleEndian.AppendUint64(s.b, math.Float64bits(v)) }
func (s *saver) moment(t time.Time) { s.b = binary.AppendVarint(s.b, unix(t)) }

func (s *saver) text(v string) {
	s.count(len(v))
	s.b = append(s.b, v...)
}

// unix returns the seconds of a time, 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// restorer reads what a saver wrote. After an error it returns zeros.
type restorer struct {
	b      []byte
	failed bool
}

// restore returns a restorer of a state with this name.
func restore(b []byte, name string) *restorer {
	r := &restorer{b: b}
	r.failed = r.text(len(name)) != name
	return r
}

// count returns a number from 0 to most.
func (r *restorer) count(most int) int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(most) {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// number returns a number from 0 to most.
func (r *restorer) number(most float64) float64 {
	if len(r.b) < 8 {
		r.failed, r.b = true, nil
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	if !(v >= 0 && v <= most) { // NaN is not
		r.failed = true
		return 0
	}
	return v
}

// moment returns a time from 1970 on, the zero time for 0.
func (r *restorer) moment() time.Time {
	v, n := binary.Varint(r.b)
	if n <= 0 || v < 0 || v > 1<<40 {
		r.failed, r.b = true, nil
		return time.Time{}
	}
	r.b = r.b[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(v, 0).UTC()
}

// text returns a text of at most this many bytes.
func (r *restorer) text(most int) string {
	n := r.count(most)
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return ""
	}
	v := string(r.b[:n])
	r.b = r.b[n:]
	return v
}

// end returns an error unless everything was read and in its range.
func (r *restorer) end() error {
	if r.failed || len(r.b) > 0 {
		return errState
	}
	return nil
}

// Bounds of saved values.
const (
	mostText   = 256
	mostNumber = 1e15
)
