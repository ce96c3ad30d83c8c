package ligero_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// The tests here try provers of false statements on the model over the prime 257
// with one component, where every weight can be tried and the terms 1/|K| show.
// The statement is that of the false proof which an early prototype accepted:
// 3·Y = Z and Y² = 4, here with other numbers.

const toyPrime = 257

// toySystem has the equations 3·Y - Z = 0 and Y·Y - 4 = 0 with Z public and Y in
// slot 0 of the only row. -1 and -4 are modulo 257.
func toySystem(slots int) *ligero.System {
	return &ligero.System{
		Slots: slots, Rows: 1, Publics: 1, Equations: 2,
		Products:  [][2]int{{0, 0}},
		Linear:    []ligero.Term{{Equation: 0, At: 0, Factor: field.New(3)}},
		Quadratic: []ligero.Term{{Equation: 1, At: 0, Factor: field.One}},
		Constant: []ligero.Term{
			{Equation: 0, At: 1, Factor: field.New(toyPrime - 1)},
			{Equation: 1, At: 0, Factor: field.New(toyPrime - 4)},
		},
	}
}

func toy() *model {
	return &model{p: toyPrime, l: 2, n: 32, t: 2, d: 1, generator: 3, sys: toySystem(2)}
}

// lies are values of Y and Z that violate one equation, and by how much.
var lies = []struct {
	equation int
	y, z     uint64
	residual uint64
}{
	{0, 2, 100, (6 + toyPrime - 100) % toyPrime},
	{1, 5, 15, 25 - 4},
}

// attack is a prover without a witness: words that were committed, and its answer
// to a challenge.
type attack struct {
	words  [3][]uint64 // the row, the mask of U, the mask of T, at every position
	answer func(c check) (u, t []uint64)
}

func (m *model) encodeAll(poly []uint64) (word []uint64) {
	for j := range m.n {
		word = append(word, m.eval(poly, m.column(j)))
	}
	return word
}

// passing is the number of columns that agree with the answer.
func (m *model) passing(a attack, c check) (count int) {
	u, t := a.answer(c)
	t = c.withSum(t, c.sum)
	for j := range m.n {
		if c.agrees([]uint64{a.words[0][j], a.words[1][j], a.words[2][j]}, u, t, m.column(j)) {
			count++
		}
	}
	return count
}

// chance is the probability that t different columns out of n are among count.
func (m *model) chance(count int) *big.Rat {
	return new(big.Rat).SetFrac(new(big.Int).Binomial(int64(count), int64(m.t)), new(big.Int).Binomial(int64(m.n), int64(m.t)))
}

// acceptance is the probability over all weights of the violated equation, with
// a few of the other and a few for the row.
func (m *model) acceptance(a attack, equation int, z uint64) *big.Rat {
	sum, tries := new(big.Rat), int64(0)
	for _, row := range []uint64{0, 1, 77} {
		for _, other := range []uint64{0, 5, 200} {
			for w := range m.p {
				equations := []uint64{other, other}
				equations[equation] = w
				c := m.check(0, challenge{rows: []uint64{row}, equations: equations}, []uint64{z})
				sum.Add(sum, m.chance(m.passing(a, c)))
				tries++
			}
		}
	}
	return sum.Quo(sum, new(big.Rat).SetInt64(tries))
}

// bound is the bound of the specification for the model's own field.
func (m *model) bound() *big.Rat {
	n, k, d, q := float64(m.n), float64(m.k()), float64(m.dT()), float64(m.p)
	g := max((n+k)/2, 1.02*math.Sqrt(n*d))
	sum := n/q + (g-d)*n/(g*g-n*d)/q
	product := 1.0
	for i := range m.t {
		product *= (g - float64(i)) / (n - float64(i))
	}
	return new(big.Rat).SetFloat64(sum + product)
}

