package circuit

import (
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

// Digest is a digest of package poseidon as values.
type Digest [poseidon.DigestSize]Value

// SecretDigest returns 8 secrets.
func (b *Builder) SecretDigest() (d Digest) {
	for i := range d {
		d[i] = b.Secret()
	}
	return d
}

// PublicDigest returns 8 public values.
func (b *Builder) PublicDigest() (d Digest) {
	for i := range d {
		d[i] = b.Public()
	}
	return d
}

// Plus returns the sums of the elements.
func (d Digest) Plus(e Digest) (sum Digest) {
	for i := range d {
		sum[i] = d[i].Plus(e[i])
	}
	return sum
}

// Minus returns the differences of the elements.
func (d Digest) Minus(e Digest) (difference Digest) {
	for i := range d {
		difference[i] = d[i].Minus(e[i])
	}
	return difference
}

// Select returns x for a bit of 0 and y for 1, at the cost of 8 gates.
func (b *Builder) Select(bit Value, x, y Digest) (d Digest) {
	for i := range d {
		d[i] = x[i].Plus(b.Multiply(bit, y[i].Minus(x[i])))
	}
	return d
}

// EqualDigests constrains two digests to be equal.
func (b *Builder) EqualDigests(d, e Digest) {
	for i := range d {
		b.Equal(d[i], e[i])
	}
}

// lanes is a state of the permutation after its first S-boxes: each lane is a
// linear form in the outputs of gates, the basis, without a constant.
type lanes struct {
	basis []reference // ascending
	forms [poseidon.Width][]field.Element
}

// Compress returns C(x, y), at the cost of 148 gates.
func (b *Builder) Compress(x, y Digest) (digest Digest) {
	s := new(lanes)
	input := slices.Concat(x[:], y[:])
	for round := range poseidon.Rounds {
		constants := poseidon.Constants(round)
		if !poseidon.Full(round) {
			s.replace(0, b.Cube(s.value(0).Plus(Constant(constants[0]))))
		} else {
			var out [poseidon.Width]Value
			for i := range out {
				in := s.value(i)
				if round == 0 {
					in = input[i]
				}
				out[i] = b.Cube(in.Plus(Constant(constants[i])))
			}
			*s = lanes{}
			for i := range out {
				s.replace(i, out[i])
			}
		}
		s.multiply()
	}
	for i := range digest {
		digest[i] = s.value(poseidon.DigestSize + i).Plus(y[i])
	}
	return digest
}

// value returns a lane as a value.
func (s *lanes) value(i int) Value {
	v := Value{make([]term, 0, len(s.basis))}
	for j, of := range s.basis {
		if f := s.forms[i][j]; f != (field.Element{}) {
			v.terms = append(v.terms, term{of, f})
		}
	}
	return v
}

// replace makes a lane the output of a gate, which joins the basis.
func (s *lanes) replace(i int, output Value) {
	s.basis = append(s.basis, output.terms[0].of)
	for j := range s.forms {
		s.forms[j] = append(s.forms[j], field.Element{})
	}
	clear(s.forms[i])
	s.forms[i][len(s.basis)-1] = field.One
}

// multiply applies the matrix to the lanes.
func (s *lanes) multiply() {
	var column, product [poseidon.Width]field.Element
	var matrix [poseidon.Width][poseidon.Width]field.Element
	for i := range matrix {
		matrix[i] = poseidon.Matrix(i)
	}
	for j := range s.basis {
		for i := range column {
			column[i] = s.forms[i][j]
		}
		for i := range product {
			product[i] = field.Dot(matrix[i][:], column[:])
		}
		for i := range product {
			s.forms[i][j] = product[i]
		}
	}
}
