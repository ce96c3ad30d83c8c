package circuit

import "github.com/terradourada/td/proof/field"

// Limbs is an integer of 64 bits as four limbs of 16, the lowest first.
type Limbs [4]Value

const limbBits = 16

// SecretLimbs returns a secret integer: 64 secret bits, the lowest first, whose
// values [LimbSecrets] returns.
func (b *Builder) SecretLimbs() (v Limbs) {
	for i := range v {
		for j := range limbBits {
			v[i] = v[i].Plus(b.Bit().Times(field.New(1 << j)))
		}
	}
	return v
}

// PublicLimbs returns a public integer. The caller that fills the public values derives
// them from an integer of 64 bits, see [LimbPublics].
func (b *Builder) PublicLimbs() (v Limbs) {
	for i := range v {
		v[i] = b.Public()
	}
	return v
}

// AtMost constrains x <= y for integers whose limbs are known to be below 2^16.
// It has 64 + 3 secrets, whose values [AtMostSecrets] returns: an integer d with
// x + d = y and the carries.
//
// In each limb both sides are below 2^18, far below the modulus, so that the
// equations hold for integers; the last limb has no carry.
func (b *Builder) AtMost(x, y Limbs) {
	d := b.SecretLimbs()
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

// LimbPublics appends the public values of an integer.
func LimbPublics(public []field.Element, v uint64) []field.Element {
	for i := range len(Limbs{}) {
		public = append(public, field.New(v>>(limbBits*i)&(1<<limbBits-1)))
	}
	return public
}

// LimbSecrets appends the secrets of an integer.
func LimbSecrets(secrets []field.Element, v uint64) []field.Element {
	for i := range 64 {
		secrets = append(secrets, field.New(v>>i&1))
	}
	return secrets
}

// AtMostSecrets appends the secrets with which x <= y is shown. It takes the same
// time for all integers; for x > y the equations fail.
func AtMostSecrets(secrets []field.Element, x, y uint64) []field.Element {
	d := y - x
	secrets = LimbSecrets(secrets, d)
	carry := uint64(0)
	const mask = 1<<limbBits - 1
	for i := range len(Limbs{}) - 1 {
		shift := limbBits * i
		carry = (x>>shift&mask + d>>shift&mask + carry) >> limbBits
		secrets = append(secrets, field.New(carry))
	}
	return secrets
}
