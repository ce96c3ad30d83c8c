package claim

import "github.com/consensys/gnark/frontend"

// defineRange: cm = C(h, pack(v1 .. v7) + T) and each v_i in [lo_i, hi_i].
//
// The values need no decomposition of their own: between makes each one an
// integer below 2^32, so that pack is injective. Native rules it relies on: 0
// <= lo_i <= hi_i < 2^32, and lo_i = hi_i = 0 for unused slots, which forces
// their values to 0.
func defineRange(g *gates, s, w []frontend.Variable) {
	cm, lo, hi := s[0], s[1:1+rangeSlots], s[1+rangeSlots:]
	h, values := w[0], w[1:]
	for i, v := range values {
		g.between(v, lo[i], hi[i], rangeBits)
	}
	g.commit(cm, h, g.pack(values))
}

// defineSum: cm = C(h, C(pack(v1 .. v7), pack(v8 .. v14)) + T), every value an
// integer below 2^32, the absent ones 0, and the sum in [lo, hi].
//
// 14 values below 2^32 sum up below 2^36, so that the sum in the field is the
// sum of the integers. Native rules it relies on: the presence bits are bits, 1
// for the first n slots and 0 after; 0 <= lo <= hi < 2^36. A presence value
// other than 1 forces its slot to 0.
func defineSum(g *gates, s, w []frontend.Variable) {
	cm, present, lo, hi := s[0], s[1:1+sumSlots], s[1+sumSlots], s[2+sumSlots]
	h, values := w[0], w[1:]
	var sum frontend.Variable = 0
	for i, v := range values {
		g.fits(v, rangeBits)
		g.AssertIsEqual(g.Mul(v, present[i]), v)
		sum = g.Add(sum, v)
	}
	g.between(sum, lo, hi, sumBits)
	g.commit(cm, h, g.compress(g.pack(values[:rangeSlots]), g.pack(values[rangeSlots:])))
}
