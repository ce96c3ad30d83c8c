package gate_test

import (
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// TestOneBrokenMechanism: an attacker that can break one of the two mechanisms gets
// nothing accepted.
func TestOneBrokenMechanism(t *testing.T) {
	s := newServices(t)
	c, other := s.proved(), s.proved()
	// forge makes a valid proof over inputs that the attacker chooses.
	forge := func(v *opened, a protocol.Anchor, context, tagHash protocol.Element) []byte {
		t.Helper()
		x := v.statement.Inputs(a, context, tagHash)
		proof, err := provers(t).Prove(t.Context(), v.statement, x, v.assignment)
		if err != nil {
			t.Fatal(err)
		}
		vk, _ := claim.KnownKey(claim.Open)
		if err := claim.Verify(vk, x, proof); err != nil {
			t.Fatalf("the attacker's proof does not verify: %v", err)
		}
		return proof
	}
	inputs := func(v *opened) (protocol.Anchor, protocol.Element, protocol.Element) {
		return v.Anchor, protocol.ContextElement(&v.Payload), protocol.TagElement(v.Tag)
	}
	own := protocol.Anchor(protocol.H2F("attacker", []byte("anchor")))

	// The attacker can forge anchors: the proof is valid for the inputs of the
	// request, but the tag is missing.
	a := c.answer
	for name, tag := range map[string]protocol.Tag{"no tag": {}, "the tag of the attacker's request": other.Tag, "t instead of the tag": protocol.Tag(protocol.TagElement(c.Tag))} {
		a.Tag = tag
		_, err := s.accept(a)
		wantCode(t, "a right proof with "+name, err, protocol.CodeSubmissionRejected)
	}
	if len(s.rows) != 0 || s.sessions.Pending() != 2 {
		t.Errorf("%d rows and %d pending after answers without the tag, want 0 and 2", len(s.rows), s.sessions.Pending())
	}

	// The attacker can compute tags: the tag is right, but the public inputs were
	// never signed.
	for name, proof := range map[string]func(v *opened) []byte{
		"an anchor of its own":   func(v *opened) []byte { _, c, t := inputs(v); return forge(v, own, c, t) },
		"the anchor of another":  func(v *opened) []byte { _, c, t := inputs(v); return forge(v, other.Anchor, c, t) },
		"the context of another": func(v *opened) []byte { a, _, t := inputs(v); _, c, _ := inputs(other); return forge(v, a, c, t) },
		"the t of another":       func(v *opened) []byte { a, c, _ := inputs(v); _, _, t := inputs(other); return forge(v, a, c, t) },
		"nothing of the request": func(*opened) []byte { return other.answer.Proof },
	} {
		victim := s.mustOpen()
		b := victim.answer
		b.Proof = proof(victim)
		_, err := s.accept(b)
		wantCode(t, "the right tag with a proof over "+name, err, protocol.CodeProofRejected)
	}
	a = c.answer
	a.RequestID[0] ^= 1 // a request that was never issued, with a tag that is right for its payload
	_, err := s.accept(a)
	wantCode(t, "a request that was never issued", err, protocol.CodeSubmissionRejected)

	if len(s.rows) != 0 {
		t.Errorf("%d rows", len(s.rows))
	}
	for name, right := range map[string]*opened{"first": c, "second": other} {
		if _, err := s.accept(right.answer); err != nil {
			t.Errorf("the valid answer to the %s request afterwards: %v", name, err)
		}
	}
	s.check()
}

// TestSamePayload: the tag, the anchor, the proof and the committed leaf are all about
// the same 256 bytes.
func TestSamePayload(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	if p, err := protocol.ParsePayload(c.Payload[:]); err != nil || p.Seq == 0 || p.RequestID != c.RequestID {
		t.Errorf("the payload of the challenge is not the one the tagger numbered: %+v, %v", p, err)
	}
	s.mu.Lock()
	tag := s.tags[c.RequestID].tag
	s.mu.Unlock()
	if c.Tag != tag {
		t.Error("the tag of the challenge is not the tagger's")
	}
	if want := protocol.Anchor(protocol.H2F("test-anchor", c.Payload[:])); c.Anchor != want {
		t.Error("the anchor is of another payload")
	}
	want := []protocol.Element{protocol.Element(c.Anchor), protocol.ContextElement(&c.Payload), protocol.TagElement(c.Tag)}
	for i, w := range want {
		if c.Inputs[i] != w {
			t.Errorf("public input %d is not derived from payload, anchor and tag", i)
		}
	}
	if _, err := s.accept(c.answer); err != nil {
		t.Fatal(err)
	}
	row := s.rows[0].Leaf
	if row.Payload != c.Payload || row.Anchor != c.Anchor || row.TagHash != want[2] {
		t.Error("another payload, anchor or t was committed")
	}
	s.check()
}
