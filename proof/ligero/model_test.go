package ligero_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// model is the protocol written down a second time, from docs/spec/suite-2.md:
// over any prime, by the definitions, without a transform, and with SHA-256 as
// all it shares with the engine. It makes and checks the same proofs, and lets
// tests try provers and challenges that the engine does not offer, over a prime
// so small that all of them can be tried.
type model struct {
	p          uint64
	l, n, t, d int // d: components
	generator  uint64
	sys        *ligero.System
}

// factor is the factor of a term; those of toys are below the prime.
func (m *model) factor(t ligero.Term) uint64 { return uint64(t.Factor.Uint32()) % m.p }

func (m *model) mul(a, b uint64) uint64 { return a * b % m.p }
func (m *model) add(a, b uint64) uint64 { return (a + b) % m.p }
func (m *model) sub(a, b uint64) uint64 { return (a + m.p - b) % m.p }
func (m *model) pow(a, e uint64) uint64 {
	y := uint64(1)
	for ; e > 0; e >>= 1 {
		if e&1 == 1 {
			y = m.mul(y, a)
		}
		a = m.mul(a, a)
	}
	return y
}
func (m *model) inv(a uint64) uint64 { return m.pow(a, m.p-2) }

func (m *model) k() int  { return m.l + m.t }
func (m *model) dT() int { return 2*m.k() + m.l - 2 }

// point is generator^shift times the root of order n to the reversed position.
func (m *model) point(shift uint64, n, j int) uint64 {
	reversed := uint64(0)
	if n > 1 {
		reversed = bits.Reverse64(uint64(j)) >> (64 - bits.Len(uint(n-1)))
	}
	return m.mul(m.pow(m.generator, shift), m.pow(m.generator, (m.p-1)/uint64(n)*reversed))
}
func (m *model) slot(i int) uint64   { return m.point(0, m.l, i) }
func (m *model) column(j int) uint64 { return m.point(1, m.n, j) }

func (m *model) eval(poly []uint64, x uint64) (y uint64) {
	for _, c := range slices.Backward(poly) {
		y = m.add(m.mul(y, x), c)
	}
	return y
}

// polynomials are lists of coefficients
func (m *model) plus(a, b []uint64) []uint64 {
	s := make([]uint64, max(len(a), len(b)))
	for i := range s {
		if i < len(a) {
			s[i] = a[i]
		}
		if i < len(b) {
			s[i] = m.add(s[i], b[i])
		}
	}
	return s
}

func (m *model) scale(a []uint64, c uint64) []uint64 {
	s := make([]uint64, len(a))
	for i := range a {
		s[i] = m.mul(a[i], c)
	}
	return s
}

func (m *model) times(a, b []uint64) []uint64 {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	s := make([]uint64, len(a)+len(b)-1)
	for i := range a {
		for j := range b {
			s[i+j] = m.add(s[i+j], m.mul(a[i], b[j]))
		}
	}
	return s
}

// vanish is the product of (X - x).
func (m *model) vanish(points []uint64) []uint64 {
	s := []uint64{1}
	for _, x := range points {
		s = m.times(s, []uint64{m.sub(0, x), 1})
	}
	return s
}

// interpolate is the polynomial through the values, by Lagrange.
func (m *model) interpolate(points, values []uint64) []uint64 {
	sum := make([]uint64, len(points))
	for i, x := range points {
		others := slices.Concat(points[:i], points[i+1:])
		v := m.vanish(others)
		sum = m.plus(sum, m.scale(v, m.mul(values[i], m.inv(m.eval(v, x)))))
	}
	return sum
}

func (m *model) slots() (h []uint64) {
	for i := range m.l {
		h = append(h, m.slot(i))
	}
	return h
}

// sumOverSlots is the sum of a polynomial over H_l, by the definition.
func (m *model) sumOverSlots(poly []uint64) (s uint64) {
	for _, x := range m.slots() {
		s = m.add(s, m.eval(poly, x))
	}
	return s
}

// row is the polynomial with the values on H_l and the random part r.
func (m *model) row(values, r []uint64) []uint64 {
	mask := m.times(r, m.plus(slices.Concat(make([]uint64, m.l), []uint64{1}), []uint64{m.p - 1}))
	return m.plus(m.interpolate(m.slots(), values), mask)
}

// withSum sets the constant term such that the sum over H_l is this.
func (m *model) withSum(poly []uint64, sum uint64) []uint64 {
	poly = slices.Clone(poly)
	poly[0] = 0
	poly[0] = m.mul(m.sub(sum, m.sumOverSlots(poly)), m.inv(uint64(m.l)))
	return poly
}

