package claim

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark/frontend"

	"github.com/terradourada/td/protocol"
)

// MaxMembers is the greatest number of members of a list. It is what fits the
// embedded reference string at about one gate for each member.
const MaxMembers = 1340

// defineGroup: nullifier = C(sk, scope), and M = C(sk, 1) is one of the members,
// which are constants of the circuit: M is a root of the product of all (X -
// k_i). cm is bound, not opened.
func defineGroup(members []protocol.Member) func(g *gates, s, w []frontend.Variable) {
	return func(g *gates, s, w []frontend.Variable) {
		cm, scope, nullifier, sk := s[0], s[1], s[2], w[0]
		g.AssertIsEqual(g.compress(sk, scope), nullifier)
		g.AssertIsEqual(g.vanishing(members, g.compress(sk, 1)), 0)
		g.bind(cm, scope, nullifier)
	}
}

// vanishing is the product of all (x - k); only members make it zero. Members
// are multiplied in pairs, x² - (k1+k2)x + k1k2 being one gate, so that each
// member costs about one gate.
func (g *gates) vanishing(members []protocol.Member, x frontend.Variable) frontend.Variable {
	var product frontend.Variable = 1
	if len(members)%2 == 1 {
		product = g.Sub(x, constant(protocol.Element(members[0])))
		members = members[1:]
	}
	if len(members) == 0 {
		return product
	}
	square := g.Mul(x, x)
	for ; len(members) > 0; members = members[2:] {
		k1, k2 := constant(protocol.Element(members[0])), constant(protocol.Element(members[1]))
		sum := new(big.Int).Add(k1, k2)
		constantTerm := new(big.Int).Mul(k1, k2)
		quadratic := g.Add(square, g.Mul(x, sum.Neg(sum).Mod(sum, fr.Modulus())), constantTerm.Mod(constantTerm, fr.Modulus()))
		product = g.Mul(product, quadratic)
	}
	return product
}
