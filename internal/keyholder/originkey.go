package keyholder

import (
	"errors"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// errSelfCheck is a signature that its own key does not verify: a fault of the
// machine or of the library, after which nothing of the key can be trusted.
var errSelfCheck = errors.New("keyholder: own signature does not verify")

// originSecret is the part of an origin key that lies in the region. Only
// private lasts: the others are zero but while the key is made.
type originSecret struct {
	private mldsa65.PrivateKey
	packed  [mldsa65.PrivateKeySize]byte
	seed    [mldsa65.SeedSize]byte
}

// originKey is the ML-DSA-65 key of an epoch (FIPS 204). It signs payloads and
// returns only what is hashed from a signature. Signing may go on in many
// goroutines; none may be signing when the key is wiped.
type originKey struct {
	secret.Redacted
	mem     *originSecret
	live    bool               // false once wiped
	public  *mldsa65.PublicKey // unpacked from encoded, shares no memory with the private key
	context []byte             // of every signature
	encoded [protocol.MLDSAPublicKeySize]byte
	digest  protocol.Digest // D("TD-V1-pk", encoded)
}

// newOriginKey expands a fresh random seed, and signs once in buf to see that
// the key works.
func newOriginKey(mem *originSecret, buf *preimage) (*originKey, error) {
	secret.Do(func() { draw(mem.seed[:], "origin") })
	k := expandOriginKey(mem)
	if _, err := k.anchor(new(protocol.EncodedPayload), buf); err != nil {
		return nil, err
	}
	return k, nil
}

// expandOriginKey makes the key of mem.seed and wipes the seed. The key that
// circl generates is on the heap, remembers its seed and lends its matrix to
// the public key. All that is left behind by taking packed bytes of either key
// and unpacking them, the private one in place, which sets no seed; then the
// key on the heap is zeroed where it is, since nothing moves there.
func expandOriginKey(mem *originSecret) *originKey {
	k := &originKey{mem: mem, live: true, public: new(mldsa65.PublicKey), context: []byte(protocol.SignatureContext)}
	secret.Do(func() {
		public, private := mldsa65.NewKeyFromSeed(&mem.seed)
		public.Pack(&k.encoded)
		private.Pack(&mem.packed)
		mem.private.Unpack(&mem.packed)
		*private = mldsa65.PrivateKey{}
		*public = mldsa65.PublicKey{}
		clear(mem.packed[:])
		clear(mem.seed[:])
		secret.WipeRegisters()
	})
	k.public.Unpack(&k.encoded)
	k.digest = protocol.PublicKeyDigest(k.encoded[:])
	return k
}

// anchor signs a payload, hashes the signature to the anchor (section 8) and
// wipes it.
func (k *originKey) anchor(p *protocol.EncodedPayload, buf *preimage) (a protocol.Anchor, err error) {
	digest := protocol.PayloadDigest(p)
	secret.Do(func() {
		defer clear(buf[:])
		if err = k.sign(p, digest, buf); err == nil {
			a = protocol.DeriveAnchor((*[protocol.AnchorPreimageSize]byte)(buf))
		}
	})
	return a, err
}

// sign fills the preimage of a payload with this digest: both digests and a
// hedged signature that was verified.
func (k *originKey) sign(p *protocol.EncodedPayload, digest protocol.Digest, buf *preimage) error {
	copy(buf[:], k.digest[:])
	copy(buf[protocol.DigestSize:], digest[:])
	sigma := buf[2*protocol.DigestSize:]
	err := hedging(p[:], func() error { return mldsa65.SignTo(&k.mem.private, p[:], k.context, true, sigma) })
	if err != nil {
		return err
	}
	right := mldsa65.Verify(k.public, p[:], k.context, sigma)
	secret.WipeRegisters()
	if !right {
		return errSelfCheck
	}
	return nil
}

// wipe ends the key.
func (k *originKey) wipe() {
	*k.mem = originSecret{}
	k.live = false
}
