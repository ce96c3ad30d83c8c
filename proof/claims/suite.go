package claims

import (
	"errors"
	"fmt"
	"sync"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/ligero"
)

// Statement is what one proof shows: a claim with its public values. The types
// [Open], [RecordRange] and [Member] are all there are.
type Statement interface {
	// Check applies the native rule to the public values.
	Check() error
	shape() shape
	public() []field.Element
	define(b *circuit.Builder)
}

// shape is what distinguishes the circuits: the claim and one number.
type shape struct {
	id     string
	number int
}

// ErrStatement says that the native rule refuses public values.
var ErrStatement = errors.New("claims: statement is not well-formed")

// Witness holds the secrets of one statement. It never prints.
type Witness struct {
	statement Statement
	secrets   func() []field.Element // a function, so that no secret is ever printed
}

func newWitness(s Statement, secrets []field.Element) *Witness {
	return &Witness{s, func() []field.Element { return secrets }}
}

// Statement returns what the witness is for.
func (w *Witness) Statement() Statement { return w.statement }

// Wipe clears the secrets.
func (w *Witness) Wipe() { clear(w.secrets()) }

// Suite proves and verifies statements. The zero value is ready; it is safe for
// concurrent use.
type Suite struct {
	mu       sync.Mutex
	compiled map[shape]*compiled
}

type compiled struct {
	circuit *circuit.Circuit
	scheme  *ligero.Scheme
}

// params are the parameters of a circuit by its number of gates.
func params(gates int) ligero.Params {
	if gates <= 1000 {
		return ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}
	}
	return ligero.Params{Slots: 128, Length: 4096, Queries: 142, Components: 5}
}

// get returns the circuit of a statement that has been checked, so that there is
// a small number of them.
func (s *Suite) get(statement Statement) (*compiled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.compiled[statement.shape()]; ok {
		return c, nil
	}
	b := new(circuit.Builder)
	statement.define(b)
	p := params(b.Gates())
	c := &compiled{circuit: b.Compile(p.Slots)}
	var err error
	if c.scheme, err = ligero.New(c.circuit.System, p); err != nil {
		return nil, fmt.Errorf("claims: internal error: %w", err)
	}
	if s.compiled == nil {
		s.compiled = make(map[shape]*compiled)
	}
	s.compiled[statement.shape()] = c
	return c, nil
}

// Prove returns a proof of the witness's statement.
func (s *Suite) Prove(w *Witness, coins *ligero.Coins) ([]byte, error) {
	if err := w.statement.Check(); err != nil {
		return nil, err
	}
	c, err := s.get(w.statement)
	if err != nil {
		return nil, err
	}
	public := w.statement.public()
	values, err := c.circuit.Solve(w.secrets(), public)
	if err != nil {
		return nil, err
	}
	defer clear(values)
	return c.scheme.Prove(values, public, coins)
}

// Verify reports whether a proof shows a statement, and why not.
func (s *Suite) Verify(statement Statement, proof []byte) error {
	if err := statement.Check(); err != nil {
		return err
	}
	c, err := s.get(statement)
	if err != nil {
		return err
	}
	return c.scheme.Verify(proof, statement.public())
}
