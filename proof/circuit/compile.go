package circuit

import (
	"cmp"
	"errors"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// Circuit is a system with the way to its values. It does not change.
type Circuit struct {
	System  *ligero.System
	gates   []gate
	secrets []int // the place of each
}

// ErrInputs says that there are too few or too many secrets or public values.
var ErrInputs = errors.New("circuit: wrong number of secret or public values")

// leftPlace returns the place of the left factor of a gate; the right one is l
// places further.
func leftPlace(gate, l int) int { return gate/l*2*l + gate%l }

// Compile lays the circuit out in rows of l slots.
func (b *Builder) Compile(l int) *Circuit {
	c := &Circuit{gates: b.gates, secrets: make([]int, b.secrets)}
	pairs := (len(b.gates) + l - 1) / l
	place := 2 * pairs * l
	if used := len(b.gates) % l; used > 0 {
		place = (2*pairs-2)*l + used // behind the last gate, in the left row
	}
	for i := range c.secrets {
		c.secrets[i] = place
		place++
		if place == (2*pairs-1)*l && len(b.gates)%l > 0 {
			place += len(b.gates) % l // the right row begins with factors, too
		}
	}
	c.System = &ligero.System{
		Slots:     l,
		Rows:      max(2*pairs, (place+l-1)/l),
		Publics:   b.publics,
		Equations: len(b.equations),
	}
	b.lower(c)
	return c
}

// lower writes the equations as terms of rows and products of rows.
func (b *Builder) lower(c *Circuit) {
	s, l := c.System, c.System.Slots
	// Products are numbered when all are known; until then a term has the two rows.
	type quadratic struct {
		rows [2]int
		slot int
		term ligero.Term
	}
	var products []quadratic
	used := map[[2]int]int{}
	for e, equation := range b.equations {
		first := len(s.Linear)
		for _, t := range equation.terms {
			n := t.of.number()
			out := ligero.Term{Equation: uint32(e), Factor: t.factor}
			multiply := func(a, b int) {
				rows := [2]int{a / l, b / l}
				used[rows] = 0
				products = append(products, quadratic{rows, a % l, out})
			}
			switch t.of.kind() {
			case kindOne:
				s.Constant = append(s.Constant, out)
			case kindPublic:
				out.At = uint32(n + 1)
				s.Constant = append(s.Constant, out)
			case kindSecret:
				out.At = uint32(c.secrets[n])
				s.Linear = append(s.Linear, out)
			case kindLeft, kindRight:
				out.At = uint32(leftPlace(n, l))
				if t.of.kind() == kindRight {
					out.At += uint32(l)
				}
				s.Linear = append(s.Linear, out)
			case kindSquare:
				multiply(c.secrets[n], c.secrets[n])
			case kindDouble:
				multiply(leftPlace(n, l), leftPlace(n, l))
			case kindProduct:
				multiply(leftPlace(n, l), leftPlace(n, l)+l)
			}
		}
		slices.SortFunc(s.Linear[first:], func(a, b ligero.Term) int { return cmp.Compare(a.At, b.At) })
	}
	for rows := range used {
		s.Products = append(s.Products, rows)
	}
	slices.SortFunc(s.Products, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
	for i, rows := range s.Products {
		used[rows] = i
	}
	for _, q := range products {
		q.term.At = uint32(used[q.rows]*l + q.slot)
		s.Quadratic = append(s.Quadratic, q.term)
	}
	slices.SortFunc(s.Quadratic, func(a, b ligero.Term) int {
		return cmp.Or(cmp.Compare(a.Equation, b.Equation), cmp.Compare(a.At, b.At))
	})
}

// Solve returns the values of all rows for these secrets and public values. It
// does not ask whether they satisfy the equations; a prover does. The caller
// wipes the values.
func (c *Circuit) Solve(secrets, public []field.Element) ([]field.Element, error) {
	if len(secrets) != len(c.secrets) || len(public) != c.System.Publics {
		return nil, ErrInputs
	}
	l := c.System.Slots
	values := make([]field.Element, c.System.Rows*l)
	for i, place := range c.secrets {
		values[place] = secrets[i]
	}
	evaluate := func(v Value) (sum field.Element) {
		for _, t := range v.terms {
			x, n := field.One, t.of.number()
			switch t.of.kind() {
			case kindPublic:
				x = public[n]
			case kindSecret:
				x = secrets[n]
			case kindSquare:
				x = secrets[n].Square()
			case kindLeft:
				x = values[leftPlace(n, l)]
			case kindRight:
				x = values[leftPlace(n, l)+l]
			case kindDouble:
				x = values[leftPlace(n, l)].Square()
			case kindProduct:
				x = values[leftPlace(n, l)].Mul(values[leftPlace(n, l)+l])
			}
			sum = sum.Add(t.factor.Mul(x))
		}
		return sum
	}
	for i, g := range c.gates {
		left := leftPlace(i, l)
		values[left] = evaluate(g.left)
		if g.cube {
			values[left+l] = values[left].Square()
		} else {
			values[left+l] = evaluate(g.right)
		}
	}
	return values, nil
}
