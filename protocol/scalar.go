package protocol

import (
	"encoding/binary"
	"math/bits"
)

// scalar is an integer below 2^256: four limbs of 64 bits, the lowest first.
type scalar [ElementSize / 8]uint64

// order is r, the number of elements of the scalar field of BLS12-381. It is below 2^255.
var order = scalar{order0, order1, order2, order3}

// The limbs of r.
const (
	order0 = 0xffffffff00000001
	order1 = 0x53bda402fffe5bfe
	order2 = 0x3339d80809a1d805
	order3 = 0x73eda753299d7d48
)

// scalarOf reads up to 32 bytes, big-endian, whose number is a multiple of 8.
func scalarOf(b []byte) (x scalar) {
	for i := range len(b) / 8 {
		x[i] = binary.BigEndian.Uint64(b[len(b)-8*(i+1):])
	}
	return x
}

// minusOrder returns x - r modulo 2^256, and 1 if x is below r, otherwise 0.
func (x scalar) minusOrder() (y scalar, below uint64) {
	for i := range x {
		y[i], below = bits.Sub64(x[i], order[i], below)
	}
	return y, below
}

// shift returns x·2^64 + word modulo r, for x below r. It has no branch that depends on
// either, and no inner loop, with which it would take several times as long.
func (x scalar) shift(word uint64) scalar {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	for range 64 {
		x0, x1, x2, x3 = x0<<1|word>>63, x1<<1|x0>>63, x2<<1|x1>>63, x3<<1|x2>>63
		word <<= 1
		y0, below := bits.Sub64(x0, order0, 0)
		y1, below := bits.Sub64(x1, order1, below)
		y2, below := bits.Sub64(x2, order2, below)
		y3, below := bits.Sub64(x3, order3, below)
		keep := -below
		x0, x1, x2, x3 = y0^(x0^y0)&keep, y1^(x1^y1)&keep, y2^(x2^y2)&keep, y3^(x3^y3)&keep
	}
	return scalar{x0, x1, x2, x3}
}

// element is the 32 bytes of x, big-endian.
func (x scalar) element() (e Element) {
	for i := range x {
		binary.BigEndian.PutUint64(e[ElementSize-8*(i+1):], x[i])
	}
	return e
}
