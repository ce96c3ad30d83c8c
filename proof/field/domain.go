package field

import "math/bits"

// Domain is a coset of a subgroup whose size is a power of two.
type Domain struct {
	size int
	// Of the binary tree over the positions, node i has the children 2i and 2i+1,
	// and node size + j is position j. At a node whose subtree covers m positions
	// stands x^(m/2) for the point x of the first of them.
	twiddles []Element
	inverses []Element
	scale    Element // 1/size
}

// Root returns the root of unity of order n, a power of two, that this package
// uses: 3^((p-1)/n).
func Root(n int) Element { return New(Generator).Pow(uint64((Modulus - 1) / n)) }

// NewDomain returns the coset shift·H of the subgroup of size n, a power of two
// from 2 to 2^24. The shift is not 0.
func NewDomain(n int, shift Element) *Domain {
	if n < 2 || n&(n-1) != 0 || n > 1<<twoAdicity {
		panic("field: internal error: the size of a domain is no power of two from 2 to 2^24")
	}
	d := &Domain{
		size:     n,
		twiddles: make([]Element, n),
		inverses: make([]Element, n),
		scale:    New(uint64(n)).Inverse(),
	}
	for count := 1; count < n; count *= 2 {
		// The nodes of this level are count .. 2·count - 1, for m = n/count positions
		// each. Their x^(m/2) are shift^(m/2) times a root of order 2·count.
		d.twiddles[count] = shift.Pow(uint64(n / count / 2))
		for b := 1; b < count; b *= 2 {
			// Setting this bit of the position multiplies by one more root.
			root := Root(4 * b)
			for i := range b {
				d.twiddles[count+b+i] = d.twiddles[count+i].Mul(root)
			}
		}
	}
	copy(d.inverses[1:], d.twiddles[1:])
	invertAll(d.inverses[1:])
	return d
}

// Point returns the point of position j.
func (d *Domain) Point(j int) Element {
	// The node above j has the point of its left child, and minus it is right.
	x := d.twiddles[(d.size+j)/2]
	if j&1 == 1 {
		return x.Neg()
	}
	return x
}

// Evaluate turns the first k elements of v from coefficients into values, in
// place. What follows them does not count.
func (d *Domain) Evaluate(v []Element, k int) {
	d.check(v)
	// The polynomial is its own remainder in all blocks that hold k coefficients.
	block := 1 << bits.Len(uint(max(k, 1)-1)) // the least such power of two
	clear(v[k:block])
	for at := block; at < d.size; at += block {
		copy(v[at:at+block], v[:block])
	}
	for ; block >= 4; block /= 4 {
		d.divideTwice(v, block)
	}
	if block == 2 {
		for at := 0; at < d.size; at += 2 {
			x := d.twiddles[(d.size+at)/2].Mul(v[at+1])
			v[at], v[at+1] = v[at].Add(x), v[at].Sub(x)
		}
	}
}

// divideTwice turns the remainders in blocks of a size into those in blocks of a
// quarter of it.
func (d *Domain) divideTwice(v []Element, block int) {
	q, node := block/4, d.size/block
	for at := 0; at < d.size; at += block {
		a, b, c, e := v[at:][:q], v[at+q:][:q], v[at+2*q:][:q], v[at+3*q:][:q]
		w, left, right := d.twiddles[node], d.twiddles[2*node], d.twiddles[2*node+1]
		for i := range a {
			x, y := w.Mul(c[i]), w.Mul(e[i])
			l, r := left.mulSum(b[i], y), right.mulDifference(b[i], y)
			sum, difference := a[i].Add(x), a[i].Sub(x)
			a[i], b[i] = sum.Add(l), sum.Sub(l)
			c[i], e[i] = difference.Add(r), difference.Sub(r)
		}
		node++
	}
}

// Interpolate turns values into coefficients, in place.
func (d *Domain) Interpolate(v []Element) {
	d.check(v)
	block := 1
	if bits.Len(uint(d.size))%2 == 0 { // an odd number of levels
		block = 2
		for at := 0; at < d.size; at += 2 {
			w := d.inverses[(d.size+at)/2]
			v[at], v[at+1] = v[at].Add(v[at+1]), w.mulDifference(v[at], v[at+1])
		}
	}
	for ; block < d.size; block *= 4 {
		d.joinTwice(v, block)
	}
	for i := range v {
		v[i] = v[i].Mul(d.scale)
	}
}

// joinTwice is the inverse of divideTwice, but for a factor of 4, from blocks of
// a size q.
func (d *Domain) joinTwice(v []Element, q int) {
	node := d.size / (4 * q)
	for at := 0; at < d.size; at += 4 * q {
		a, b, c, e := v[at:][:q], v[at+q:][:q], v[at+2*q:][:q], v[at+3*q:][:q]
		w, left, right := d.inverses[node], d.inverses[2*node], d.inverses[2*node+1]
		for i := range a {
			l, r := left.mulDifference(a[i], b[i]), right.mulDifference(c[i], e[i])
			x, y := a[i].Add(b[i]), c[i].Add(e[i])
			a[i], c[i] = x.Add(y), w.mulDifference(x, y)
			b[i], e[i] = l.Add(r), w.mulDifference(l, r)
		}
		node++
	}
}

// Lagrange sets weights[i] to the value at x of the polynomial that is 1 at
// position i and 0 at the others. The point x is not of the domain.
func (d *Domain) Lagrange(weights []Element, x Element) {
	d.check(weights)
	// L_i(x) = (x^n - c^n) · x_i / (n · c^n · (x - x_i)), with c the shift.
	shift := d.twiddles[1] // c^(n/2)
	power := shift.Square()
	scale := x.Pow(uint64(d.size)).Sub(power).Mul(d.scale).Mul(power.Inverse())
	for i := range weights {
		weights[i] = x.Sub(d.Point(i))
	}
	invertAll(weights)
	for i := range weights {
		weights[i] = weights[i].Mul(scale).Mul(d.Point(i))
	}
}

func (d *Domain) check(v []Element) {
	if len(v) != d.size {
		panic("field: internal error: the values do not fit the domain")
	}
}