func wantChance(t *testing.T, m *model, got, want *big.Rat) {
	t.Helper()
	if got.Cmp(want) != 0 {
		t.Errorf("accepted with probability %s, want %s", got, want)
	}
	if got.Cmp(m.bound()) > 0 {
		f, _ := got.Float64()
		t.Errorf("accepted with probability %.4f, above the bound %s", f, m.bound().FloatString(4))
	}
}

// honestWith commits the row of a false value with a T-mask of any sum.
func (m *model) honestWith(y, maskSum uint64) (row, u, v []uint64) {
	row = m.row([]uint64{y, 9}, []uint64{11, 12})
	u = []uint64{21, 22, 23, 24}
	v = m.withSum([]uint64{0, 31, 32, 33, 34, 35, 36, 37}, maskSum)
	return row, u, v
}

func (m *model) answerOf(row, u, v []uint64) func(c check) (_, _ []uint64) {
	return func(c check) (_, _ []uint64) {
		return m.plus(u, m.scale(row, c.weights[0])), m.plus(m.total(c.rows, c.products, [][]uint64{row}), v)
	}
}

// TestShiftedMask: a mask of T whose sum cancels one violated equation, with both
// signs, or any other. Only the one weight at which it fits is lucky.
func TestShiftedMask(t *testing.T) {
	m := toy()
	for _, lie := range lies {
		for _, shift := range []uint64{0, 1, lie.residual, toyPrime - lie.residual} {
			row, u, v := m.honestWith(lie.y, shift)
			a := attack{[3][]uint64{m.encodeAll(row), m.encodeAll(u), m.encodeAll(v)}, m.answerOf(row, u, v)}
			wantChance(t, m, m.acceptance(a, lie.equation, lie.z), big.NewRat(1, toyPrime))
		}
	}
}

// TestWeightOne shows what the rule "every equation has a random weight" is for:
// with weight 1 for the first equation the shifted mask is always accepted.
func TestWeightOne(t *testing.T) {
	m, lie := toy(), lies[0]
	row, u, v := m.honestWith(lie.y, toyPrime-lie.residual)
	a := attack{[3][]uint64{m.encodeAll(row), m.encodeAll(u), m.encodeAll(v)}, m.answerOf(row, u, v)}
	for w := range m.p {
		c := m.check(0, challenge{rows: []uint64{7}, equations: []uint64{1, w}}, []uint64{lie.z})
		if m.passing(a, c) != m.n {
			t.Fatalf("weight %d: refused", w)
		}
	}
}

// TestConstantTermSent shows what "the constant term of T is derived" is for: a
// verifier that took it from the prover would accept everything.
func TestConstantTermSent(t *testing.T) {
	m, lie := toy(), lies[1]
	row, u, v := m.honestWith(lie.y, 0)
	answer := m.answerOf(row, u, v)
	for w := range m.p {
		c := m.check(0, challenge{rows: []uint64{7}, equations: []uint64{w, w}}, []uint64{lie.z})
		us, ts := answer(c)
		for j := range m.n {
			x := m.column(j)
			if !c.agrees([]uint64{m.eval(row, x), m.eval(u, x), m.eval(v, x)}, us, ts, x) {
				t.Fatalf("weight %d: refused", w)
			}
		}
	}
}

