package claim_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// knownFingerprints are vkfp of the released claims. They never change.
var knownFingerprints = map[claim.ID]string{
	claim.Open:         "tTXlFJgkGLVsUTSKTxP0XXnSIayk9xcF0FZsAR259iE",
	claim.Range:        "nQBnoCqN9GIksvFSUw_PoE2pBXqtau2S00W4opn5BmI",
	claim.Sum:          "jX8Jzpe5fu-HUM_GR85X2aFJsM5mRQeQJRnmrZ-foG0",
	claim.RecordRange:  "O2TCHpC_TtHNpkZnf9JZPvaBTJIPWTcJoJ_V-KqELj4",
	claim.RecordEquals: "G2KISf378BF2aUFvb_C1ocpcfCSPAf_KId-5jVGDwXw",
	claim.RecordOneOf:  "D-ugd4mXo30IKLgNbQEwyNEzb-w5GdgPbsgEacRhy5k",
}

// listFingerprint is vkfp of the list of the members 1..5 named "growers".
const listFingerprint = "BQUZLB5t974FwqtoMU195izgwo3l7Nl34dJz7ZyCi1o"

// TestKnownKeys compiles the circuits anew and compares the embedded keys with
// theirs.
func TestKnownKeys(t *testing.T) {
	var keys []byte
	for _, id := range claim.FixedIDs() {
		vk, err := claim.Setup(id, nil)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, vk.Encode()...)
		if got, want := vk.Fingerprint(id, protocol.ListID{}).String(), knownFingerprints[id]; got != want {
			t.Errorf("%s: compiled: fingerprint %s, want %s", id, got, want)
		}
		known, ok := claim.KnownKey(id)
		if !ok || !bytes.Equal(known.Encode(), vk.Encode()) {
			t.Errorf("%s: embedded key is not that of the circuit", id)
		}
	}
	if *release {
		if err := os.WriteFile("data/keys.bin", keys, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKnownKeyOfOtherClaims(t *testing.T) {
	for _, id := range []claim.ID{claim.Group, "open/2", ""} {
		if vk, ok := claim.KnownKey(id); ok || vk != nil {
			t.Errorf("%q: got a key, want none", id)
		}
	}
}

func TestListKey(t *testing.T) {
	l, err := claim.NewList("growers", testMembers(5))
	if err != nil {
		t.Fatal(err)
	}
	vk, err := l.VerifyingKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := vk.Fingerprint(claim.Group, l.ID()).String(); got != listFingerprint {
		t.Errorf("fingerprint %s, want %s", got, listFingerprint)
	}
	if got, want := vk.Domain(), 1024; got != want {
		t.Errorf("domain %d, want %d", got, want)
	}
	other, err := claim.NewList("growers", testMembers(6))
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := other.VerifyingKey()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(vk.Encode(), otherKey.Encode()) {
		t.Error("two lists have the same key")
	}
}

func TestKeyRoundTrip(t *testing.T) {
	for _, id := range claim.FixedIDs() {
		vk, _ := claim.KnownKey(id)
		again, err := claim.ParseVerifyingKey(vk.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Encode(), vk.Encode()) || again.Domain() != vk.Domain() || again.PublicInputs() != vk.PublicInputs() {
			t.Errorf("%s: key differs after a round trip", id)
		}
	}
}

// TestDerivedKey compares what ParseVerifyingKey derives with what the library
// puts into a key of its own making.
func TestDerivedKey(t *testing.T) {
	for _, id := range []claim.ID{claim.Open, claim.Range} { // one of each domain
		known, _ := claim.KnownKey(id)
		if diff, err := claim.DiffFromSetup(known, id); err != nil || diff != "" {
			t.Errorf("%s: %v %s", id, err, diff)
		}
	}
}

func TestParseVerifyingKeyRefuses(t *testing.T) {
	vk, _ := claim.KnownKey(claim.Open)
	domain := func(v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint64(b[8:], v); return b }
	}
	public := func(v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[16:], v); return b }
	}
	tests := map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"one byte short":      func(b []byte) []byte { return b[:len(b)-1] },
		"one byte long":       func(b []byte) []byte { return append(b, 0) },
		"magic":               func(b []byte) []byte { b[7] = '2'; return b },
		"domain 0":            domain(0),
		"domain 1":            domain(1),
		"domain 3":            domain(3),
		"domain 1023":         domain(1023),
		"domain 4096":         domain(4096),
		"domain 2^63":         domain(1 << 63),
		"no public values":    public(3),
		"no public inputs":    public(0),
		"too many inputs":     public(36),
		"2^32-1 inputs":       public(1<<32 - 1),
		"more than domain":    func(b []byte) []byte { return public(5)(domain(4)(b)) },
		"order of the fields": func(b []byte) []byte { copy(b[8:], b[12:20]); return b },
	}
	for name, change := range tests {
		refused(t, name, change(vk.Encode()))
	}
	for i := range 8 {
		for name, point := range badPoints(t) {
			b := vk.Encode()
			copy(b[20+48*i:], point)
			refused(t, name, b)
		}
	}
}

