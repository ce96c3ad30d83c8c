package field

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
	if n < 2 || n&(n-1) != 0 || n > 1<<TwoAdicity {
		panic("field: internal error: the size of a domain is no power of two from 2 to 2^24")
	}
	d := &Domain{
		size:     n,
		twiddles: make([]Element, n),
		inverses: make([]Element, n),
		scale:    New(uint64(n)).Inverse(),
	}
	for half := n / 2; half >= 1; half /= 2 {
		// The nodes of this level are n/half/2 .. n/half - 1; their first points,
		// to the power of half, are shift^half times a root of order n/half.
		count := n / half / 2
		d.twiddles[count] = shift.Pow(uint64(half))
		for b := 1; b < count; b *= 2 {
			// Setting this bit of the position multiplies by one more root.
			root := Root(4 * b)
			for i := range b {
				d.twiddles[count+b+i] = d.twiddles[count+i].Mul(root)
			}
		}
	}
	copy(d.inverses[1:], d.twiddles[1:])
	InvertAll(d.inverses[1:])
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

// Evaluate turns coefficients into values, in place. All of v from index k on
// must be 0.
func (d *Domain) Evaluate(v []Element, k int) {
	d.check(v)
	half := d.size / 2
	for ; half >= max(k, 1); half /= 2 {
		// The polynomial is shorter than half: its remainders modulo both factors
		// are itself. Copies of it are all blocks of this level.
		for at := 0; at < d.size; at += 2 * half {
			copy(v[at+half:at+2*half], v[:half])
		}
	}
	for ; half >= 1; half /= 2 {
		node := d.size / half / 2
		for at := 0; at < d.size; at += 2 * half {
			left, right := v[at:at+half], v[at+half:at+2*half]
			w := d.twiddles[node]
			for i := range left {
				x := w.Mul(right[i])
				left[i], right[i] = left[i].Add(x), left[i].Sub(x)
			}
			node++
		}
	}
}

// Interpolate turns values into coefficients, in place.
func (d *Domain) Interpolate(v []Element) {
	d.check(v)
	for half := 1; half < d.size; half *= 2 {
		node := d.size / half / 2
		for at := 0; at < d.size; at += 2 * half {
			left, right := v[at:at+half], v[at+half:at+2*half]
			w := d.inverses[node]
			for i := range left {
				x, y := left[i], right[i]
				left[i], right[i] = x.Add(y), w.Mul(x.Sub(y))
			}
			node++
		}
	}
	for i := range v {
		v[i] = v[i].Mul(d.scale)
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
	InvertAll(weights)
	for i := range weights {
		weights[i] = weights[i].Mul(scale).Mul(d.Point(i))
	}
}

func (d *Domain) check(v []Element) {
	if len(v) != d.size {
		panic("field: internal error: the values do not fit the domain")
	}
}
