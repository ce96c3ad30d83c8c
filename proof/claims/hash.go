package claims

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
)

// dstSuffix ends the domain separation tag of every label.
const dstSuffix = "-KOALABEAR-XMD:SHA-256"

// uniformSize is the number of bytes of which one element is made. The bias is
// below 2^-129.
const uniformSize = 20

// HashToDigest hashes a message to 8 elements: 160 bytes of expand_message_xmd of
// RFC 9380 with SHA-256 and the tag label ‖ "-KOALABEAR-XMD:SHA-256", of which
// each 20 bytes, big-endian, are reduced modulo p.
func HashToDigest(label string, message []byte) (d poseidon.Digest) {
	uniform := expand(label+dstSuffix, message, uniformSize*len(d))
	for i := range d {
		d[i] = reduce(uniform[uniformSize*i:][:uniformSize])
	}
	clear(uniform)
	return d
}

// reduce returns 20 bytes, big-endian, modulo p.
func reduce(b []byte) (x field.Element) {
	shift := field.New(1 << 32)
	for ; len(b) > 0; b = b[4:] {
		x = x.Mul(shift).Add(field.New(uint64(binary.BigEndian.Uint32(b))))
	}
	return x
}

// expand is expand_message_xmd of RFC 9380, section 5.3.1, with SHA-256.
func expand(dst string, message []byte, length int) []byte {
	blocks := (length + sha256.Size - 1) / sha256.Size
	if blocks > 255 || len(dst) > 255 {
		panic("claims: internal error: hash of too many bytes or with too long a tag")
	}
	suffix := append([]byte(dst), byte(len(dst)))
	h := sha256.New()
	h.Write(make([]byte, sha256.BlockSize))
	h.Write(message)
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(length)))
	h.Write([]byte{0})
	h.Write(suffix)
	first := h.Sum(nil)
	block := make([]byte, sha256.Size)
	var uniform []byte
	for i := 1; i <= blocks; i++ {
		subtle.XORBytes(block, block, first)
		h.Reset()
		h.Write(block)
		h.Write([]byte{byte(i)})
		h.Write(suffix)
		block = h.Sum(block[:0])
		uniform = append(uniform, block...)
	}
	return uniform[:length]
}
