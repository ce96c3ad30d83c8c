package ligero

import "github.com/terradourada/td/proof/transcript"

// NewUnchecked is New for parameters of any soundness.
var NewUnchecked = newScheme

// PathStart returns the length of a proof without its Merkle proof.
func (s *Scheme) PathStart() int { return s.layout().path }

// OnWiped has f called with the memory of every prover that has been wiped.
func OnWiped(f func(elements int, clean bool)) (undo func()) {
	testingOnlyWiped = func(p *prover) {
		clean := true
		for _, x := range p.elements {
			clean = clean && x == p.elements[:1][0] && x.Uint32() == 0
		}
		for _, b := range p.bytes {
			clean = clean && b == 0
		}
		for _, s := range p.sums {
			clean = clean && s == 0
		}
		f(len(p.elements), clean)
	}
	return func() { testingOnlyWiped = nil }
}

// SeedOf reads the seed of coins once, as spending them does.
func SeedOf(c *Coins) transcript.State { return c.seed() }