// combined is the weighted system: a polynomial for each row and each product,
// and the sum they must have.
func (m *model) combined(weights, public []uint64) (rows, products [][]uint64, sum uint64) {
	collect := func(terms []ligero.Term, count int) [][]uint64 {
		values := make([]uint64, count*m.l)
		for _, t := range terms {
			values[t.At] = m.add(values[t.At], m.mul(m.factor(t), weights[t.Equation]))
		}
		var polys [][]uint64
		for v := range slices.Chunk(values, m.l) {
			polys = append(polys, m.interpolate(m.slots(), v))
		}
		return polys
	}
	rows, products = collect(m.sys.Linear, m.sys.Rows), collect(m.sys.Quadratic, len(m.sys.Products))
	for _, t := range m.sys.Constant {
		x := m.mul(m.factor(t), weights[t.Equation])
		if t.At > 0 {
			x = m.mul(x, public[t.At-1])
		}
		sum = m.sub(sum, x)
	}
	return rows, products, sum
}

// total is the polynomial whose sum over H_l is the weighted left-hand side.
func (m *model) total(rows, products, polys [][]uint64) []uint64 {
	sum := make([]uint64, m.dT())
	for i, r := range rows {
		sum = m.plus(sum, m.times(r, polys[i]))
	}
	for i, q := range products {
		p := m.sys.Products[i]
		sum = m.plus(sum, m.times(q, m.times(polys[p[0]], polys[p[1]])))
	}
	return sum[:m.dT()]
}

// challenge has the weights of one component.
type challenge struct{ rows, equations []uint64 }

// check is what one component of a challenge asks of a column.
type check struct {
	*model
	component      int
	weights        []uint64
	rows, products [][]uint64
	sum            uint64
}

func (m *model) check(component int, c challenge, public []uint64) check {
	rows, products, sum := m.combined(c.equations, public)
	return check{m, component, c.rows, rows, products, sum}
}

// passes reports whether a column at point x agrees with U and T, whose constant
// term is set here. The column is rows, then masks of U, then masks of T.
func (c check) passes(column, u, t []uint64, x uint64) bool {
	return c.agrees(column, u, c.withSum(t, c.sum), x)
}

func (c check) agrees(column, u, t []uint64, x uint64) bool {
	left := column[c.sys.Rows+c.component]
	for i, w := range c.weights {
		left = c.add(left, c.mul(w, column[i]))
	}
	right := column[c.sys.Rows+c.d+c.component]
	for i, r := range c.rows {
		right = c.add(right, c.mul(c.eval(r, x), column[i]))
	}
	for i, q := range c.products {
		p := c.sys.Products[i]
		right = c.add(right, c.mul(c.eval(q, x), c.mul(column[p[0]], column[p[1]])))
	}
	return left == c.eval(u, x) && right == c.eval(t, x)
}

// ---- what is hashed

func u32(b []byte, values ...int) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}

func encode(b []byte, values []uint64) []byte {
	for _, v := range values {
		b = u32(b, int(v))
	}
	return b
}

func digest(label string, parts ...[]byte) []byte {
	b := append([]byte{byte(len(label))}, label...)
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(p))), p...)
	}
	h := sha256.Sum256(b)
	return h[:]
}

type stream struct {
	state []byte
	tag   byte
	next  uint64
	rest  []byte
}

func (s *stream) read(n int) []byte {
	if len(s.rest) == 0 {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(slices.Concat([]byte{2}, s.state, []byte{s.tag}), s.next))
		s.next++
		s.rest = h[:]
	}
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (s *stream) elements(n int) (v []uint64) {
	for len(v) < n {
		if x := binary.BigEndian.Uint32(s.read(4)) & (1<<31 - 1); x < field.Modulus {
			v = append(v, uint64(x))
		}
	}
	return v
}

func (m *model) circuit() []byte {
	terms := func(list []ligero.Term) (b []byte) {
		for _, t := range list {
			b = u32(b, int(t.Equation), int(t.At), int(t.Factor.Uint32()))
		}
		return b
	}
	var products []byte
	for _, p := range m.sys.Products {
		products = u32(products, p[0], p[1])
	}
	return digest("TD-V2-circuit", u32(nil, m.l, m.sys.Rows, m.sys.Publics, m.sys.Equations),
		products, terms(m.sys.Linear), terms(m.sys.Quadratic), terms(m.sys.Constant))
}

func (m *model) afterRoot(public []uint64, root []byte) []byte {
	return digest("TD-V2-proof", m.circuit(), u32(nil, m.l, m.n, m.t, m.d, m.sys.Rows), encode(u32(nil, len(public)), public), root)
}

func (m *model) challenges(state []byte) (c []challenge) {
	for i := range m.d {
		c = append(c, challenge{
			rows:      (&stream{state: state, tag: byte(i)}).elements(m.sys.Rows),
			equations: (&stream{state: state, tag: 16 + byte(i)}).elements(m.sys.Equations),
		})
	}
	return c
}

