package circuit

import "github.com/terradourada/td/proof/field"

// Limbs is an integer as limbs of 16 bits, the lowest first.
type Limbs []Value

const limbBits = 16

// limbs is the number of limbs of an integer.
func limbs(bits int) int { return (bits + limbBits - 1) / limbBits }

// Bits returns secret bits.
func (b *Builder) Bits(n int) []Value {
	v := make([]Value, n)
	for i := range v {
		v[i] = b.Bit()
	}
	return v
}

// Number returns the sum of bits[i]·2^i. The caller keeps it below the modulus.
func Number(bits []Value) (sum Value) {
	for i, bit := range bits {
		sum = sum.Plus(bit.Times(field.New(1 << i)))
	}
	return sum
}

// ToLimbs returns the integer with these bits, the lowest first.
func ToLimbs(bits []Value) Limbs {
	v := make(Limbs, limbs(len(bits)))
	for i := range v {
		v[i] = Number(bits[limbBits*i : min(limbBits*(i+1), len(bits))])
	}
	return v
}

// SecretLimbs returns a secret integer: secret bits, the lowest first, whose
// values [BitSecrets] returns.
func (b *Builder) SecretLimbs(bits int) Limbs { return ToLimbs(b.Bits(bits)) }

// PublicLimbs returns a public integer. The caller that fills the public values derives
// them from an integer, see [LimbPublics].
func (b *Builder) PublicLimbs(bits int) Limbs {
	v := make(Limbs, limbs(bits))
	for i := range v {
		v[i] = b.Public()
	}
	return v
}

// AtMost constrains x <= y for integers below 2^bits whose limbs are known to be
// below 2^16. It has secrets, whose values [AtMostSecrets] returns: the bits of an
// integer d with x + d = y, and a carry between every two limbs.
//
// In each limb both sides are below 2^18, far below the modulus, so that the
// equations hold for integers; the last limb has no carry.
func (b *Builder) AtMost(x, y Limbs, bits int) {
	d := b.SecretLimbs(bits)
	var carry Value
	for i := range x {
		sum := x[i].Plus(d[i]).Plus(carry)
		if i < len(x)-1 {
			carry = b.Bit()
			sum = sum.Minus(carry.Times(field.New(1 << limbBits)))
		}
		b.Equal(sum, y[i])
	}
}

// Sum returns the sum of up to 2^carryBits integers of n limbs, which are known
// to be below 2^16: an integer of 16n + carryBits bits. It has secrets, whose values
// [SumSecrets] returns: the bits of the sum, and the bits of a carry between every
// two limbs. The carry of the last limb is the upper limb of the sum.
//
// With carries of up to 10 bits both sides are below 2^27 in each limb, so that the
// equations hold for integers.
func (b *Builder) Sum(values []Limbs, carryBits int) Limbs {
	n := len(values[0])
	sum := b.SecretLimbs(limbBits*n + carryBits)
	var carry Value
	for i := range n {
		total := carry
		for _, v := range values {
			total = total.Plus(v[i])
		}
		carry = sum[n]
		if i < n-1 {
			carry = Number(b.Bits(carryBits))
		}
		b.Equal(total, sum[i].Plus(carry.Times(field.New(1<<limbBits))))
	}
	return sum
}

// LimbPublics appends the public values of an integer of some bits.
func LimbPublics(public []field.Element, v uint64, bits int) []field.Element {
	for i := range limbs(bits) {
		public = append(public, field.New(v>>(limbBits*i)&limbMask))
	}
	return public
}

const limbMask = 1<<limbBits - 1

// BitSecrets appends the lower bits of an integer.
func BitSecrets(secrets []field.Element, v uint64, bits int) []field.Element {
	for i := range bits {
		secrets = append(secrets, field.New(v>>i&1))
	}
	return secrets
}

// AtMostSecrets appends the secrets with which x <= y is shown. It takes the same
// time for all integers; for x > y the equations fail.
func AtMostSecrets(secrets []field.Element, x, y uint64, bits int) []field.Element {
	d := y - x
	secrets = BitSecrets(secrets, d, bits)
	carry := uint64(0)
	for i := range limbs(bits) - 1 {
		shift := limbBits * i
		carry = (x>>shift&limbMask + d>>shift&limbMask + carry) >> limbBits
		secrets = append(secrets, field.New(carry))
	}
	return secrets
}

// SumSecrets appends the secrets with which the sum of integers of n limbs is
// shown.
func SumSecrets(secrets []field.Element, values []uint64, n, carryBits int) []field.Element {
	sum := uint64(0)
	for _, v := range values {
		sum += v
	}
	secrets = BitSecrets(secrets, sum, limbBits*n+carryBits)
	carry := uint64(0)
	for i := range n - 1 {
		for _, v := range values {
			carry += v >> (limbBits * i) & limbMask
		}
		carry >>= limbBits
		secrets = BitSecrets(secrets, carry, carryBits)
	}
	return secrets
}
