package claim

import (
	"errors"

	"github.com/terradourada/td/protocol"
)

// FixedIDs are the claims with an embedded key.
func FixedIDs() []ID { return fixedIDs() }

// Setup compiles the circuit of a claim and commits to it.
func Setup(id ID, members []protocol.Member) (*VerifyingKey, error) {
	ccs, err := compile(newCircuit(id, members))
	if err != nil {
		return nil, err
	}
	return setup(ccs)
}

// GatesWith is [Gates] for a list of one's own.
func GatesWith(id ID, members []protocol.Member) (int, error) {
	ccs, err := compile(newCircuit(id, members))
	if err != nil {
		return 0, err
	}
	return size(ccs), nil
}

// Circuit is a compiled circuit that answers whether it accepts an assignment,
// without any native rule and without a proof.
type Circuit struct{ key provingKey }

// NewCircuit compiles a circuit.
func NewCircuit(id ID, members []protocol.Member) (*Circuit, error) {
	ccs, err := compile(newCircuit(id, members))
	return &Circuit{provingKey{ccs: ccs}}, err
}

// Solve is nil when the circuit accepts the public inputs and private values.
func (c *Circuit) Solve(x, w []protocol.Element) error {
	full, err := c.key.witness(x, w)
	if err != nil {
		return err
	}
	_, err = c.key.ccs.Solve(full)
	return err
}

// ProveRaw proves without the native check.
func (p *Prover) ProveRaw(id ID, x, w []protocol.Element) ([]byte, error) {
	key := p.fixed[id]
	if key == nil {
		return nil, errors.New("not loaded")
	}
	return key.prove(x, w)
}

// Embedded gives the two files of the reference string.
func Embedded() (powers, lagrange string) { return powersFile, lagrangeFile }

// CheckPoints is CheckSRS without the digests.
func CheckPoints(powers, lagrange string) error { return checkPoints(powers, lagrange) }
