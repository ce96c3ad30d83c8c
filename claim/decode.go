package claim

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"

	"github.com/terradourada/td/protocol"
)

// ProofSize is the exact size of an encoded proof, in bytes (section 6).
const ProofSize = 8*g1Size + 4 + claimedValues*fr.Bytes + g1Size + fr.Bytes + 4

// claimedValues are those of the linearisation, L, R, O, S1 and S2 at zeta.
const claimedValues = 6

// Proof is a decoded proof. Only [DecodeProof] makes one from bytes, so every
// point in it is in the subgroup and not at infinity, and every scalar is
// canonical.
type Proof struct {
	inner plonk.Proof
}

// DecodeProof reads an encoded proof. There is one encoding of a proof: exactly
// 664 bytes, with
//
//	  0  L R O Z H1 H2 H3 W, the eight points, compressed, 48 bytes each
//	384  u32 = 6
//	388  the six values at zeta, 32 bytes each
//	580  W', compressed
//	628  the value of Z at zeta·omega, 32 bytes
//	660  u32 = 0
//
// The length words are compared, never used. Everything else is refused with
// code proof_rejected and one constant detail: other lengths, uncompressed
// points, coordinates and scalars that are not reduced, points off the curve or
// outside the subgroup. The point at infinity is refused everywhere. The
// polynomials behind all nine points of an honest proof are blinded and not
// constant, so an honest proof has it with a probability of about 2^-250.
func DecodeProof(b []byte) (*Proof, error) {
	p := &Proof{}
	if len(b) != ProofSize || !p.decode(b) {
		return nil, protocol.Wrap(protocol.CodeProofRejected, proofRejected, ErrProofEncoding)
	}
	if encoded := p.encode(); subtle.ConstantTimeCompare(encoded[:], b) != 1 {
		return nil, protocol.Wrap(protocol.CodeProofRejected, proofRejected, ErrProofEncoding)
	}
	return p, nil
}

// ErrProofEncoding is the cause of the refusal of a proof that does not decode. A client
// is not told it: the refusal of a false proof is the same.
var ErrProofEncoding = errors.New("claim: proof does not decode")

// proofRejected is the one refusal that a client receives for a proof that is
// malformed or false.
const proofRejected = "proof does not verify"

// points returns the nine points of a proof in the order of the encoding; the
// last one is returned apart.
func (p *Proof) points() [9]*bls12381.G1Affine {
	i := &p.inner
	return [9]*bls12381.G1Affine{
		&i.LRO[0], &i.LRO[1], &i.LRO[2], &i.Z, &i.H[0], &i.H[1], &i.H[2],
		&i.BatchedProof.H, &i.ZShiftedOpening.H,
	}
}

// decode fills p from the 664 bytes of b.
func (p *Proof) decode(b []byte) bool {
	p.inner.BatchedProof.ClaimedValues = make([]fr.Element, claimedValues)
	points := p.points()
	for _, point := range points[:8] {
		if !decodePoint(point, b[:g1Size]) {
			return false
		}
		b = b[g1Size:]
	}
	if binary.BigEndian.Uint32(b) != claimedValues {
		return false
	}
	b = b[4:]
	for i := range p.inner.BatchedProof.ClaimedValues {
		if p.inner.BatchedProof.ClaimedValues[i].SetBytesCanonical(b[:fr.Bytes]) != nil {
			return false
		}
		b = b[fr.Bytes:]
	}
	if !decodePoint(points[8], b[:g1Size]) {
		return false
	}
	b = b[g1Size:]
	if p.inner.ZShiftedOpening.ClaimedValue.SetBytesCanonical(b[:fr.Bytes]) != nil {
		return false
	}
	return binary.BigEndian.Uint32(b[fr.Bytes:]) == 0
}

// The three highest bits of a compressed point.
const (
	flagMask       = 0b111 << 5
	flagCompressed = 0b100 << 5
	flagLargest    = 0b001 << 5 // y is the greater one of the two roots
)

// decodePoint reads a compressed point that is in the subgroup and not at
// infinity: x below p, y² = x³ + 4.
func decodePoint(point *bls12381.G1Affine, b []byte) bool {
	flags := b[0] & flagMask
	if flags != flagCompressed && flags != flagCompressed|flagLargest {
		return false
	}
	var x [fp.Bytes]byte
	copy(x[:], b)
	x[0] &^= flagMask
	if point.X.SetBytesCanonical(x[:]) != nil {
		return false
	}
	var four fp.Element
	four.SetUint64(4)
	point.Y.Square(&point.X).Mul(&point.Y, &point.X).Add(&point.Y, &four)
	if point.Y.Sqrt(&point.Y) == nil {
		return false
	}
	if point.Y.LexicographicallyLargest() != (flags&flagLargest != 0) {
		point.Y.Neg(&point.Y)
	}
	return point.IsInSubGroup()
}

// encode is the encoding that [DecodeProof] reads.
func (p *Proof) encode() [ProofSize]byte {
	b := make([]byte, 0, ProofSize)
	points := p.points()
	for _, point := range points[:8] {
		b = appendPoint(b, point)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.inner.BatchedProof.ClaimedValues)))
	for _, v := range p.inner.BatchedProof.ClaimedValues {
		b = append(b, v.Marshal()...)
	}
	b = appendPoint(b, points[8])
	b = append(b, p.inner.ZShiftedOpening.ClaimedValue.Marshal()...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.inner.Bsb22Commitments)))
	return [ProofSize]byte(b)
}

func appendPoint(b []byte, point *bls12381.G1Affine) []byte {
	compressed := point.Bytes()
	return append(b, compressed[:]...)
}
