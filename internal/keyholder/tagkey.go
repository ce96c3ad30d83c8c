package keyholder

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"

	"github.com/terradourada/td/protocol"
)

// tagKey is the HMAC-SHA-256 key of an epoch.
type tagKey struct {
	redacted
	key [32]byte
}

func newTagKey() *tagKey {
	k := new(tagKey)
	_, _ = rand.Read(k.key[:]) // never fails
	return k
}

// tag is tau of section 8, never truncated.
func (k *tagKey) tag(p *protocol.EncodedPayload) protocol.Tag {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write(p[:])
	var t protocol.Tag
	mac.Sum(t[:0])
	return t
}
