package keyholder_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"math/big"
	"slices"
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

// The reduction is right at and around multiples of the order, and at the ends.
func TestEd25519Reduce(t *testing.T) {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	top := new(big.Int).Lsh(big.NewInt(1), 512)
	var cases []*big.Int
	for _, m := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(2), new(big.Int).Div(top, order), order} {
		for d := range int64(3) {
			cases = append(cases, new(big.Int).Add(new(big.Int).Mul(m, order), big.NewInt(d-1)))
		}
	}
	cases = append(cases, new(big.Int).Sub(top, big.NewInt(1)), new(big.Int).Lsh(big.NewInt(1), 256), new(big.Int).Lsh(big.NewInt(1), 255))
	for range 200 {
		n, err := rand.Int(rand.Reader, top)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, n)
	}
	for _, n := range cases {
		if n.Sign() < 0 || n.BitLen() > 512 {
			continue
		}
		var wide [64]byte
		n.FillBytes(wide[:])
		slices.Reverse(wide[:])
		got := keyholder.ReduceEd25519(wide)
		slices.Reverse(got[:])
		if want := new(big.Int).Mod(n, order); new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
			t.Errorf("%v reduces to %x, want %x", n, got, want)
		}
	}
}
