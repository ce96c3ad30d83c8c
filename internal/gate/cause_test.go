package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// TestCauses: each refusal carries its cause, also those that look alike outside.
func TestCauses(t *testing.T) {
	die := func(s *services) func() {
		return func() { s.set(func() { s.epochDead, s.died = true, true }); s.gate.EpochEnded(protocol.EpochID{7}) }
	}
	open := func(s *services, req gate.OpenRequest) error {
		_, err := s.gate.Open(s.t.Context(), req)
		return err
	}
	for name, c := range map[string]struct {
		before func(s *services, a *gate.Answer) // the answer
		run    func(s *services) error           // instead of an answer
		want   telemetry.Cause
	}{
		"accepted":      {want: telemetry.NoCause},
		"unknown id":    {before: func(_ *services, a *gate.Answer) { a.RequestID[0] ^= 1 }, want: telemetry.UnknownID},
		"wrong client":  {before: func(_ *services, a *gate.Answer) { a.Client = "another client" }, want: telemetry.ForeignTag},
		"client of tag": {before: func(_ *services, a *gate.Answer) { a.Client, a.Tag = "another client", protocol.Tag{} }, want: telemetry.WrongClient},
		"wrong tag":     {before: func(_ *services, a *gate.Answer) { a.Tag[31] ^= 1 }, want: telemetry.WrongTag},
		"short proof":   {before: func(_ *services, a *gate.Answer) { a.Proof = a.Proof[1:] }, want: telemetry.MalformedProof},
		"malformed":     {before: func(_ *services, a *gate.Answer) { a.Proof = make([]byte, protocol.ProofSize) }, want: telemetry.MalformedProof},
		"false proof":   {before: func(s *services, a *gate.Answer) { a.Proof = s.proved().answer.Proof }, want: telemetry.FalseProof},
		"epoch ended":   {before: func(s *services, _ *gate.Answer) { die(s)() }, want: telemetry.ForeignEpoch},
		"epoch ends":    {before: func(s *services, _ *gate.Answer) { s.faults["redeem"] = &fault{hook: die(s)} }, want: telemetry.ForeignEpoch},
		"invalidated":   {before: func(s *services, _ *gate.Answer) { s.gate.Invalidate(gate.Filter{}) }, want: telemetry.Ended},
		"late": {
			before: func(s *services, _ *gate.Answer) { s.faults["redeem"] = &fault{hook: func() { s.set(s.expireTags) }} },
			want:   telemetry.Late,
		},
		"replayed": {
			before: func(s *services, a *gate.Answer) {
				_, _ = s.accept(*a)
				a.Proof = s.proved().answer.Proof
			},
			want: telemetry.Replayed,
		},
		"again after a false proof": {
			before: func(s *services, a *gate.Answer) {
				b := *a
				b.Proof = s.proved().answer.Proof
				_, _ = s.accept(b)
			},
			want: telemetry.Replayed,
		},
		"commitment is there": {
			before: func(s *services, _ *gate.Answer) {
				s.faults["commit"] = &fault{err: protocol.Fail(protocol.CodeConflict, "")}
			},
			want: telemetry.Replayed,
		},
		"anchor is there": {
			before: func(s *services, _ *gate.Answer) {
				s.faults["commit"] = &fault{err: protocol.Wrap(protocol.CodeConflict, "", journal.ErrRepeated)}
			},
			want: telemetry.RepeatedAnchor,
		},
		"nullifier is there": {
			before: func(s *services, _ *gate.Answer) {
				s.faults["commit"] = &fault{err: protocol.Fail(protocol.CodeNullifierUsed, "")}
			},
			want: telemetry.NullifierUsed,
		},
		"undecided": {
			before: func(s *services, _ *gate.Answer) {
				s.faults["commit"] = &fault{err: errors.Join(journal.ErrUnknown, errPlanted)}
			},
			want: telemetry.Undecided,
		},
		"tagger disagrees": {
			before: func(s *services, _ *gate.Answer) { s.faults["redeem"] = &fault{hook: func() { s.set(s.useAll) }} },
			want:   telemetry.Disagreement,
		},
		"tagger fails": {before: func(s *services, _ *gate.Answer) { s.faults["redeem"] = &fault{err: errPlanted} }, want: telemetry.Fault},
		"frozen":       {before: func(s *services, _ *gate.Answer) { s.frozen = true }, want: telemetry.Held},
		"behind":       {before: func(s *services, _ *gate.Answer) { s.behind = true }, want: telemetry.Behind},

		"open: claim": {run: func(s *services) error { return open(s, gate.OpenRequest{Claim: "other/1"}) }, want: telemetry.UnknownClaim},
		"open: params": {run: func(s *services) error {
			return open(s, gate.OpenRequest{Claim: claim.Open, Params: []byte(`{"a":1}`)})
		}, want: telemetry.WrongInputs},
		"open: commitment": {
			run: func(s *services) error {
				return open(s, gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: protocol.Commitment{0xff}})
			},
			want: telemetry.WrongInputs,
		},
		"open: lifetime": {
			run: func(s *services) error {
				st, _ := statement(s.t)
				return open(s, gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), TTL: time.Hour})
			},
			want: telemetry.Malformed,
		},
		"open: held": {
			run: func(s *services) error {
				s.issueHeld = true
				_, err := s.open()
				return err
			},
			want: telemetry.Held,
		},
		"push: wrong tag": {
			run: func(s *services) error {
				s.wrongTag = true
				return s.push(gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client})
			},
			want: telemetry.ProverWrongTag,
		},
		"push: bad proof": {
			run: func(s *services) error {
				s.proofs = [][]byte{make([]byte, protocol.ProofSize), make([]byte, protocol.ProofSize)}
				return s.push(gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client})
			},
			want: telemetry.ProverWrong,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServices(t)
			if c.run != nil {
				if err := c.run(s); telemetry.CauseOf(err) != c.want {
					t.Errorf("the cause is %v of %v, want %v", telemetry.CauseOf(err), err, c.want)
				}
				return
			}
			a := s.proved().answer
			if c.before != nil {
				c.before(s, &a)
			}
			_, err := s.accept(a)
			if got := telemetry.CauseOf(err); got != c.want {
				t.Errorf("the cause is %v of %v, want %v", got, err, c.want)
			}
			_, _ = s.accept(a) // waits for an unknown outcome
			s.check()
		})
	}
}

