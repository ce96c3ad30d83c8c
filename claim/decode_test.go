package claim_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/big"
	"runtime"
	"slices"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	plonk "github.com/consensys/gnark/backend/plonk/bls12-381"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// Where the parts of an encoded proof stand.
var (
	pointOffsets  = []int{0, 48, 96, 144, 192, 240, 288, 336, 580}
	scalarOffsets = []int{388, 420, 452, 484, 516, 548, 628}
)

const (
	valuesWord = 384 // the number of values, 6
	lastWord   = 660 // the number of extension commitments, 0
)

// multiple is the k-th multiple of the generator.
func multiple(k int64) *bls12381.G1Affine {
	_, _, g, _ := bls12381.Generators()
	return g.ScalarMultiplication(&g, big.NewInt(k))
}

// formalProof has the form of a proof, nine points and seven scalars, but
// proves nothing.
func formalProof() *plonk.Proof {
	p := &plonk.Proof{}
	points := []*bls12381.G1Affine{
		&p.LRO[0], &p.LRO[1], &p.LRO[2], &p.Z, &p.H[0], &p.H[1], &p.H[2], &p.BatchedProof.H, &p.ZShiftedOpening.H,
	}
	for i, point := range points {
		point.Set(multiple(int64(3 + 5*i)))
	}
	p.BatchedProof.ClaimedValues = make([]fr.Element, 6)
	for i := range p.BatchedProof.ClaimedValues {
		p.BatchedProof.ClaimedValues[i].SetUint64(uint64(1000 + i))
	}
	p.ZShiftedOpening.ClaimedValue.SetInt64(-1)
	return p
}

// encodeByGnark is the library's compressed encoding.
func encodeByGnark(t testing.TB, p *plonk.Proof) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := p.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// patched returns b with part written over it at an offset.
func patched(b []byte, offset int, part []byte) []byte {
	b = slices.Clone(b)
	copy(b[offset:], part)
	return b
}

func checkProofRefused(t *testing.T, what string, b []byte) {
	t.Helper()
	p, err := claim.DecodeProof(b)
	if p != nil || protocol.CodeOf(err) != protocol.CodeProofRejected {
		t.Errorf("%s: got %v", what, err)
	}
	if want := "proof does not verify"; protocol.DetailOf(err) != want {
		t.Errorf("%s: detail %q, want %q", what, protocol.DetailOf(err), want)
	}
}

func TestDecodeProof(t *testing.T) {
	b := encodeByGnark(t, formalProof())
	p, err := claim.DecodeProof(b)
	if err != nil {
		t.Fatal(err)
	}
	if encoded := claim.EncodeProof(p); !bytes.Equal(encoded[:], b) {
		t.Error("the proof is written as other bytes")
	}
}

func TestDecodeProofLength(t *testing.T) {
	b := encodeByGnark(t, formalProof())
	if len(b) != claim.ProofSize || claim.ProofSize != 664 {
		t.Fatalf("gnark writes %d bytes, ProofSize is %d", len(b), claim.ProofSize)
	}
	for n := range b {
		checkProofRefused(t, fmt.Sprintf("first %d bytes", n), b[:n])
		checkProofRefused(t, fmt.Sprintf("last %d bytes", n), b[len(b)-n:])
	}
	checkProofRefused(t, "nil", nil)
	checkProofRefused(t, "a byte more", append(slices.Clone(b), 0))
	checkProofRefused(t, "twice", append(slices.Clone(b), b...))
	checkProofRefused(t, "a byte in front", append([]byte{0}, b...))
	checkProofRefused(t, "all zero", make([]byte, claim.ProofSize))
	checkProofRefused(t, "all ones", bytes.Repeat([]byte{0xff}, claim.ProofSize))
}

// TestDecodeProofLengthWords writes words that a careless reader would allocate
// by.
func TestDecodeProofLengthWords(t *testing.T) {
	b := encodeByGnark(t, formalProof())
	for _, n := range []uint32{0, 1, 5, 7, 12, 6 << 8, 6 << 24, 1<<31 | 6, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		word := binary.BigEndian.AppendUint32(nil, n)
		checkProofRefused(t, fmt.Sprintf("%d values", n), patched(b, valuesWord, word))
		if n != 0 {
			checkProofRefused(t, fmt.Sprintf("%d commitments", n), patched(b, lastWord, word))
		}
		hostile := patched(patched(b, valuesWord, word), lastWord, word)
		if allocated := allocatedBy(func() { _, _ = claim.DecodeProof(hostile) }); allocated > 1<<16 {
			t.Errorf("word %d made the decoder allocate %d bytes", n, allocated)
		}
	}
}

