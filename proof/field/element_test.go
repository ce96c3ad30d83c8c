package field_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/field/koalabear"

	"github.com/terradourada/td/proof/field"
)

// edges are the values at which a carry or a conditional subtraction turns.
var edges = []uint64{0, 1, 2, 3, 1<<24 - 1, 1 << 24, 1<<24 + 1, 1<<30 - 1, 1 << 30, field.Modulus/2 - 1, field.Modulus / 2, field.Modulus/2 + 1, field.Modulus - 2, field.Modulus - 1}

func samples(t *testing.T, n int) []uint64 {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	s := slices.Clone(edges)
	for range n {
		s = append(s, r.Uint64N(field.Modulus))
	}
	return s
}

func TestModulus(t *testing.T) {
	if got := koalabear.Modulus().Uint64(); got != field.Modulus {
		t.Fatalf("the oracle has modulus %d", got)
	}
}

// TestArithmetic compares every operation with the field of gnark-crypto, on
// all pairs of edges and on random pairs.
func TestArithmetic(t *testing.T) {
	values := samples(t, 100)
	for _, a := range values {
		for _, b := range values {
			var ga, gb koalabear.Element
			ga.SetUint64(a)
			gb.SetUint64(b)
			x, y := field.New(a), field.New(b)
			for name, c := range map[string]struct {
				got  field.Element
				want *koalabear.Element
			}{
				"Add": {x.Add(y), new(koalabear.Element).Add(&ga, &gb)},
				"Sub": {x.Sub(y), new(koalabear.Element).Sub(&ga, &gb)},
				"Mul": {x.Mul(y), new(koalabear.Element).Mul(&ga, &gb)},
			} {
				if uint64(c.got.Uint32()) != c.want.Uint64() {
					t.Fatalf("%s(%d, %d) = %d, want %d", name, a, b, c.got.Uint32(), c.want.Uint64())
				}
			}
			if (x == y) != (a == b) {
				t.Fatalf("%d == %d is %v", a, b, x == y)
			}
		}
	}
	for _, a := range values {
		var ga, want koalabear.Element
		ga.SetUint64(a)
		x := field.New(a)
		if got := uint64(x.Neg().Uint32()); got != want.Neg(&ga).Uint64() {
			t.Errorf("-%d = %d", a, got)
		}
		if got := uint64(x.Square().Uint32()); got != want.Square(&ga).Uint64() {
			t.Errorf("%d^2 = %d", a, got)
		}
		if got := uint64(x.Inverse().Uint32()); got != want.Inverse(&ga).Uint64() {
			t.Errorf("1/%d = %d", a, got)
		}
		if got := uint64(x.Uint32()); got != a {
			t.Errorf("%d is read as %d", a, got)
		}
	}
}

// TestNew reduces every integer of 64 bits.
func TestNew(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	values := append([]uint64{1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1, field.Modulus << 32, field.Modulus<<32 - 1, 2 * field.Modulus, 2*field.Modulus - 1}, edges...)
	for range 10000 {
		values = append(values, r.Uint64())
	}
	for _, v := range values {
		if got := uint64(field.New(v).Uint32()); got != v%field.Modulus {
			t.Fatalf("New(%d) = %d, want %d", v, got, v%field.Modulus)
		}
	}
}

func TestPow(t *testing.T) {
	x := field.New(123456789)
	want := field.One
	for e := range uint64(70) {
		if got := x.Pow(e); got != want {
			t.Fatalf("x^%d = %d, want %d", e, got.Uint32(), want.Uint32())
		}
		want = want.Mul(x)
	}
	if x.Pow(field.Modulus-1) != field.One {
		t.Error("x^(p-1) is not 1")
	}
}

// TestEncoding decodes what it encoded, and refuses every class of values from
// the modulus on.
func TestEncoding(t *testing.T) {
	for _, v := range samples(t, 1000) {
		b := field.New(v).Append([]byte{7})
		if len(b) != 5 || binary.BigEndian.Uint32(b[1:]) != uint32(v) {
			t.Fatalf("%d is encoded as %x", v, b[1:])
		}
		if x, ok := field.Parse(b[1:]); !ok || x != field.New(v) {
			t.Fatalf("%x is decoded as %d, %v", b[1:], x.Uint32(), ok)
		}
	}
	for _, v := range []uint32{field.Modulus, field.Modulus + 1, 1 << 31, 1<<31 + 1, 1<<32 - 1} {
		if _, ok := field.Parse(binary.BigEndian.AppendUint32(nil, v)); ok {
			t.Errorf("%d is accepted", v)
		}
	}
}