func refused(t *testing.T, name string, enc []byte) {
	t.Helper()
	if vk, err := claim.ParseVerifyingKey(enc); protocol.CodeOf(err) != protocol.CodeMalformedRequest || vk != nil {
		t.Errorf("%s: got %v, want malformed_request", name, err)
	}
}

func FuzzParseVerifyingKey(f *testing.F) {
	for _, id := range claim.FixedIDs() {
		vk, _ := claim.KnownKey(id)
		f.Add(vk.Encode())
	}
	f.Add([]byte("TDVK0001"))
	f.Fuzz(func(t *testing.T, enc []byte) {
		vk, err := claim.ParseVerifyingKey(enc)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeMalformedRequest {
				t.Errorf("got %v, want malformed_request", err)
			}
			return
		}
		if !bytes.Equal(vk.Encode(), enc) {
			t.Error("a key has two encodings")
		}
		rejected(t, "zeros", claim.Verify(vk, make([]protocol.Element, vk.PublicInputs()), make([]byte, claim.ProofSize)))
	})
}

// badPoints are encodings of 48 bytes that are no point of the subgroup, not
// canonical and compressed, or infinity.
func badPoints(t *testing.T) map[string][]byte {
	t.Helper()
	_, _, g, _ := bls12381.Generators()
	compressed, raw := g.Bytes(), g.RawBytes()
	infinity := make([]byte, 48)
	infinity[0] = 0xc0
	modulus := fp.Modulus().FillBytes(make([]byte, 48))
	modulus[0] |= 0x80
	sign := bytes.Clone(compressed[:])
	sign[0] ^= 0x40
	return map[string][]byte{
		"uncompressed":            raw[:48],
		"infinity":                infinity,
		"infinity with a sign":    append([]byte{0xe0}, infinity[1:]...),
		"infinity bit on a point": sign,
		"zero":                    make([]byte, 48),
		"ones":                    bytes.Repeat([]byte{0xff}, 48),
		"x = p":                   modulus,
		"off the curve":           offCurve(t),
		"outside the subgroup":    outsideSubgroup(t),
	}
}

// smallX is the compressed encoding of the first x from 0 whose right side of
// the curve equation is a square or not.
func smallX(t *testing.T, square bool) []byte {
	t.Helper()
	for x := range uint64(100) {
		var rhs, e fp.Element
		e.SetUint64(x)
		four := fp.NewElement(4)
		rhs.Square(&e).Mul(&rhs, &e).Add(&rhs, &four)
		if (rhs.Legendre() == 1) == square {
			b := e.Bytes()
			b[0] |= 0x80
			return b[:]
		}
	}
	t.Fatal("no such x")
	return nil
}

func offCurve(t *testing.T) []byte {
	t.Helper()
	return smallX(t, false)
}

func outsideSubgroup(t *testing.T) []byte {
	t.Helper()
	b := smallX(t, true)
	var p bls12381.G1Affine
	d := bls12381.NewDecoder(bytes.NewReader(b), bls12381.NoSubgroupChecks())
	if err := d.Decode(&p); err != nil || !p.IsOnCurve() || p.IsInSubGroup() {
		t.Fatalf("not a point outside the subgroup: %v", err)
	}
	return b
}