// allocatedBy returns the number of bytes that the process allocates during a
// call.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestDecodeProofFlags sets every combination of the three flag bits on every
// point.
func TestDecodeProofFlags(t *testing.T) {
	good := encodeByGnark(t, formalProof())
	for _, at := range pointOffsets {
		for flags := range byte(8) {
			b := slices.Clone(good)
			b[at] = b[at]&0x1f | flags<<5
			if flags>>1 != 0b10 {
				checkProofRefused(t, fmt.Sprintf("point at %d with flags %03b", at, flags), b)
				continue
			}
			// The other sign is another proof, which has its one encoding too.
			p, err := claim.DecodeProof(b)
			if err != nil {
				t.Errorf("point at %d with flags %03b: %v", at, flags, err)
				continue
			}
			if encoded := claim.EncodeProof(p); !bytes.Equal(encoded[:], b) {
				t.Errorf("point at %d with flags %03b: written as other bytes", at, flags)
			}
		}
	}
}

// TestDecodeProofInfinity tries every form of infinity at every point, with
// and without further bits.
func TestDecodeProofInfinity(t *testing.T) {
	good := encodeByGnark(t, formalProof())
	infinity := func(first, last byte) []byte {
		b := make([]byte, 48)
		b[0], b[47] = first, last
		return b
	}
	for _, at := range pointOffsets {
		for _, first := range []byte{0x00, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0, 0xc1} {
			for _, last := range []byte{0, 1} {
				if first&0xc0 == 0x80 && last == 1 {
					continue // x = 1: on the curve or not, but no form of infinity
				}
				what := fmt.Sprintf("point at %d as %02x..%02x", at, first, last)
				checkProofRefused(t, what, patched(good, at, infinity(first, last)))
			}
		}
	}
}

// compressed is x under a flag byte.
func compressed(x *big.Int, flags byte) []byte {
	b := x.FillBytes(make([]byte, 48))
	b[0] |= flags
	return b
}

// offCurve is the least x without a point; outside the least x whose points are
// not in the subgroup.
func specialCoordinates() (offCurve, outside *big.Int) {
	for x := int64(0); offCurve == nil || outside == nil; x++ {
		var p bls12381.G1Affine
		p.X.SetInt64(x)
		var y2, four fp.Element
		y2.Square(&p.X).Mul(&y2, &p.X).Add(&y2, four.SetUint64(4))
		switch {
		case p.Y.Sqrt(&y2) == nil:
			if offCurve == nil {
				offCurve = big.NewInt(x)
			}
		case !p.IsInSubGroup() && outside == nil:
			outside = big.NewInt(x)
		}
	}
	return offCurve, outside
}

func TestDecodeProofPoints(t *testing.T) {
	good := encodeByGnark(t, formalProof())
	p := fp.Modulus()
	offCurve, outside := specialCoordinates()
	bad := map[string]*big.Int{
		"x not on the curve":    offCurve,
		"outside the subgroup":  outside,
		"x = p":                 p,
		"x = p + 1":             new(big.Int).Add(p, big.NewInt(1)),
		"x = 2^381 - 1":         new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 381), big.NewInt(1)),
		"x + p of a true point": smallPointPlusP(),
	}
	for name, x := range bad {
		for _, at := range pointOffsets {
			for _, flags := range []byte{0x80, 0xa0} {
				checkProofRefused(t, fmt.Sprintf("%s, at %d, flags %02x", name, at, flags), patched(good, at, compressed(x, flags)))
			}
		}
	}
}

// smallPointPlusP finds a point of the subgroup whose x + p fits 381 bits, so
// that only a check for reduction can refuse it.
func smallPointPlusP() *big.Int {
	for k := int64(2); ; k++ {
		x := multiple(k).X.BigInt(new(big.Int))
		if x.Add(x, fp.Modulus()); x.BitLen() <= 381 {
			return x
		}
	}
}

