package rules

import (
	"encoding/json"
	"fmt"
	"math/big"
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
	scale    int
	offset   int64
	noOffset bool // the claim has none
}

// parseScaling reads the members scale and offset; a claim without an offset
// passes nil for it.
func parseScaling(scale, offset value) (scaling, error) {
	n, ok := scale.integer(maxScale)
	if !ok || n < 0 {
		return scaling{}, expected(errScaling(), "params.scale", fmt.Sprintf("a whole number 0..%d", maxScale), scale)
	}
	s := scaling{scale: int(n), noOffset: offset == nil}
	if offset != nil {
		if s.offset, ok = offset.integer(maxOffset); !ok {
			return scaling{}, expected(errScaling(), "params.offset", "a whole number between -2^53 and 2^53", offset)
		}
	}
	return s, nil
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

// bounds converts the pair of bounds at i, lo before hi, and checks that they are
// in order.
func (s scaling) bounds(all []given, i int) (l, h uint64, err error) {
	if l, err = s.bound(all, i); err != nil {
		return 0, 0, err
	}
	if h, err = s.bound(all, i+1); err != nil {
		return 0, 0, err
	}
	if l > h {
		return 0, 0, Explained(errOrder(), func() string {
			return fmt.Sprintf("%s: lo %s is above hi %s", all[i].place, all[i].v.show(), all[i+1].v.show())
		})
	}
	return l, h, nil
}

func errOrder() error { return Malformed("a lower bound is above its upper bound") }

// wideBound returns the number in a bound that is written as
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

// given is a number of the parameters: a bound, or a value to compare with.
type given struct {
	place, name string // params.values[0] and lo, for example
	v           value
	bits        int
}

func (g given) number() numeral { return numeral{g.name + " " + g.v.show(), string(g.v), g.bits} }

// bound converts a public number by the rule of the values. All are the numbers
// of the parameters, which an explanation takes into account.
func (s scaling) bound(all []given, i int) (uint64, error) {
	g := all[i]
	place := strings.TrimSuffix(g.place+"."+g.name, ".")
	if !g.v.isNumber() {
		return 0, expected(errMembers(), place, "a number", g.v)
	}
	n, ok := s.apply(string(g.v), g.bits)
	if !ok {
		public := protocol.Failf(protocol.CodeMalformedRequest,
			"a bound is not an integer below 2^%d after scale and offset", g.bits)
		return 0, Explained(public, func() string {
			return fmt.Sprintf("%s = %s %s", place, g.v.show(), s.remedy(numbersOf(all)))
		})
	}
	return n, nil
}

// numbersOf returns those of the parameters that are numbers.
func numbersOf(all []given) []numeral {
	var numbers []numeral
	for _, g := range all {
		if g.v.isNumber() {
			numbers = append(numbers, g.number())
		}
	}
	return numbers
}

// number converts a number of the event. Others returns the numbers that scale
// and offset must fit too.
func (s scaling) number(p pointer, v value, bits int, others func() []numeral) (uint64, error) {
	if !v.isNumber() {
		return 0, Explained(notEncodable("a value that the parameters name is not a number"), func() string {
			return fmt.Sprintf("%s = %s is %s, and the claim needs a number", p, v.show(), v.typeName())
		})
	}
	n, ok := s.apply(string(v), bits)
	if !ok {
		public := protocol.Failf(protocol.CodeEventNotEncodable,
			"a value that the parameters name is not an integer below 2^%d after scale and offset", bits)
		return 0, Explained(public, func() string {
			all := append([]numeral{{p.String(), string(v), bits}}, others()...)
			return fmt.Sprintf("%s = %s %s", p, v.show(), s.remedy(all))
		})
	}
	return n, nil
}

// numbers converts the numbers of the event that pointers name, into slots.
func (s scaling) numbers(event value, at []pointer, slots []uint32, bounds []given) error {
	others := func() []numeral {
		all := numbersOf(bounds)
		for _, p := range at {
			if v, ok := p.resolve(event); ok && v.isNumber() {
				all = append(all, numeral{p.String(), string(v), RangeBits})
			}
		}
		return all
	}
	for i, p := range at {
		v, ok := p.resolve(event)
		if !ok {
			return errNotThere(p, event)
		}
		n, err := s.number(p, v, RangeBits, others)
		if err != nil {
			return err
		}
		slots[i] = uint32(n)
	}
	return nil
}

// side reports whether n is below lo (-1), above hi (1) or within both (0).
func side(n, lo, hi uint64) int {
	switch {
	case n < lo:
		return -1
	case n > hi:
		return 1
	}
	return 0
}

// outside says on which side of its bounds n is, or "" if it is within. What
// names n with its value.
func (s scaling) outside(what string, n, lo, hi uint64) string {
	switch side(n, lo, hi) {
	case -1:
		return fmt.Sprintf("%s is below lo %s", what, s.text(lo))
	case 1:
		return fmt.Sprintf("%s is above hi %s", what, s.text(hi))
	}
	return ""
}

// text writes the number that becomes n after scale and offset.
func (s scaling) text(n uint64) string {
	x := new(big.Int).SetUint64(n)
	return decimalText(x.Sub(x, big.NewInt(s.offset)), s.scale)
}
