package claim

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/terradourada/td/protocol"
)

// Limits of the members scale and offset (section 6).
const (
	maxScale  = 18
	maxOffset = 1<<53 - 1
)

// scaling turns a number x of an event into the integer x·10^scale + offset.
type scaling struct {
	scale  int
	offset int64
}

// parseScaling reads the members scale and offset; a claim without an offset
// passes nil for it.
func parseScaling(scale, offset value) (scaling, bool) {
	n, ok := scale.integer(maxScale)
	if !ok || n < 0 {
		return scaling{}, false
	}
	s := scaling{scale: int(n)}
	if offset != nil {
		s.offset, ok = offset.integer(maxOffset)
	}
	return s, ok
}

// integer reads a number that is an integer with |n| <= limit. In canonical
// form such a number below 10^21 is written without fraction and exponent.
func (v value) integer(limit int64) (int64, bool) {
	if !v.isNumber() {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil && -limit <= n && n <= limit
}

func errScaling() error {
	return protocol.Failf(protocol.CodeMalformedRequest,
		"scale is not an integer from 0 to %d or offset not an integer below 2^53", maxScale)
}

// bounds converts a pair of bounds and checks that they are in order.
func (s scaling) bounds(lo, hi value, bits int) (uint64, uint64, error) {
	l, err := s.bound(lo, bits)
	if err != nil {
		return 0, 0, err
	}
	h, err := s.bound(hi, bits)
	if err != nil {
		return 0, 0, err
	}
	if l > h {
		return 0, 0, malformed("a lower bound is above its upper bound")
	}
	return l, h, nil
}

// wideBound returns the number in a bound of record-range/1 that is written as
// a text. Such a text is a plain decimal that no JSON number can hold, because
// section 4 refuses numbers that a float64 does not hold. Anything else is
// returned as it is, and [scaling.bound] refuses texts; so each bound has one
// form.
func wideBound(v value) value {
	s, ok := v.text()
	if !ok || !isPlainDecimal(s) {
		return v
	}
	if _, err := protocol.Canonicalize([]byte(`{"":` + s + `}`)); err == nil {
		return v
	}
	return value(s)
}

// isPlainDecimal reports whether s is a JSON number without exponent whose
// fraction does not end in 0.
func isPlainDecimal(s string) bool {
	padded := strings.Contains(s, ".") && strings.HasSuffix(s, "0")
	return strings.Trim(s, "-.0123456789") == "" && json.Valid([]byte(s)) && !padded
}

// bound converts a public number by the rule of the values.
func (s scaling) bound(v value, bits int) (uint64, error) {
	if !v.isNumber() {
		return 0, errMembers()
	}
	n, ok := s.apply(string(v), bits)
	if !ok {
		return 0, protocol.Failf(protocol.CodeMalformedRequest,
			"a bound is not an integer below 2^%d after scale and offset", bits)
	}
	return n, nil
}

// number converts a number of the event.
func (s scaling) number(v value, bits int) (uint64, error) {
	if !v.isNumber() {
		return 0, notEncodable("a value that the parameters name is not a number")
	}
	n, ok := s.apply(string(v), bits)
	if !ok {
		return 0, protocol.Failf(protocol.CodeEventNotEncodable,
			"a value that the parameters name is not an integer below 2^%d after scale and offset", bits)
	}
	return n, nil
}

// numbers converts the numbers of the event that pointers name, into slots.
func (s scaling) numbers(event value, at []pointer, slots []uint32) error {
	for i, p := range at {
		v, ok := p.resolve(event)
		if !ok {
			return errNotThere()
		}
		n, err := s.number(v, rangeBits)
		if err != nil {
			return err
		}
		slots[i] = uint32(n)
	}
	return nil
}

func notEncodable(detail string) error {
	return protocol.Fail(protocol.CodeEventNotEncodable, detail)
}

func errNotThere() error {
	return notEncodable("the event has no value at a place that the parameters name")
}
