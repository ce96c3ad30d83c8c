package protocol_test

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/terradourada/td/protocol"
)

// wrongSignature is a signature by the right key over a message that a
// plausible mistake would produce.
type wrongSignature struct {
	Name               string
	Message, Signature hexBytes
}

type wrongValue struct {
	Name  string
	Value hexBytes
}

type issuedVectors struct {
	Seed, Key, Epoch hexBytes
	Origin           string
	Leaves           []struct {
		RequestID               hexBytes `json:"request_id"`
		Payload, Anchor, Digest hexBytes
	}
	Trees []struct {
		Size                     uint64
		Root, Message, Signature hexBytes
		Paths                    [][]hexBytes
	}
	Handover struct {
		Previous, ID, Key, Root, Message, Signature hexBytes
		Number, Size                                uint64
	}
	Wrong struct {
		Digests, Roots   []wrongValue
		Signed, Handover []wrongSignature
	}
}

func readIssuedVectors(t *testing.T) (v issuedVectors) {
	t.Helper()
	readVectors(t, "issued.json", &v)
	if len(v.Leaves) == 0 || len(v.Trees) == 0 || len(v.Wrong.Signed) == 0 || len(v.Wrong.Handover) == 0 {
		t.Fatal("issued.json lacks a part")
	}
	return v
}

func (v *issuedVectors) key() [32]byte { return [32]byte(v.Key) }

func (v *issuedVectors) epoch() protocol.EpochID { return protocol.EpochID(v.Epoch) }

// place is position i of a tree and the digest there.
func (v *issuedVectors) place(tree, i int) (protocol.Issued, protocol.Digest) {
	t := v.Trees[tree]
	return protocol.Issued{
		Position: uint64(i), SignedRoot: signedRoot(t.Size, t.Root, t.Signature), Path: digests(t.Paths[i]),
	}, protocol.Digest(v.Leaves[i].Digest)
}

// TestVectorsIssued computes every digest, root, message and signature again and
// verifies every place of every tree.
func TestVectorsIssued(t *testing.T) {
	v := readIssuedVectors(t)
	private := ed25519.NewKeyFromSeed(v.Seed)
	is(t, "key", private.Public().(ed25519.PublicKey), v.Key)
	for _, l := range v.Leaves {
		payload := protocol.EncodedPayload(l.Payload)
		d := protocol.IssuedDigest(protocol.RequestID(l.RequestID), &payload, protocol.Anchor(l.Anchor))
		is(t, "issued digest", d[:], l.Digest)
	}
	var all protocol.Range
	roots := []protocol.Digest{all.Root()}
	for _, l := range v.Leaves {
		all.Append(protocol.LeafHash(l.Digest))
		roots = append(roots, all.Root())
	}
	for n, tree := range v.Trees {
		root := roots[tree.Size]
		is(t, "root", root[:], tree.Root)
		m := protocol.IssuedRootDigest(v.Origin, v.epoch(), tree.Size, root)
		is(t, "message", m[:], tree.Message)
		is(t, "signature", ed25519.Sign(private, m[:]), tree.Signature)
		signed := signedRoot(tree.Size, tree.Root, tree.Signature)
		if err := signed.VerifyIssued(v.Origin, v.epoch(), v.key()); err != nil {
			t.Errorf("size %d: %v", tree.Size, err)
		}
		for i := range tree.Paths {
			place, digest := v.place(n, i)
			if err := place.Verify(digest, v.Origin, v.epoch(), v.key()); err != nil {
				t.Errorf("size %d, position %d: %v", tree.Size, i, err)
			}
		}
	}
	l := v.Leaves[6]
	payload := protocol.EncodedPayload(l.Payload)
	d := protocol.IssuedDigest(protocol.RequestID(l.RequestID), &payload, protocol.Anchor(l.Anchor))
	for _, w := range v.Wrong.Digests {
		if string(w.Value) == string(d[:]) {
			t.Errorf("the issued digest is computed wrongly: %s", w.Name)
		}
	}
	for _, w := range v.Wrong.Roots {
		if string(w.Value) == string(roots[7][:]) {
			t.Errorf("the root is computed wrongly: %s", w.Name)
		}
	}
}

