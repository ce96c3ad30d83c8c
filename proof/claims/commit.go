package claims

import (
	"crypto/rand"
	"errors"
	"slices"

	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/proof/transcript"
)

// Digest is a value of 8 elements, encoded in 32 bytes: an event element, a
// blind, a commitment, a member, a scope or a nullifier.
type Digest = poseidon.Digest

// DigestSize is the length of an encoded digest in bytes.
const DigestSize = field.Size * poseidon.DigestSize

// ErrDigest refuses what is not 8 elements below the modulus.
var ErrDigest = errors.New("claims: not a digest of 8 field elements")

// ParseDigest decodes 32 bytes.
func ParseDigest(b []byte) (d Digest, err error) {
	if !field.ParseAll(d[:], b) {
		return Digest{}, ErrDigest
	}
	return d, nil
}

// AppendDigest appends the 32 bytes of a digest.
func AppendDigest(b []byte, d Digest) []byte { return field.AppendAll(b, d[:]) }

// NewBlind draws a uniform digest, for a blind or the secret of a member.
func NewBlind() (d Digest) {
	var seed transcript.State
	rand.Read(seed[:])
	s := transcript.NewStream(seed, 0)
	s.Elements(d[:])
	s.Wipe()
	clear(seed[:])
	return d
}

// claimElement is T, which separates the commitments of claims.
func claimElement(id string) Digest { return HashToDigest("TD-V2-claim", []byte(id)) }

// commit returns cm = C(h, F + T).
func commit(id string, h, f Digest) Digest {
	t := claimElement(id)
	for i := range t {
		t[i] = t[i].Add(f[i])
	}
	return poseidon.Compress(h, t)
}

// constrainCommitment is commit in a circuit.
func constrainCommitment(b *circuit.Builder, id string, h, f circuit.Digest, cm circuit.Digest) {
	var t circuit.Digest
	for i, e := range claimElement(id) {
		t[i] = circuit.Constant(e)
	}
	b.EqualDigests(b.Compress(h, f.Plus(t)), cm)
}

// salt returns the salt of a leaf of a record: H("TD-V2-salt", r ‖ u8 i).
func salt(r Digest, leaf int) Digest {
	message := append(AppendDigest(make([]byte, 0, DigestSize+1), r), byte(leaf))
	defer clear(message)
	return HashToDigest("TD-V2-salt", message)
}

// Integer returns the digest of an integer as a value of a record: four limbs of
// 16 bits, the lowest first, and four zeros.
func Integer(v uint64) (d Digest) {
	copy(d[:], circuit.LimbPublics(nil, v, recordBits))
	return d
}

// flat appends digests to elements.
func flat(v []field.Element, digests ...Digest) []field.Element {
	for _, d := range digests {
		v = append(v, d[:]...)
	}
	return slices.Clip(v)
}
