package field

import (
	"encoding/binary"
	"math/bits"
)

const (
	// Modulus is p.
	Modulus = 1<<31 - 1<<24 + 1
	// Size is the length of an encoded element in bytes.
	Size = 4
	// twoAdicity is the greatest a such that 2^a divides p - 1.
	twoAdicity = 24
	// Generator generates the multiplicative group.
	Generator = 3
)

// Constants of Montgomery multiplication with R = 2^32.
const (
	inverse  = 1<<31 + 1<<24 + 1       // 1/p mod R
	rModP    = (1 << 32) % Modulus     // R mod p
	rSquared = rModP * rModP % Modulus // R^2 mod p
)

// Element is an integer modulo p. The zero value is 0, and == compares.
type Element struct{ v uint32 } // the element times R modulo p, below p

// One is the element 1.
var One = Element{rModP}

// New returns v modulo p.
func New(v uint64) Element {
	return Element{reduce(uint64(mod(v)) * rSquared)}
}

// Uint32 returns the element as an integer below p.
func (x Element) Uint32() uint32 { return reduce(uint64(x.v)) }

// Add returns x + y.
func (x Element) Add(y Element) Element { return Element{correct(x.v + y.v - Modulus)} }

// Sub returns x - y.
func (x Element) Sub(y Element) Element { return Element{correct(x.v - y.v)} }

// Neg returns -x.
func (x Element) Neg() Element { return Element{}.Sub(x) }

// Mul returns x · y.
func (x Element) Mul(y Element) Element { return Element{reduce(uint64(x.v) * uint64(y.v))} }

// mulSum returns x · (y + z).
func (x Element) mulSum(y, z Element) Element {
	return Element{reduce(uint64(x.v) * (uint64(y.v) + uint64(z.v)))}
}

// mulDifference returns x · (y - z).
func (x Element) mulDifference(y, z Element) Element {
	return Element{reduce(uint64(x.v) * (uint64(y.v) + Modulus - uint64(z.v)))}
}

// Square returns x · x.
func (x Element) Square() Element { return x.Mul(x) }

// Pow returns x^e. Its time depends on e, which must be public.
func (x Element) Pow(e uint64) Element {
	result := One
	for i := bits.Len64(e) - 1; i >= 0; i-- {
		result = result.Square()
		if e>>i&1 == 1 {
			result = result.Mul(x)
		}
	}
	return result
}

// Inverse returns 1/x, and 0 for 0.
func (x Element) Inverse() Element { return x.Pow(Modulus - 2) }

// Append appends the encoding of x to b.
func (x Element) Append(b []byte) []byte { return binary.BigEndian.AppendUint32(b, x.Uint32()) }

// AppendAll appends the encodings of all elements to b.
func AppendAll(b []byte, elements []Element) []byte {
	for _, x := range elements {
		b = x.Append(b)
	}
	return b
}

// Parse decodes the first 4 bytes of b and reports whether they are below p.
// It panics if b is shorter.
func Parse(b []byte) (Element, bool) {
	v := binary.BigEndian.Uint32(b)
	return Element{reduce(uint64(v) * rSquared)}, v < Modulus
}

// ParseAll fills the elements from b, which must be of exactly their length, and
// reports whether it is and all are below p.
func ParseAll(elements []Element, b []byte) bool {
	if len(b) != Size*len(elements) {
		return false
	}
	valid := true
	for i := range elements {
		x, ok := Parse(b[Size*i:])
		elements[i] = x
		valid = valid && ok
	}
	return valid
}

// Dot returns the sum of a[i] · b[i]. The slices are of one length, below 2^31.
func Dot(a, b []Element) Element {
	b = b[:len(a)]
	var low, high uint64 // the sum of the products is high·R + low
	for i := range a {
		product := uint64(a[i].v) * uint64(b[i].v)
		low += product & (1<<32 - 1)
		high += product >> 32
	}
	return Element{mod(high)}.Add(Element{reduce(uint64(mod(low)))})
}

// Sum is a sum of products before its reduction. The zero value is 0.
type Sum uint64 // below p·R, the sum of the products as they are in memory modulo p·R

// Element returns the sum.
func (s Sum) Element() Element { return Element{reduce(uint64(s))} }

// AddProducts adds a[i] · b[i] to every sum[i].
func AddProducts(sums []Sum, a, b []Element) {
	a, b = a[:len(sums)], b[:len(sums)]
	for i := range sums {
		d := int64(sums[i]) + (int64(a[i].v)*int64(b[i].v) - Modulus<<32)
		sums[i] = Sum(d + Modulus<<32&(d>>63))
	}
}

// AddMul adds k · x[i] to every sum[i].
func AddMul(sum, x []Element, k Element) {
	x = x[:len(sum)]
	for i := range sum {
		sum[i] = sum[i].Add(k.Mul(x[i]))
	}
}

// invertAll replaces every element by its inverse. None may be 0.
func invertAll(elements []Element) {
	prefix := make([]Element, len(elements))
	product := One
	for i, x := range elements {
		prefix[i] = product
		product = product.Mul(x)
	}
	product = product.Inverse()
	for i := len(elements) - 1; i >= 0; i-- {
		x := elements[i]
		elements[i] = product.Mul(prefix[i])
		product = product.Mul(x)
	}
}

// reduce returns x / R mod p, for x below p·R.
func reduce(x uint64) uint32 {
	m := uint32(x) * inverse
	// x - m·p is a multiple of R, and more than -p·R.
	return correct(uint32(x>>32) - uint32(uint64(m)*Modulus>>32))
}

// mod returns x mod p, for every x.
func mod(x uint64) uint32 {
	high, low := x>>32, x&(1<<32-1)
	return correct(reduce(high*rSquared) + reduce(low*rModP) - Modulus)
}

// correct returns d mod p, for d from -p to p - 1 modulo R.
func correct(d uint32) uint32 { return d + Modulus&uint32(int32(d)>>31) }
