package protocol

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// Labels of D and H2F; each use of a hash has its own.
const (
	labelEvent     = "TD-V1-event"
	labelClaim     = "TD-V1-claim"
	labelContext   = "TD-V1-context"
	labelTag       = "TD-V1-tag"
	labelAnchor    = "TD-V1-anchor"
	labelText      = "TD-V1-text"
	labelValue     = "TD-V1-value"
	labelSalt      = "TD-V1-salt"
	labelScope     = "TD-V1-scope"
	labelList      = "TD-V1-list"
	labelVK        = "TD-V1-vk"
	labelPK        = "TD-V1-pk"
	labelPayload   = "TD-V1-payload"
	labelStatement = "TD-V1-statement"
	labelClient    = "TD-V1-client"
	labelReason    = "TD-V1-reason"
	labelActor     = "TD-V1-actor"
	labelIncident  = "TD-V1-incident"
	labelHandover  = "TD-V1-handover"
	labelIssued    = "TD-V1-issued"
	labelIssuedTop = "TD-V1-issued-root"
	labelEpoch     = "TD-V1-epoch"

	dstSuffix = "-BLS12381FR-XMD:SHA-256"
)

// SignatureContext is the ML-DSA context string of the payload signature
// (FIPS 204 section 5.2).
const SignatureContext = "TD-V1-origin"

// Sizes of ML-DSA-65 values (FIPS 204 table 2), in bytes.
const (
	MLDSAPublicKeySize = 1952
	MLDSASignatureSize = 3309
)

// AnchorPreimageSize is the size of what an anchor is hashed from: two digests
// and the signature.
const AnchorPreimageSize = 2*DigestSize + MLDSASignatureSize

// LocalClient is the client id when no authentication is configured.
const LocalClient = "local"

// D is the labelled hash of section 3: SHA-256 over the label and the parts,
// each with its length in front.
func D(label string, parts ...[]byte) Digest {
	if len(label) > 255 {
		panic("protocol: internal error: label longer than 255 bytes")
	}
	h := sha256.New()
	h.Write([]byte{byte(len(label))})
	h.Write([]byte(label))
	var n [8]byte
	for _, m := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(m)))
		h.Write(n[:])
		h.Write(m)
	}
	var d Digest
	h.Sum(d[:0])
	return d
}

// EventElement is e, the element of an event in canonical form (section 5).
func EventElement(canonical []byte) Element { return H2F(labelEvent, canonical) }

// ClaimElement is T, the element of a claim id (section 5).
func ClaimElement(claimID string) Element { return H2F(labelClaim, []byte(claimID)) }

// TextElement is the value of a text field of a record (section 6).
func TextElement(utf8 []byte) Element { return H2F(labelText, utf8) }

// ValueElement is the value of a field of a record that is not the claimed one
// (section 6), from its canonical JSON.
func ValueElement(canonical []byte) Element { return H2F(labelValue, canonical) }

// SaltElement is salt_i of leaf i of a record (section 6).
func SaltElement(blind Element, i uint8) Element {
	return H2F(labelSalt, append(blind[:len(blind):len(blind)], i))
}

// ScopeElement is the scope of a vote: the electorate's name and the scope text
// (section 6, group/1).
func ScopeElement(name, scope string) Element {
	d := D(labelScope, []byte(name), []byte(scope))
	return H2F(labelScope, d[:])
}

// ListDigest is the id of a member list; members must be sorted and different
// (section 6, group/1).
func ListDigest(name string, members []Member) ListID {
	parts := make([][]byte, 0, 1+len(members))
	parts = append(parts, []byte(name))
	for i := range members {
		parts = append(parts, members[i][:])
	}
	return ListID(D(labelList, parts...))
}

// VKFingerprint is vkfp of section 6. The list is zero for claims without one.
func VKFingerprint(claimID string, list ListID, srs Digest, encoding []byte) Digest {
	return D(labelVK, []byte(claimID), list[:], srs[:], encoding)
}

// StatementDigest fixes a statement: claim, canonical parameters, commitment.
func StatementDigest(claimID string, params []byte, cm Commitment) Digest {
	return D(labelStatement, []byte(claimID), params, cm[:])
}

// ClientCommitment hides a client id behind a salt.
func ClientCommitment(salt Salt, clientID string) Digest {
	return D(labelClient, salt[:], []byte(clientID))
}

// PublicKeyDigest is D over the ML-DSA public key, the first part of an anchor
// preimage.
func PublicKeyDigest(pk []byte) Digest { return D(labelPK, pk) }

// PayloadDigest is D over the payload, the second part of an anchor preimage.
func PayloadDigest(p *EncodedPayload) Digest { return D(labelPayload, p[:]) }

