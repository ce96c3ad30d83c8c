package poseidon

import "github.com/terradourada/td/proof/field"

// elementBits is the length of the modulus.
const elementBits = 31

// grain is the generator of the Poseidon paper: a shift register of 80 bits
// whose output is thinned by itself.
type grain struct {
	bits [80]byte // a ring that starts at next
	next int
}

// newGrain returns the generator for this instance: a prime field (1), S-box x^a
// (0), the length of an element, the width, full and partial rounds, and 30 ones.
func newGrain() *grain {
	g := new(grain)
	at := 0
	for _, part := range [][2]int{{1, 2}, {0, 4}, {elementBits, 12}, {Width, 12}, {fullRounds, 10}, {partialRounds, 10}, {1<<30 - 1, 30}} {
		for i := part[1] - 1; i >= 0; i-- {
			g.bits[at] = byte(part[0] >> i & 1)
			at++
		}
	}
	for range 160 {
		g.step()
	}
	return g
}

// step shifts the register and returns the new bit.
func (g *grain) step() byte {
	var b byte
	for _, tap := range []int{0, 13, 23, 38, 51, 62} {
		b ^= g.bits[(g.next+tap)%len(g.bits)]
	}
	g.bits[g.next] = b
	g.next = (g.next + 1) % len(g.bits)
	return b
}

// element returns the next element: of every pair of bits that starts with 1 the
// second, the most significant first; numbers from the modulus on are skipped.
func (g *grain) element() field.Element {
	for {
		v := uint64(0)
		for range elementBits {
			for g.step() == 0 {
				g.step()
			}
			v = v<<1 | uint64(g.step())
		}
		if v < field.Modulus {
			return field.New(v)
		}
	}
}