func (m *model) positions(state, u, t []byte) (positions []int) {
	s := &stream{state: digest("TD-V2-poly", state, u, t), tag: 32}
	for len(positions) < m.t {
		if j := int(binary.BigEndian.Uint16(s.read(2))) % m.n; !slices.Contains(positions, j) {
			positions = append(positions, j)
		}
	}
	return positions
}

// tree is all nodes, the root at 1.
func tree(leaves [][]byte) [][]byte {
	nodes := append(make([][]byte, len(leaves)), leaves...)
	for i := len(leaves) - 1; i > 0; i-- {
		h := sha256.Sum256(slices.Concat([]byte{1}, nodes[2*i], nodes[2*i+1]))
		nodes[i] = h[:]
	}
	return nodes
}

// missing is the nodes of a Merkle proof in their order.
func (m *model) missing(positions []int) (nodes []int) {
	known := map[int]bool{}
	for _, j := range positions {
		known[m.n+j] = true
	}
	for first := m.n; first > 1; first /= 2 {
		for i := first; i < 2*first; i++ {
			if known[i] && !known[i^1] {
				nodes = append(nodes, i^1)
			}
			if known[i] {
				known[i/2] = true
			}
		}
	}
	return nodes
}

// prove makes the proof of known coins.
func (m *model) prove(values, public []uint64, seed []byte) []byte {
	random, salts := &stream{state: seed, tag: 0x30}, &stream{state: seed, tag: 0x31}
	var polys [][]uint64
	for v := range slices.Chunk(values, m.l) {
		polys = append(polys, m.row(v, random.elements(m.t)))
	}
	for range m.d {
		polys = append(polys, random.elements(m.k()))
	}
	for range m.d {
		polys = append(polys, m.withSum(append([]uint64{0}, random.elements(m.dT()-1)...), 0))
	}
	var columns, leaves [][]byte
	for j := range m.n {
		c := slices.Clone(salts.read(32))
		for _, f := range polys {
			c = encode(c, []uint64{m.eval(f, m.column(j))})
		}
		h := sha256.Sum256(append([]byte{0}, c...))
		columns, leaves = append(columns, c), append(leaves, h[:])
	}
	nodes := tree(leaves)
	state := m.afterRoot(public, nodes[1])
	var u, t []byte
	for i, c := range m.challenges(state) {
		sum := polys[m.sys.Rows+i]
		for j, w := range c.rows {
			sum = m.plus(sum, m.scale(polys[j], w))
		}
		u = encode(u, sum)
		rows, products, _ := m.combined(c.equations, public)
		t = encode(t, m.plus(m.total(rows, products, polys), polys[m.sys.Rows+m.d+i])[1:])
	}
	proof := slices.Concat(nodes[1], u, t)
	positions := m.positions(state, u, t)
	for _, j := range positions {
		proof = append(proof, columns[j]...)
	}
	for _, i := range m.missing(positions) {
		proof = append(proof, nodes[i]...)
	}
	return proof
}

// verify checks a proof as section by section of the text.
func (m *model) verify(proof []byte, public []uint64) bool {
	ok := true
	take := func(n int) []byte {
		if len(proof) < n {
			ok = false
			return make([]byte, n)
		}
		b := proof[:n]
		proof = proof[n:]
		return b
	}
	decode := func(b []byte) (v []uint64) {
		for ; len(b) > 0; b = b[4:] {
			x := uint64(binary.BigEndian.Uint32(b))
			ok = ok && x < m.p
			v = append(v, x)
		}
		return v
	}
	root := take(32)
	u, t := take(4*m.d*m.k()), take(4*m.d*(m.dT()-1))
	state := m.afterRoot(public, root)
	challenges, positions := m.challenges(state), m.positions(state, u, t)
	us, ts := decode(u), decode(t)
	known := map[int][]byte{}
	for _, j := range positions {
		raw := take(32 + 4*(m.sys.Rows+2*m.d))
		h := sha256.Sum256(append([]byte{0}, raw...))
		known[m.n+j] = h[:]
		column := decode(raw[32:])
		for i, c := range challenges {
			ui := us[i*m.k() : (i+1)*m.k()]
			ti := append([]uint64{0}, ts[i*(m.dT()-1):(i+1)*(m.dT()-1)]...)
			ok = ok && m.check(i, c, public).passes(column, ui, ti, m.column(j))
		}
	}
	for _, i := range m.missing(positions) {
		known[i] = take(32)
	}
	for i := 2*m.n - 1; i > 1; i -= 2 {
		if known[i] != nil && known[i-1] != nil {
			h := sha256.Sum256(slices.Concat([]byte{1}, known[i-1], known[i]))
			known[i/2] = h[:]
		}
	}
	return ok && len(proof) == 0 && slices.Equal(known[1], root)
}
