package keyholder_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
)

// The same as crypto/hmac for every length, and nothing is left in the scratch.
func TestHMAC(t *testing.T) {
	for n := range 513 {
		var key [32]byte
		message := make([]byte, n)
		_, _ = rand.Read(key[:])
		_, _ = rand.Read(message)
		mac := hmac.New(sha256.New, key[:])
		mac.Write(message)
		got, work := keyholder.HMAC(key, message)
		if !hmac.Equal(got[:], mac.Sum(nil)) {
			t.Errorf("another sum of %d bytes", n)
		}
		if !bytes.Equal(work, make([]byte, len(work))) {
			t.Errorf("the scratch of %d bytes is not zero", n)
		}
	}
}
