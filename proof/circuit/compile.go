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

// place returns the place of a value that is committed.
func (c *Circuit) place(of reference) int {
	switch n := of.number(); of.kind() {
	case kindSecret, kindSquare:
		return c.secrets[n]
	case kindRight:
		return leftPlace(n, c.System.Slots) + c.System.Slots
	default:
		return leftPlace(n, c.System.Slots)
	}
}

// product returns the number of the product of rows that a reference is in, of
// all that can be: row a times itself is 2a, row a times the next one 2a + 1.
func (c *Circuit) product(of reference) (int, bool) {
	row := c.place(of) / c.System.Slots
	switch of.kind() {
	case kindSquare, kindDouble:
		return 2 * row, true
	case kindProduct:
		return 2*row + 1, true
	default:
		return 0, false
	}
}

// lower writes the equations as terms of rows and of those products that occur.
func (b *Builder) lower(c *Circuit) {
	s, l := c.System, c.System.Slots
	number := make([]int, 2*s.Rows)
	for _, equation := range b.equations {
		for _, t := range equation.terms {
			if p, ok := c.product(t.of); ok {
				number[p] = 1
			}
		}
	}
	for p, occurs := range number {
		if occurs == 1 {
			number[p] = len(s.Products)
			s.Products = append(s.Products, [2]int{p / 2, p/2 + p%2})
		}
	}
	byPlace := func(a, b ligero.Term) int { return cmp.Compare(a.At, b.At) }
	for e, equation := range b.equations {
		linear, quadratic := len(s.Linear), len(s.Quadratic)
		for _, t := range equation.terms {
			out := ligero.Term{Equation: uint32(e), Factor: t.factor}
			p, multiplied := c.product(t.of)
			switch {
			case t.of.kind() == kindOne:
				s.Constant = append(s.Constant, out)
			case t.of.kind() == kindPublic:
				out.At = uint32(t.of.number() + 1)
				s.Constant = append(s.Constant, out)
			case multiplied:
				out.At = uint32(number[p]*l + c.place(t.of)%l)
				s.Quadratic = append(s.Quadratic, out)
			default:
				out.At = uint32(c.place(t.of))
				s.Linear = append(s.Linear, out)
			}
		}
		slices.SortFunc(s.Linear[linear:], byPlace)
		slices.SortFunc(s.Quadratic[quadratic:], byPlace)
	}
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
			x := field.One
			switch at := c.place(t.of); t.of.kind() {
			case kindOne:
			case kindPublic:
				x = public[t.of.number()]
			case kindSquare, kindDouble:
				x = values[at].Square()
			case kindProduct:
				x = values[at].Mul(values[at+l])
			default:
				x = values[at]
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
