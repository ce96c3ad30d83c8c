package claims

import "github.com/terradourada/td/proof/field"

// Expand is expand_message_xmd.
var Expand = expand

// Secrets returns the secrets of a witness themselves.
func (w *Witness) Secrets() []field.Element { return w.secrets() }

// Restate makes the witness one of another statement.
func (w *Witness) Restate(s Statement) *Witness { return newWitness(s, w.secrets()) }

// Describe returns the numbers of a statement's circuit, and its digest.
func (s *Suite) Describe(statement Statement) (rows, products, equations int, digest [32]byte) {
	c, err := s.get([]Statement{statement})
	if err != nil {
		panic(err)
	}
	y := c.circuit.System
	return y.Rows, len(y.Products), y.Equations, y.Digest()
}
