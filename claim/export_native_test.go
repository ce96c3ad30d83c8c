package claim

import "github.com/terradourada/td/protocol"

// Pack is the packing of up to seven values.
func Pack(values []uint32) protocol.Element { return pack(values) }

// NewAssignment makes an assignment of arbitrary values.
func NewAssignment(id ID, values ...protocol.Element) *Assignment {
	return newAssignment(id, values)
}

// Values returns the private values.
func (a *Assignment) Values() []protocol.Element { return a.private() }

// PrivateCount is the number of private values of a claim.
func PrivateCount(id ID) int { return privateCount(id) }

// PublicCount is the number of public values of a claim.
func PublicCount(id ID) int { return publicCount(id) }

// EncodeProof is the encoding of a decoded proof.
func EncodeProof(p *Proof) [ProofSize]byte { return p.encode() }
