package ligero_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/terradourada/td/proof/ligero"
)

// TestBits has the parameters of the specification with their bits.
func TestBits(t *testing.T) {
	for _, c := range []struct {
		params ligero.Params
		want   ligero.Bound
	}{
		{ligero.Params{Slots: 64, Length: 2048, Queries: 142, Components: 5}, ligero.Bound{Proximity: -143.94, Sum: -152.78, Queries: -128.53, Bits: 128.53}},
		{ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}, ligero.Bound{Proximity: -143.94, Sum: -152.73, Queries: -132.80, Bits: 132.80}},
		{ligero.Params{Slots: 128, Length: 4096, Queries: 142, Components: 5}, ligero.Bound{Proximity: -142.94, Sum: -153.33, Queries: -132.12, Bits: 132.12}},
		{ligero.Params{Slots: 512, Length: 8192, Queries: 147, Components: 5}, ligero.Bound{Proximity: -141.94, Sum: -152.74, Queries: -132.23, Bits: 132.23}},
		{ligero.Params{Slots: 1024, Length: 16384, Queries: 146, Components: 5}, ligero.Bound{Proximity: -140.94, Sum: -152.93, Queries: -132.29, Bits: 132.28}},
		{ligero.Params{Slots: 1024, Length: 32768, Queries: 139, Components: 5}, ligero.Bound{Proximity: -139.94, Sum: -153.62, Queries: -132.40, Bits: 132.39}},
	} {
		b := c.params.Bound()
		if far(b.Proximity, c.want.Proximity) || far(b.Sum, c.want.Sum) || far(b.Queries, c.want.Queries) || far(b.Bits, c.want.Bits) {
			t.Errorf("%+v: %+v, want %+v", c.params, b, c.want)
		}
		if err := c.params.Check(); err != nil {
			t.Error(err)
		}
		if exact := exactBits(c.params); math.Abs(exact-b.Bits) > 1e-6 {
			t.Errorf("%+v: %.9f bits, exactly %.9f", c.params, b.Bits, exact)
		}
	}
}

func far(a, b float64) bool { return math.Abs(a-b) > 0.006 }

// exactBits is the bound in numbers of 600 bits.
func exactBits(p ligero.Params) float64 {
	f := func(v float64) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(v) }
	n, k := float64(p.Length), float64(p.Slots+p.Queries)
	d := 2*k + float64(p.Slots) - 2
	g := f((n + k) / 2)
	if johnson := new(big.Float).Mul(f(1.02), new(big.Float).Sqrt(f(n*d))); johnson.Cmp(g) > 0 {
		g = johnson
	}
	list := new(big.Float).Sub(g, f(d))
	list.Mul(list, f(n))
	list.Quo(list, new(big.Float).Sub(new(big.Float).Mul(g, g), f(n*d)))
	sum := list.Add(list, f(n))
	for range p.Components {
		sum.Quo(sum, f(2130706433))
	}
	product := f(1)
	for i := range p.Queries {
		product.Mul(product, new(big.Float).Sub(g, f(float64(i))))
		product.Quo(product, f(n-float64(i)))
	}
	sum.Add(sum, product)
	exponent := sum.MantExp(sum)
	mantissa, _ := sum.Float64()
	return -(float64(exponent) + math.Log2(mantissa))
}

// TestParamsRefused: parameters of a wrong form, or with a bound below 128 bits.
func TestParamsRefused(t *testing.T) {
	good := ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}
	for name, change := range map[string]func(*ligero.Params){
		"no slots":                  func(p *ligero.Params) { p.Slots = 0 },
		"one slot":                  func(p *ligero.Params) { p.Slots = 1 },
		"negative slots":            func(p *ligero.Params) { p.Slots = -64 },
		"slots no power of two":     func(p *ligero.Params) { p.Slots = 63 },
		"length no power of two":    func(p *ligero.Params) { p.Length = 2047 },
		"length 2^17":               func(p *ligero.Params) { p.Length = 1 << 17 },
		"slots 2^17":                func(p *ligero.Params) { p.Slots = 1 << 17 },
		"no queries":                func(p *ligero.Params) { p.Queries = 0 },
		"negative queries":          func(p *ligero.Params) { p.Queries = -1 },
		"no components":             func(p *ligero.Params) { p.Components = 0 },
		"17 components":             func(p *ligero.Params) { p.Components = 17 },
		"4 components":              func(p *ligero.Params) { p.Components = 4 },
		"141 queries":               func(p *ligero.Params) { p.Queries = 141 },
		"product does not fit":      func(p *ligero.Params) { p.Length = 256 },
		"G² <= n·d":                 func(p *ligero.Params) { p.Length = 512 },
		"more queries than columns": func(p *ligero.Params) { p.Queries = 3000 },
	} {
		p := good
		change(&p)
		if p.Check() == nil {
			t.Errorf("%s: %+v is accepted with %.1f bits", name, p, p.Bound().Bits)
		}
		s := newSample(1, good.Slots, 1, 1, 1)
		s.system.Slots = p.Slots
		if _, err := ligero.New(s.system, p); err == nil {
			t.Errorf("%s: New accepts %+v", name, p)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// TestProductFits: the domain of columns must hold a product of rows, or the
// prover could not compute it there.
func TestProductFits(t *testing.T) {
	s := newSample(1, 4, 1, 1, 1)
	if _, err := ligero.NewUnchecked(s.system, ligero.Params{Slots: 4, Length: 16, Queries: 4, Components: 1}); err == nil {
		t.Error("d = 18 is accepted with n = 16")
	}
	if _, err := ligero.NewUnchecked(s.system, ligero.Params{Slots: 4, Length: 16, Queries: 3, Components: 1}); err != nil {
		t.Errorf("d = 16 is refused with n = 16: %v", err)
	}
}

// TestJohnson: where the radius of unique decoding is the smaller one, the bound
// uses that of the list of T. A prover could meet T there otherwise.
func TestJohnson(t *testing.T) {
	p := ligero.Params{Slots: 128, Length: 1024, Queries: 150, Components: 5}
	k, d, n := 278.0, 682.0, 1024.0
	if (n+k)/2 > math.Sqrt(n*d) {
		t.Fatal("the parameters do not show it")
	}
	want := 0.0
	for i := range p.Queries {
		want += math.Log2((1.02*math.Sqrt(n*d) - float64(i)) / (n - float64(i)))
	}
	if got := p.Bound().Queries; math.Abs(got-want) > 1e-9 {
		t.Errorf("2^%.2f, want 2^%.2f", got, want)
	}
}
