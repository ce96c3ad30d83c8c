package claim

import (
	"errors"
	"fmt"
	"sync"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"
	"github.com/consensys/gnark/logger"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// quiet silences gnark's logger, which writes to standard output.
var quiet = sync.OnceFunc(logger.Disable)

// Verify reports whether an encoded proof proves the statement behind x under a
// verifying key. x is [Statement.Inputs], which the caller must compute from
// its own state, never from an answer. The proof is decoded strictly by
// [DecodeProof]. Everything but a valid proof is refused with proof_rejected.
// It is safe for concurrent use.
func Verify(vk *VerifyingKey, x []protocol.Element, proof []byte) error {
	inputs, err := vk.inputs(x)
	if err != nil {
		return err
	}
	p, err := DecodeProof(proof)
	if err != nil {
		return err
	}
	if err := verify(&p.inner, &vk.key, inputs); err != nil {
		return protocol.Wrap(protocol.CodeProofRejected, proofRejected, err)
	}
	return nil
}

// inputs turns x into the library's form; it refuses another number than the
// key has, and elements that are not canonical.
func (vk *VerifyingKey) inputs(x []protocol.Element) (fr.Vector, error) {
	if uint64(len(x)) != vk.key.NbPublicVariables {
		return nil, protocol.Wrap(protocol.CodeProofRejected, proofRejected, errors.New("claim: wrong number of public inputs"))
	}
	v := make(fr.Vector, len(x))
	for i := range x {
		if err := v[i].SetBytesCanonical(x[i][:]); err != nil {
			return nil, protocol.Wrap(protocol.CodeProofRejected, proofRejected, errors.New("claim: public input is not canonical"))
		}
	}
	return v, nil
}

// verify is gnark's verifier. A panic in it counts as a rejection: no known
// proof causes one, and a proof that does must not stop the process.
func verify(p *plonk.Proof, vk *plonk.VerifyingKey, x fr.Vector) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("claim: verifier panicked: %w", fault.Panicked(r))
		}
	}()
	quiet()
	return plonk.Verify(p, vk, x)
}
