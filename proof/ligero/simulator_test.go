package ligero_test

import (
	"testing"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// TestOpenedRows tries all random parts of a row over the prime 257: any t
// columns have every combination of values exactly once, whatever the slots hold.
// t+1 columns do not: they are never the same for two values.
func TestOpenedRows(t *testing.T) {
	m := toy()
	x := []uint64{m.column(0), m.column(5), m.column(31)}
	open := func(values []uint64, columns int) []int {
		count := make([]int, toyPrime*toyPrime*toyPrime)
		base := m.interpolate(m.slots(), values)
		for r := range m.p * m.p {
			f := m.plus(base, m.row([]uint64{0, 0}, []uint64{r % m.p, r / m.p}))
			at := uint64(0)
			for _, x := range x[:columns] {
				at = at*m.p + m.eval(f, x)
			}
			count[at]++
		}
		return count
	}
	a, b := open([]uint64{2, 9}, m.t), open([]uint64{200, 0}, m.t)
	for i := range toyPrime * toyPrime {
		if a[i] != 1 || b[i] != 1 {
			t.Fatalf("columns %d occur %d and %d times", i, a[i], b[i])
		}
	}
	a, b = open([]uint64{2, 9}, m.t+1), open([]uint64{200, 0}, m.t+1)
	for i := range a {
		if a[i] > 0 && b[i] > 0 {
			t.Fatalf("t+1 columns %d occur with both values", i)
		}
	}
}

// TestSimulator tries all coins of whole proofs over the prime 17: for given
// challenges, what a verifier sees of a proof for Y = 2 and of one for Y = -2 is
// exactly what a simulator draws that knows neither: a uniform row value, a
// uniform U, a uniform T without constant term, and masks that follow from them.
func TestSimulator(t *testing.T) {
	m := &model{p: 17, l: 1, n: 8, t: 1, d: 1, generator: 3, sys: &ligero.System{
		Slots: 1, Rows: 1, Equations: 1,
		Products:  [][2]int{{0, 0}},
		Quadratic: []ligero.Term{{Factor: field.One}},
		Constant:  []ligero.Term{{Factor: field.New(17 - 4)}},
	}}
	if m.k() != 2 || m.dT() != 3 {
		t.Fatalf("k = %d, d = %d", m.k(), m.dT())
	}
	const views = 17 * 17 * 17 * 17 * 17
	seen := make([]uint8, views)
	for _, position := range []int{0, 3} {
		x := m.column(position)
		for _, w := range []challenge{{[]uint64{0}, []uint64{0}}, {[]uint64{5}, []uint64{11}}} {
			c := m.check(0, w, nil)
			for _, y := range []uint64{2, 15} {
				clear(seen)
				total := make(map[uint64][]uint64)
				rows := make(map[uint64][]uint64)
				for r := range m.p {
					rows[r] = m.row([]uint64{y}, []uint64{r})
					total[r] = m.total(c.rows, c.products, [][]uint64{rows[r]})
				}
				for coins := range uint64(views) {
					// The coins of the row, of the mask of U, of the mask of T.
					r, a, b := coins%17, [2]uint64{coins / 17 % 17, coins / 289 % 17}, [2]uint64{coins / 4913 % 17, coins / 83521}
					row, part := rows[r], total[r]
					u0, u1 := m.add(a[0], m.mul(row[0], w.rows[0])), m.add(a[1], m.mul(row[1], w.rows[0]))
					t1, t2 := m.add(b[0], part[1]), m.add(b[1], part[2])
					view := (((m.eval(row, x)*17+u0)*17+u1)*17+t1)*17 + t2
					seen[view]++
				}
				for view, n := range seen {
					if n != 1 {
						t.Fatalf("position %d, Y = %d: view %d occurs %d times", position, y, view, n)
					}
				}
			}
		}
	}
	// The rest of the view follows: an accepted column of masks is what agrees.
	c := m.check(0, challenge{[]uint64{5}, []uint64{11}}, nil)
	row, u, v := m.row([]uint64{2}, []uint64{8}), []uint64{3, 4}, m.withSum([]uint64{0, 6, 7}, 0)
	us, ts := m.plus(u, m.scale(row, 5)), m.plus(m.total(c.rows, c.products, [][]uint64{row}), v)
	for j := range m.n {
		x := m.column(j)
		agreeing := 0
		for mask := range m.p * m.p {
			if c.passes([]uint64{m.eval(row, x), mask % m.p, mask / m.p}, us, ts, x) {
				agreeing++
			}
		}
		if agreeing != 1 {
			t.Fatalf("column %d: %d pairs of masks agree", j, agreeing)
		}
	}
}

// TestColumnsAreNoSlots: a column that lay in H_l would show the values of its
// slot, because X^l - 1 is 0 there.
func TestColumnsAreNoSlots(t *testing.T) {
	for _, p := range []ligero.Params{small, {Slots: 64, Length: 2048, Queries: 147, Components: 5}, {Slots: 1024, Length: 1 << 15, Queries: 139, Components: 5}} {
		m := modelOf(&sample{}, p)
		for j := range m.n {
			if m.pow(m.column(j), uint64(m.l)) == 1 {
				t.Fatalf("%+v: column %d is a slot", p, j)
			}
		}
	}
	m := toy()
	for r := range m.p {
		if m.eval(m.row([]uint64{2, 9}, []uint64{r, 3}), m.slot(1)) != 9 {
			t.Fatal("a column in H_l hides its value after all")
		}
	}
}
