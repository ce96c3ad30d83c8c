package keyholder_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/terradourada/td/internal/keyholder"
)

// Key and signature are those of crypto/ed25519, for every length of message
// that is signed; seed and scratch are zero afterwards.
func TestEd25519(t *testing.T) {
	for n := range keyholder.MaxNote + 1 {
		seed := randomSeed()
		switch n { // and the ends of what a seed can be
		case 0:
			seed = [32]byte{}
		case 1:
			seed = [32]byte(bytes.Repeat([]byte{0xff}, 32))
		}
		message := make([]byte, n)
		_, _ = rand.Read(message)
		want := ed25519.NewKeyFromSeed(seed[:])
		public, sig, left := keyholder.SignEd25519(seed, message)
		if !bytes.Equal(public[:], want[32:]) {
			t.Fatalf("another public key of seed %x", seed)
		}
		if !bytes.Equal(sig[:], ed25519.Sign(want, message)) {
			t.Fatalf("another signature of %x with seed %x", message, seed)
		}
		if !bytes.Equal(left, make([]byte, len(left))) {
			t.Error("seed or scratch is not zero")
		}
	}
}
