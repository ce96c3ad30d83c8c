package poseidon_test

import (
	"math/bits"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

// TestVector is the published vector of Plonky3 for the state 0, 1, .. 15.
func TestVector(t *testing.T) {
	want := [16]uint32{
		1468040291, 1284868514, 229978149, 2112921282, 1149191063, 1632652805, 1275998968, 2125250571,
		2064784702, 2077737783, 318760289, 1995760178, 311620215, 163865341, 2045237984, 199475005,
	}
	var state [16]field.Element
	for i := range state {
		state[i] = field.New(uint64(i))
	}
	poseidon.Permute(&state)
	for i := range state {
		if state[i].Uint32() != want[i] {
			t.Errorf("lane %d is %d, want %d", i, state[i].Uint32(), want[i])
		}
	}
}

// TestConstants has the first and the last constants that Plonky3 publishes for
// both kinds of rounds, and zeros where a partial round adds nothing.
func TestConstants(t *testing.T) {
	for _, c := range []struct {
		round, lane int
		want        uint32
	}{
		{0, 0, 0x7ee56a48},
		{0, 15, 0x5b2e2660},
		{3, 15, 0x760e7fdf},
		{4, 0, 0x54dfeb5d},
		{23, 0, 0x71914ff7},
		{24, 0, 0x763a3125},
		{27, 15, 0x07e2d7ef},
	} {
		if got := poseidon.Constants(c.round)[c.lane].Uint32(); got != c.want {
			t.Errorf("round %d, lane %d: %#x, want %#x", c.round, c.lane, got, c.want)
		}
	}
	for round := 4; round < 24; round++ {
		for lane, x := range poseidon.Constants(round) {
			if lane > 0 && x != (field.Element{}) {
				t.Errorf("round %d adds %d to lane %d", round, x.Uint32(), lane)
			}
		}
	}
}

// TestMatrix is the published vector of Plonky3 for the matrix alone.
func TestMatrix(t *testing.T) {
	in := [16]uint64{
		1983708094, 1477844074, 1638775686, 98517138, 70746308, 968700066, 275567720, 1359144511,
		960499489, 1215199187, 474302783, 79320256, 1923147803, 1197733438, 1638511323, 303948902,
	}
	want := [16]uint32{
		54729128, 2128589920, 81963306, 842781423, 59798772, 1955488131, 274677035, 372631613,
		1610234661, 608093248, 1204230235, 1081779929, 873712545, 436245025, 339463618, 255045423,
	}
	for i := range want {
		sum := field.Element{}
		for j, m := range poseidon.Matrix(i) {
			sum = sum.Add(m.Mul(field.New(in[j])))
		}
		if sum.Uint32() != want[i] {
			t.Errorf("row %d: %d, want %d", i, sum.Uint32(), want[i])
		}
	}
}

// TestNoInvariantSubspace: no subspace of states whose lane 0 is constant
// survives for ever. The matrix is circulant and the field has the roots of unity
// of order 16, so its eigenvectors are the Fourier vectors, of which none has a 0
// in lane 0. A subspace within lane 0 = 0 that the power M^i keeps would need two
// equal eigenvalues of M^i.
func TestNoInvariantSubspace(t *testing.T) {
	w := field.Root(16)
	var eigenvalues [16]field.Element
	for e := range eigenvalues {
		for j, m := range poseidon.Matrix(0) {
			eigenvalues[e] = eigenvalues[e].Add(m.Mul(w.Pow(uint64(e * j))))
		}
		if eigenvalues[e] == (field.Element{}) {
			t.Fatal("the matrix is singular")
		}
	}
	for i := uint64(1); i <= 1000; i++ {
		seen := map[field.Element]bool{}
		for _, x := range eigenvalues {
			if y := x.Pow(i); seen[y] {
				t.Fatalf("M^%d has an eigenvalue twice", i)
			} else {
				seen[y] = true
			}
		}
	}
}

// TestMinors: all square parts of the matrix of up to 4 rows have an inverse,
// a part of the property MDS; the matrix is published as having all of it.
func TestMinors(t *testing.T) {
	for size := 1; size <= 4; size++ {
		for rows := range 1 << 16 {
			if bits.OnesCount(uint(rows)) != size || rows&1 == 0 { // circulant: row 0 is one of them
				continue
			}
			for columns := range 1 << 16 {
				if bits.OnesCount(uint(columns)) == size && singular(rows, columns) {
					t.Fatalf("rows %#x and columns %#x have no inverse", rows, columns)
				}
			}
		}
	}
}

// singular reports whether the determinant of a part is 0, by Leibniz's formula.
func singular(rows, columns int) bool {
	return determinant(rows, columns) == field.Element{}
}

func determinant(rows, columns int) (sum field.Element) {
	if rows == 0 {
		return field.One
	}
	row := bits.TrailingZeros(uint(rows))
	for rest, negative := columns, false; rest != 0; rest, negative = rest&(rest-1), !negative {
		column := rest & -rest
		x := poseidon.Matrix(row)[bits.TrailingZeros(uint(column))].Mul(determinant(rows&(rows-1), columns&^column))
		if negative {
			x = x.Neg()
		}
		sum = sum.Add(x)
	}
	return sum
}

// TestCompress compares with the permutation, and has each half count.
func TestCompress(t *testing.T) {
	var x, y poseidon.Digest
	for i := range x {
		x[i], y[i] = field.New(uint64(100+i)), field.New(uint64(200+i))
	}
	var state [16]field.Element
	copy(state[:8], x[:])
	copy(state[8:], y[:])
	poseidon.Permute(&state)
	got := poseidon.Compress(x, y)
	for i := range got {
		if got[i] != state[8+i].Add(y[i]) {
			t.Errorf("element %d differs", i)
		}
	}
	if got == poseidon.Compress(y, x) {
		t.Error("the order of the halves does not count")
	}
}

func BenchmarkCompress(b *testing.B) {
	var x poseidon.Digest
	for b.Loop() {
		x = poseidon.Compress(x, x)
	}
}
