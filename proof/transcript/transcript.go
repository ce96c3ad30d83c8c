// Package transcript derives the challenges of a proof from what was said before,
// with SHA-256 as the random oracle.
//
// A state is a [Digest] of everything that the two sides know at that point; each
// part is preceded by its length. A [Stream] expands a state into field elements
// or positions; each use has a tag of its own, so no two challenges share a byte.
//
// All preimages differ in their first byte: 0 and 1 in package merkle, 2 in a
// stream, and in a digest the length of its label, at least 3.
package transcript

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/terradourada/td/proof/field"
)

// State is what a stream starts from.
type State [sha256.Size]byte

const (
	streamPrefix = 2
	minLabel     = 3 // of a digest; a shorter label could collide with the prefixes
)

// Digest returns D(label, parts) = SHA-256(u8(len label) ‖ label ‖ for each part:
// u64be(len part) ‖ part).
func Digest(label string, parts ...[]byte) State {
	if len(label) < minLabel || len(label) > 255 {
		panic("transcript: internal error: the length of a label is not in 3..255")
	}
	h := sha256.New()
	h.Write([]byte{byte(len(label))})
	h.Write([]byte(label))
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return State(h.Sum(nil))
}

// Stream is the sequence of the blocks SHA-256(2 ‖ state ‖ u8 tag ‖ u64be i) for
// i = 0, 1, ...
type Stream struct {
	preimage [1 + sha256.Size + 1 + 8]byte
	next     uint64
	block    [sha256.Size]byte
	unread   []byte // the end of block
}

// NewStream returns the stream of a state for one use.
func NewStream(state State, tag byte) *Stream {
	s := new(Stream)
	s.preimage[0] = streamPrefix
	copy(s.preimage[1:], state[:])
	s.preimage[1+len(state)] = tag
	return s
}

// read returns the next n bytes. All reads of a stream have one length, which
// divides that of a block.
func (s *Stream) read(n int) []byte {
	if len(s.unread) < n {
		binary.BigEndian.PutUint64(s.preimage[len(s.preimage)-8:], s.next)
		s.next++
		s.block = sha256.Sum256(s.preimage[:])
		s.unread = s.block[:]
	}
	b := s.unread[:n]
	s.unread = s.unread[n:]
	return b
}

// Elements fills v with uniform elements: 4 bytes, big-endian, with the upper bit
// cleared; numbers from the modulus on are skipped.
func (s *Stream) Elements(v []field.Element) {
	for len(v) > 0 {
		b := s.read(field.Size)
		b[0] &= 0x7f
		if x, ok := field.Parse(b); ok {
			v[0], v = x, v[1:]
		}
	}
}

// Block returns the next 32 bytes of a stream that is read by blocks only.
func (s *Stream) Block() [sha256.Size]byte { return [sha256.Size]byte(s.read(sha256.Size)) }

// Positions returns count different positions below n, a power of two up to
// 2^16: the lower bits of two bytes, big-endian; repetitions are skipped.
func (s *Stream) Positions(n, count int) []int {
	if n < 1 || n > 1<<16 || n&(n-1) != 0 || count > n {
		panic("transcript: internal error: impossible positions")
	}
	seen := make([]bool, n)
	positions := make([]int, 0, count)
	for len(positions) < count {
		p := int(binary.BigEndian.Uint16(s.read(2))) & (n - 1)
		if !seen[p] {
			seen[p] = true
			positions = append(positions, p)
		}
	}
	return positions
}

// Wipe clears the stream, for one whose state is secret.
func (s *Stream) Wipe() { *s = Stream{} }
