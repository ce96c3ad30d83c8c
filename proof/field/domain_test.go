package field_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/terradourada/td/proof/field"
)

func random(n int) []field.Element {
	r := rand.New(rand.NewPCG(4, uint64(n)))
	v := make([]field.Element, n)
	for i := range v {
		v[i] = field.New(r.Uint64())
	}
	return v
}

// reverse returns j with its log2(n) bits reversed.
func reverse(j, n int) (r int) {
	for ; n > 1; n /= 2 {
		r, j = r<<1|j&1, j>>1
	}
	return r
}

// horner returns the value of a polynomial.
func horner(coefficients []field.Element, x field.Element) (y field.Element) {
	for _, c := range slices.Backward(coefficients) {
		y = y.Mul(x).Add(c)
	}
	return y
}

// TestPoints compares the points with the definition.
func TestPoints(t *testing.T) {
	for _, n := range []int{2, 4, 8, 64, 2048} {
		for _, shift := range []uint64{1, 3, 77} {
			d := field.NewDomain(n, field.New(shift))
			for j := range n {
				want := field.New(shift).Mul(field.Root(n).Pow(uint64(reverse(j, n))))
				if got := d.Point(j); got != want {
					t.Fatalf("n = %d, shift %d: point %d is %d, want %d", n, shift, j, got.Uint32(), want.Uint32())
				}
			}
		}
	}
}

// TestRoot has roots of exactly their order.
func TestRoot(t *testing.T) {
	for n := 2; n <= 1<<24; n *= 2 {
		if w := field.Root(n); w.Pow(uint64(n)) != field.One || w.Pow(uint64(n/2)) == field.One {
			t.Errorf("the order of the root is not %d", n)
		}
	}
	if field.Root(1) != field.One {
		t.Error("the root of order 1 is not 1")
	}
}

// TestEvaluate compares the transform with the definition, for every length of
// the polynomial.
func TestEvaluate(t *testing.T) {
	for _, n := range []int{2, 4, 8, 16, 32} {
		for _, shift := range []uint64{1, 3} {
			d := field.NewDomain(n, field.New(shift))
			for k := range n + 1 {
				coefficients := random(k)
				v := append(slices.Clone(coefficients), random(n)[k:]...) // what follows does not count
				d.Evaluate(v, k)
				for j := range v {
					if want := horner(coefficients, d.Point(j)); v[j] != want {
						t.Fatalf("n = %d, k = %d: value %d is %d, want %d", n, k, j, v[j].Uint32(), want.Uint32())
					}
				}
				d.Interpolate(v)
				if !slices.Equal(v[:k], coefficients) || slices.ContainsFunc(v[k:], func(x field.Element) bool { return x != field.Element{} }) {
					t.Fatalf("n = %d, k = %d: interpolation returns another polynomial", n, k)
				}
			}
		}
	}
}

// TestPrefix: the first values on a domain are the values on the smaller domain
// of the same shift. The engine multiplies polynomials on such a prefix.
func TestPrefix(t *testing.T) {
	large, small := field.NewDomain(256, field.New(3)), field.NewDomain(32, field.New(3))
	v := append(random(32), make([]field.Element, 224)...)
	w := slices.Clone(v[:32])
	large.Evaluate(v, 32)
	small.Evaluate(w, 32)
	if !slices.Equal(v[:32], w) {
		t.Error("the values differ")
	}
}

func TestLagrange(t *testing.T) {
	for _, n := range []int{2, 8, 64} {
		for _, shift := range []uint64{1, 3} {
			d := field.NewDomain(n, field.New(shift))
			coefficients := random(n)
			values := slices.Clone(coefficients)
			d.Evaluate(values, n)
			weights := make([]field.Element, n)
			x := field.New(123456)
			d.Lagrange(weights, x)
			if got, want := field.Dot(weights, values), horner(coefficients, x); got != want {
				t.Errorf("n = %d: %d, want %d", n, got.Uint32(), want.Uint32())
			}
		}
	}
}

func TestDomainRefuses(t *testing.T) {
	for _, n := range []int{-4, 0, 1, 3, 6, 1 << 25} {
		mustPanic(t, func() { field.NewDomain(n, field.One) })
	}
	d := field.NewDomain(8, field.One)
	mustPanic(t, func() { d.Evaluate(make([]field.Element, 7), 7) })
	mustPanic(t, func() { d.Interpolate(make([]field.Element, 9)) })
	mustPanic(t, func() { d.Lagrange(make([]field.Element, 4), field.New(5)) })
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func BenchmarkEvaluate(b *testing.B) {
	for _, k := range []int{211, 2048} {
		b.Run(fmt.Sprint(k), func(b *testing.B) {
			d := field.NewDomain(2048, field.New(3))
			v := random(2048)
			for b.Loop() {
				d.Evaluate(v, k)
			}
		})
	}
}
