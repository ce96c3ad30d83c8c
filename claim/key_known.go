package claim

import (
	_ "embed"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/kzg"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"
	cs "github.com/consensys/gnark/constraint/bls12-381"

	"github.com/terradourada/td/protocol"
)

// data/keys.bin is the encodings of the keys of the fixed claims, one after the
// other in the order of fixedIDs. A test compiles the circuits anew and pins the
// fingerprints.
//
//go:embed data/keys.bin
var keysFile string

// fixedIDs are the claims whose circuit is the same everywhere. group/1 is
// not among them: each list has its own circuit.
func fixedIDs() []ID {
	return []ID{Open, Range, Sum, RecordRange, RecordEquals, RecordOneOf}
}

var knownKeys = sync.OnceValues(func() (map[ID]*VerifyingKey, error) {
	keys := make(map[ID]*VerifyingKey)
	for i, id := range fixedIDs() {
		vk, err := ParseVerifyingKey([]byte(keysFile[i*VerifyingKeySize:][:VerifyingKeySize]))
		if err != nil {
			return nil, err
		}
		keys[id] = vk
	}
	return keys, nil
})

// KnownKey is the embedded verifying key of one of the six fixed claims. It is
// false for group/1, whose keys come from [List.VerifyingKey], and for an
// unknown claim.
func KnownKey(id ID) (*VerifyingKey, bool) {
	keys, err := knownKeys()
	if err != nil {
		panic("claim: internal error: " + err.Error())
	}
	vk, ok := keys[id]
	return vk, ok
}

// VerifyingKey compiles the circuit of the list and commits to it, which takes
// hundreds of milliseconds; the caller keeps the key. The same list always has
// the same key. A list without members, or of more than [MaxMembers], is
// malformed_request.
func (l *List) VerifyingKey() (*VerifyingKey, error) {
	ccs, err := l.compile()
	if err != nil {
		return nil, err
	}
	return setup(ccs)
}

// compile is the circuit of the list in gates.
func (l *List) compile() (*cs.SparseR1CS, error) {
	if n := len(l.members); n == 0 || n > MaxMembers {
		return nil, protocol.Failf(protocol.CodeMalformedRequest, "list must have from 1 to %d members", MaxMembers)
	}
	return compile(newCircuit(Group, l.members))
}

// setup commits to a compiled circuit.
func setup(ccs *cs.SparseR1CS) (*VerifyingKey, error) {
	key, err := setupKey(ccs)
	if err != nil {
		return nil, err
	}
	return ParseVerifyingKey(encodeKey(key))
}

// setupKey is the library's set-up over the embedded reference string.
func setupKey(ccs *cs.SparseR1CS) (*plonk.VerifyingKey, error) {
	points, err := proverSRS()
	if err != nil {
		return nil, err
	}
	kv, err := verifierSRS()
	if err != nil {
		return nil, err
	}
	srs := kzg.SRS{Pk: kzg.ProvingKey{G1: points.powers}, Vk: *kv}
	forms := kzg.SRS{Pk: kzg.ProvingKey{G1: points.lagrange(domainOf(ccs))}}
	_, key, err := plonk.Setup(ccs, srs, forms)
	if err == nil && len(key.Qcp) != 0 {
		panic("claim: internal error: circuit uses the commitment extension")
	}
	return key, err
}
