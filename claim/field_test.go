package claim_test

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/terradourada/td/protocol"
)

// number is a small element.
func number(v uint64) protocol.Element { return protocol.SmallElement(v) }

// numbers are small elements.
func numbers(values ...uint64) []protocol.Element {
	elements := make([]protocol.Element, len(values))
	for i, v := range values {
		elements[i] = number(v)
	}
	return elements
}

// element is an integer of any size or sign, modulo r.
func element(v *big.Int) protocol.Element {
	var e fr.Element
	return protocol.Element(e.SetBigInt(v).Bytes())
}

// integer is the integer below r that an element stands for.
func integer(e protocol.Element) *big.Int { return new(big.Int).SetBytes(e[:]) }

// power is 2^n + d.
func power(n uint, d int64) protocol.Element {
	v := new(big.Int).Lsh(big.NewInt(1), n)
	return element(v.Add(v, big.NewInt(d)))
}

// negative is -v.
func negative(v int64) protocol.Element { return element(big.NewInt(-v)) }

// plus and times are the operations of the field.
func plus(x, y protocol.Element) protocol.Element {
	return element(new(big.Int).Add(integer(x), integer(y)))
}

func times(x, y protocol.Element) protocol.Element {
	return element(new(big.Int).Mul(integer(x), integer(y)))
}

// packed is the sum of v_i * 2^(32(i-1)) for any values.
func packed(values []protocol.Element) protocol.Element {
	var sum protocol.Element
	for i, v := range values {
		sum = plus(sum, times(v, power(uint(32*i), 0)))
	}
	return sum
}
