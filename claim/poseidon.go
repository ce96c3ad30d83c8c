package claim

import (
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/poseidon2"

	"github.com/terradourada/td/protocol"
)

// Parameters of the permutation P of section 3. They are always passed
// explicitly: the library's own default has fewer rounds.
const (
	poseidonWidth   = 2
	poseidonFull    = 8
	poseidonPartial = 56
)

// permutation holds the round constants, computed once; it is never changed.
var permutation = sync.OnceValue(func() *poseidon2.Permutation {
	return poseidon2.NewPermutation(poseidonWidth, poseidonFull, poseidonPartial)
})

// Compress is C(x, y) of section 3: the Poseidon2 permutation of width 2 with
// 8 full and 56 partial rounds over (x, y), its second lane, plus y. Both
// arguments must be canonical, as every [protocol.Element] from a parser is; it
// panics on one that is not.
func Compress(x, y protocol.Element) protocol.Element {
	state := [2]fr.Element{fieldElement(x), fieldElement(y)}
	last := state[1]
	if err := permutation().Permutation(state[:]); err != nil {
		panic("claim: internal error: " + err.Error())
	}
	return protocol.Element(last.Add(&state[1], &last).Bytes())
}

// fieldElement is the library's form of a canonical element.
func fieldElement(e protocol.Element) fr.Element {
	var f fr.Element
	if err := f.SetBytesCanonical(e[:]); err != nil {
		panic("claim: internal error: element is not canonical")
	}
	return f
}