func TestParseAll(t *testing.T) {
	in := []field.Element{field.New(1), field.New(field.Modulus - 1), field.New(77)}
	b := field.AppendAll(nil, in)
	out := make([]field.Element, 3)
	if !field.ParseAll(out, b) || !slices.Equal(in, out) {
		t.Fatalf("%x is decoded as %v", b, out)
	}
	if field.ParseAll(out, b[1:]) || field.ParseAll(out, append(b, 0)) || field.ParseAll(out[:2], b) || field.ParseAll(out, nil) {
		t.Error("a wrong length is accepted")
	}
	for i := range in {
		bad := slices.Clone(b)
		bad[4*i] |= 0x80
		if field.ParseAll(out, bad) {
			t.Errorf("element %d is accepted out of range", i)
		}
	}
}

func TestDot(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, n := range []int{0, 1, 2, 3, 16, 1000, 100000} {
		for _, full := range []bool{false, true} {
			a, b := make([]field.Element, n), make([]field.Element, n)
			want := field.Element{}
			for i := range a {
				a[i], b[i] = field.New(r.Uint64()), field.New(r.Uint64())
				if full { // the greatest residues
					a[i] = field.New(field.Modulus - 1).Mul(field.New(1 << 32).Inverse())
					b[i] = a[i]
				}
				want = want.Add(a[i].Mul(b[i]))
			}
			if got := field.Dot(a, b); got != want {
				t.Errorf("n = %d: %d, want %d", n, got.Uint32(), want.Uint32())
			}
		}
	}
}

func TestAddMul(t *testing.T) {
	sum := []field.Element{field.New(1), field.New(2)}
	field.AddMul(sum, []field.Element{field.New(10), field.New(20)}, field.New(3))
	if sum[0] != field.New(31) || sum[1] != field.New(62) {
		t.Errorf("got %v", sum)
	}
}

func TestInvertAll(t *testing.T) {
	for n := range 20 {
		x, want := make([]field.Element, n), make([]field.Element, n)
		for i := range x {
			x[i] = field.New(uint64(i*i + 1))
			want[i] = x[i].Inverse()
		}
		field.InvertAll(x)
		if !slices.Equal(x, want) {
			t.Errorf("n = %d: %v, want %v", n, x, want)
		}
	}
}

func BenchmarkMul(b *testing.B) {
	x, y := field.New(123456789), field.New(987654321)
	for b.Loop() {
		x = x.Mul(y)
	}
	_ = x
}

// TestAddProducts has sums of one product to many, of random elements and of the
// greatest as they are in memory.
func TestAddProducts(t *testing.T) {
	greatest := field.New(field.Modulus - 1).Mul(field.New(1 << 32).Inverse()) // p-1 in memory
	for _, rounds := range []int{1, 2, 3, 100} {
		sums, want := make([]field.Sum, 8), make([]field.Element, 8)
		for i := range rounds {
			a, b := random(8), random(16)[8:]
			a[0], b[0] = greatest, greatest
			a[1], b[1] = field.Element{}, greatest
			a[2] = a[2].Add(field.New(uint64(i)))
			field.AddProducts(sums, a, b)
			for j := range want {
				want[j] = want[j].Add(a[j].Mul(b[j]))
			}
		}
		for j := range want {
			if got := sums[j].Element(); got != want[j] {
				t.Errorf("%d products: sum %d is %d, want %d", rounds, j, got.Uint32(), want[j].Uint32())
			}
		}
	}
}

func BenchmarkDot64(b *testing.B) {
	x := make([]field.Element, 64)
	for i := range x {
		x[i] = field.New(uint64(i) * 98765432)
	}
	for b.Loop() {
		x[0] = field.Dot(x, x)
	}
}
