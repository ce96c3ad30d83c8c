package ligero_test

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
	"github.com/terradourada/td/proof/transcript"
)

// sample is a system with values that satisfy it.
type sample struct {
	system         *ligero.System
	values, public []field.Element
}

// newSample returns a random system. Each equation has a few linear terms, a few
// products and a public value, and the constant that makes it hold.
func newSample(seed uint64, slots, rows, products, equations int) *sample {
	r := rand.New(rand.NewPCG(seed, 7))
	element := func() field.Element { return field.New(1 + r.Uint64N(field.Modulus-1)) }
	s := &sample{system: &ligero.System{Slots: slots, Rows: rows, Publics: 3, Equations: equations}}
	for range rows * slots {
		s.values = append(s.values, element())
	}
	for range s.system.Publics {
		s.public = append(s.public, element())
	}
	for len(s.system.Products) < products {
		a, b := r.IntN(rows), r.IntN(rows)
		p := [2]int{min(a, b), max(a, b)}
		if !slices.Contains(s.system.Products, p) {
			s.system.Products = append(s.system.Products, p)
		}
	}
	slices.SortFunc(s.system.Products, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	for e := range uint32(equations) {
		sum := field.Element{}
		for _, at := range distinct(r, min(3, rows*slots), rows*slots) {
			t := ligero.Term{Equation: e, At: at, Factor: element()}
			s.system.Linear = append(s.system.Linear, t)
			sum = sum.Add(t.Factor.Mul(s.values[at]))
		}
		for _, at := range distinct(r, min(2, products*slots), products*slots) {
			t := ligero.Term{Equation: e, At: at, Factor: element()}
			s.system.Quadratic = append(s.system.Quadratic, t)
			p, slot := s.system.Products[int(at)/slots], int(at)%slots
			sum = sum.Add(t.Factor.Mul(s.values[p[0]*slots+slot]).Mul(s.values[p[1]*slots+slot]))
		}
		public := ligero.Term{Equation: e, At: 1 + uint32(r.IntN(s.system.Publics)), Factor: element()}
		sum = sum.Add(public.Factor.Mul(s.public[public.At-1]))
		if sum != (field.Element{}) {
			s.system.Constant = append(s.system.Constant, ligero.Term{Equation: e, At: 0, Factor: sum.Neg()})
		}
		s.system.Constant = append(s.system.Constant, public)
	}
	return s
}

// distinct returns n ascending numbers below limit.
func distinct(r *rand.Rand, n, limit int) []uint32 {
	var d []uint32
	for len(d) < n {
		if x := uint32(r.IntN(limit)); !slices.Contains(d, x) {
			d = append(d, x)
		}
	}
	slices.SortFunc(d, cmp.Compare)
	return d
}

// small are parameters of little soundness, for tests that prove often.
var small = ligero.Params{Slots: 4, Length: 64, Queries: 6, Components: 2}

func coins(seed string) *ligero.Coins {
	return ligero.FixedCoins(transcript.Digest("test coins", []byte(seed)))
}