func TestDecodeProofScalars(t *testing.T) {
	good := encodeByGnark(t, formalProof())
	r := fr.Modulus()
	for _, at := range scalarOffsets {
		v := new(big.Int).SetBytes(good[at : at+32])
		for name, bad := range map[string]*big.Int{
			"r":        r,
			"r + 1":    new(big.Int).Add(r, big.NewInt(1)),
			"v + r":    v.Add(v, r),
			"2^256-1":  new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)),
			"high bit": new(big.Int).Lsh(big.NewInt(1), 255),
		} {
			checkProofRefused(t, fmt.Sprintf("scalar at %d = %s", at, name), patched(good, at, bad.FillBytes(make([]byte, 32))))
		}
		for _, fine := range []*big.Int{new(big.Int), new(big.Int).Sub(r, big.NewInt(1))} {
			if _, err := claim.DecodeProof(patched(good, at, fine.FillBytes(make([]byte, 32)))); err != nil {
				t.Errorf("scalar at %d = %v: %v", at, fine, err)
			}
		}
	}
}

// TestDecodeProofRaw tries the library's other encoding: whole, cut to size and
// mixed in point by point. The library's reader accepts it.
func TestDecodeProofRaw(t *testing.T) {
	p := formalProof()
	good := encodeByGnark(t, p)
	var raw bytes.Buffer
	if _, err := p.WriteRawTo(&raw); err != nil {
		t.Fatal(err)
	}
	checkProofRefused(t, "raw", raw.Bytes())
	checkProofRefused(t, "raw, cut", raw.Bytes()[:claim.ProofSize])
	for i, at := range pointOffsets {
		from := 96 * i
		if i == 8 {
			from = 8*96 + 4 + 6*32
		}
		mixed := slices.Concat(good[:at], raw.Bytes()[from:from+96], good[at+48:])
		if _, err := new(plonk.Proof).ReadFrom(bytes.NewReader(mixed)); err != nil {
			t.Fatalf("the library refuses the mixed encoding: %v", err)
		}
		checkProofRefused(t, fmt.Sprintf("point at %d raw", at), mixed)
		checkProofRefused(t, fmt.Sprintf("point at %d raw, cut", at), mixed[:claim.ProofSize])
	}
}

// FuzzDecodeProof compares with the library's reader. What the decoder
// accepts, the reader accepts and writes as the same bytes. What the reader
// accepts in compressed form without infinity, the decoder accepts.
func FuzzDecodeProof(f *testing.F) {
	good := encodeByGnark(f, formalProof())
	f.Add(good)
	for _, at := range pointOffsets {
		f.Add(patched(good, at, []byte{good[at] ^ 0x20}))
		f.Add(patched(good, at, compressed(new(big.Int), 0xc0)))
		f.Add(patched(good, at, multiple(7).Marshal()[:48]))
	}
	for _, at := range scalarOffsets {
		f.Add(patched(good, at, fr.Modulus().Bytes()))
	}
	f.Add(patched(good, valuesWord, []byte{0, 0, 0, 5}))
	f.Add(patched(good, lastWord, []byte{0, 0, 0, 1}))
	f.Add(good[:claim.ProofSize-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := claim.DecodeProof(b)
		want := acceptedByGnark(b)
		if (err == nil) != want {
			t.Fatalf("got %v; the library accepts: %v", err, want)
		}
		if err == nil {
			if encoded := claim.EncodeProof(p); !bytes.Equal(encoded[:], b) {
				t.Fatal("the proof is written as other bytes")
			}
		}
	})
}

// acceptedByGnark calls the library's reader with bytes that cannot make it
// allocate.
func acceptedByGnark(b []byte) bool {
	if len(b) != claim.ProofSize || binary.BigEndian.Uint32(b[valuesWord:]) != 6 || binary.BigEndian.Uint32(b[lastWord:]) != 0 {
		return false
	}
	for _, at := range pointOffsets {
		if b[at]&0x40 != 0 {
			return false // infinity
		}
	}
	var p plonk.Proof
	if n, err := p.ReadFrom(bytes.NewReader(b)); err != nil || n != int64(len(b)) {
		return false
	}
	var again bytes.Buffer
	_, err := p.WriteTo(&again)
	return err == nil && bytes.Equal(again.Bytes(), b)
}
