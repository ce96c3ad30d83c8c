package protocol

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
)

// Sizes of hash_to_field for this field (RFC 9380 section 5.1), in bytes.
const (
	uniformSize = 48 // L
	halfUniform = uniformSize / 2
)

// H2F is hash_to_field of RFC 9380 section 5.2 for the scalar field of
// BLS12-381: one element, expand_message_xmd with SHA-256, L = 48.
//
// It uses its stack only and keeps no copy of m: m may hold a signature, and
// heap memory would outlive the call.
func H2F(label string, m []byte) Element {
	return reduceUniform(expandMessage(label, m))
}

// reduceUniform reduces 48 big-endian bytes modulo the order of the field. The
// first half of them is below the order.
func reduceUniform(uniform [uniformSize]byte) Element {
	x := scalarOf(uniform[:halfUniform])
	for i := halfUniform; i < uniformSize; i += 8 {
		x = x.shift(binary.BigEndian.Uint64(uniform[i:]))
	}
	return x.element()
}

// expandMessage is expand_message_xmd of RFC 9380 section 5.3.1 with SHA-256
// for two blocks of output; half of the second block is used.
func expandMessage(label string, m []byte) (uniform [uniformSize]byte) {
	var space [maxDST + 1]byte
	suffix := domainSuffix(&space, label)

	var b0, b1, b2 [sha256.Size]byte
	h := sha256.New()
	h.Write(make([]byte, sha256.BlockSize))
	h.Write(m)
	h.Write([]byte{0, uniformSize, 0})
	h.Write(suffix)
	h.Sum(b0[:0])

	h.Reset()
	h.Write(b0[:])
	h.Write([]byte{1})
	h.Write(suffix)
	h.Sum(b1[:0])

	h.Reset()
	subtle.XORBytes(b2[:], b0[:], b1[:])
	h.Write(b2[:])
	h.Write([]byte{2})
	h.Write(suffix)
	h.Sum(b2[:0])

	copy(uniform[copy(uniform[:], b1[:]):], b2[:])
	return uniform
}

// maxDST is the longest domain separation tag, in bytes.
const maxDST = 255

// domainSuffix writes DST_prime of a label to space: the tag and its length.
func domainSuffix(space *[maxDST + 1]byte, label string) []byte {
	n := len(label) + len(dstSuffix)
	if n > maxDST {
		panic("protocol: internal error: hash_to_field label longer than 255 bytes")
	}
	return append(append(append(space[:0], label...), dstSuffix...), byte(n))
}
