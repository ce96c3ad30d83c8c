package audit_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/testdata/logtest"
	"github.com/terradourada/td/protocol"
)

// history is a log in the making.
type history struct {
	*logtest.Log
	t *testing.T
	n byte // acceptances made
}

func newHistory(t *testing.T) *history {
	t.Helper()
	return &history{Log: logtest.New(), t: t}
}

// first is epoch 1.
func (h *history) first() *logtest.Epoch { return h.Epochs[0] }

// end closes epoch 1 in order.
func (h *history) end(reason protocol.CloseReason, change func(*protocol.EpochClose)) uint64 {
	e := h.first()
	b := &protocol.EpochClose{Number: e.Open.Number, ID: e.Open.ID, Reason: reason, Issued: e.IssuedRoot(), Accepted: e.Issued.Size()}
	if change != nil {
		change(b)
	}
	return h.Add(b)
}

// acceptance is one of epoch 1, like no other; change sees it before the anchor
// is issued, and after what it made of it.
func (h *history) acceptance(change func(*protocol.Payload, *protocol.Accepted), after ...func(*protocol.Accepted)) *protocol.Accepted {
	h.n++
	e := h.first()
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: protocol.RequestID{h.n}, EpochID: e.Open.ID, EpochNumber: 1,
		Seq: uint64(h.n), TTL: protocol.DefaultTTL, Commitment: protocol.Commitment{31: h.n}, VK: h.VK, Instance: e.Open.Instance,
	}
	a := &protocol.Accepted{Anchor: protocol.Anchor{31: h.n}, TagHash: protocol.Element{31: h.n}, Params: []byte("{}"), Proof: make([]byte, protocol.ProofSize)}
	p.Statement = protocol.StatementDigest("open/1", a.Params, p.Commitment)
	if change != nil {
		change(&p, a)
	}
	a.Payload = p.Encode()
	a.Issued = e.Issue(protocol.IssuedDigest(p.RequestID, &a.Payload, a.Anchor))
	for _, f := range after {
		f(a)
	}
	return a
}

func (h *history) control(action protocol.ControlAction, target protocol.Digest) {
	h.Add(&protocol.Control{Action: action, Target: target})
}

// leaf adds a leaf with another header.
func (h *history) leaf(change func(*protocol.Leaf)) {
	l := h.Next(&protocol.Incident{})
	change(&l)
	raw, err := l.Encode()
	if err != nil {
		h.t.Fatal(err)
	}
	h.AddRaw(raw)
}

