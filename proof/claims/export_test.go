package claims

import (
	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// Expand is expand_message_xmd.
var Expand = expand

// Secrets returns the secrets of a witness themselves.
func (w *Witness) Secrets() []field.Element { return w.secrets() }

// Restate makes the witness one of another statement.
func (w *Witness) Restate(s Statement) *Witness { return &Witness{s, w.session, w.secrets} }

// Shape returns depth and root of the tree of a list.
func (l *List) Shape() (depth int, root Digest) { return l.tree.depth, l.tree.Root() }

// Description has the numbers of a circuit.
type Description struct {
	Values, Rows, Publics, Products, Equations, Terms int
	Params                                            ligero.Params
	Circuit                                           [32]byte
}

// Describe describes the circuit of statements.
func (s *Suite) Describe(statements ...Statement) Description {
	bound := make([]Bound, len(statements))
	for i := range bound {
		bound[i].Statement = statements[i]
	}
	c, err := s.get(bound)
	if err != nil {
		panic(err)
	}
	b := new(circuit.Builder)
	for _, s := range bound {
		s.define(b)
	}
	y := c.circuit.System
	return Description{b.Values(), y.Rows, y.Publics, len(y.Products), y.Equations, len(y.Linear) + len(y.Quadratic) + len(y.Constant), c.scheme.Params, y.Digest()}
}

// Shape returns what distinguishes the circuit of a statement.
func Shape(s Statement) (id string, number, width int) {
	x := s.shape()
	return x.id, x.number, x.width
}

// Publics returns the public values of a statement in its session.
func Publics(b Bound) []field.Element { return b.public() }

// Failed returns how many equations the secrets of a witness violate.
func (s *Suite) Failed(w *Witness) (failed int) {
	b, err := w.Bound()
	if err != nil {
		panic(err)
	}
	c, err := s.get([]Bound{b})
	if err != nil {
		panic(err)
	}
	public := b.public()
	values, err := c.circuit.Solve(w.secrets(), public)
	if err != nil {
		panic(err)
	}
	y := c.circuit.System
	sums := make([]field.Element, y.Equations)
	add := func(t ligero.Term, x field.Element) { sums[t.Equation] = sums[t.Equation].Add(t.Factor.Mul(x)) }
	for _, t := range y.Linear {
		add(t, values[t.At])
	}
	for _, t := range y.Quadratic {
		p, slot := y.Products[int(t.At)/y.Slots], int(t.At)%y.Slots
		add(t, values[p[0]*y.Slots+slot].Mul(values[p[1]*y.Slots+slot]))
	}
	for _, t := range y.Constant {
		add(t, append([]field.Element{field.One}, public...)[t.At])
	}
	for _, x := range sums {
		if x != (field.Element{}) {
			failed++
		}
	}
	return failed
}
