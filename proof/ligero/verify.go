package ligero

import (
	"errors"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/merkle"
)

// Why a proof is refused, beside [ErrForm].
var (
	ErrPublics = errors.New("ligero: wrong number of public values")
	ErrRoot    = errors.New("ligero: the columns are not those of the root")
	ErrDegree  = errors.New("ligero: a column does not agree with U")
	ErrSum     = errors.New("ligero: a column does not agree with T")
)

// Verify reports whether a proof shows the system for these public values, and
// why not. Its time depends on public data only.
func (s *Scheme) Verify(proof []byte, public []field.Element) error {
	if len(public) != s.system.Publics {
		return ErrPublics
	}
	p, err := s.parse(proof, public)
	if err != nil {
		return err
	}
	if root, ok := merkle.Root(s.Length, p.positions, p.leaves, p.path); !ok || root != p.root {
		return ErrRoot
	}
	c := s.newChecker(p)
	for m := range s.Components {
		rows, equations := s.drawWeights(p.state, m)
		if !c.checkRows(m, rows) {
			return ErrDegree
		}
		if !c.checkSum(m, equations, public) {
			return ErrSum
		}
	}
	return nil
}

// checker compares the opened columns with the polynomials of a proof.
type checker struct {
	*Scheme
	*parsed
	lagrange [][]field.Element // by query: a row's weight of every slot at the point
	values   [][]field.Element // by query: of the rows, then of the products
	word     []field.Element
}

func (s *Scheme) newChecker(p *parsed) *checker {
	rows, products := s.system.Rows, s.system.Products
	c := &checker{
		Scheme:   s,
		parsed:   p,
		lagrange: blocks(s.Queries, s.Slots),
		values:   blocks(s.Queries, rows+len(products)),
		word:     make([]field.Element, s.Length),
	}
	for i, column := range p.columns {
		s.slots.Lagrange(c.lagrange[i], s.code.Point(p.positions[i]))
		copy(c.values[i], column[:rows])
		for j, product := range products {
			c.values[i][rows+j] = column[product[0]].Mul(column[product[1]])
		}
	}
	return c
}

// encode evaluates a polynomial on all columns.
func (c *checker) encode(coefficients []field.Element) []field.Element {
	copy(c.word, coefficients)
	c.code.Evaluate(c.word, len(coefficients))
	return c.word
}

// checkRows checks U of a component: mask plus weighted rows, at every query.
func (c *checker) checkRows(m int, weights []field.Element) bool {
	u, rows := c.encode(c.u[m]), c.system.Rows
	for i, column := range c.columns {
		if column[rows+m].Add(field.Dot(weights, column[:rows])) != u[c.positions[i]] {
			return false
		}
	}
	return true
}

// checkSum checks T of a component at every query, after it has set the constant term
// such that T has the sum of the combined equations.
func (c *checker) checkSum(m int, weights, public []field.Element) bool {
	factors, sum := c.system.combine(weights, public)
	c.t[m][0] = c.closing(c.t[m], sum)
	t, masks := c.encode(c.t[m]), c.system.Rows+c.Components
	for i, column := range c.columns {
		if column[masks+m].Add(c.interpolate(i, factors)) != t[c.positions[i]] {
			return false
		}
	}
	return true
}

// interpolate evaluates the polynomials with the factors on H_l at the point of a
// query, and adds them weighted by the values there.
func (c *checker) interpolate(query int, factors []field.Element) (sum field.Element) {
	for i, x := range c.values[query] {
		at := factors[i*c.Slots : (i+1)*c.Slots]
		sum = sum.Add(x.Mul(field.Dot(c.lagrange[query], at)))
	}
	return sum
}
