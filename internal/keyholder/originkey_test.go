package keyholder_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

func randomSeed() (seed [32]byte) {
	_, _ = rand.Read(seed[:])
	return seed
}

// The preimage is laid out as section 8 has it, its signature verifies under
// the other implementation, and the anchor is hashed from exactly it.
func TestOriginKeySigns(t *testing.T) {
	k := keyholder.ExpandOriginKey(randomSeed())
	p := payload(protocol.EpochID{1}, 1)
	var first, second keyholder.Preimage
	for _, buf := range []*keyholder.Preimage{&first, &second} {
		if err := k.Sign(&p, buf); err != nil {
			t.Fatal(err)
		}
		pk, pd := protocol.PublicKeyDigest(k.Encoded()), protocol.PayloadDigest(&p)
		if !bytes.HasPrefix(buf[:], slices.Concat(pk[:], pd[:])) {
			t.Error("the preimage does not begin with the digests of public key and payload")
		}
		if err := oracle(t, k.Encoded(), p[:], buf[64:], protocol.SignatureContext); err != nil {
			t.Errorf("the signature does not verify elsewhere: %v", err)
		}
		if oracle(t, k.Encoded(), p[:], buf[64:], "") == nil {
			t.Error("the signature verifies without its context")
		}
	}
	if bytes.Equal(first[64:], second[64:]) {
		t.Error("two signatures of one payload are the same: signing is not hedged")
	}
	a, err := k.Anchor(&p, &first)
	if err != nil || protocol.CheckElement(a[:]) != nil {
		t.Fatalf("anchor %v, %v", a, err)
	}
	if first != (keyholder.Preimage{}) {
		t.Error("the preimage was not wiped")
	}
}

// A signature that does not verify ends in an error, and is wiped.
func TestOriginKeyChecksItself(t *testing.T) {
	k := keyholder.ExpandOriginKey(randomSeed())
	k.SpoilPublic(keyholder.ExpandOriginKey(randomSeed()))
	p := payload(protocol.EpochID{1}, 1)
	var buf keyholder.Preimage
	if a, err := k.Anchor(&p, &buf); !errors.Is(err, keyholder.ErrSelfCheck) || a != (protocol.Anchor{}) {
		t.Errorf("anchor %v, %v", a, err)
	}
	if buf != (keyholder.Preimage{}) {
		t.Error("the preimage was not wiped")
	}
}

// The kept key has no seed, and the public key lives without the private one:
// circl's own pair shares a matrix.
func TestOriginKeyIsCutLoose(t *testing.T) {
	k := keyholder.ExpandOriginKey(randomSeed())
	if k.Private().Seed() != nil {
		t.Error("the key remembers its seed")
	}
	p := payload(protocol.EpochID{1}, 1)
	var buf keyholder.Preimage
	if err := k.Sign(&p, &buf); err != nil {
		t.Fatal(err)
	}
	private := k.Private()
	k.Wipe()
	if *private != (mldsa65.PrivateKey{}) {
		t.Error("the private key was not zeroed")
	}
	if !mldsa65.Verify(k.Public(), p[:], []byte(protocol.SignatureContext), buf[64:]) {
		t.Error("the public key does not verify after the wipe of the private one")
	}
}

// oracle verifies with filippo.io/mldsa.
func oracle(t *testing.T, public, message, sig []byte, context string) error {
	t.Helper()
	pk, err := mldsa.NewPublicKey(mldsa.MLDSA65(), public)
	if err != nil {
		t.Fatal(err)
	}
	return mldsa.Verify(pk, message, sig, &mldsa.Options{Context: context})
}

