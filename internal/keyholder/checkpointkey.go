package keyholder

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"

	"filippo.io/edwards25519"

	"github.com/terradourada/td/internal/secret"
	"github.com/terradourada/td/protocol"
)

// maxNote bounds what is signed, in bytes: origin, a decimal number and a
// digest in base64, one a line.
const maxNote = maxOrigin + 1 + 20 + 1 + 44 + 1

// checkpointSecret is the part of a checkpoint key that lies in the region.
type checkpointSecret struct {
	seed   [ed25519.SeedSize]byte // zero once expanded
	scalar edwards25519.Scalar    // s and prefix of RFC 8032 section 5.1.5
	prefix [32]byte

	// What a signature is computed with, zero otherwise: what is hashed, the
	// nonce r, and a hash that is about to be reduced.
	work  [64 + maxNote]byte
	nonce edwards25519.Scalar
	wide  [sha512.Size]byte
}

// expand makes scalar and prefix of the seed, wipes the seed, and writes the
// public key.
func (m *checkpointSecret) expand(public *[ed25519.PublicKeySize]byte) {
	m.wide = sha512.Sum512(m.seed[:])
	defer clear(m.wide[:])
	must(m.scalar.SetBytesWithClamping(m.wide[:32]))
	copy(m.prefix[:], m.wide[32:])
	clear(m.seed[:])
	copy(public[:], new(edwards25519.Point).ScalarBaseMult(&m.scalar).Bytes())
}

// sign is Ed25519 (RFC 8032 section 5.1.6). crypto/ed25519 cannot be used: it
// keeps the expanded key in a cache on the heap, for as long as the collector
// likes.
func (m *checkpointSecret) sign(public, message []byte) (sig [ed25519.SignatureSize]byte) {
	defer func() { clear(m.work[:]); clear(m.wide[:]); m.nonce = edwards25519.Scalar{} }()
	m.hash(m.prefix[:], message, nil)
	must(m.nonce.SetUniformBytes(m.wide[:]))
	copy(sig[:32], new(edwards25519.Point).ScalarBaseMult(&m.nonce).Bytes())

	var k edwards25519.Scalar // no secret, nor is the sum
	m.hash(sig[:32], public, message)
	must(k.SetUniformBytes(m.wide[:]))
	copy(sig[32:], k.MultiplyAdd(&k, &m.scalar, &m.nonce).Bytes())
	return sig
}

// must panics on an error that only a wrong length could cause.
func must(_ *edwards25519.Scalar, err error) {
	if err != nil {
		panic("keyholder: internal error: " + err.Error())
	}
}

// hash sets wide to the SHA-512 of the parts.
func (m *checkpointSecret) hash(a, b, c []byte) {
	n := copy(m.work[:], a)
	n += copy(m.work[n:], b)
	n += copy(m.work[n:], c)
	m.wide = sha512.Sum512(m.work[:n])
}

// checkpointKey is the Ed25519 key of an epoch. It signs checkpoints of the log,
// roots of the issued tree and, once, the hand-over to the next epoch, after
// which it signs no checkpoint. Its methods are called from one goroutine.
type checkpointKey struct {
	secret.Redacted
	mem    *checkpointSecret
	public [ed25519.PublicKeySize]byte

	origin string
	size   uint64          // of the last checkpoint it signed
	root   protocol.Digest // of the same; before the first, the empty tree
	handed bool            // the hand-over was signed
	wiped  bool
}

func newCheckpointKey(mem *checkpointSecret, origin string) *checkpointKey {
	k := &checkpointKey{mem: mem, origin: origin, root: sha256.Sum256(nil)}
	new(edwards25519.Point).ScalarBaseMult(new(edwards25519.Scalar)) // makes its tables, outside of Do
	secret.Do(func() {
		draw(mem.seed[:], "checkpoint")
		mem.expand(&k.public)
	})
	return k
}

// checkpoint signs the note text of a C2SP tlog-checkpoint. It refuses after the
// hand-over; an error is the end of the key, as it is of the other signatures.
func (k *checkpointKey) checkpoint(size uint64, root protocol.Digest) (r protocol.SignedRoot, ok bool, err error) {
	if k.handed {
		return r, false, nil
	}
	k.size, k.root = size, root
	return k.signed(size, root, checkpointText(k.origin, size, root))
}

// issuedRoot signs a root of the issued tree (section 12), also after the
// hand-over, for as long as the key exists.
func (k *checkpointKey) issuedRoot(epoch protocol.EpochID, size uint64, root protocol.Digest) (r protocol.SignedRoot, ok bool, err error) {
	if k.wiped {
		return r, false, nil
	}
	digest := protocol.IssuedRootDigest(k.origin, epoch, size, root)
	return k.signed(size, root, digest[:])
}

// handover signs the next epoch's name and key (section 12) over the last
// checkpoint, once.
func (k *checkpointKey) handover(h protocol.Handover) (r protocol.SignedRoot, ok bool, err error) {
	if k.handed || h.Next == h.Previous {
		return r, false, nil
	}
	k.handed = true
	h.Origin, h.Size, h.Root = k.origin, k.size, k.root
	digest := h.Digest()
	return k.signed(k.size, k.root, digest[:])
}

func (k *checkpointKey) signed(size uint64, root protocol.Digest, message []byte) (protocol.SignedRoot, bool, error) {
	sig, err := k.sign(message)
	return protocol.SignedRoot{Size: size, Root: root, Signature: sig}, true, err
}

// sign returns a signature that crypto/ed25519 verified: two of one message, one
// of them faulty, would reveal the key.
func (k *checkpointKey) sign(message []byte) (sig [ed25519.SignatureSize]byte, err error) {
	secret.Do(func() { sig = k.mem.sign(k.public[:], message) })
	if !ed25519.Verify(k.public[:], message, sig[:]) {
		return [ed25519.SignatureSize]byte{}, errSelfCheck
	}
	return sig, nil
}

// wipe ends the key after its hand-over; before, it does nothing.
func (k *checkpointKey) wipe() {
	if k.handed {
		*k.mem = checkpointSecret{}
		k.wiped = true
	}
}

// checkpointText is the text of a checkpoint as C2SP tlog-checkpoint has it:
// origin, size in decimal, root in base64, one a line.
func checkpointText(origin string, size uint64, root protocol.Digest) []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}
