package keyholder

import (
	"crypto/rand"
	"errors"

	"github.com/cloudflare/circl/sign/mldsa/mldsa65"

	"github.com/terradourada/td/protocol"
)

// errSelfCheck is a signature that its own key does not verify: a fault of the
// machine or of the library, after which nothing of the key can be trusted.
var errSelfCheck = errors.New("keyholder: own signature does not verify")

// originKey is the ML-DSA-65 key of an epoch (FIPS 204). It signs payloads and
// gives out only what is hashed from a signature. Signing may go on in many
// goroutines; none may be signing when the key is wiped.
type originKey struct {
	redacted
	private *mldsa65.PrivateKey // without the seed; nil once wiped
	public  *mldsa65.PublicKey  // unpacked from encoded, shares no memory with private
	encoded [protocol.MLDSAPublicKeySize]byte
	digest  protocol.Digest // D("TD-V1-pk", encoded)
}

// preimage is the one buffer a signature is ever in: the digests of public key
// and payload in front of it, as the anchor is hashed.
type preimage [protocol.AnchorPreimageSize]byte

// newOriginKey expands a fresh random seed.
func newOriginKey() (*originKey, error) {
	var seed [mldsa65.SeedSize]byte
	_, _ = rand.Read(seed[:]) // never fails
	k := expandOriginKey(&seed)
	var p preimage
	if _, err := k.anchor(new(protocol.EncodedPayload), &p); err != nil {
		return nil, err
	}
	return k, nil
}

// expandOriginKey makes the key of a seed and wipes the seed. The key that
// circl generates remembers its seed and lends its matrix to the public key;
// both are left behind by taking packed bytes of either and unpacking them.
func expandOriginKey(seed *[mldsa65.SeedSize]byte) *originKey {
	public, private := mldsa65.NewKeyFromSeed(seed)
	k := &originKey{private: new(mldsa65.PrivateKey), public: new(mldsa65.PublicKey)}
	public.Pack(&k.encoded)
	k.public.Unpack(&k.encoded)

	packed := new([mldsa65.PrivateKeySize]byte)
	private.Pack(packed)
	k.private.Unpack(packed)
	clear(packed[:])
	clear(seed[:])
	*private = mldsa65.PrivateKey{}
	wipeVectors()
	k.digest = protocol.PublicKeyDigest(k.encoded[:])
	return k
}

// anchor signs a payload, hashes the signature to the anchor (section 8) and
// wipes it.
func (k *originKey) anchor(p *protocol.EncodedPayload, buf *preimage) (protocol.Anchor, error) {
	defer clear(buf[:])
	if err := k.sign(p, buf); err != nil {
		return protocol.Anchor{}, err
	}
	return protocol.DeriveAnchor((*[protocol.AnchorPreimageSize]byte)(buf)), nil
}

// sign fills the preimage of a payload: both digests and a hedged signature
// that was verified.
func (k *originKey) sign(p *protocol.EncodedPayload, buf *preimage) error {
	digest := protocol.PayloadDigest(p)
	copy(buf[:], k.digest[:])
	copy(buf[protocol.DigestSize:], digest[:])
	sigma := buf[2*protocol.DigestSize:]
	context := []byte(protocol.SignatureContext)
	if err := mldsa65.SignTo(k.private, p[:], context, true, sigma); err != nil {
		return err
	}
	right := mldsa65.Verify(k.public, p[:], context, sigma)
	wipeVectors()
	if !right {
		return errSelfCheck
	}
	return nil
}

// live reports whether the key still exists.
func (k *originKey) live() bool { return k.private != nil }

// wipe ends the key.
func (k *originKey) wipe() {
	if k.private != nil {
		*k.private = mldsa65.PrivateKey{}
		k.private = nil
	}
}