// The two implementations make the same key and, without randomness, the same
// signature of a seed, and each verifies what the other signed at random.
func TestAgainstOracle(t *testing.T) {
	for range 8 {
		seed := randomSeed()
		k := keyholder.ExpandOriginKey(seed)
		other, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), seed[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Encoded(), other.PublicKey().Bytes()) {
			t.Fatal("different public keys of one seed")
		}
		message, context := payload(protocol.EpochID{2}, 5), protocol.SignatureContext
		options := &mldsa.Options{Context: context}
		ours := make([]byte, mldsa65.SignatureSize)
		if err := mldsa65.SignTo(k.Private(), message[:], []byte(context), false, ours); err != nil {
			t.Fatal(err)
		}
		theirs, err := other.SignDeterministic(message[:], options)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Error("different deterministic signatures of one seed")
		}
		if theirs, err = other.Sign(nil, message[:], options); err != nil {
			t.Fatal(err)
		}
		if !mldsa65.Verify(k.Public(), message[:], []byte(context), theirs) {
			t.Error("circl does not verify the other's hedged signature")
		}
		if err := mldsa65.SignTo(k.Private(), message[:], []byte(context), true, ours); err != nil {
			t.Fatal(err)
		}
		if err := oracle(t, k.Encoded(), message[:], ours, context); err != nil {
			t.Errorf("the other does not verify circl's hedged signature: %v", err)
		}
		ours[100] ^= 1
		if oracle(t, k.Encoded(), message[:], ours, context) == nil {
			t.Error("the oracle verifies a changed signature")
		}
	}
}

// vectors is what the Wycheproof files of ML-DSA have that is used here.
type vectors struct {
	TestGroups []struct {
		PrivateSeed hexBytes
		PublicKey   hexBytes
		Tests       []struct {
			TcID   int
			Msg    *hexBytes
			Ctx    hexBytes
			Sig    hexBytes
			Result string
			Flags  []string
		}
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readVectors(t *testing.T, name string) (v vectors) {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "wycheproof", name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the Wycheproof vectors are not at hand: ML-DSA was not checked against them")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Signing by seed. Vectors that need what circl does not offer (a given mu, a
// given rnd) are counted.
func TestWycheproofSign(t *testing.T) {
	ran, skipped := 0, 0
	for _, g := range readVectors(t, "mldsa_65_sign_seed_test.json").TestGroups {
		for _, c := range g.Tests {
			if c.Msg == nil || slices.Contains(c.Flags, "Randomized") {
				skipped++
				continue
			}
			ran++
			sig, err := signSeed(g.PrivateSeed, *c.Msg, c.Ctx)
			if valid := c.Result == "valid"; valid != (err == nil) {
				t.Errorf("vector %d is %s, got %v", c.TcID, c.Result, err)
			} else if valid && !bytes.Equal(sig, c.Sig) {
				t.Errorf("vector %d: another signature", c.TcID)
			}
		}
	}
	t.Logf("%d vectors, %d left out", ran, skipped)
	if ran == 0 {
		t.Error("no vector ran")
	}
}

func signSeed(seed, message, context []byte) ([]byte, error) {
	if len(seed) != mldsa65.SeedSize {
		return nil, errors.New("seed of wrong length")
	}
	k := keyholder.ExpandOriginKey([32]byte(seed))
	sig := make([]byte, mldsa65.SignatureSize)
	return sig, mldsa65.SignTo(k.Private(), message, context, false, sig)
}

func TestWycheproofVerify(t *testing.T) {
	ran := 0
	for _, g := range readVectors(t, "mldsa_65_verify_test.json").TestGroups {
		for _, c := range g.Tests {
			if c.Msg == nil {
				continue
			}
			ran++
			var pk mldsa65.PublicKey
			ok := pk.UnmarshalBinary(g.PublicKey) == nil && mldsa65.Verify(&pk, *c.Msg, c.Ctx, c.Sig)
			if ok != (c.Result == "valid") {
				t.Errorf("vector %d is %s, Verify says %t", c.TcID, c.Result, ok)
			}
		}
	}
	t.Logf("%d vectors", ran)
	if ran == 0 {
		t.Error("no vector ran")
	}
}
