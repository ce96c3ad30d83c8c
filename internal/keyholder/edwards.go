package keyholder

import (
	"encoding/binary"
	"math/bits"

	fp "github.com/cloudflare/circl/math/fp25519"
)

// What Ed25519 signing needs of its curve and of its scalars (RFC 8032 section
// 5.1), in constant time and without the heap. The field is circl's. Signing is
// ten times a second at most, so that the one addition law and one loop are
// worth more here than speed.

// edPoint is a point of edwards25519 in extended coordinates: x/z, y/z, t = xy/z.
type edPoint struct{ x, y, z, t fp.Elt }

func edIdentity() (p edPoint) {
	fp.SetOne(&p.y)
	fp.SetOne(&p.z)
	return p
}

// edBase is B, the base point.
func edBase() (p edPoint) {
	p.x = fp.Elt{
		0x1a, 0xd5, 0x25, 0x8f, 0x60, 0x2d, 0x56, 0xc9,
		0xb2, 0xa7, 0x25, 0x95, 0x60, 0xc7, 0x2c, 0x69,
		0x5c, 0xdc, 0xd6, 0xfd, 0x31, 0xe2, 0xa4, 0xc0,
		0xfe, 0x53, 0x6e, 0xcd, 0xd3, 0x36, 0x69, 0x21,
	}
	for i := range p.y { // 4/5
		p.y[i] = 0x66
	}
	p.y[0] = 0x58
	fp.SetOne(&p.z)
	fp.Mul(&p.t, &p.x, &p.y)
	return p
}

// edTwiceD is 2d of the curve.
func edTwiceD() fp.Elt {
	return fp.Elt{
		0x59, 0xf1, 0xb2, 0x26, 0x94, 0x9b, 0xd6, 0xeb,
		0x56, 0xb1, 0x83, 0x82, 0x9a, 0x14, 0xe0, 0x00,
		0x30, 0xd1, 0xf3, 0xee, 0xf2, 0x80, 0x8e, 0x19,
		0xe7, 0xfc, 0xdf, 0x56, 0xdc, 0xd9, 0x06, 0x24,
	}
}

// add sets p to p + q, also when they are equal (RFC 8032 section 5.1.4: the
// law is complete).
func (p *edPoint) add(q *edPoint, twiceD *fp.Elt) {
	var a, b, c, d, u, v fp.Elt
	fp.Sub(&u, &p.y, &p.x)
	fp.Sub(&v, &q.y, &q.x)
	fp.Mul(&a, &u, &v)
	fp.Add(&u, &p.y, &p.x)
	fp.Add(&v, &q.y, &q.x)
	fp.Mul(&b, &u, &v)
	fp.Mul(&c, &p.t, &q.t)
	fp.Mul(&c, &c, twiceD)
	fp.Mul(&d, &p.z, &q.z)
	fp.Add(&d, &d, &d)
	fp.Sub(&u, &b, &a) // E
	fp.Sub(&v, &d, &c) // F
	fp.Add(&c, &d, &c) // G
	fp.Add(&d, &b, &a) // H
	fp.Mul(&p.x, &u, &v)
	fp.Mul(&p.y, &c, &d)
	fp.Mul(&p.z, &v, &c)
	fp.Mul(&p.t, &u, &d)
}

// choose sets p to q if bit is 1.
func (p *edPoint) choose(q *edPoint, bit uint) {
	fp.Cmov(&p.x, &q.x, bit)
	fp.Cmov(&p.y, &q.y, bit)
	fp.Cmov(&p.z, &q.z, bit)
	fp.Cmov(&p.t, &q.t, bit)
}

// encode writes the point's 32 bytes.
func (p *edPoint) encode(out []byte) {
	var inv, x, y fp.Elt
	fp.Inv(&inv, &p.z)
	fp.Mul(&x, &p.x, &inv)
	fp.Mul(&y, &p.y, &inv)
	fp.Modp(&x)
	fp.Modp(&y)
	copy(out, y[:])
	out[31] |= x[0] << 7
}

// edScalar is a number below 2^256, the lowest word first.
type edScalar [4]uint64

func (s *edScalar) decode(b []byte) {
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

func (s *edScalar) encode(out []byte) {
	for i, w := range s {
		binary.LittleEndian.PutUint64(out[8*i:], w)
	}
}

// timesBase is s*B.
func (s *edScalar) timesBase() edPoint {
	sum, base, twiceD := edIdentity(), edBase(), edTwiceD()
	for i := 255; i >= 0; i-- {
		sum.add(&sum, &twiceD)
		with := sum
		with.add(&base, &twiceD)
		sum.choose(&with, uint(s[i/64]>>(i%64)&1))
	}
	return sum
}

// edWide is a number below 2^512, the lowest word first.
type edWide [8]uint64

func (w *edWide) decode(b *[64]byte) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
}

// reduce sets s to wide modulo the order of B, one bit at a time.
func (s *edScalar) reduce(wide *edWide) {
	*s = edScalar{}
	order := edScalar{0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000}
	for i := 511; i >= 0; i-- {
		carry := wide[i/64] >> (i % 64) & 1
		for j := range s {
			s[j], carry = s[j]<<1|carry, s[j]>>63
		}
		var less edScalar
		var borrow uint64
		for j := range s {
			less[j], borrow = bits.Sub64(s[j], order[j], borrow)
		}
		for j := range s { // keep s where the subtraction borrowed
			s[j] = less[j] ^ (less[j]^s[j])&-borrow
		}
	}
}

// timesPlus sets wide to s*k + r.
func (s *edScalar) timesPlus(k, r *edScalar, wide *edWide) {
	*wide = edWide{r[0], r[1], r[2], r[3]}
	for i := range s {
		var carry uint64
		for j := range k {
			hi, lo := bits.Mul64(s[i], k[j])
			var c uint64
			lo, c = bits.Add64(lo, carry, 0)
			hi += c
			wide[i+j], c = bits.Add64(wide[i+j], lo, 0)
			carry = hi + c
		}
		wide[i+len(k)] += carry
	}
}
