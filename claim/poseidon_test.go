package claim_test

import (
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// TestCompress compares C with values of a program that was written from
// section 3 alone and shares no code with the library.
func TestCompress(t *testing.T) {
	tests := []struct {
		x, y protocol.Element
		want string
	}{
		{number(0), number(0), "30c5a9b25072bb4eb42a111b28a20e60d1011e707acd9500eca472bf5a55c505"},
		{number(1), number(0), "26bbe1f54209a25d9b9270e71d90f45da6a2f15b35f5b2467c16f86a97d20369"},
		{number(0), number(1), "04db27f5b3e5cd12338508187e01a84f04ffa8c394cb3d296ac881e934c835e1"},
		{number(1), number(2), "6e208b45c83f5f28d132c63ec3d3c517699a908a6b8a448aea00dbbb0ca35f17"},
		{negative(1), negative(1), "205bbbc4731ec46e89e6d6738859b395014b241e0e91a2c1ce64e160c060c116"},
		{power(64, 0), power(224, -1), "3e94b53878535632aed84c0f82269a7fe2770915b7a963cc4fdcc10a3b33d500"},
	}
	for _, test := range tests {
		got := claim.Compress(test.x, test.y)
		if hex.EncodeToString(got[:]) != test.want {
			t.Errorf("C(%x, %x) = %x, want %s", test.x, test.y, got, test.want)
		}
		// The circuit of open/1 computes the same.
		c := circuitOf(t, claim.Open)
		x, w := openInstance(test.x, test.y)
		check(t, "in the circuit", c, x, w, true)
	}
}

func TestCompressPanicsOnMisuse(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("took an element that is not below r")
		}
	}()
	var ff protocol.Element
	new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)).FillBytes(ff[:])
	claim.Compress(number(0), ff)
}
