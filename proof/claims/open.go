package claims

import (
	"github.com/terradourada/td/proof/circuit"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

const openID = "open/1"

// Open says: I know e and r behind the commitment.
type Open struct{ Commitment Digest }

// NewOpen commits to the event element e with the blind r.
func NewOpen(e, r Digest) *Witness {
	s := Open{commit(openID, poseidon.Compress(e, r), Digest{})}
	return newWitness(s, flat(nil, e, r))
}

// Check accepts every commitment.
func (s Open) Check() error { return nil }

func (s Open) commitment() Digest { return s.Commitment }

func (s Open) shape() shape { return shape{id: openID} }

func (s Open) public() []field.Element { return flat(nil, s.Commitment) }

func (s Open) define(b *circuit.Builder) {
	cm := b.PublicDigest()
	h := b.Compress(b.SecretDigest(), b.SecretDigest())
	constrainCommitment(b, openID, h, circuit.Digest{}, cm)
}
