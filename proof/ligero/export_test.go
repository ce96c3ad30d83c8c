package ligero

import (
	"math"
	"slices"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/transcript"
)

// NewUnchecked is New for parameters of any soundness.
func NewUnchecked(system *System, params Params) (*Scheme, error) {
	return newScheme(system, params, math.Inf(-1))
}

// Check reports why New refuses the parameters, if it does.
func (p Params) Check() error { return p.check(MinBits) }

// PathStart returns the length of a proof without its Merkle proof.
func (s *Scheme) PathStart() int { return s.layout().path }

// OnWiped has f called with the memory of every prover that has been wiped.
func OnWiped(f func(elements int, clean bool)) (undo func()) {
	testingOnlyWiped = func(p *prover) {
		elements := slices.Concat(slices.Concat(p.coefficients, p.words, p.products, [][]field.Element{p.sum})...)
		clean := true
		for _, x := range elements {
			clean = clean && x == field.Element{}
		}
		for _, b := range p.bytes {
			clean = clean && b == 0
		}
		for _, s := range p.sums {
			clean = clean && s == 0
		}
		f(len(elements), clean)
	}
	return func() { testingOnlyWiped = nil }
}

// SeedOf reads the seed of coins once, as spending them does.
func SeedOf(c *Coins) transcript.State { return c.seed() }
