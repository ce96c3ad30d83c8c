package protocol_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/terradourada/td/protocol"
)

type leafVector struct {
	Type        protocol.LeafType
	Seq, Time   json.Number
	Withdrawals uint32
	Body        json.RawMessage
	Bytes       hexBytes
}

type leafVectors struct {
	Valid   []leafVector
	Invalid []struct {
		Name  string
		Bytes runs
	}
}

func (v *leafVector) leaf(tb testing.TB) protocol.Leaf {
	tb.Helper()
	l := protocol.Leaf{Seq: number(tb, v.Seq), Time: number(tb, v.Time), Withdrawals: v.Withdrawals}
	switch v.Type {
	case protocol.LeafAccepted:
		l.Body = v.accepted(tb)
	case protocol.LeafEpochOpen:
		l.Body = v.epochOpen(tb)
	case protocol.LeafEpochClose:
		l.Body = v.epochClose(tb)
	case protocol.LeafClaim:
		var b struct {
			Claim         string
			List, SRS, VK hexBytes
		}
		v.read(tb, &b)
		l.Body = &protocol.ClaimLeaf{ClaimID: b.Claim, List: protocol.ListID(b.List), SRS: protocol.Digest(b.SRS), VK: b.VK}
	case protocol.LeafControl:
		var b struct {
			Action              protocol.ControlAction
			Actor, Text, Target hexBytes
			Reason              uint16
			Previous            uint8
		}
		v.read(tb, &b)
		l.Body = &protocol.Control{
			Action: b.Action, Actor: protocol.Digest(b.Actor), Reason: b.Reason,
			Text: protocol.Digest(b.Text), Previous: b.Previous, Target: protocol.Digest(b.Target),
		}
	case protocol.LeafIncident:
		var b struct {
			Kind   uint8
			Digest hexBytes
		}
		v.read(tb, &b)
		l.Body = &protocol.Incident{Kind: b.Kind, Digest: protocol.Digest(b.Digest)}
	default:
		tb.Fatalf("vector has type %d", v.Type)
	}
	return l
}

func (v *leafVector) read(tb testing.TB, body any) {
	tb.Helper()
	if err := json.Unmarshal(v.Body, body); err != nil {
		tb.Fatal(err)
	}
}

func (v *leafVector) accepted(tb testing.TB) protocol.LeafBody {
	tb.Helper()
	var b struct {
		Payload, Anchor, T, Proof hexBytes
		Position, Size            uint64
		Root, Signature           hexBytes
		Path                      []hexBytes
		Params                    string
	}
	v.read(tb, &b)
	return &protocol.Accepted{
		Payload: protocol.EncodedPayload(b.Payload), Anchor: protocol.Anchor(b.Anchor), TagHash: protocol.Element(b.T),
		Issued: protocol.Issued{
			Position: b.Position, SignedRoot: signedRoot(b.Size, b.Root, b.Signature), Path: digests(b.Path),
		},
		Params: []byte(b.Params), Proof: b.Proof,
	}
}

func (v *leafVector) epochOpen(tb testing.TB) protocol.LeafBody {
	tb.Helper()
	var b struct {
		Number, Index, Size                                    uint64
		ID, Instance, Build, Posture, Previous, Root, Handover hexBytes
		PublicKey                                              hexBytes `json:"public_key"`
		SignerGrade                                            uint8    `json:"signer_grade"`
		TaggerGrade                                            uint8    `json:"tagger_grade"`
		CheckpointKey                                          hexBytes `json:"checkpoint_key"`
	}
	v.read(tb, &b)
	return &protocol.EpochOpen{
		Number: b.Number, ID: protocol.EpochID(b.ID), Instance: protocol.InstanceID(b.Instance),
		PublicKey: [1952]byte(b.PublicKey), Build: protocol.Digest(b.Build), SignerGrade: b.SignerGrade, TaggerGrade: b.TaggerGrade,
		Posture: protocol.Digest(b.Posture), CheckpointKey: [32]byte(b.CheckpointKey),
		Previous: protocol.EpochID(b.Previous), PreviousIndex: b.Index, Handover: signedRoot(b.Size, b.Root, b.Handover),
	}
}

func (v *leafVector) epochClose(tb testing.TB) protocol.LeafBody {
	tb.Helper()
	var b struct {
		ID, Root, Signature                            hexBytes
		Number                                         uint64
		Reason                                         protocol.CloseReason
		Size, Accepted, Rejected, Expired, Invalidated uint64
	}
	v.read(tb, &b)
	return &protocol.EpochClose{
		ID: protocol.EpochID(b.ID), Number: b.Number, Reason: b.Reason, Accepted: b.Accepted, Rejected: b.Rejected,
		Expired: b.Expired, Invalidated: b.Invalidated, Issued: signedRoot(b.Size, b.Root, b.Signature),
	}
}

func signedRoot(size uint64, root, signature hexBytes) protocol.SignedRoot {
	return protocol.SignedRoot{Size: size, Root: protocol.Digest(root), Signature: [64]byte(signature)}
}

// digests returns nil for an empty list, as the parser does.
func digests(list []hexBytes) (out []protocol.Digest) {
	for _, d := range list {
		out = append(out, protocol.Digest(d))
	}
	return out
}

