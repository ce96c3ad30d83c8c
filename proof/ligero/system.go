package ligero

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/transcript"
)

// System is what a proof is about: equations over the values in Rows rows of
// Slots slots, over products of two values in the same slot, and over the public
// values. An equation holds if the sum of its terms is 0.
type System struct {
	Slots     int
	Rows      int
	Publics   int
	Equations int
	Products  [][2]int // the rows that are multiplied, ascending
	Linear    []Term   // At is row·Slots + slot
	Quadratic []Term   // At is product·Slots + slot
	Constant  []Term   // At is 0 for the constant 1, i+1 for public value i
}

// Term is a factor times a value, a product, or a public value. The terms of a
// list are strictly ascending by equation and place, and no factor is 0, so that
// one system has one form.
type Term struct {
	Equation, At uint32
	Factor       field.Element
}

func (t Term) compare(u Term) int {
	return cmp.Or(cmp.Compare(t.Equation, u.Equation), cmp.Compare(t.At, u.At))
}

// Sizes that no system exceeds, so that no product of them overflows.
const (
	maxRows      = 1 << 12
	maxPublics   = 1 << 16
	maxEquations = 1 << 24
)

var errSystem = errors.New("ligero: system is not in canonical form")

// check reports whether the system is in its one form.
func (s *System) check() error {
	if s.Rows < 1 || s.Rows > maxRows || s.Publics < 0 || s.Publics > maxPublics || s.Equations < 1 || s.Equations > maxEquations {
		return errSystem
	}
	for i, p := range s.Products {
		if p[0] < 0 || p[0] > p[1] || p[1] >= s.Rows || i > 0 && slices.Compare(s.Products[i-1][:], p[:]) >= 0 {
			return errSystem
		}
	}
	for _, list := range []struct {
		terms  []Term
		places int
	}{
		{s.Linear, s.Rows * s.Slots},
		{s.Quadratic, len(s.Products) * s.Slots},
		{s.Constant, 1 + s.Publics},
	} {
		for i, t := range list.terms {
			if int(t.Equation) >= s.Equations || int(t.At) >= list.places || t.Factor == (field.Element{}) || i > 0 && list.terms[i-1].compare(t) >= 0 {
				return errSystem
			}
		}
	}
	return nil
}

// Digest identifies the system: D("TD-V2-circuit", sizes, products, linear,
// quadratic and constant terms).
func (s *System) Digest() transcript.State {
	var products []byte
	for _, p := range s.Products {
		products = appendInts(products, p[0], p[1])
	}
	return transcript.Digest("TD-V2-circuit",
		appendInts(nil, s.Slots, s.Rows, s.Publics, s.Equations),
		products, encodeTerms(s.Linear), encodeTerms(s.Quadratic), encodeTerms(s.Constant))
}

func encodeTerms(terms []Term) []byte {
	b := make([]byte, 0, 12*len(terms))
	for _, t := range terms {
		b = t.Factor.Append(appendInts(b, int(t.Equation), int(t.At)))
	}
	return b
}

func appendInts(b []byte, values ...int) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

// combine weighs every equation and adds them all. It returns the factor of every
// value, then those of every product, and what their sum must be: minus the
// weighted constant terms.
func (s *System) combine(weights, public []field.Element) (factors []field.Element, sum field.Element) {
	factors = make([]field.Element, (s.Rows+len(s.Products))*s.Slots)
	for i, terms := range [][]Term{s.Linear, s.Quadratic} {
		part := factors[i*s.Rows*s.Slots:]
		for _, t := range terms {
			part[t.At] = part[t.At].Add(t.Factor.Mul(weights[t.Equation]))
		}
	}
	for _, t := range s.Constant {
		x := t.Factor.Mul(weights[t.Equation])
		if t.At > 0 {
			x = x.Mul(public[t.At-1])
		}
		sum = sum.Sub(x)
	}
	return factors, sum
}
