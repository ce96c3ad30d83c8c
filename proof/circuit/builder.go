package circuit

import (
	"cmp"
	"slices"

	"github.com/terradourada/td/proof/field"
)

// A reference names what an expression is linear in: its kind in the upper bits,
// its number below.
type reference uint32

const (
	kindShift = 28

	kindOne     reference = iota << kindShift // the constant 1
	kindPublic                                // a public value
	kindSecret                                // a secret
	kindSquare                                // a secret times itself
	kindLeft                                  // the left factor of a gate
	kindRight                                 // the right factor of a gate
	kindDouble                                // the left factor times itself
	kindProduct                               // left times right
)

func (r reference) kind() reference { return r &^ (1<<kindShift - 1) }
func (r reference) number() int     { return int(r & (1<<kindShift - 1)) }

type term struct {
	of     reference
	factor field.Element
}

// Value is a linear expression. The zero Value is 0.
type Value struct {
	terms []term // ascending, no factor is 0
}

func single(of reference) Value { return Value{[]term{{of, field.One}}} }

// Constant returns the value e.
func Constant(e field.Element) Value {
	if e == (field.Element{}) {
		return Value{}
	}
	return Value{[]term{{kindOne, e}}}
}

// Plus returns v + w.
func (v Value) Plus(w Value) Value {
	sum := make([]term, 0, len(v.terms)+len(w.terms))
	a, b := v.terms, w.terms
	for len(a) > 0 && len(b) > 0 {
		switch c := cmp.Compare(a[0].of, b[0].of); {
		case c < 0:
			sum, a = append(sum, a[0]), a[1:]
		case c > 0:
			sum, b = append(sum, b[0]), b[1:]
		default:
			if f := a[0].factor.Add(b[0].factor); f != (field.Element{}) {
				sum = append(sum, term{a[0].of, f})
			}
			a, b = a[1:], b[1:]
		}
	}
	return Value{append(append(sum, a...), b...)}
}

// Minus returns v - w.
func (v Value) Minus(w Value) Value { return v.Plus(w.Times(field.One.Neg())) }

// Times returns v times a constant.
func (v Value) Times(factor field.Element) Value {
	if factor == (field.Element{}) {
		return Value{}
	}
	product := slices.Clone(v.terms)
	for i := range product {
		product[i].factor = product[i].factor.Mul(factor)
	}
	return Value{product}
}

// Builder collects gates, secrets and equations.
type Builder struct {
	publics, secrets int
	gates            []gate
	equations        []Value
}

// gate has the expressions of its factors. That of a cube has no right one.
type gate struct {
	left, right Value
	cube        bool
}

// Values returns the number of values that are committed so far: two for a gate, and
// the secrets.
func (b *Builder) Values() int { return 2*len(b.gates) + b.secrets }

// Public returns the next public value.
func (b *Builder) Public() Value {
	b.publics++
	return single(kindPublic | reference(b.publics-1))
}

// Secret returns the next secret value, any element.
func (b *Builder) Secret() Value {
	b.secrets++
	return single(kindSecret | reference(b.secrets-1))
}

// Bit returns the next secret value and constrains it to 0 or 1.
func (b *Builder) Bit() Value {
	v := b.Secret()
	square := single(kindSquare | reference(b.secrets-1))
	b.Zero(v.Minus(square))
	return v
}

// Zero constrains v to be 0.
func (b *Builder) Zero(v Value) { b.equations = append(b.equations, v) }

// Equal constrains v and w to be equal.
func (b *Builder) Equal(v, w Value) { b.Zero(v.Minus(w)) }

// Multiply returns v · w.
func (b *Builder) Multiply(v, w Value) Value {
	n := b.gate(gate{left: v, right: w})
	b.Equal(single(kindRight|n), w)
	return single(kindProduct | n)
}

// Cube returns v³.
func (b *Builder) Cube(v Value) Value {
	n := b.gate(gate{left: v, cube: true})
	b.Equal(single(kindRight|n), single(kindDouble|n))
	return single(kindProduct | n)
}

func (b *Builder) gate(g gate) reference {
	n := reference(len(b.gates))
	b.gates = append(b.gates, g)
	b.Equal(single(kindLeft|n), g.left)
	return n
}
