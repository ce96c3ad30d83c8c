package ligero

import (
	"errors"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/merkle"
	"github.com/terradourada/td/proof/transcript"
)

// Scheme proves and verifies for one system with one set of parameters. It does
// not change, and serves any number of goroutines.
type Scheme struct {
	Params
	system *System
	digest transcript.State
	slots  *field.Domain // H_l
	code   *field.Domain // the columns
	inner  *field.Domain // the first columns, as many as hold T
}

// New returns the scheme for a system, which must not change any more. It
// refuses parameters of less than [MinBits] bits.
func New(system *System, params Params) (*Scheme, error) { return newScheme(system, params, MinBits) }

// newScheme is [New] with another least soundness, which tests of small parameters need.
func newScheme(system *System, params Params, minBits float64) (*Scheme, error) {
	if err := params.check(minBits); err != nil {
		return nil, err
	}
	if system.Slots != params.Slots {
		return nil, errors.New("ligero: system and parameters differ in their slots")
	}
	if err := system.check(); err != nil {
		return nil, err
	}
	shift := field.New(field.Generator) // no power of it below p-1 is 1, so the coset is not H
	return &Scheme{
		Params: params,
		system: system,
		digest: system.Digest(),
		slots:  field.NewDomain(params.Slots, field.One),
		code:   field.NewDomain(params.Length, shift),
		inner:  field.NewDomain(params.productLength(), shift),
	}, nil
}

// words is the number of words: the rows and two masks for every component.
func (s *Scheme) words() int { return s.system.Rows + 2*s.Components }

// Tags of the streams. Those of weights count the components.
const (
	tagRows      = 0x00 // one weight for every row
	tagEquations = 0x10 // one weight for every equation
	tagPositions = 0x20
	tagValues    = 0x30 // of the prover's own coins
	tagSalts     = 0x31
)

// state is the state of the transcript after the commitment.
func (s *Scheme) state(public []field.Element, root merkle.Hash) transcript.State {
	return transcript.Digest("TD-V2-proof",
		s.digest[:],
		appendInts(nil, s.Slots, s.Length, s.Queries, s.Components, s.system.Rows),
		field.AppendAll(appendInts(nil, len(public)), public),
		root[:])
}

// drawWeights draws the weights of one component from streams of its own.
func (s *Scheme) drawWeights(state transcript.State, component int) (rows, equations []field.Element) {
	rows, equations = make([]field.Element, s.system.Rows), make([]field.Element, s.system.Equations)
	transcript.NewStream(state, tagRows+byte(component)).Elements(rows)
	transcript.NewStream(state, tagEquations+byte(component)).Elements(equations)
	return rows, equations
}

// drawPositions draws the columns that are opened, after both sorts of polynomials.
func (s *Scheme) drawPositions(state transcript.State, polynomials [2][]byte) []int {
	after := transcript.Digest("TD-V2-poly", state[:], polynomials[0], polynomials[1])
	return transcript.NewStream(after, tagPositions).Positions(s.Length, s.Queries)
}

// closing returns the constant term with which a polynomial has this sum over
// H_l. Of its powers of X, those that l does not divide cancel.
func (s *Scheme) closing(coefficients []field.Element, sum field.Element) field.Element {
	constant := sum.Mul(field.New(uint64(s.Slots)).Inverse())
	for i := s.Slots; i < len(coefficients); i += s.Slots {
		constant = constant.Sub(coefficients[i])
	}
	return constant
}
