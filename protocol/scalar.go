package protocol

import (
	"encoding/binary"
	"math/bits"
)

// scalar is an integer below 2^256: four limbs of 64 bits, the lowest first.
type scalar [ElementSize / 8]uint64

// order is r, the number of elements of the scalar field of BLS12-381. It is below 2^255.
var order = scalar{0xffffffff00000001, 0x53bda402fffe5bfe, 0x3339d80809a1d805, 0x73eda753299d7d48}

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

// shift returns 2x + bit modulo r, for x below r. It has no branch that depends on x, and
// no loop, which would take five times as long.
func (x scalar) shift(bit uint64) scalar {
	x0, x1, x2, x3 := x[0]<<1|bit, x[1]<<1|x[0]>>63, x[2]<<1|x[1]>>63, x[3]<<1|x[2]>>63
	y0, below := bits.Sub64(x0, order[0], 0)
	y1, below := bits.Sub64(x1, order[1], below)
	y2, below := bits.Sub64(x2, order[2], below)
	y3, below := bits.Sub64(x3, order[3], below)
	keep := -below
	return scalar{y0 ^ (x0^y0)&keep, y1 ^ (x1^y1)&keep, y2 ^ (x2^y2)&keep, y3 ^ (x3^y3)&keep}
}

// element is the 32 bytes of x, big-endian.
func (x scalar) element() (e Element) {
	for i := range x {
		binary.BigEndian.PutUint64(e[ElementSize-8*(i+1):], x[i])
	}
	return e
}
