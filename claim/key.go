package claim

import (
	"encoding/binary"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr/fft"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"

	"github.com/terradourada/td/protocol"
)

// VerifyingKeySize is the exact size of an encoded verifying key, in bytes:
// "TDVK0001", the domain size (8), the number of public inputs (4), and the
// compressed points Ql Qr Qm Qo Qk S1 S2 S3.
const VerifyingKeySize = 8 + 8 + 4 + keyPoints*g1Size

const (
	keyMagic  = "TDVK0001"
	keyPoints = 8
	keyHeader = 8 + 8 + 4

	// maxPublic is the greatest k of section 6.
	maxPublic = 32
)

// VerifyingKey verifies the proofs of one circuit. It does not change and is
// safe for concurrent use.
type VerifyingKey struct {
	encoding [VerifyingKeySize]byte
	key      plonk.VerifyingKey
}

// ParseVerifyingKey reads the 404 bytes of section 6. It refuses with code
// malformed_request: another length or magic; a domain that is no power of two
// or larger than the reference string allows; a number of public inputs that no
// claim can have; a point that is infinity, not canonical or not in the
// subgroup. The rest of the key is derived: the domain generator, the coset
// shift 7 and the part of the reference string.
func ParseVerifyingKey(enc []byte) (*VerifyingKey, error) {
	if len(enc) != VerifyingKeySize || string(enc[:8]) != keyMagic {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "verifying key has the wrong length or magic")
	}
	domain, public := binary.BigEndian.Uint64(enc[8:]), binary.BigEndian.Uint32(enc[16:])
	if domain < 2 || domain > largeDomain || domain&(domain-1) != 0 {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "domain of the verifying key is not allowed")
	}
	if public <= contextInputs || public > contextInputs+maxPublic || uint64(public) > domain {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "number of public inputs of the verifying key is not allowed")
	}
	points, err := parseKeyPoints(enc[keyHeader:])
	if err != nil {
		return nil, err
	}
	vk := &VerifyingKey{encoding: [VerifyingKeySize]byte(enc)}
	return vk, vk.derive(domain, public, points)
}

func parseKeyPoints(b []byte) (*[keyPoints]bls12381.G1Affine, error) {
	var points [keyPoints]bls12381.G1Affine
	for i := range points {
		if !decodePoint(&points[i], b[i*g1Size:(i+1)*g1Size]) {
			return nil, protocol.Fail(protocol.CodeMalformedRequest, "point of the verifying key is not canonical, not in the subgroup or infinity")
		}
	}
	return &points, nil
}

// derive computes the library's form of the key.
func (vk *VerifyingKey) derive(domain uint64, public uint32, p *[keyPoints]bls12381.G1Affine) error {
	srs, err := verifierSRS()
	if err != nil {
		return err
	}
	d := fft.NewDomain(domain, fft.WithoutPrecompute())
	k := &vk.key
	k.Size, k.SizeInv, k.Generator = domain, d.CardinalityInv, d.Generator
	k.CosetShift = fr.NewElement(cosetShift)
	k.NbPublicVariables = uint64(public)
	k.Kzg = *srs
	k.Ql, k.Qr, k.Qm, k.Qo, k.Qk = p[0], p[1], p[2], p[3], p[4]
	copy(k.S[:], p[5:])
	return nil
}

// cosetShift is u of section 6; the permutation lives on H, uH and u²H.
const cosetShift = 7

// encodeKey is the encoding of a key that the library made.
func encodeKey(k *plonk.VerifyingKey) []byte {
	b := make([]byte, 0, VerifyingKeySize)
	b = append(b, keyMagic...)
	b = binary.BigEndian.AppendUint64(b, k.Size)
	b = binary.BigEndian.AppendUint32(b, uint32(k.NbPublicVariables))
	for _, p := range []*bls12381.G1Affine{&k.Ql, &k.Qr, &k.Qm, &k.Qo, &k.Qk, &k.S[0], &k.S[1], &k.S[2]} {
		c := p.Bytes()
		b = append(b, c[:]...)
	}
	return b
}

// Encode is the exact encoding, in a fresh slice.
func (vk *VerifyingKey) Encode() []byte {
	return append([]byte(nil), vk.encoding[:]...)
}

// Domain is the size of the evaluation domain, a power of two.
func (vk *VerifyingKey) Domain() int { return int(vk.key.Size) }

// PublicInputs is the number of public inputs, a, c and t included.
func (vk *VerifyingKey) PublicInputs() int { return int(vk.key.NbPublicVariables) }

// Fingerprint is vkfp of section 6 under the embedded reference string. The
// list is zero for every claim but group/1.
func (vk *VerifyingKey) Fingerprint(id ID, list protocol.ListID) protocol.Digest {
	return protocol.VKFingerprint(string(id), list, srsDigest, vk.encoding[:])
}
