package keyholder

import (
	"crypto/sha256"

	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// tagSecret is the part of a tag key that lies in the region.
type tagSecret struct {
	key  [32]byte
	work [sha256.BlockSize + protocol.PayloadSize]byte // what is hashed
}

// tagKey is the HMAC-SHA-256 key of an epoch. Its methods are called from one
// goroutine.
type tagKey struct {
	secret.Redacted
	mem *tagSecret
}

func newTagKey(mem *tagSecret) *tagKey {
	secret.Do(func() { draw(mem.key[:], "tag") })
	return &tagKey{mem: mem}
}

// tag is tau of section 8, never truncated.
func (k *tagKey) tag(p *protocol.EncodedPayload) (t protocol.Tag) {
	secret.Do(func() { t = hmacSHA256(&k.mem.key, k.mem.work[:], p[:]) })
	return t
}

// check compares a tag with the right one, which it does not reveal.
func (k *tagKey) check(p *protocol.EncodedPayload, t protocol.Tag) (right bool) {
	secret.Do(func() {
		right = protocol.Tag(hmacSHA256(&k.mem.key, k.mem.work[:], p[:])).Equal(t)
	})
	return right
}

// hmacSHA256 is HMAC-SHA-256 (RFC 2104) of a message that fits into work behind
// one block. crypto/hmac is not used: it keeps the padded key and hash states
// that are as good as the key on the heap, and drops them uncleared. Here they
// are in work, which is zero afterwards, and on the stack.
func hmacSHA256(key *[32]byte, work, message []byte) [sha256.Size]byte {
	const block, inner, outer = sha256.BlockSize, 0x36, 0x5c
	defer clear(work)
	n := block + len(message)
	clear(work[copy(work, key[:]):block])
	for i := range work[:block] {
		work[i] ^= inner
	}
	copy(work[block:n], message)
	sum := sha256.Sum256(work[:n])
	for i := range work[:block] {
		work[i] ^= inner ^ outer
	}
	n = block + copy(work[block:], sum[:])
	return sha256.Sum256(work[:n])
}
