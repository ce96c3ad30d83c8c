package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"testing"

	"filippo.io/mldsa"

	"github.com/terradourada/td/protocol"
)

// finder recognises the keys and signatures of an epoch by what is public of
// them or known to a client, at any place of any bytes:
//
//	the ML-DSA seed         makes the first 32 bytes of the public key
//	the ML-DSA private key  holds a hash of the public key; so does an expanded
//	                        public key, which is nowhere but in the signer
//	the HMAC key            makes the tag of a known payload
//	an ML-DSA signature     verifies for a known payload
type finder struct {
	public   *mldsa.PublicKey
	encoded  []byte
	trace    []byte // tr of FIPS 204, a part of every form of the private key
	payloads [][]byte
	tags     [][]byte // tags[i] belongs to payloads[i]
	only     string   // what is looked for, "" for all four
}

// The four things a finder finds.
const (
	foundSeed      = "the ML-DSA seed"
	foundPrivate   = "the private ML-DSA key"
	foundMAC       = "the HMAC key"
	foundSignature = "an ML-DSA signature"
)

func (f *finder) wants(what string) bool { return f.only == "" || f.only == what }

func newFinder(t *testing.T, public []byte) *finder {
	t.Helper()
	pk, err := mldsa.NewPublicKey(mldsa.MLDSA65(), public)
	if err != nil {
		t.Fatal(err)
	}
	return &finder{public: pk, encoded: public, trace: sha3.SumSHAKE256(public, 64)}
}

func (f *finder) know(payload, tag []byte) {
	f.payloads, f.tags = append(f.payloads, payload), append(f.tags, tag)
}

const keySize = 32

// find names what is in b, "" if nothing is. Keys are looked for at each
// multiple of step.
func (f *finder) find(b []byte, step int) string {
	if f.wants(foundPrivate) && bytes.Contains(b, f.trace) {
		return foundPrivate
	}
	for at := 0; at+keySize <= len(b); at += step {
		if w := b[at : at+keySize]; random(w) {
			if what := f.key(w); what != "" {
				return what
			}
		}
	}
	for at := 0; f.wants(foundSignature) && at+mldsa.MLDSA65SignatureSize <= len(b); at++ {
		if w := b[at : at+mldsa.MLDSA65SignatureSize]; wellFormed(w) && f.signature(w) {
			return foundSignature
		}
	}
	return ""
}

// random says no to what 32 random bytes are with a probability of 2^-40 or so:
// texts, zeroes, small numbers.
func random(w []byte) bool {
	high := 0
	for _, c := range w {
		if c >= 0x80 {
			high++
		}
	}
	return high >= 2 && bytes.Count(w, []byte{0}) <= 6
}

func (f *finder) key(w []byte) string {
	var seed [keySize + 2]byte
	copy(seed[:], w)
	seed[keySize], seed[keySize+1] = 6, 5 // k and l of ML-DSA-65
	if f.wants(foundSeed) && bytes.HasPrefix(f.encoded, sha3.SumSHAKE256(seed[:], 32)) {
		return foundSeed
	}
	if !f.wants(foundMAC) {
		return ""
	}
	if tag := fastHMAC(w, f.payloads[0]); bytes.Equal(tag[:], f.tags[0]) {
		return foundMAC
	}
	return ""
}

// fastHMAC is HMAC-SHA-256 of a payload without an allocation.
func fastHMAC(key, payload []byte) [sha256.Size]byte {
	var inner [64 + protocol.PayloadSize]byte
	var outer [64 + sha256.Size]byte
	for i := range 64 {
		inner[i], outer[i] = 0x36, 0x5c
	}
	for i, c := range key {
		inner[i] ^= c
		outer[i] ^= c
	}
	copy(inner[64:], payload)
	digest := sha256.Sum256(inner[:])
	copy(outer[64:], digest[:])
	return sha256.Sum256(outer[:])
}

// wellFormed reads the hint at the end of a signature (FIPS 204, algorithm 21):
// six counts that do not fall, and zeroes behind the last.
func wellFormed(w []byte) bool {
	const omega, k = 55, 6
	hint := w[len(w)-omega-k:]
	counts := hint[omega:]
	last := byte(0)
	for _, c := range counts {
		if c < last || c > omega {
			return false
		}
		last = c
	}
	return last > 0 && bytes.Count(hint[last:omega], []byte{0}) == omega-int(last)
}

func (f *finder) signature(w []byte) bool {
	for _, p := range f.payloads {
		if mldsa.Verify(f.public, p, w, &mldsa.Options{Context: protocol.SignatureContext}) == nil {
			return true
		}
	}
	return false
}

var encodedRun = regexp.MustCompile(`[A-Za-z0-9+/_-]{43,}`)

// findText looks into b as it is and into everything in it that reads as
// hexadecimal or base64, wherever it may begin.
func (f *finder) findText(b []byte) string {
	if what := f.find(b, 1); what != "" {
		return what
	}
	for _, run := range encodedRun.FindAll(b, -1) {
		for skip := range 4 {
			if what := f.find(decoded(run[skip:]), 1); what != "" {
				return what
			}
		}
		if raw, err := hex.DecodeString(string(run[:len(run)&^1])); err == nil {
			if what := f.find(raw, 1); what != "" {
				return what
			}
		}
	}
	return ""
}

// decoded is a base64 text of either alphabet, cut to what is decodable.
func decoded(text []byte) []byte {
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("-"), []byte("+")), []byte("_"), []byte("/"))
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	raw, err := base64.RawStdEncoding.DecodeString(string(text))
	if err != nil {
		panic(err)
	}
	return raw
}

// TestFinder: the search finds all four in keys of its own, in the forms they
// could get out in.
func TestFinder(t *testing.T) {
	seed, macKey, payload := make([]byte, 32), make([]byte, 32), make([]byte, protocol.PayloadSize)
	for _, b := range [][]byte{seed, macKey, payload} {
		_, _ = rand.Read(b)
	}
	private, err := mldsa.NewPrivateKey(mldsa.MLDSA65(), seed)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := private.Sign(nil, payload, &mldsa.Options{Context: protocol.SignatureContext})
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, macKey)
	mac.Write(payload)
	f := newFinder(t, private.PublicKey().Bytes())
	f.know(payload, mac.Sum(nil))
	trace := sha3.SumSHAKE256(private.PublicKey().Bytes(), 64)
	for want, secret := range map[string][]byte{
		foundSeed: seed, foundMAC: macKey, foundSignature: signature, foundPrivate: trace,
	} {
		for form, b := range map[string][]byte{
			"bytes":     secret,
			"base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)),
			"base64":    []byte("x" + base64.StdEncoding.EncodeToString(secret)),
			"hex":       []byte(hex.EncodeToString(secret)),
		} {
			where := slices.Concat([]byte(`{"some":"text","value":"`), b, []byte(`"}`))
			if got := f.findText(where); got != want {
				t.Errorf("%s as %s: found %q", want, form, got)
			}
		}
	}
	harmless := slices.Concat(payload, private.PublicKey().Bytes(), mac.Sum(nil), bytes.Repeat([]byte{0}, 5000))
	if got := f.findText(harmless); got != "" {
		t.Errorf("found %q in what is public", got)
	}
}
