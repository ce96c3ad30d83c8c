package claim

import "github.com/consensys/gnark/frontend"

// record constrains cm = C(h, root + T). The private value is leaf number
// index, salted, of the tree of depth 3 under root. It returns the value and
// the public values after the index.
//
// The native rule it relies on: the three index values are bits, least
// significant first.
func record(g *gates, s, w []frontend.Variable) (value frontend.Variable, rest []frontend.Variable) {
	cm, index := s[0], s[1:1+recordDepth]
	h, value, salt, siblings := w[0], w[1], w[2], w[3:]
	node := g.compress(value, salt)
	for i, sibling := range siblings {
		left, right := g.order(index[i], node, sibling)
		node = g.compress(left, right)
	}
	g.commit(cm, h, node)
	return value, s[1+recordDepth:]
}

// order returns (x, y) for bit 0 and (y, x) for bit 1.
func (g *gates) order(bit, x, y frontend.Variable) (left, right frontend.Variable) {
	swap := g.Mul(bit, g.Sub(y, x))
	return g.Add(x, swap), g.Sub(y, swap)
}

// defineRecordRange: the field lies in [lo, hi], an integer below 2^64.
func defineRecordRange(g *gates, s, w []frontend.Variable) {
	value, bounds := record(g, s, w)
	g.between(value, bounds[0], bounds[1], recordBits)
}

// defineRecordEquals: the field is the public value.
func defineRecordEquals(g *gates, s, w []frontend.Variable) {
	value, want := record(g, s, w)
	g.AssertIsEqual(value, want[0])
	g.bind(want...)
}

// defineRecordOneOf: the field is one of the public values, a root of the
// product of all (value - w_i).
func defineRecordOneOf(g *gates, s, w []frontend.Variable) {
	value, choices := record(g, s, w)
	var product frontend.Variable = 1
	for _, choice := range choices {
		product = g.Mul(product, g.Sub(value, choice))
	}
	g.AssertIsEqual(product, 0)
	g.bind(choices...)
}