// TestRules breaks each rule of the log once.
func TestRules(t *testing.T) {
	type payload = protocol.Payload
	type accepted = protocol.Accepted
	bad := func(change func(*payload, *accepted)) func(*history) {
		return func(h *history) { h.Add(h.acceptance(change)) }
	}
	opens := func(change func(*history, *logtest.Epoch)) func(*history) {
		return func(h *history) {
			e := h.Epoch(nil)
			change(h, e)
			h.Add(e.Open)
		}
	}
	tests := []struct {
		name string
		do   func(*history)
		want string // the faults, "" for none
	}{
		{"in order", func(h *history) {
			h.Add(h.acceptance(nil))
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.control(protocol.ActionThawAccept, protocol.Digest{})
			h.control(protocol.ActionFreezeIssue, protocol.Digest{})
			h.control(protocol.ActionFreezeAccept, protocol.Digest{9})
			h.Add(h.acceptance(nil))
			h.Open(h.first()) // the first one drains
			h.first().Issue(protocol.Digest{1})
			h.end(protocol.CloseRotated, func(b *protocol.EpochClose) { b.Accepted, b.Expired = 2, 1 })
			h.Open(nil)
			h.control(protocol.ActionRevokeEpoch, protocol.Digest{2})
			h.Add(&protocol.Incident{Kind: 1})
		}, ""},
		{"another index", func(h *history) { h.leaf(func(l *protocol.Leaf) { l.Seq = 3 }) }, "entry 2 says that it is number 3"},
		{"back in time", func(h *history) { h.leaf(func(l *protocol.Leaf) { l.Time = 999 }) }, "entry 2 is earlier than the one before it"},
		{"no leaf", func(h *history) { h.AddRaw([]byte("x")) }, "entry 2 is not a leaf: leaf does not begin with its constant"},
		{"a withdrawal not counted", func(h *history) {
			h.control(protocol.ActionRetireVK, protocol.Digest{9})
			h.leaf(func(l *protocol.Leaf) { l.Withdrawals = 0 })
		}, "entry 3 counts 0 withdrawals before it, and the log has 1"},
		{"a withdrawal counted that is none", func(h *history) {
			h.control(protocol.ActionSeal, protocol.Digest{})
			h.leaf(func(l *protocol.Leaf) { l.Withdrawals = 1 })
		}, "entry 3 counts 1 withdrawals before it, and the log has 0"},
		{"frozen for all", func(h *history) {
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"frozen claim", func(h *history) {
			h.control(protocol.ActionFreezeAccept, h.VK)
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"thaw of something else", func(h *history) {
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.control(protocol.ActionThawAccept, h.VK)
			h.Add(h.acceptance(nil))
		}, "entry 4 was accepted under a freeze"},
		{"sealed", func(h *history) {
			h.control(protocol.ActionSeal, protocol.Digest{})
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"retired", func(h *history) {
			h.control(protocol.ActionRetireVK, h.VK)
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"revoked", func(h *history) {
			var target protocol.Digest
			copy(target[:], h.first().Open.ID[:])
			h.control(protocol.ActionRevokeEpoch, target)
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted after the end of its epoch"},
		{"closed", func(h *history) {
			h.end(protocol.CloseRotated, nil)
			h.Add(h.acceptance(nil))
		}, "entry 3 was accepted after the end of its epoch"},
		{"epoch never opened", bad(func(p *payload, _ *accepted) { p.EpochID[0] ^= 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"another epoch number", bad(func(p *payload, _ *accepted) { p.EpochNumber = 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"another instance", bad(func(p *payload, _ *accepted) { p.Instance[0] ^= 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"unknown key", bad(func(p *payload, _ *accepted) { p.VK[0] ^= 1 }), "entry 2 is under a verifying key that was not in the log before it"},
		{"another statement", bad(func(p *payload, _ *accepted) { p.Statement[0] ^= 1 }), "entry 2 names another statement than that of its parameters"},
		{"parameters of another claim", bad(func(_ *payload, a *accepted) { a.Params = []byte(`{"a":1}`) }), "entry 2: parameters do not have exactly the members of the claim, with their types"},
		{"request twice", func(h *history) {
			h.Add(h.acceptance(nil))
			h.Add(h.acceptance(func(p *payload, _ *accepted) { p.RequestID = protocol.RequestID{1} }))
		}, "entry 3 has the request of entry 2"},
		{"anchor twice", func(h *history) {
			h.Add(h.acceptance(nil))
			h.Add(h.acceptance(func(_ *payload, a *accepted) { a.Anchor = protocol.Anchor{31: 1} }))
		}, "entry 3 has the anchor of entry 2"},
		{"number twice", func(h *history) {
			h.Add(h.acceptance(nil))
			h.Add(h.acceptance(func(p *payload, _ *accepted) { p.Seq = 1 }))
		}, "entry 3 has the number in its epoch of entry 2"},
		{"commitment twice", func(h *history) {
			h.Add(h.acceptance(nil))
			h.Add(h.acceptance(func(p *payload, a *accepted) {
				p.Commitment = protocol.Commitment{31: 1}
				p.Statement = protocol.StatementDigest("open/1", a.Params, p.Commitment)
			}))
		}, "entry 3 has the commitment of entry 2"},
		{"wrong count", func(h *history) {
			h.end(protocol.CloseShutdown, func(b *protocol.EpochClose) { b.Accepted, b.Issued = 3, h.first().Signed(3, protocol.Digest{}) })
		}, "entry 2: epoch 1 closes with 3 accepted, and the log has 0"},
		{"more issued than ended", func(h *history) {
			h.end(protocol.CloseShutdown, func(b *protocol.EpochClose) { b.Issued = h.first().Signed(3, protocol.Digest{}) })
		}, "entry 2: epoch 1 closes with 3 issued, which is not how many ended"},
		{"counts beyond 64 bits", func(h *history) {
			h.end(protocol.CloseRotated, func(b *protocol.EpochClose) { b.Rejected, b.Expired = 1<<63, 1<<63 })
		}, "entry 2: epoch 1 closes with 0 issued, which is not how many ended"},
		{"close without a signature", func(h *history) {
			h.end(protocol.CloseShutdown, func(b *protocol.EpochClose) { b.Issued = protocol.SignedRoot{} })
		}, "entry 2: the root of the issued tree is not signed by the epoch's checkpoint key"},
		{"close with another root of one size", func(h *history) {
			h.Add(h.acceptance(nil))
			h.end(protocol.CloseShutdown, func(b *protocol.EpochClose) { b.Issued = h.first().Signed(1, protocol.Digest{1}) })
		}, "entry 3: epoch 1 has two issued trees of size 1"},
		{"close below an accepted leaf", func(h *history) {
			h.Add(h.acceptance(nil))
			h.first().Issue(protocol.Digest{1})
			h.Add(h.acceptance(nil))
			h.end(protocol.CloseShutdown, func(b *protocol.EpochClose) { b.Accepted, b.Issued = 2, h.first().Signed(2, protocol.Digest{1}) })
		}, "entry 4: epoch 1 closes with 2 issued, and an accepted leaf has 3"},
		{"died", func(h *history) {
			a := h.acceptance(nil)
			h.Add(a)
			h.first().Issue(protocol.Digest{1})
			h.end(protocol.CloseDied, func(b *protocol.EpochClose) { b.Accepted, b.Issued, b.Invalidated = 1, a.Issued.SignedRoot, 7 })
		}, ""},
		{"lost with nothing accepted", func(h *history) {
			h.end(protocol.CloseLost, func(b *protocol.EpochClose) { b.Issued = protocol.SignedRoot{} })
		}, ""},
		{"suspect with a later root", func(h *history) {
			h.Add(h.acceptance(nil))
			h.first().Issue(protocol.Digest{1})
			h.end(protocol.CloseSuspect, func(b *protocol.EpochClose) { b.Accepted = 1 })
		}, "entry 3: epoch 1 closes with another issued tree than the greatest one in an accepted leaf"},
		{"lost with a root of its own", func(h *history) {
			h.end(protocol.CloseLost, nil)
		}, "entry 2: epoch 1 closes with another issued tree than the greatest one in an accepted leaf"},
		{"anchor that was never issued", func(h *history) {
			h.Add(h.acceptance(nil, func(a *protocol.Accepted) { a.Anchor = protocol.Anchor{31: 99} }))
		}, "entry 2: the anchor is not at its position in the issued tree"},
		{"issued root of another key", func(h *history) {
			h.Add(h.acceptance(nil, func(a *protocol.Accepted) { a.Issued.Signature[5] ^= 1 }))
		}, "entry 2: the root of the issued tree is not signed by the epoch's checkpoint key"},
		{"position twice", func(h *history) {
			// The same anchor again; the other repeated values are faults of their own.
			a := h.acceptance(nil)
			h.Add(a)
			h.Add(a)
		}, "entry 3 has the number in its epoch of entry 2; entry 3 has the position in the issued tree of entry 2; entry 3 has the request of entry 2; entry 3 has the anchor of entry 2; entry 3 has the commitment of entry 2"},
		{"two issued trees of one size", func(h *history) {
			h.Add(h.acceptance(nil))
			e := h.first()
			e.Issued, e.Tail = protocol.Range{}, nil // a second history under the same key
			h.Add(h.acceptance(nil))
		}, "entry 3 has the position in the issued tree of entry 2; entry 3: epoch 1 has two issued trees of size 1"},
		{"closed twice", func(h *history) {
			h.end(protocol.CloseRotated, nil)
			h.end(protocol.CloseRotated, nil)
		}, "entry 3 closes an epoch that was closed before"},
		{"close of another", func(h *history) {
			h.end(protocol.CloseRotated, func(b *protocol.EpochClose) { b.ID[0] ^= 2 })
		}, "entry 2 closes an epoch that was never opened"},
		{"opened twice", func(h *history) { h.Add(h.first().Open) }, "entry 2 opens an epoch that was opened before"},
		{"epoch out of order", opens(func(_ *history, e *logtest.Epoch) { e.Open.Number = 1 }), "entry 2 opens epoch 1 after epoch 1"},
		{"epoch after none", opens(func(_ *history, e *logtest.Epoch) {
			e.Open.Previous, e.Open.PreviousIndex = protocol.EpochID{}, 0
		}), "entry 2 does not name the epoch before it and its entry 1"},
		{"epoch after another", opens(func(_ *history, e *logtest.Epoch) { e.Open.Previous[0] ^= 77 }), "entry 2 does not name the epoch before it and its entry 1"},
		{"epoch after another entry", opens(func(_ *history, e *logtest.Epoch) { e.Open.PreviousIndex = 0 }), "entry 2 does not name the epoch before it and its entry 1"},
		{"hand-over of another tree", opens(func(h *history, e *logtest.Epoch) {
			h.first().HandOver(e.Open, 2, protocol.Digest{1})
		}), "entry 2: its hand-over signs a tree of 2 entries that is not the beginning of this log"},
		{"hand-over of a later tree", opens(func(h *history, e *logtest.Epoch) {
			h.first().HandOver(e.Open, 3, protocol.Digest{1})
		}), "entry 2: its hand-over signs a tree of 3 entries that is not the beginning of this log"},
		{"hand-over of the empty tree", opens(func(h *history, e *logtest.Epoch) {
			h.first().HandOver(e.Open, 0, sha256.Sum256(nil))
		}), ""},
		{"hand-over of an earlier tree", opens(func(h *history, e *logtest.Epoch) {
			h.first().HandOver(e.Open, 1, h.Tree.RootAt(1))
		}), ""},
		{"hand-over to another key", opens(func(h *history, e *logtest.Epoch) {
			h.first().HandOver(e.Open, 2, h.Tree.Root())
			e.Open.CheckpointKey[0] ^= 1
		}), "entry 2 opens an epoch whose id is not that of its keys; entry 2: the hand-over is not signed by the previous epoch's checkpoint key"},
		{"first epoch after another", func(h *history) {
			*h.Log = *h.Fork(1)
			e := h.Epoch(nil)
			e.Open.Previous = protocol.EpochID{7}
			h.Add(e.Open)
		}, "entry 1 does not name the epoch before it and its entry 0"},
		{"key twice", func(h *history) { h.AddRaw(h.Leaves[0]) }, "entry 2 says that it is number 0; entry 2 is earlier than the one before it; entry 2 brings a verifying key that is in the log already"},
		{"foreign key for a known claim", func(h *history) {
			key, _ := claim.KnownKey(claim.Range)
			h.Add(&protocol.ClaimLeaf{ClaimID: "open/1", SRS: claim.SRSDigest(), VK: key.Encode()})
		}, "entry 2: claim open/1 has another verifying key than this program knows"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(t)
			test.do(h)
			if got := strings.Join(audit.CheckRules(logtest.Origin, h.Leaves), "; "); got != test.want {
				t.Errorf("faults %q, want %q", got, test.want)
			}
		})
	}
}
