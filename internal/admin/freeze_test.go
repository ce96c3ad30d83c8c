package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

var reason = admin.Reason{Reason: "drill"}

func freezes(operation string, lasts time.Duration) admin.FreezeRequest {
	return admin.FreezeRequest{Reason: reason, Scope: admin.Scope{Operation: operation}, For: lasts.Milliseconds()}
}

func thaws(operation string) admin.ThawRequest {
	return admin.ThawRequest{Reason: reason, Scope: admin.Scope{Operation: operation}}
}

// asked is a control that notes what a freeze was asked for.
type asked struct {
	controls
	what   control.What
	target control.Target
	lasts  time.Duration
}

func (a *asked) Freeze(ctx context.Context, now time.Time, by control.By, what control.What, target control.Target, lasts time.Duration) (control.Result, error) {
	a.what, a.target, a.lasts = what, target, lasts
	return a.controls.Freeze(ctx, now, by, what, target, lasts)
}

// TestScopes: a scope is what it names, and names what is in the log.
func TestScopes(t *testing.T) {
	t.Parallel()
	c := newCore()
	a := &asked{controls: controls{c}}
	w := start(t, c, func(cfg *admin.Config) { cfg.Control = a })
	conn := w.as(principal.Operator)
	for _, try := range []struct {
		scope  admin.Scope
		what   control.What
		target control.Target
		leaves string
		code   protocol.Code
	}{
		{admin.Scope{Operation: "issue"}, control.Issue, control.Target{}, "freeze-issue", 0},
		{admin.Scope{Operation: "both"}, control.All, control.Target{}, "freeze-accept freeze-issue", 0},
		{admin.Scope{Operation: "accept", Fingerprint: &vk1}, control.Accept, control.Target{VK: vk1}, "freeze-accept", 0},
		{admin.Scope{Operation: "both", Claim: "group/1"}, control.All, control.Target{Claim: "group/1"}, "freeze-accept freeze-issue", 0},
		{admin.Scope{Operation: "accept", Claim: "none/1"}, 0, control.Target{}, "", protocol.CodeNotFound},
		{admin.Scope{Operation: "accept", Fingerprint: &protocol.Digest{9}}, 0, control.Target{}, "", protocol.CodeNotFound},
		{admin.Scope{Operation: "accept", Claim: "open/1", Fingerprint: &vk1}, 0, control.Target{}, "", protocol.CodeMalformedRequest},
		{admin.Scope{Operation: "all"}, 0, control.Target{}, "", protocol.CodeMalformedRequest},
		{admin.Scope{}, 0, control.Target{}, "", protocol.CodeMalformedRequest},
	} {
		w.pass(time.Minute)
		*a = asked{controls: controls{c}}
		done, err := conn.Freeze(t.Context(), admin.FreezeRequest{Reason: reason, Scope: try.scope, For: 60_000})
		want(t, fmt.Sprint(try.scope), err, try.code)
		if a.what != try.what || a.target != try.target || err == nil && a.lasts != time.Minute {
			t.Errorf("%+v asks for %v %v for %v", try.scope, a.what, a.target, a.lasts)
		}
		if err == nil && (leaves(done) != try.leaves || done.Until.UnixMilli() != w.clock.Load()+60_000 || done.Row == 0) {
			t.Errorf("%+v", done)
		}
	}
}

func leaves(done *admin.Done) string {
	words := make([]string, len(done.Leaves))
	for i, l := range done.Leaves {
		words[i] = l.Action
	}
	return strings.Join(words, " ")
}

// TestTwoPeople: a thaw needs a second, different commander, who asks for the same within
// 30 minutes; both leave a row with a reason.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), func(cfg *admin.Config) { cfg.TwoPeople = true })
	first := w.as(principal.Commander)
	if _, err := first.Freeze(t.Context(), freezes("both", 0)); err != nil {
		t.Fatal(err)
	}
	ask := func(c *admin.Conn, r admin.ThawRequest, outcome string, holds int) {
		t.Helper()
		done, err := c.Thaw(t.Context(), r)
		if err != nil || done.Outcome != outcome {
			t.Errorf("%+v, %v, want %s", done, err, outcome)
		}
		if state, _ := w.State(t.Context()); len(state.Holds) != holds {
			t.Errorf("holds %v, want %d", state.Holds, holds)
		}
		if row := w.lastRow(); row.Reason != "drill" || row.Outcome != journal.Done {
			t.Errorf("%+v", row)
		}
	}
	ask(first, thaws("both"), admin.OutcomeApproval, 2)
	ask(first, thaws("both"), admin.OutcomeApproval, 2) // one person, twice
	second := w.over(principal.Commander)
	ask(second, thaws("accept"), admin.OutcomeApproval, 2) // something else
	s, err := first.Status(t.Context())
	if err != nil || len(s.Waiting) != 2 || !s.TwoPeople || s.Waiting[1].Actor != "uid 3000" {
		t.Errorf("%+v, %v", s, err)
	}
	w.pass(30 * time.Minute)
	ask(second, thaws("both"), admin.OutcomeApproval, 2) // too late for the first one
	w.pass(29 * time.Minute)

	w.mu.Lock()
	w.held = true
	w.mu.Unlock()
	_, err = first.Thaw(t.Context(), thaws("both"))
	want(t, "without a journal", err, protocol.CodeLedgerUnavailable)
	_, err = first.Thaw(t.Context(), thaws("issue"))
	want(t, "asking without a journal", err, protocol.CodeLedgerUnavailable)
	w.release()
	if s, err = first.Status(t.Context()); err != nil || len(s.Waiting) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	ask(first, thaws("both"), admin.OutcomeDone, 0)
	if s, err = first.Status(t.Context()); err != nil || len(s.Waiting) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	_, err = w.as(principal.Operator).Thaw(t.Context(), thaws("both"))
	want(t, "an operator", err, protocol.CodeForbidden)
}