func TestLeafVectors(t *testing.T) {
	var v leafVectors
	readVectors(t, "leaf.json", &v)
	seen := map[protocol.LeafType]bool{}
	for i := range v.Valid {
		row := &v.Valid[i]
		want := row.leaf(t)
		seen[want.Body.LeafType()] = true
		b, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		is(t, want.Body.LeafType().String(), b, row.Bytes)
		got, err := protocol.ParseLeaf(row.Bytes)
		if err != nil {
			t.Errorf("%s: %v", want.Body.LeafType(), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Body.LeafType(), diff)
		}
		control, ok := want.Body.(*protocol.Control)
		if withdraws := ok && (control.Action == 6 || control.Action == 9); got.Withdraws() != withdraws {
			t.Errorf("%s: Withdraws() = %v", want.Body.LeafType(), !withdraws)
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d types of leaves, want all 6", len(seen))
	}
	for _, row := range v.Invalid {
		if _, err := protocol.ParseLeaf(row.Bytes); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: error = %v, want malformed_request", row.Name, err)
		}
	}
}

// Every prefix of a leaf, and a leaf with anything behind it, is refused.
func TestLeafHasOneLength(t *testing.T) {
	var v leafVectors
	readVectors(t, "leaf.json", &v)
	for _, row := range v.Valid {
		for n := range row.Bytes {
			if _, err := protocol.ParseLeaf(row.Bytes[:n]); err == nil {
				t.Fatalf("type %d: a prefix of %d of %d bytes passes", row.Type, n, len(row.Bytes))
			}
		}
		for _, tail := range []string{"\x00", "\xff", string(row.Bytes)} {
			if _, err := protocol.ParseLeaf(append(bytes.Clone(row.Bytes), tail...)); err == nil {
				t.Errorf("type %d: %d bytes more pass", row.Type, len(tail))
			}
		}
	}
}

// A parsed leaf does not alias the bytes it was read from.
func TestLeafKeepsItsOwnBytes(t *testing.T) {
	var v leafVectors
	readVectors(t, "leaf.json", &v)
	for i := range v.Valid {
		row := &v.Valid[i]
		b := bytes.Clone(row.Bytes)
		got, err := protocol.ParseLeaf(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(row.leaf(t), got); diff != "" {
			t.Errorf("type %d changes with its input:\n%s", row.Type, diff)
		}
	}
}

func TestLeafEncodeRefuses(t *testing.T) {
	proof, vk := make([]byte, protocol.ProofSize), make([]byte, protocol.VKSize)
	accepted := func(position, size uint64, path int) *protocol.Accepted {
		return &protocol.Accepted{Proof: proof, Issued: protocol.Issued{
			Position: position, SignedRoot: protocol.SignedRoot{Size: size, Signature: [64]byte{1}}, Path: make([]protocol.Digest, path),
		}}
	}
	rows := []struct {
		name string
		body protocol.LeafBody
		want protocol.Code
	}{
		{"params of 2049 bytes", &protocol.Accepted{Params: make([]byte, 2049), Proof: proof}, protocol.CodeMalformedRequest},
		{"no proof", &protocol.Accepted{}, protocol.CodeProofRejected},
		{"short proof", &protocol.Accepted{Proof: proof[1:]}, protocol.CodeProofRejected},
		{"long proof", &protocol.Accepted{Proof: append(bytes.Clone(proof), 0)}, protocol.CodeProofRejected},
		{"no issued tree", accepted(0, 0, 0), protocol.CodeMalformedRequest},
		{"position = size", accepted(7, 7, 3), protocol.CodeMalformedRequest},
		{"size 2^62 + 1", accepted(7, protocol.MaxTreeSize+1, 62), protocol.CodeMalformedRequest},
		{"path of 63", accepted(7, protocol.MaxTreeSize, 63), protocol.CodeMalformedRequest},
		{"path of 62", accepted(7, protocol.MaxTreeSize, 62), protocol.CodeNone},
		{"no signature", &protocol.Accepted{Proof: proof, Issued: protocol.Issued{SignedRoot: protocol.SignedRoot{Size: 1}}}, protocol.CodeMalformedRequest},
		{"no claim id", &protocol.ClaimLeaf{VK: vk}, protocol.CodeInternal},
		{"claim id of 256 bytes", &protocol.ClaimLeaf{ClaimID: strings.Repeat("x", 256), VK: vk}, protocol.CodeInternal},
		{"short key", &protocol.ClaimLeaf{ClaimID: "open/1", VK: vk[1:]}, protocol.CodeInternal},
	}
	for _, row := range rows {
		l := protocol.Leaf{Body: row.body}
		if _, err := l.Encode(); protocol.CodeOf(err) != row.want {
			t.Errorf("%s: error = %v, want %v", row.name, err, row.want)
		}
	}
}

func TestLeafNames(t *testing.T) {
	want := "unknown accepted epoch-open epoch-close claim control incident unknown"
	var got []string
	for i := range protocol.LeafType(8) {
		got = append(got, i.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("leaf types = %q, want %q", got, want)
	}
	want = "unknown shutdown rotated died suspect lost unknown"
	got = nil
	for i := range protocol.CloseReason(7) {
		got = append(got, i.String())
	}
	if strings.Join(got, " ") != want {
		t.Errorf("close reasons = %q, want %q", got, want)
	}
}

func FuzzParseLeaf(f *testing.F) {
	var v leafVectors
	readVectors(f, "leaf.json", &v)
	for _, row := range v.Valid {
		f.Add([]byte(row.Bytes))
	}
	for _, row := range v.Invalid {
		f.Add([]byte(row.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := protocol.ParseLeaf(b)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeMalformedRequest {
				t.Fatalf("error = %v, want malformed_request", err)
			}
			return
		}
		again, err := l.Encode()
		if err != nil || string(again) != string(b) {
			t.Fatalf("written back as %x, %v", again, err)
		}
	})
}