// verifyRefused wants the one code for a position or root that is not verified.
func verifyRefused(t *testing.T, what string, err error) {
	t.Helper()
	if protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("%s: error = %v, want malformed_request", what, err)
	}
}

// TestIssuedRefusesWrongMessages takes valid signatures by the right key over
// other messages; none of them is a signature of the root.
func TestIssuedRefusesWrongMessages(t *testing.T) {
	v := readIssuedVectors(t)
	const tree = 6 // of size 7
	for _, w := range v.Wrong.Signed {
		if !ed25519.Verify(ed25519.PublicKey(v.Key), w.Message, w.Signature) {
			t.Errorf("%s: the vector is not signed", w.Name)
		}
		place, digest := v.place(tree, 3)
		if place.Size != 7 {
			t.Fatalf("tree of size %d, want 7", place.Size)
		}
		place.Signature = [64]byte(w.Signature)
		verifyRefused(t, w.Name, place.VerifyIssued(v.Origin, v.epoch(), v.key()))
		verifyRefused(t, w.Name, place.Verify(digest, v.Origin, v.epoch(), v.key()))
	}
}

// TestIssuedVerifyCoversEveryField changes one thing at a time, at every
// position of every tree.
func TestIssuedVerifyCoversEveryField(t *testing.T) {
	v := readIssuedVectors(t)
	type shown struct {
		place  protocol.Issued
		digest protocol.Digest
		origin string
		epoch  protocol.EpochID
		key    [32]byte
	}
	changes := []struct {
		name   string
		change func(s *shown)
	}{
		{"position + 1", func(s *shown) { s.place.Position++ }},
		{"position - 1", func(s *shown) { s.place.Position-- }},
		{"position of another half", func(s *shown) { s.place.Position ^= 4 }},
		{"position 2^63 more", func(s *shown) { s.place.Position |= 1 << 63 }},
		{"size + 1", func(s *shown) { s.place.Size++ }},
		{"size - 1", func(s *shown) { s.place.Size-- }},
		{"size 2^62 more", func(s *shown) { s.place.Size |= 1 << 62 }}, // tlog would not return
		{"size 2^63 more", func(s *shown) { s.place.Size |= 1 << 63 }},
		{"empty tree", func(s *shown) { s.place.Size = 0 }},
		{"root", func(s *shown) { s.place.Root[31] ^= 1 }},
		{"first half of the signature", func(s *shown) { s.place.Signature[0] ^= 1 }},
		{"second half of the signature", func(s *shown) { s.place.Signature[32] ^= 1 }},
		{"no signature", func(s *shown) { s.place.Signature = [64]byte{} }},
		{"a node more", func(s *shown) { s.place.Path = append(s.place.Path, protocol.Digest{}) }},
		{"the root as a node more", func(s *shown) { s.place.Path = append(s.place.Path, s.place.Root) }},
		{"path of 63", func(s *shown) { s.place.Path = make([]protocol.Digest, 63) }},
		{"digest", func(s *shown) { s.digest[0] ^= 1 }},
		{"root as digest", func(s *shown) { s.digest = s.place.Root }},
		{"origin", func(s *shown) { s.origin += "0" }},
		{"no origin", func(s *shown) { s.origin = "" }},
		{"epoch", func(s *shown) { s.epoch[15] ^= 1 }},
		{"another key", func(s *shown) { s.key = [32]byte(v.Handover.Key) }},
		{"key", func(s *shown) { s.key[0] ^= 1 }},
	}
	for n, tree := range v.Trees {
		for i := range tree.Paths {
			for _, c := range changes {
				place, digest := v.place(n, i)
				s := shown{place, digest, v.Origin, v.epoch(), v.key()}
				c.change(&s)
				verifyRefused(t, c.name, s.place.Verify(s.digest, s.origin, s.epoch, s.key))
			}
			for j := range tree.Paths[i] {
				place, digest := v.place(n, i)
				place.Path[j][7] ^= 1
				verifyRefused(t, "node of the path", place.Verify(digest, v.Origin, v.epoch(), v.key()))
				place, digest = v.place(n, i)
				place.Path = slices.Delete(place.Path, j, j+1)
				verifyRefused(t, "node missing", place.Verify(digest, v.Origin, v.epoch(), v.key()))
			}
		}
	}
}