// TestPowerWeights shows what independent weights are for: with powers of one
// challenge, n equations can be violated such that n challenges are lucky.
func TestPowerWeights(t *testing.T) {
	const equations = 4
	m := toy()
	m.sys = &ligero.System{Slots: 2, Rows: 2, Publics: equations, Equations: equations}
	for e := range uint32(equations) {
		m.sys.Linear = append(m.sys.Linear, ligero.Term{Equation: e, At: e, Factor: field.One})
		m.sys.Constant = append(m.sys.Constant, ligero.Term{Equation: e, At: e + 1, Factor: field.New(toyPrime - 1)})
	}
	// The residuals are the coefficients of a polynomial with 4 roots that has the
	// sum of the mask as constant term.
	roots := m.vanish([]uint64{3, 50, 100, 200})
	rows := [][]uint64{m.row(roots[1:3], []uint64{1, 2}), m.row(roots[3:5], []uint64{3, 4})}
	v := m.withSum([]uint64{0, 31, 32, 33, 34, 35, 36, 37}, roots[0])
	lucky := func(weights func(w uint64) []uint64) (count int) {
		for w := range m.p {
			c := m.check(0, challenge{rows: []uint64{1, 1}, equations: weights(w)}, make([]uint64, equations))
			tt := m.plus(m.total(c.rows, c.products, rows), v)
			if c.withSum(tt, c.sum)[0] == tt[0] {
				count++
			}
		}
		return count
	}
	if got := lucky(func(w uint64) []uint64 {
		return []uint64{w, m.pow(w, 2), m.pow(w, 3), m.pow(w, 4)}
	}); got != equations {
		t.Errorf("power weights: %d lucky challenges, want %d", got, equations)
	}
	for e := range equations {
		if got := lucky(func(w uint64) []uint64 {
			independent := []uint64{12, 34, 56, 78}
			independent[e] = w
			return independent
		}); got != 1 {
			t.Errorf("independent weights: %d lucky values of weight %d, want 1", got, e)
		}
	}
}

// TestSharedWeights shows what a stream for every component is for: with the same
// weights in two components, both are lucky together.
func TestSharedWeights(t *testing.T) {
	m, lie := toy(), lies[0]
	row, _, v := m.honestWith(lie.y, 1)
	lucky := func(w uint64) bool {
		c := m.check(0, challenge{rows: []uint64{1}, equations: []uint64{w, 3}}, []uint64{lie.z})
		tt := m.plus(m.total(c.rows, c.products, [][]uint64{row}), v)
		return c.withSum(tt, c.sum)[0] == tt[0]
	}
	shared, independent := 0, 0
	for a := range m.p {
		if lucky(a) {
			shared++
		}
		for b := range m.p {
			if lucky(a) && lucky(b) {
				independent++
			}
		}
	}
	if shared != 1 || independent != 1 {
		t.Errorf("%d of 257 and %d of 257^2, want 1 and 1", shared, independent)
	}
}

// TestVanishingShift: T is moved by a polynomial that has the missing sum and
// vanishes on d-1 columns; exactly these agree.
func TestVanishingShift(t *testing.T) {
	m := toy()
	var columns []uint64
	for j := range m.dT() - 1 {
		columns = append(columns, m.column(3*j))
	}
	vanishing := m.vanish(columns)
	if m.sumOverSlots(vanishing) == 0 {
		t.Fatal("the polynomial does not change the sum")
	}
	for _, lie := range lies {
		row, u, v := m.honestWith(lie.y, 0)
		honest := m.answerOf(row, u, v)
		a := attack{[3][]uint64{m.encodeAll(row), m.encodeAll(u), m.encodeAll(v)}, func(c check) (_, _ []uint64) {
			us, ts := honest(c)
			missing := m.sub(c.sum, m.sumOverSlots(ts))
			return us, m.plus(ts, m.scale(vanishing, m.mul(missing, m.inv(m.sumOverSlots(vanishing)))))
		}}
		// One weight in 257 needs no shift.
		want := new(big.Rat).Mul(big.NewRat(toyPrime-1, toyPrime), m.chance(m.dT()-1))
		wantChance(t, m, m.acceptance(a, lie.equation, lie.z), want.Add(want, big.NewRat(1, toyPrime)))
	}
}

// piecewise is a word that has the values of a on the first half of the columns
// and those of b on the rest, where a and b agree in common columns of the second
// half. It returns a and b, too: b is a plus a polynomial that vanishes there.
func (m *model) piecewise(a []uint64, common int, scale uint64) (word, b []uint64) {
	var columns []uint64
	for j := m.n - common; j < m.n; j++ {
		columns = append(columns, m.column(j))
	}
	b = m.plus(a, m.scale(m.vanish(columns), scale))
	wa, wb := m.encodeAll(a), m.encodeAll(b)
	return append(wa[:m.n/2:m.n/2], wb[m.n/2:]...), b
}

