package ligero

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/terradourada/td/proof/field"
)

// Params are the numbers that decide about size, speed and soundness.
type Params struct {
	Slots      int // l, the values of a row; a power of two
	Length     int // n, the length of a word and number of columns; a power of two
	Queries    int // t, the columns that are opened
	Components int // D, the components of a challenge
}

const (
	// MinBits is the least soundness that parameters may have, in bits.
	MinBits = 128

	maxLength     = 1 << 16 // a position has 16 bits
	maxComponents = 16      // the tags of the streams
)

var errParams = errors.New("ligero: unusable parameters")

// rowSize is k, the number of coefficients of a row and of U.
func (p Params) rowSize() int { return p.Slots + p.Queries }

// sumSize is d, the number of coefficients of T: a row times a row times a
// combination of equations.
func (p Params) sumSize() int { return 2*p.rowSize() + p.Slots - 2 }

// productLength is the size of the domain on which rows are multiplied.
func (p Params) productLength() int { return 1 << bits.Len(uint(p.sumSize()-1)) }

// check reports why parameters are unusable or have less than minBits bits, if so.
func (p Params) check(minBits float64) error {
	powers := p.Slots >= 2 && p.Slots&(p.Slots-1) == 0 && p.Length >= 2 && p.Length&(p.Length-1) == 0
	switch {
	case !powers || p.Slots > maxLength || p.Length > maxLength:
		return fmt.Errorf("%w: slots and length are powers of two from 2 to 2^16", errParams)
	case p.Queries < 1 || p.Queries > maxLength || p.Components < 1 || p.Components > maxComponents:
		return fmt.Errorf("%w: too few or too many queries or components", errParams)
	case p.productLength() > p.Length:
		return fmt.Errorf("%w: the length does not hold a product of rows", errParams)
	case !(p.Bound().Bits >= minBits):
		return fmt.Errorf("%w: %.1f bits", errParams, p.Bound().Bits)
	}
	return nil
}

// Bound is the bound of docs/spec/suite-2.md on the probability that a prover
// without a witness convinces a verifier whose choices are random: the sum of
// the three terms. Each is its logarithm to the base 2.
type Bound struct {
	Proximity float64 // n/|K|: a random combination hides a word far from the code
	Sum       float64 // L/|K|: a random combination hides an equation that fails
	Queries   float64 // the product of (G-i)/(n-i): no query meets a wrong column
	Bits      float64 // -log2 of the sum of the three
}

// Bound computes the bound. Its Bits are 0 for parameters without one.
func (p Params) Bound() Bound {
	n, k, d := float64(p.Length), float64(p.rowSize()), float64(p.sumSize())
	// The columns on which a false proof can be right: below the radius of unique
	// decoding for U, and within that of the Johnson bound, with room, for T.
	g := max((n+k)/2, 1.02*math.Sqrt(n*d))
	if g >= n || g*g <= n*d {
		return Bound{}
	}
	list := (g - d) * n / (g*g - n*d)
	k5 := float64(p.Components) * math.Log2(field.Modulus)
	b := Bound{Proximity: math.Log2(n) - k5, Sum: math.Log2(list) - k5}
	for i := range p.Queries {
		b.Queries += math.Log2((g - float64(i)) / (n - float64(i)))
	}
	b.Bits = -math.Log2(math.Exp2(b.Proximity) + math.Exp2(b.Sum) + math.Exp2(b.Queries))
	return b
}