// TestLeafShowsItsPlace takes the accepted leaf whose place is genuine from the
// encoded bytes to the verification.
func TestLeafShowsItsPlace(t *testing.T) {
	v := readIssuedVectors(t)
	var leaves leafVectors
	readVectors(t, "leaf.json", &leaves)
	verified := 0
	for _, row := range leaves.Valid {
		l, err := protocol.ParseLeaf(row.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		a, ok := l.Body.(*protocol.Accepted)
		if !ok {
			continue
		}
		p, err := protocol.ParsePayload(a.Payload[:])
		if err != nil {
			t.Fatal(err)
		}
		if a.Issued.Verify(protocol.IssuedDigest(p.RequestID, &a.Payload, a.Anchor), v.Origin, p.EpochID, v.key()) == nil {
			verified++
		}
	}
	if verified != 1 {
		t.Errorf("%d leaves show their place, want the one that does", verified)
	}
}

// opened is the epoch that the hand-over in the vectors names.
func (v *issuedVectors) opened() protocol.EpochOpen {
	h := v.Handover
	return protocol.EpochOpen{
		Number: h.Number, ID: protocol.EpochID(h.ID), CheckpointKey: [32]byte(h.Key), Previous: protocol.EpochID(h.Previous),
		Handover: signedRoot(h.Size, h.Root, h.Signature),
	}
}

func TestVectorsHandover(t *testing.T) {
	v := readIssuedVectors(t)
	e := v.opened()
	h := protocol.Handover{
		Origin: v.Origin, Previous: e.Previous, Next: e.ID, Number: e.Number, Key: e.CheckpointKey, Size: e.Handover.Size, Root: e.Handover.Root,
	}
	m := h.Digest()
	is(t, "message", m[:], v.Handover.Message)
	is(t, "signature", ed25519.Sign(ed25519.NewKeyFromSeed(v.Seed), m[:]), v.Handover.Signature)
	if err := e.VerifyHandover(v.Origin, v.key()); err != nil {
		t.Error(err)
	}
	for _, w := range v.Wrong.Handover {
		if !ed25519.Verify(ed25519.PublicKey(v.Key), w.Message, w.Signature) {
			t.Errorf("%s: the vector is not signed", w.Name)
		}
		e := v.opened()
		e.Handover.Signature = [64]byte(w.Signature)
		verifyRefused(t, w.Name, e.VerifyHandover(v.Origin, v.key()))
	}
}

func TestVerifyHandoverCoversEveryField(t *testing.T) {
	v := readIssuedVectors(t)
	for _, c := range []struct {
		name   string
		change func(e *protocol.EpochOpen, origin *string, key *[32]byte)
	}{
		{"number", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Number++ }},
		{"id", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.ID[0] ^= 1 }},
		{"key", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.CheckpointKey[31] ^= 1 }},
		{"previous", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Previous[15] ^= 1 }},
		{"epochs exchanged", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Previous, e.ID = e.ID, e.Previous }},
		{"size", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Handover.Size-- }},
		{"root", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Handover.Root[31] ^= 1 }},
		{"signature", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Handover.Signature[40] ^= 1 }},
		{"none", func(e *protocol.EpochOpen, _ *string, _ *[32]byte) { e.Handover = protocol.SignedRoot{} }},
		{"origin", func(_ *protocol.EpochOpen, origin *string, _ *[32]byte) { *origin += "0" }},
		{"previous key", func(_ *protocol.EpochOpen, _ *string, key *[32]byte) { key[0] ^= 1 }},
		{"signed by itself", func(e *protocol.EpochOpen, _ *string, key *[32]byte) { *key = e.CheckpointKey }},
	} {
		e, origin, key := v.opened(), v.Origin, v.key()
		c.change(&e, &origin, &key)
		verifyRefused(t, c.name, e.VerifyHandover(origin, key))
	}
}
