package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/admin"
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

// TestScopes: a scope becomes one leaf for each operation and claim, acceptance first.
func TestScopes(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Operator)
	for _, try := range []struct {
		scope admin.Scope
		holds []journal.Hold
		code  protocol.Code
	}{
		{admin.Scope{Operation: "issue"}, []journal.Hold{{Operation: journal.Issue}}, 0},
		{admin.Scope{Operation: "both"}, []journal.Hold{{Operation: journal.Accept}, {Operation: journal.Issue}}, 0},
		{admin.Scope{Operation: "accept", Fingerprint: &vk1}, []journal.Hold{{Operation: journal.Accept, VK: vk1}}, 0},
		{admin.Scope{Operation: "both", Claim: "group/1"}, []journal.Hold{
			{Operation: journal.Accept, VK: vk2},
			{Operation: journal.Accept, VK: vk3},
			{Operation: journal.Issue, VK: vk2},
			{Operation: journal.Issue, VK: vk3},
		}, 0},
		{admin.Scope{Operation: "accept", Claim: "none/1"}, nil, protocol.CodeNotFound},
		{admin.Scope{Operation: "accept", Fingerprint: &protocol.Digest{9}}, nil, protocol.CodeNotFound},
		{admin.Scope{Operation: "accept", Claim: "open/1", Fingerprint: &vk1}, nil, protocol.CodeMalformedRequest},
		{admin.Scope{Operation: "all"}, nil, protocol.CodeMalformedRequest},
		{admin.Scope{}, nil, protocol.CodeMalformedRequest},
	} {
		w.pass(time.Minute)
		w.mu.Lock()
		w.state = journal.State{By: map[journal.Hold]journal.Entry{}}
		w.mu.Unlock()
		done, err := c.Freeze(t.Context(), admin.FreezeRequest{Reason: reason, Scope: try.scope})
		want(t, fmt.Sprint(try.scope), err, try.code)
		if state, _ := w.State(t.Context()); !slices.Equal(state.Holds, try.holds) || err == nil && len(done.Leaves) != len(try.holds) {
			t.Errorf("%+v holds %v", try.scope, state.Holds)
		}
	}
	claims, err := c.Claims(t.Context())
	if err != nil || len(claims.Claims) != 3 {
		t.Errorf("%+v, %v", claims, err)
	}
}

// TestThawSaysWhatIsLeft: a thaw that leaves other freezes in force says so.
func TestThawSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	if _, err := c.Freeze(t.Context(), freezes("both", 0)); err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"issue", "accept"} {
		done, err := c.Thaw(t.Context(), thaws(operation))
		if left := operation == "issue"; err != nil || strings.Contains(done.Detail, "other freezes are in force") != left {
			t.Errorf("thaw of %s: %+v, %v", operation, done, err)
		}
	}
}

// TestFreezeEnds: the answer to a freeze with an end, and the status, say when it ends.
func TestFreezeEnds(t *testing.T) {
	t.Parallel()
	j := openJournal(t)
	w := start(t, newCore(), func(cfg *admin.Config) { onJournal(cfg, j) })
	c := w.as(principal.Operator)
	end := w.clock.Load() + time.Hour.Milliseconds()
	done, err := c.Freeze(t.Context(), freezes("accept", time.Hour))
	if err != nil || done.Until == nil || done.Until.UnixMilli() != end {
		t.Fatalf("%+v, %v", done, err)
	}
	s, err := c.Status(t.Context())
	if err != nil || len(s.Ends) != 1 || s.Ends[0].Operation != "accept" || s.Ends[0].Until.UnixMilli() != end {
		t.Errorf("%+v, %v", s, err)
	}
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
	ask(first, thaws("both"), admin.OutcomeApproval, 0)
	if _, err := w.as(principal.Operator).Freeze(t.Context(), freezes("both", 0)); err != nil {
		t.Fatal(err)
	}
	ask(second, thaws("both"), admin.OutcomeApproval, 2) // the first asked before this freeze
	ask(first, thaws("both"), admin.OutcomeDone, 0)
	_, err = w.as(principal.Operator).Thaw(t.Context(), thaws("both"))
	want(t, "an operator", err, protocol.CodeForbidden)
}

// TestDivergence: there is no thaw while journal and log disagree.
func TestDivergence(t *testing.T) {
	t.Parallel()
	diverged := make(chan struct{})
	close(diverged)
	c := newCore()
	w := start(t, c, func(cfg *admin.Config) { cfg.Control = newControl(c, manager{c}, gateOf{c}, diverged) })
	_, err := w.as(principal.Commander).Thaw(t.Context(), thaws("both"))
	want(t, "thaw", err, protocol.CodeConflict)
}

// TestSeal: the seal is one leaf, and a second seal is refused.
func TestSeal(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	done, err := c.Seal(t.Context(), admin.SealRequest{Reason: reason})
	if err != nil || len(done.Leaves) != 1 || done.Leaves[0].Action != "seal" {
		t.Errorf("%+v, %v", done, err)
	}
	_, err = c.Seal(t.Context(), admin.SealRequest{Reason: reason})
	want(t, "again", err, protocol.CodeFrozen)
	_, err = c.Seal(t.Context(), admin.SealRequest{Reason: reason, Drain: (11 * time.Minute).Milliseconds()})
	want(t, "too long", err, protocol.CodeMalformedRequest)
}