// DeriveAnchor hashes PublicKeyDigest, PayloadDigest and the signature, laid
// out in this order in one buffer of the signer, to the anchor (section 8). It
// keeps no copy of the preimage; the caller wipes it.
func DeriveAnchor(preimage *[AnchorPreimageSize]byte) Anchor {
	return Anchor(H2F(labelAnchor, preimage[:]))
}

// TagElement is t, the public input of a tag (section 8).
func TagElement(tag Tag) Element { return H2F(labelTag, tag[:]) }

// ContextElement is c, the public input of the payload (section 8).
func ContextElement(p *EncodedPayload) Element { return H2F(labelContext, p[:]) }

// DeriveEpochID is the id of the epoch whose ML-DSA public key and checkpoint key
// these are: the first 16 bytes of D over both. So no other key can open an epoch
// that a payload names.
func DeriveEpochID(publicKey []byte, checkpointKey [32]byte) EpochID {
	d := D(labelEpoch, publicKey, checkpointKey[:])
	return EpochID(d[:IDSize])
}

// IssuedDigest is one leaf of the issued tree of an epoch (section 12).
func IssuedDigest(id RequestID, p *EncodedPayload, a Anchor) Digest {
	sum := sha256.Sum256(p[:])
	return D(labelIssued, id[:], sum[:], a[:])
}

// IssuedRootDigest is the message that the checkpoint key of an epoch signs for
// its issued tree (section 12).
func IssuedRootDigest(origin string, epoch EpochID, size uint64, root Digest) Digest {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], size)
	return D(labelIssuedTop, []byte(origin), epoch[:], n[:], root[:])
}

// ReasonDigest hides the reason text of a control action (section 12, leaf 5).
func ReasonDigest(salt Salt, text string) Digest { return D(labelReason, salt[:], []byte(text)) }

// ActorCommitment hides who took a control action (section 12, leaf 5).
func ActorCommitment(salt Salt, actor string) Digest { return D(labelActor, salt[:], []byte(actor)) }

// IncidentDigest is the digest of leaf 6. It hides who wrote it, what it is about and
// the text.
func IncidentDigest(salt Salt, actor, target, text string) Digest {
	return D(labelIncident, salt[:], []byte(actor), []byte(target), []byte(text))
}

// Handover is the message that the checkpoint key of one epoch signs to name
// the next (section 12).
type Handover struct {
	Origin   string
	Previous EpochID
	Next     EpochID
	Number   uint64 // of the next epoch
	Key      [32]byte
	Size     uint64 // of the last checkpoint the previous key signed
	Root     Digest
}

// Digest is the message of the hand-over signature.
func (h *Handover) Digest() Digest {
	var number, size [8]byte
	binary.BigEndian.PutUint64(number[:], h.Number)
	binary.BigEndian.PutUint64(size[:], h.Size)
	return D(labelHandover, []byte(h.Origin), h.Previous[:], h.Next[:], number[:], h.Key[:], size[:], h.Root[:])
}

// CheckID refuses an epoch whose id is not that of its keys, or whose checkpoint key has
// small order.
func (e *EpochOpen) CheckID() error {
	if e.ID != DeriveEpochID(e.PublicKey[:], e.CheckpointKey) {
		return Fail(CodeMalformedRequest, "the id of the epoch is not that of its keys")
	}
	if hasSmallOrder(e.CheckpointKey) {
		return Fail(CodeMalformedRequest, "anyone can sign under the checkpoint key of the epoch")
	}
	return nil
}

// hasSmallOrder reports whether an Ed25519 key is one of the eight points of small order,
// in any encoding that crypto/ed25519 takes. Signatures under it need no secret.
func hasSmallOrder(key [32]byte) bool {
	key[31] &^= 1 << 7 // the sign of x
	return slices.Contains(smallOrder[:], hex.EncodeToString(key[:]))
}

// smallOrder holds the y of the points of order 4, 1, 8, 8 and 2, and the second
// encodings of the first two, which are not reduced.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// VerifyHandover verifies the hand-over in e, which must not be zero. In it
// the checkpoint key of the previous epoch names e and its key, over the last
// tree of the log that it signed.
func (e *EpochOpen) VerifyHandover(origin string, previousKey [32]byte) error {
	h := Handover{
		Origin: origin, Previous: e.Previous, Next: e.ID, Number: e.Number,
		Key: e.CheckpointKey, Size: e.Handover.Size, Root: e.Handover.Root,
	}
	digest := h.Digest()
	if !ed25519.Verify(previousKey[:], digest[:], e.Handover.Signature[:]) {
		return Fail(CodeMalformedRequest, "the hand-over is not signed by the previous epoch's checkpoint key")
	}
	return nil
}
