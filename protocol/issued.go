package protocol

import (
	"crypto/ed25519"
	"encoding/binary"

	"golang.org/x/mod/sumdb/tlog"
)

// The issued tree of an epoch (section 12): the RFC 6962 tree over [IssuedDigest]
// of every payload that the signer anchored, in the order in which it did. The
// signer keeps it and signs its root with the epoch's checkpoint key; an accepted
// leaf shows that its own anchor is in it.

// MaxTreeSize bounds the leaves of every tree. The functions of x/mod/sumdb/tlog
// that check proofs never return for a larger size, and a forged file can hold
// any size.
const MaxTreeSize = 1 << 62

// maxIssuedPath bounds an inclusion path in such a tree.
const maxIssuedPath = 62

// SignedRoot is the size and root of an RFC 6962 tree with an Ed25519 signature
// over them. The zero value stands for none.
type SignedRoot struct {
	Size      uint64
	Root      Digest
	Signature [64]byte
}

// check refuses a size or root without a signature, and a tree that is too large.
func (s *SignedRoot) check() error {
	if s.Size > MaxTreeSize {
		return Fail(CodeMalformedRequest, "leaf holds the root of too large a tree")
	}
	if s.Signature == [64]byte{} && *s != (SignedRoot{}) {
		return Fail(CodeMalformedRequest, "leaf holds a root without its signature")
	}
	return nil
}

// VerifyIssued verifies that the checkpoint key of an epoch signed s as a root of
// the issued tree of that epoch, in the log of this origin.
func (s *SignedRoot) VerifyIssued(origin string, epoch EpochID, key [32]byte) error {
	digest := IssuedRootDigest(origin, epoch, s.Size, s.Root)
	if !ed25519.Verify(key[:], digest[:], s.Signature[:]) {
		return Fail(CodeMalformedRequest, "the root of the issued tree is not signed by the epoch's checkpoint key")
	}
	return nil
}

// Issued is the position of one anchor in the issued tree of its epoch: its
// leaf number and the inclusion path under a signed root (RFC 6962 section
// 2.1.1).
type Issued struct {
	Position uint64 // from 0
	SignedRoot
	Path []Digest // from the leaf upwards
}

// Verify verifies that the tree under the signed root holds the digest
// ([IssuedDigest]) at the position, and that the root is signed, see
// [SignedRoot.VerifyIssued].
func (i *Issued) Verify(digest Digest, origin string, epoch EpochID, key [32]byte) error {
	if err := i.Check(); err != nil {
		return err
	}
	path := make(tlog.RecordProof, len(i.Path))
	for n, h := range i.Path {
		path[n] = tlog.Hash(h)
	}
	if tlog.CheckRecord(path, int64(i.Size), tlog.Hash(i.Root), int64(i.Position), tlog.RecordHash(digest[:])) != nil {
		return Fail(CodeMalformedRequest, "the anchor is not at its position in the issued tree")
	}
	return i.VerifyIssued(origin, epoch, key)
}

// Check refuses what no leaf can hold: a root without its signature, a tree
// that is too large, a position outside of the tree, or a path that is too
// long. It verifies neither path nor signature.
func (i *Issued) Check() error {
	if err := i.check(); err != nil {
		return err
	}
	if i.Position >= i.Size || len(i.Path) > maxIssuedPath {
		return Fail(CodeMalformedRequest, "the position is not in the issued tree")
	}
	return nil
}

// append writes position, size, root, signature and path as leaf 1 holds them.
func (i *Issued) append(b []byte) ([]byte, error) {
	if err := i.Check(); err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint64(b, i.Position)
	b = binary.BigEndian.AppendUint64(b, i.Size)
	b = append(b, i.Root[:]...)
	b = append(b, i.Signature[:]...)
	b = append(b, byte(len(i.Path)))
	for n := range i.Path {
		b = append(b, i.Path[n][:]...)
	}
	return b, nil
}

func readIssued(r *reader) (i Issued) {
	i.Position = r.u64()
	i.Size = r.u64()
	r.fill(i.Root[:])
	r.fill(i.Signature[:])
	for range r.u8() {
		if r.failed || len(i.Path) > maxIssuedPath {
			break
		}
		i.Path = append(i.Path, Digest{})
		r.fill(i.Path[len(i.Path)-1][:])
	}
	return i
}
