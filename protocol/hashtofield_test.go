package protocol_test

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/terradourada/td/protocol"
)

const h2fSuffix = "-BLS12381FR-XMD:SHA-256"

var longestLabel = strings.Repeat("l", 255-len(h2fSuffix))

// TestH2FAgainstTheLibrary: over every length around the blocks of SHA-256 and
// the longest label, the same element as gnark-crypto's hash_to_field.
func TestH2FAgainstTheLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	lengths := []int{protocol.AnchorPreimageSize, protocol.MaxJSONSize}
	for n := range 200 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		m := make([]byte, n)
		for i := range m {
			m[i] = byte(random.Uint32())
		}
		for _, label := range []string{"", "TD-V1-anchor", longestLabel} {
			want, err := fr.Hash(m, []byte(label+h2fSuffix), 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := protocol.H2F(label, m); got != want[0].Bytes() {
				t.Fatalf("%d bytes under %q: got %v, want %v", n, label, got, want[0])
			}
		}
	}
}

// TestH2FReduces: sums that exceed the field are reduced.
// No hash reaches the extremes, so the test sets them directly.
func TestH2FReduces(t *testing.T) {
	for name, uniform := range map[string][48]byte{
		"zero":     {},
		"all ones": fill(0xff),
		"top bit":  {0: 0x80},
		"low half": {24: 0xff, 47: 0xff},
	} {
		got := protocol.ReduceUniform(uniform)
		is(t, name, got[:], reduce(uniform[:]))
	}
}

// TestH2FReducesAround: multiples of the order and their neighbours, and random bytes,
// reduce as big integers do; what is below the order is an element, and nothing else.
func TestH2FReducesAround(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	order := fr.Modulus()
	for i := range 3000 {
		x := new(big.Int).Lsh(big.NewInt(int64(random.Uint32()>>(i%32))), uint(random.IntN(97)))
		x.Mul(x, order).Add(x, big.NewInt(int64(i%5-2)))
		if i%3 == 0 {
			var all [48]byte
			for j := range all {
				all[j] = byte(random.Uint32())
			}
			x.SetBytes(all[:])
		}
		if x.Sign() < 0 || x.BitLen() > 384 {
			continue
		}
		var uniform [48]byte
		x.FillBytes(uniform[:])
		got := protocol.ReduceUniform(uniform)
		is(t, x.String(), got[:], reduce(uniform[:]))
		if x.BitLen() <= 256 {
			if err := protocol.CheckElement(uniform[16:]); (err == nil) != (x.Cmp(order) < 0) {
				t.Errorf("%d: %v", x, err)
			}
		}
	}
	for _, d := range []int64{-1, 0, 1} {
		x := new(big.Int).Add(order, big.NewInt(d))
		if err := protocol.CheckElement(x.FillBytes(make([]byte, 32))); (err == nil) != (d < 0) {
			t.Errorf("the order and %d: %v", d, err)
		}
	}
}

func fill(b byte) (all [48]byte) {
	for i := range all {
		all[i] = b
	}
	return all
}

// TestH2FKeepsNothing: the input may be a signature, so no memory that outlives
// the call may be allocated.
func TestH2FKeepsNothing(t *testing.T) {
	var preimage [protocol.AnchorPreimageSize]byte
	if n := testing.AllocsPerRun(100, func() { protocol.DeriveAnchor(&preimage) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestH2FLabelTooLong(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a label that does not fit was taken")
		}
	}()
	protocol.H2F(longestLabel+"x", nil)
}

func BenchmarkDeriveAnchor(b *testing.B) {
	var preimage [protocol.AnchorPreimageSize]byte
	b.ReportAllocs()
	for b.Loop() {
		protocol.DeriveAnchor(&preimage)
	}
}
