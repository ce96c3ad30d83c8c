package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// TestTree compares roots and full tiles with the definition of RFC 6962.
func TestTree(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65536, 65537, 66000} {
		full := map[string]int{}
		tr := tree{full: func(level int, n uint64, hashes [][32]byte) error {
			if uint64(full[fmt.Sprint(level)]) != n || len(hashes) != bundleWidth {
				t.Errorf("size %d: tile %d of level %d has %d hashes", size, n, level, len(hashes))
			}
			full[fmt.Sprint(level)]++
			return nil
		}}
		hashes := make([][32]byte, size)
		for i := range hashes {
			hashes[i] = leafHash([]byte(fmt.Sprint(i)))
			if err := tr.add(0, hashes[i]); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := tr.root(), slowRoot(hashes); got != want {
			t.Errorf("size %d: root %x, want %x", size, got, want)
		}
		if full["0"] != size/256 || full["1"] != size/65536 {
			t.Errorf("size %d: full tiles %v", size, full)
		}
	}
}

func slowRoot(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	return nodeHash(slowRoot(hashes[:k]), slowRoot(hashes[k:]))
}

func TestTilePath(t *testing.T) {
	for n, want := range map[uint64]string{0: "0/000", 7: "0/007", 999: "0/999", 1000: "0/x001/000", 1234067: "0/x001/x234/067"} {
		if got := tilePath("0", n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// history is a small log in the making, and what its rules say.
type history struct {
	t      *testing.T
	rules  *logRules
	faults []string
	index  uint64
	seq    uint64
	vk     protocol.Digest
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{t: t}
	h.rules = newLogRules(nil, func(format string, args ...any) { h.faults = append(h.faults, fmt.Sprintf(format, args...)) })
	key, ok := claim.KnownKey(claim.Open)
	if !ok {
		t.Fatal("open/1 has no key")
	}
	h.vk = key.Fingerprint(claim.Open, protocol.ListID{})
	h.add(&protocol.ClaimLeaf{ClaimID: "open/1", SRS: claim.SRSDigest(), VK: key.Encode()})
	h.add(h.open(1))
	return h
}

func (h *history) add(body protocol.LeafBody) *proofCheck {
	c := h.rules.leaf(h.index, &protocol.Leaf{Seq: h.index, Time: 1000 + h.index, Body: body})
	h.index++
	return c
}

func (h *history) open(n uint64) *protocol.EpochOpen {
	return &protocol.EpochOpen{Number: n, ID: protocol.EpochID{byte(n)}, Instance: protocol.InstanceID{byte(n)}}
}

func (h *history) end(n, accepted uint64) *protocol.EpochClose {
	return &protocol.EpochClose{Number: n, ID: protocol.EpochID{byte(n)}, Reason: protocol.CloseRotated, Issued: accepted, Accepted: accepted}
}

// acceptance is one of epoch 1, like no other.
func (h *history) acceptance(change func(*protocol.Payload, *protocol.Accepted)) *protocol.Accepted {
	h.seq++
	n := byte(h.seq)
	p := protocol.Payload{
		Mode: protocol.ModePull, RequestID: protocol.RequestID{n}, EpochID: protocol.EpochID{1}, EpochNumber: 1,
		Seq: h.seq, TTL: protocol.DefaultTTL, Commitment: protocol.Commitment{31: n}, VK: h.vk, Instance: protocol.InstanceID{1},
	}
	a := &protocol.Accepted{Anchor: protocol.Anchor{31: n}, TagHash: protocol.Element{31: n}, Params: []byte("{}"), Proof: make([]byte, protocol.ProofSize)}
	p.Statement = protocol.StatementDigest("open/1", a.Params, p.Commitment)
	if change != nil {
		change(&p, a)
	}
	a.Payload = p.Encode()
	return a
}

func (h *history) control(action protocol.ControlAction, target protocol.Digest) {
	h.add(&protocol.Control{Action: action, Target: target})
}

// TestLogRules breaks each rule of the log once.
func TestLogRules(t *testing.T) {
	type payload = protocol.Payload
	type accepted = protocol.Accepted
	bad := func(change func(*payload, *accepted)) func(*history) {
		return func(h *history) { h.add(h.acceptance(change)) }
	}
	tests := []struct {
		name string
		do   func(*history)
		want string // the one fault, "" for none
	}{
		{"in order", func(h *history) {
			h.add(h.acceptance(nil))
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.control(protocol.ActionThawAccept, protocol.Digest{})
			h.control(protocol.ActionFreezeIssue, protocol.Digest{})
			h.control(protocol.ActionFreezeAccept, protocol.Digest{9})
			h.add(h.acceptance(nil))
			h.add(h.end(1, 2))
			h.add(h.open(2))
			h.add(&protocol.Incident{Kind: 1})
		}, ""},
		{"another index", func(h *history) {
			h.rules.leaf(2, &protocol.Leaf{Seq: 3, Time: 5000, Body: &protocol.Incident{}})
		}, "entry 2 says that it is number 3"},
		{"back in time", func(h *history) {
			h.rules.leaf(2, &protocol.Leaf{Seq: 2, Time: 999, Body: &protocol.Incident{}})
		}, "entry 2 is earlier than the one before it"},
		{"frozen for all", func(h *history) {
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"frozen claim", func(h *history) {
			h.control(protocol.ActionFreezeAccept, h.vk)
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"thaw of something else", func(h *history) {
			h.control(protocol.ActionFreezeAccept, protocol.Digest{})
			h.control(protocol.ActionThawAccept, h.vk)
			h.add(h.acceptance(nil))
		}, "entry 4 was accepted under a freeze"},
		{"sealed", func(h *history) {
			h.control(protocol.ActionSeal, protocol.Digest{})
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"retired", func(h *history) {
			h.control(protocol.ActionRetireVK, h.vk)
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted under a freeze"},
		{"revoked", func(h *history) {
			h.control(protocol.ActionRevokeEpoch, protocol.Digest{1})
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted after the end of its epoch"},
		{"closed", func(h *history) {
			h.add(h.end(1, 0))
			h.add(h.acceptance(nil))
		}, "entry 3 was accepted after the end of its epoch"},
		{"epoch never opened", bad(func(p *payload, _ *accepted) { p.EpochID[0] = 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"another epoch number", bad(func(p *payload, _ *accepted) { p.EpochNumber = 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"another instance", bad(func(p *payload, _ *accepted) { p.Instance[0] = 7 }), "entry 2 is of an epoch that was not opened before it"},
		{"unknown key", bad(func(p *payload, _ *accepted) { p.VK[0] ^= 1 }), "entry 2 is under a verifying key that was not in the log before it"},
		{"another statement", bad(func(p *payload, _ *accepted) { p.Statement[0] ^= 1 }), "entry 2 names another statement than its parameters give"},
		{"parameters of another claim", bad(func(_ *payload, a *accepted) { a.Params = []byte(`{"a":1}`) }), "entry 2: parameters do not have exactly the members of the claim, with their types"},
		{"request twice", func(h *history) {
			h.add(h.acceptance(nil))
			h.add(h.acceptance(func(p *payload, _ *accepted) { p.RequestID = protocol.RequestID{1} }))
		}, "entry 3 has the request of entry 2"},
		{"anchor twice", func(h *history) {
			h.add(h.acceptance(nil))
			h.add(h.acceptance(func(_ *payload, a *accepted) { a.Anchor = protocol.Anchor{31: 1} }))
		}, "entry 3 has the anchor of entry 2"},
		{"number twice", func(h *history) {
			h.add(h.acceptance(nil))
			h.add(h.acceptance(func(p *payload, _ *accepted) { p.Seq = 1 }))
		}, "entry 3 has a number of its epoch that was accepted before"},
		{"commitment twice", func(h *history) {
			h.add(h.acceptance(nil))
			h.add(h.acceptance(func(p *payload, a *accepted) {
				p.Commitment = protocol.Commitment{31: 1}
				p.Statement = protocol.StatementDigest("open/1", a.Params, p.Commitment)
			}))
		}, "entry 3 has the commitment of entry 2"},
		{"wrong count", func(h *history) { h.add(h.end(1, 3)) }, "entry 2: epoch 1 closes with 3 accepted, and the log has 0"},
		{"lost ends", func(h *history) {
			e := h.end(1, 0)
			e.Issued = 3
			h.add(e)
		}, "entry 2: epoch 1 closes with 3 issued, of which 0 ended"},
		{"closed twice", func(h *history) { h.add(h.end(1, 0)); h.add(h.end(1, 0)) }, "entry 3 closes an epoch that was closed before"},
		{"close of another", func(h *history) { h.add(h.end(2, 0)) }, "entry 2 closes an epoch that was never opened"},
		{"opened twice", func(h *history) { h.add(h.open(1)) }, "entry 2 opens an epoch that was opened before"},
		{"epoch out of order", func(h *history) { h.add(h.open(3)); h.add(h.open(2)) }, "entry 3 opens epoch 2 after epoch 3"},
		{"epoch after none", func(h *history) {
			e := h.open(2)
			e.Previous = protocol.EpochID{77}
			h.add(e)
		}, "entry 2 names an epoch before it that was never opened"},
		{"key twice", func(h *history) { h.add(h.rules.claims[h.vk].leaf) }, "entry 2 brings a verifying key that is in the log already"},
		{"foreign key for a known claim", func(h *history) {
			key, _ := claim.KnownKey(claim.Range)
			h.add(&protocol.ClaimLeaf{ClaimID: "open/1", SRS: claim.SRSDigest(), VK: key.Encode()})
		}, "entry 2: claim open/1 has another verifying key than this program knows"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(t)
			test.do(h)
			var want []string
			if test.want != "" {
				want = []string{test.want}
			}
			if !cmp.Equal(h.faults, want) {
				t.Errorf("faults %q, want %q", h.faults, want)
			}
		})
	}
}

// TestFaultsAreBounded wants a damaged log to fill no disk.
func TestFaultsAreBounded(t *testing.T) {
	var r auditReport
	for i := range 1000 {
		r.fault("entry %d", i)
	}
	if len(r.Faults) != maxFaults || r.Others != 1000-maxFaults {
		t.Errorf("%d faults and %d others", len(r.Faults), r.Others)
	}
}

// TestInOrder wants results in order whatever finishes first, and the first
// error to end it.
func TestInOrder(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor does one thing after the other")
	}
	var got []int
	first := make(chan struct{})
	err := inOrder(context.Background(), 50, func(i int) (int, error) {
		switch i {
		case 0:
			<-first
		case 1:
			close(first)
		}
		return i, nil
	}, func(i int) error { got = append(got, i); return nil })
	if err != nil || len(got) != 50 || got[0] != 0 || got[49] != 49 {
		t.Errorf("%v, %v", got, err)
	}
	broken := errors.New("broken")
	err = inOrder(context.Background(), 50, func(i int) (int, error) {
		if i == 7 {
			return 0, broken
		}
		return i, nil
	}, func(int) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := inOrder(ctx, 5, func(i int) (int, error) { return i, nil }, func(int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context gives %v", err)
	}
}

func TestEntryPrintsNothingDangerous(t *testing.T) {
	if got := rawJSON("{\"a\":\"\x1b[2J\u2028\"}").String(); strings.ContainsAny(got, "\x1b\u2028") {
		t.Errorf("it prints %q", got)
	}
}
