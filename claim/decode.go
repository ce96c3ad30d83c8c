package claim

import plonk "github.com/consensys/gnark/backend/plonk/bls12-381"

// ProofSize is the exact size of an encoded proof, in bytes (section 6).
const ProofSize = 664

// Proof is a decoded proof. Only [DecodeProof] makes one from bytes, so every
// point in it is known to be in the subgroup and every scalar to be canonical.
type Proof struct {
	inner plonk.Proof
}
