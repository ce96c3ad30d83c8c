package admin_test

import (
	"context"
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

// TestFreezeEnds: a freeze with an end is thawed by the core, not before it, also after a
// restart, and never while something else keeps it.
func TestFreezeEnds(t *testing.T) {
	t.Parallel()
	all := journal.Hold{Operation: journal.Accept}
	for name, try := range map[string]struct {
		do   func(t *testing.T, w *world, c *admin.Conn)
		left bool // the hold after two hours
	}{
		"ends":                      {func(*testing.T, *world, *admin.Conn) {}, false},
		"a longer one follows":      {again(3 * time.Hour), true},
		"one without end follows":   {again(0), true},
		"a shorter one follows":     {again(time.Second), false},
		"thawed and frozen again":   {thawAndFreeze, true},
		"the core freezes":          {coreFreezes, true},
		"journal and log disagree":  {func(_ *testing.T, w *world, _ *admin.Conn) { w.diverged = true }, true},
		"a stop is not durable yet": {func(_ *testing.T, w *world, _ *admin.Conn) { w.mu.Lock(); defer w.mu.Unlock(); w.state.NotDurable = 1 }, true},
		"the log is sealed":         {func(_ *testing.T, w *world, _ *admin.Conn) { w.mu.Lock(); defer w.mu.Unlock(); w.state.Sealed = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, newCore(), nil)
			c := w.as(principal.Commander)
			done, err := c.Freeze(t.Context(), freezes("accept", time.Hour))
			if err != nil || done.Until == nil || done.Until.UnixMilli() != w.clock.Load()+time.Hour.Milliseconds() {
				t.Fatalf("%+v, %v", done, err)
			}
			try.do(t, w, c)
			w.pass(time.Hour - time.Millisecond)
			w.s.Tick(t.Context())
			if state, _ := w.State(t.Context()); !slices.Contains(state.Holds, all) {
				t.Error("it ended too early")
			}
			w.pass(time.Hour)
			w.restart()
			w.s.Tick(t.Context())
			state, _ := w.State(t.Context())
			if slices.Contains(state.Holds, all) != try.left {
				t.Errorf("holds %v", state.Holds)
			}
			if row := w.lastRow(); !try.left && (row.Actor != "core" || row.Action != "thaw" || row.Target != "accept all" || row.Seq == nil) {
				t.Errorf("%+v", row)
			}
		})
	}
}

func again(lasts time.Duration) func(*testing.T, *world, *admin.Conn) {
	return func(t *testing.T, _ *world, c *admin.Conn) {
		if _, err := c.Freeze(t.Context(), freezes("accept", lasts)); err != nil {
			t.Error(err)
		}
	}
}

func thawAndFreeze(t *testing.T, _ *world, c *admin.Conn) {
	_, err := c.Thaw(t.Context(), thaws("accept"))
	want(t, "thaw", err, protocol.CodeNone)
	again(0)(t, nil, c)
}

func coreFreezes(t *testing.T, w *world, _ *admin.Conn) {
	r := journal.Request{Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "freeze", Target: "accept", Reason: "divergence"}
	if _, err := w.Stop(t.Context(), time.UnixMilli(w.clock.Load()), r, protocol.Control{Action: protocol.ActionFreezeAccept, Reason: 1}); err != nil {
		t.Error(err)
	}
}

// restart replaces the administration by one that knows only what the journal has.
func (w *world) restart() {
	w.stop()
	clock := w.clock.Load()
	again := start(w.t, w.core, nil)
	again.clock.Store(clock)
	w.s, w.socket, w.addr, w.stop = again.s, again.socket, again.addr, again.stop
}

// TestStatusShowsEnds: the status lists the freezes with an end.
func TestStatusShowsEnds(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	if _, err := c.Freeze(t.Context(), freezes("both", time.Hour)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Status(t.Context())
	if err != nil || len(s.Ends) != 2 || s.Ends[0].Operation != "accept" || s.Role != "commander" || s.Actor != "uid 3000" || s.Pending != 3 {
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
	_, err = w.as(principal.Operator).Thaw(t.Context(), thaws("both"))
	want(t, "an operator", err, protocol.CodeForbidden)
}

// TestDivergence: nobody thaws while journal and log disagree.
func TestDivergence(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	w.diverged = true
	_, err := w.as(principal.Commander).Thaw(t.Context(), thaws("both"))
	want(t, "thaw", err, protocol.CodeConflict)
}

// TestSeal: issuing is held first, then acceptance, then the seal; a second seal is
// refused.
func TestSeal(t *testing.T) {
	t.Parallel()
	w := start(t, newCore(), nil)
	c := w.as(principal.Commander)
	done, err := c.Seal(t.Context(), admin.SealRequest{Reason: reason})
	var actions []string
	for _, l := range done.Leaves {
		actions = append(actions, l.Action)
	}
	if err != nil || strings.Join(actions, " ") != "freeze-issue freeze-accept seal" {
		t.Errorf("%q, %v", actions, err)
	}
	_, err = c.Seal(t.Context(), admin.SealRequest{Reason: reason})
	want(t, "again", err, protocol.CodeFrozen)
	_, err = c.Seal(t.Context(), admin.SealRequest{Reason: reason, Drain: (11 * time.Minute).Milliseconds()})
	want(t, "too long", err, protocol.CodeMalformedRequest)
}

// TestCoreFreezesMeanwhile: if the core freezes between the look at the audit and the
// thaw of a freeze that has ended, the hold is in force afterwards.
func TestCoreFreezesMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCore()
	w := start(t, c, func(cfg *admin.Config) { cfg.Journal = &racing{core: c} })
	if _, err := w.as(principal.Operator).Freeze(t.Context(), freezes("accept", time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Hour)
	w.s.Tick(t.Context())
	if state, _ := c.State(t.Context()); len(state.Holds) != 1 {
		t.Errorf("holds %v", state.Holds)
	}
}

// racing is a journal in which a freeze by the core comes before each thaw.
type racing struct{ *core }

func (r *racing) Control(ctx context.Context, now time.Time, q journal.Request, c protocol.Control) (journal.Entry, error) {
	by := journal.Request{Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "freeze", Target: "accept", Reason: "deaths"}
	if _, err := r.Stop(ctx, now, by, protocol.Control{Action: protocol.ActionFreezeAccept, Reason: 2}); err != nil {
		return journal.Entry{}, err
	}
	return r.core.Control(ctx, now, q, c)
}
