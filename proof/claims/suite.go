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
// [Open], [Range], [Sum], [RecordRange], [RecordEquals], [RecordOneOf], [Member] and
// [Series] are all there are.
type Statement interface {
	// Check applies the native rule to the public values.
	Check() error
	commitment() Digest
	shape() shape
	public() []field.Element
	define(b *circuit.Builder)
}

// CommitmentOf returns the commitment of a statement.
func CommitmentOf(s Statement) Digest { return s.commitment() }

// shape is what distinguishes the circuits: the claim, a number (a field, a depth or
// a count), and the width of a series.
type shape struct {
	id            string
	number, width int
}

// ErrStatement says that the native rule refuses public values.
var ErrStatement = errors.New("claims: statement is not well-formed")

// Witness holds the secrets of one statement. It never prints. A proof needs one that is
// bound to a session, see [Witness.In].
type Witness struct {
	statement Statement
	session   *Session
	secrets   func() []field.Element // a function, so that no secret is ever printed
}

func newWitness(s Statement, secrets []field.Element) *Witness {
	return &Witness{s, nil, func() []field.Element { return secrets }}
}

// Statement returns what the witness is for.
func (w *Witness) Statement() Statement { return w.statement }

// Wipe clears the secrets.
func (w *Witness) Wipe() { clear(w.secrets()) }

// MaxBatch is the greatest number of statements that one proof shows.
const MaxBatch = 64

// Suite proves and verifies statements, singly or in batches of one claim with one
// circuit. The zero value is ready; it is safe for concurrent use. It keeps the circuits
// of single statements, which are few, and that of the last batch or series.
type Suite struct {
	mu     sync.Mutex
	single map[shape]*compiled
	last   *compiled // a batch or a series, of which there are many
}

type compiled struct {
	shape   shape
	count   int
	circuit *circuit.Circuit
	scheme  *ligero.Scheme
}

// params are the parameters of a circuit: of those of the specification the ones
// with the shortest proofs for this number of values.
func params(values int) ligero.Params {
	switch {
	case values <= 2000:
		return ligero.Params{Slots: 64, Length: 2048, Queries: 147, Components: 5}
	case values <= 11600:
		return ligero.Params{Slots: 128, Length: 4096, Queries: 142, Components: 5}
	case values <= 80000:
		return ligero.Params{Slots: 512, Length: 8192, Queries: 147, Components: 5}
	default:
		return ligero.Params{Slots: 1024, Length: 16384, Queries: 146, Components: 5}
	}
}

// check applies the native rules and returns the public values of all statements.
func check(statements []Bound) (public []field.Element, err error) {
	if len(statements) == 0 || len(statements) > MaxBatch {
		return nil, ErrStatement
	}
	for _, b := range statements {
		if b.Statement == nil {
			return nil, ErrStatement
		}
		if err := b.Statement.Check(); err != nil {
			return nil, err
		}
		if b.Statement.shape() != statements[0].Statement.shape() {
			return nil, ErrStatement
		}
		public = append(public, b.public()...)
	}
	if s, ok := statements[0].Statement.(Series); ok && s.Count*len(statements) > MaxReadings {
		return nil, ErrStatement
	}
	return public, nil
}

// get returns the circuit of statements that have been checked.
func (s *Suite) get(statements []Bound) (*compiled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, count := statements[0].Statement.shape(), len(statements)
	keep := count == 1 && of.id != seriesID
	c := s.last
	if keep {
		c = s.single[of]
	}
	if c != nil && c.shape == of && c.count == count {
		return c, nil
	}
	c, err := compile(statements)
	if err != nil {
		return nil, err
	}
	if !keep {
		s.last = c
		return c, nil
	}
	if s.single == nil {
		s.single = make(map[shape]*compiled)
	}
	s.single[of] = c
	return c, nil
}

// compile makes one circuit of all statements, one after another.
func compile(statements []Bound) (*compiled, error) {
	b := new(circuit.Builder)
	for _, s := range statements {
		s.define(b)
	}
	p := params(b.Values())
	c := &compiled{statements[0].Statement.shape(), len(statements), b.Compile(p.Slots), nil}
	var err error
	if c.scheme, err = ligero.New(c.circuit.System, p); err != nil {
		return nil, fmt.Errorf("claims: internal error: %w", err)
	}
	return c, nil
}

// Prove returns a proof of the statements of all witnesses, each in the session to which
// it is bound.
func (s *Suite) Prove(coins *ligero.Coins, witnesses ...*Witness) ([]byte, error) {
	statements := make([]Bound, len(witnesses))
	size := 0
	for i, w := range witnesses {
		var err error
		if statements[i], err = w.Bound(); err != nil {
			return nil, err
		}
		size += len(w.secrets())
	}
	public, err := check(statements)
	if err != nil {
		return nil, err
	}
	c, err := s.get(statements)
	if err != nil {
		return nil, err
	}
	secrets := make([]field.Element, 0, size)
	for _, w := range witnesses {
		secrets = append(secrets, w.secrets()...)
	}
	defer clear(secrets)
	values, err := c.circuit.Solve(secrets, public)
	if err != nil {
		return nil, err
	}
	defer clear(values)
	return c.scheme.Prove(values, public, coins)
}

// Verify reports whether a proof shows the statements in their sessions, in this order,
// and why not.
func (s *Suite) Verify(proof []byte, statements ...Bound) error {
	public, err := check(statements)
	if err != nil {
		return err
	}
	c, err := s.get(statements)
	if err != nil {
		return err
	}
	return c.scheme.Verify(proof, public)
}
