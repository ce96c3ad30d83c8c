package claim

import "github.com/terradourada/td/protocol"

// Scaled converts a JSON number by scale and offset.
func Scaled(number string, scale int, offset int64, bits int) (uint64, bool) {
	return scaling{scale: scale, offset: offset}.apply(number, bits)
}

// ParsePointer returns the tokens of a strict JSON Pointer.
func ParsePointer(s string) ([]string, bool) { return parsePointer(s) }

// Resolve finds what a pointer names in a canonical document.
func Resolve(tokens []string, doc []byte) ([]byte, bool) { return pointer(tokens).resolve(doc) }

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
