package gate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// TestInvalidate: the requests that a filter selects end, if they are not answered, are
// counted by their epoch, and their tags are cancelled.
func TestInvalidate(t *testing.T) {
	s := newServices(t)
	done, one, other := s.proved(), s.mustOpen(), s.mustOpen()
	if _, err := s.accept(done.answer); err != nil {
		t.Fatal(err)
	}
	payload, err := protocol.ParsePayload(one.Payload[:])
	if err != nil {
		t.Fatal(err)
	}
	issued := time.UnixMilli(int64(payload.IssuedAt))
	for name, f := range map[string]gate.Filter{
		"another request": {Request: done.RequestID},
		"another client":  {Client: new(uint32(3))},
		"another claim":   {Claim: claim.Group},
		"another key":     {VK: protocol.Digest{1}},
		"another epoch":   {Epoch: protocol.EpochID{8}},
		"another prover":  {Prover: gate.LocalProver},
		"older":           {IssuedBefore: issued},
		"one of two":      {Epoch: protocol.EpochID{7}, Claim: claim.Range},
	} {
		if n := s.gate.Invalidate(f); n != (gate.Invalidated{}) {
			t.Errorf("%s: %+v", name, n)
		}
	}
	f := gate.Filter{
		Request: one.RequestID, Client: new(uint32(0)), Claim: claim.Open, VK: payload.VK, Epoch: protocol.EpochID{7}, IssuedBefore: issued.Add(time.Millisecond),
	}
	if n := s.gate.Invalidate(f); n.Ended != 1 || s.pending != 1 || s.cancelled != 1 || s.endings[lifecycle.PhaseInvalidated] != 1 {
		t.Errorf("%+v, %d pending, %d cancelled", n, s.pending, s.cancelled)
	}
	one.answer.Proof, other.answer.Proof = done.answer.Proof, done.answer.Proof
	_, err = s.accept(one.answer)
	wantCode(t, "answered afterwards", err, protocol.CodeInvalidated)
	if n := s.gate.Invalidate(gate.Filter{}); n.Ended != 1 || s.pending != 0 {
		t.Errorf("all: %+v, %d pending", n, s.pending)
	}
}

// TestInvalidateWhileDecided: a request that was answered is left to its transaction.
func TestInvalidateWhileDecided(t *testing.T) {
	s := newServices(t)
	c := s.proved()
	var during gate.Invalidated
	s.faults["redeem"] = &fault{hook: func() { during = s.gate.Invalidate(gate.Filter{}) }}
	if _, err := s.accept(c.answer); err != nil || during != (gate.Invalidated{Deciding: 1}) {
		t.Errorf("%v, %+v", err, during)
	}
}

// TestInvalidatedWaiter: a client that waits for its receipt, and one that waits for its
// event to be proved, are answered at once.
func TestInvalidatedWaiter(t *testing.T) {
	s := newServices(t)
	hangs := make(chan struct{})
	s.set(func() { s.proveHangs = hangs })
	_, wait, err := s.gate.Push(t.Context(), gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client})
	if err != nil {
		t.Fatal(err)
	}
	<-hangs
	pulled := s.mustOpen()
	receipt := make(chan error)
	go func() {
		_, err := s.gate.Receipt(t.Context(), pulled.RequestID)
		receipt <- err
	}()
	if n := s.gate.Invalidate(gate.Filter{Prover: gate.LocalProver}); n.Ended != 1 {
		t.Errorf("of the prover: %+v", n)
	}
	_, err = wait(t.Context())
	wantCode(t, "push", err, protocol.CodeInvalidated)
	if strings.Contains(s.log.String(), "prover") {
		t.Errorf("the log blames the prover: %s", &s.log)
	}
	if n := s.gate.Invalidate(gate.Filter{}); n.Ended != 1 {
		t.Errorf("of the rest: %+v", n)
	}
	if err := <-receipt; !errors.Is(err, protocol.CodeInvalidated) {
		t.Errorf("receipt: %v", err)
	}
}

// TestPending: pages show every pending request once, with its claim, epoch and times.
func TestPending(t *testing.T) {
	s := newServices(t)
	want := map[protocol.RequestID]bool{}
	for range 5 {
		want[s.mustOpen().RequestID] = true
	}
	var after protocol.RequestID
	for more := true; more; {
		var page []gate.Pending
		page, more = s.gate.Pending(gate.Filter{Claim: claim.Open}, after, 2)
		if len(page) == 0 || len(page) > 2 {
			t.Fatalf("a page of %d", len(page))
		}
		for _, p := range page {
			if !want[p.Request] {
				t.Errorf("request %v is shown twice or is none", p.Request)
			}
			delete(want, p.Request)
			if p.Claim != claim.Open || p.Epoch != (protocol.EpochID{7}) || p.EpochNumber != 1 || p.Prover != gate.ClientProver ||
				p.Phase != lifecycle.PhaseIssued || p.Deadline.Before(p.IssuedAt) {
				t.Errorf("request: %+v", p)
			}
			after = p.Request
		}
	}
	if len(want) > 0 {
		t.Errorf("%d requests are not shown", len(want))
	}
}
