package circuit

import (
	"slices"

	"github.com/terradourada/td/proof/field"
)

// Gates returns the number of gates.
func (c *Circuit) Gates() int { return len(c.gates) }

// Secrets returns the number of secrets.
func (c *Circuit) Secrets() int { return len(c.secrets) }

// SecretPlace returns the place of a secret.
func (c *Circuit) SecretPlace(i int) int { return c.secrets[i] }

// GatePlaces returns the places of the factors of a gate.
func (c *Circuit) GatePlaces(i int) (left, right int) {
	left = leftPlace(i, c.System.Slots)
	return left, left + c.System.Slots
}

// SolveFrom is Solve with the factors of one gate changed by these amounts; the
// gates behind it compute with the changed ones.
func (c *Circuit) SolveFrom(secrets, public []field.Element, gate int, left, right field.Element) ([]field.Element, error) {
	changed := *c
	changed.gates = slices.Clone(c.gates)
	g := c.gates[gate]
	if g.cube {
		g.right, g.cube = single(kindDouble|reference(gate)), false
	}
	g.left, g.right = g.left.Plus(Constant(left)), g.right.Plus(Constant(right))
	changed.gates[gate] = g
	return changed.Solve(secrets, public)
}