// TestDetails: what the gate knows of a request is filled in for the report of it.
func TestDetails(t *testing.T) {
	s := newServices(t)
	st, _ := statement(t)
	var d telemetry.Details
	ctx := telemetry.WithDetails(t.Context(), &d)
	ch, err := s.gate.Open(ctx, gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), Client: client})
	if err != nil || d.Claim != "open/1" || d.ID != ch.RequestID {
		t.Errorf("%v, %+v", err, d)
	}
	a := s.proved().answer
	d = telemetry.Details{}
	if _, err := s.gate.Accept(ctx, a); err != nil || d.Claim != "open/1" || d.ID != a.RequestID || d.Verified <= 0 || d.Answered < 0 {
		t.Errorf("%v, %+v", err, d)
	}
	var r telemetry.Request
	d.Into(&r)
	if r.Claim != d.Claim || r.ID != d.ID || r.Verified != d.Verified {
		t.Errorf("%+v", r)
	}
	d = telemetry.Details{}
	if _, err := s.gate.Open(ctx, gate.OpenRequest{Claim: "of the client's own/1"}); err == nil || d.Claim != "" {
		t.Errorf("%v, %+v", err, d)
	}
	if _, _, err := s.gate.Push(ctx, gate.PushRequest{Claim: claim.Open, Params: []byte(`{}`), Event: []byte(`{}`), Client: client}); err != nil || d.Claim != "open/1" || d.ID == (protocol.RequestID{}) {
		t.Errorf("%v, %+v", err, d)
	}
	s.gate.Drain(context.Background())
}

// TestExpiryIsObserved: a request whose deadline passes is reported once.
func TestExpiryIsObserved(t *testing.T) {
	var s *services
	var id protocol.RequestID
	t.Cleanup(func() { // the gate has stopped
		n := 0
		for _, out := range s.outcomes {
			if out.Operation == "expire" && out.RequestID == id && out.Claim == "open/1" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d reports in %+v", n, s.outcomes)
		}
	})
	s = newServices(t)
	st, _ := statement(t)
	ch, err := s.gate.Open(t.Context(), gate.OpenRequest{Claim: claim.Open, Params: []byte(`{}`), Commitment: st.Commitment(), Client: client, TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	id = ch.RequestID
	pending, _ := s.sessions.Get(id)
	if err := pending.AwaitChange(t.Context(), lifecycle.PhaseIssued); err != nil {
		t.Fatal(err)
	}
}