// TestPiecewiseMask: the mask of T is two members of a list of polynomials, each
// on half of the columns, with different sums. Two weights are lucky, each for the
// columns of one member.
func TestPiecewiseMask(t *testing.T) {
	m := toy()
	for _, lie := range lies {
		row, u, v := m.honestWith(lie.y, 1)
		word, v2 := m.piecewise(v, m.dT()-1, 1)
		if m.sumOverSlots(v2) == 1 {
			t.Fatal("both members have one sum")
		}
		a := attack{[3][]uint64{m.encodeAll(row), m.encodeAll(u), word}, func(c check) (_, _ []uint64) {
			us, first := m.answerOf(row, u, v)(c)
			_, second := m.answerOf(row, u, v2)(c)
			if m.sumOverSlots(second) == c.sum {
				return us, second
			}
			return us, first
		}}
		want := new(big.Rat).Add(m.chance(m.n/2+m.dT()-1), m.chance(m.n/2))
		wantChance(t, m, m.acceptance(a, lie.equation, lie.z), want.Mul(want, big.NewRat(1, toyPrime)))
	}
}

// TestDeflectedU: the row is two polynomials, each on half of the columns, with
// different values in its slots, and the answer is for either one. Two weights
// are lucky, each for the columns of one polynomial.
func TestDeflectedU(t *testing.T) {
	m := toy()
	for _, lie := range lies {
		first, u, v := m.honestWith(lie.y, 1)
		word, second := m.piecewise(first, m.k()-1, 1)
		a := attack{[3][]uint64{word, m.encodeAll(u), m.encodeAll(v)}, func(c check) (_, _ []uint64) {
			u1, t1 := m.answerOf(first, u, v)(c)
			u2, t2 := m.answerOf(second, u, v)(c)
			if m.sumOverSlots(t2) == c.sum {
				return u2, t2
			}
			return u1, t1
		}}
		got := m.acceptance(a, lie.equation, lie.z)
		// Row weight 0 makes all columns agree with U; a column agrees with T where
		// the two polynomials have the same share in the sum.
		if got.Cmp(m.bound()) > 0 {
			t.Errorf("equation %d: %s is above the bound", lie.equation, got)
		}
		if lower := new(big.Rat).Mul(m.chance(m.n/2), big.NewRat(1, toyPrime)); got.Cmp(lower) < 0 {
			t.Errorf("equation %d: %s; the attack does not work", lie.equation, got)
		}
	}
}

// TestLuckyRowWeight: the row is no polynomial on half of the columns, and the
// mask of U makes up for it at one weight. At all others the columns of the other
// half agree with U.
func TestLuckyRowWeight(t *testing.T) {
	m := toy()
	const lucky = 42
	row, u, _ := m.honestWith(2, 0)
	word, mask := m.encodeAll(row), m.encodeAll(u)
	for j := m.n / 2; j < m.n; j++ {
		off := m.pow(3, uint64(j)) // no polynomial of low degree
		word[j] = m.add(word[j], off)
		mask[j] = m.sub(mask[j], m.mul(lucky, off))
	}
	for w := range m.p {
		agree := 0
		c := m.check(0, challenge{rows: []uint64{w}, equations: []uint64{0, 0}}, []uint64{6})
		for j := range m.n {
			if c.agrees([]uint64{word[j], mask[j], 0}, m.plus(u, m.scale(row, w)), nil, m.column(j)) {
				agree++
			}
		}
		want := m.n / 2
		if w == lucky {
			want = m.n
		}
		if agree != want {
			t.Fatalf("weight %d: %d columns agree, want %d", w, agree, want)
		}
	}
}
