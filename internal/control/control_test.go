package control_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

func wantCode(t *testing.T, what string, err error, want protocol.Code) {
	t.Helper()
	if got := protocol.CodeOf(err); got != want {
		t.Errorf("%s: got %v (%v), want %v", what, got, err, want)
	}
}

// action returns the action and the target of a control leaf.
func (w *world) action(index uint64) (protocol.ControlAction, protocol.Digest) {
	w.t.Helper()
	e, found, err := w.journal.Leaf(w.t.Context(), index)
	if err != nil || !found {
		w.t.Fatalf("leaf %d: %t, %v", index, found, err)
	}
	leaf, err := protocol.ParseLeaf(e.Leaf)
	if err != nil {
		w.t.Fatal(err)
	}
	c, ok := leaf.Body.(*protocol.Control)
	if !ok {
		w.t.Fatalf("leaf %d is no control action", index)
	}
	return c.Action, c.Target
}

// TestFreeze: each target and each operation is held by the leaves that section 12 names,
// acceptance first, and thawed by the same words.
func TestFreeze(t *testing.T) {
	w := newWorld(t)
	var all protocol.Digest
	for _, c := range []struct {
		what    control.What
		target  control.Target
		actions []protocol.ControlAction
		vk      protocol.Digest
		row     string
	}{
		{control.All, control.Target{}, []protocol.ControlAction{protocol.ActionFreezeAccept, protocol.ActionFreezeIssue}, all, "both all"},
		{control.Issue, control.Target{Claim: claim.Open}, []protocol.ControlAction{protocol.ActionFreezeIssue}, w.vk, "issue open/1"},
		{control.Accept, control.Target{VK: w.vk}, []protocol.ControlAction{protocol.ActionFreezeAccept}, w.vk, "accept " + w.vk.String()},
	} {
		before := len(w.rows())
		res, err := w.Freeze(t.Context(), time.Now(), by("why"), c.what, c.target, 0)
		if err != nil || len(res.Leaves) != len(c.actions) {
			t.Fatalf("%s: %+v, %v", c.row, res, err)
		}
		for i, want := range c.actions {
			if action, vk := w.action(res.Leaves[i].Seq); action != want || vk != c.vk {
				t.Errorf("%s: leaf %d is %v %v", c.row, i, action, vk)
			}
		}
		issue, accept := w.journal.Check(journal.Issue, w.vk), w.journal.Check(journal.Accept, w.vk)
		if (issue != nil) != (c.what != control.Accept) || (accept != nil) != (c.what != control.Issue) {
			t.Errorf("%s: issue %v, acceptance %v", c.row, issue, accept)
		}
		rows := w.rows()[before:]
		if len(rows) != len(c.actions) || rows[0].Target != c.row || rows[0].Reason != "why" || *rows[0].Seq != res.Leaves[0].Seq {
			t.Errorf("%s: %+v", c.row, rows)
		}
		if _, err := w.Thaw(t.Context(), time.Now(), by("over"), c.what, c.target); err != nil {
			t.Errorf("%s: thaw: %v", c.row, err)
		}
		if state, _ := w.journal.State(t.Context()); len(state.Holds) != 0 {
			t.Errorf("%s: %v", c.row, state.Holds)
		}
	}
}

// TestRefusedHasRow: what is refused before anything is done has a row with its code.
func TestRefusedHasRow(t *testing.T) {
	w := newWorld(t)
	_, err := w.Freeze(t.Context(), time.Now(), by("x"), control.All, control.Target{Claim: claim.Group}, 0)
	wantCode(t, "unknown claim", err, protocol.CodeNotFound)
	_, err = w.Freeze(t.Context(), time.Now(), by("x"), control.All, control.Target{}, -time.Second)
	wantCode(t, "a time before now", err, protocol.CodeMalformedRequest)
	close(w.diverged)
	_, err = w.Thaw(t.Context(), time.Now(), by("x"), control.All, control.Target{})
	wantCode(t, "a thaw after a divergence", err, protocol.CodeConflict)
	rows := w.rows()
	if len(rows) != 3 || rows[0].Code != "not_found" || rows[1].Code != "malformed_request" || rows[2].Code != "conflict" {
		t.Errorf("%+v", rows)
	}
	if _, err := w.Freeze(t.Context(), time.Now(), by("x"), control.All, control.Target{}, 0); err != nil {
		t.Errorf("a freeze after a divergence: %v", err)
	}
}

// TestSeal: pending requests are invalidated, the seal is the last leaf, and every further
// action is refused for good.
func TestSeal(t *testing.T) {
	w := newWorld(t)
	w.mustOpen()
	res, err := w.Seal(t.Context(), time.Now(), by("the end"), 0)
	if err != nil || w.ended[lifecycle.PhaseInvalidated] != 1 {
		t.Fatalf("%+v, %v, ended %v", res, err, w.ended)
	}
	size, _ := w.journal.Size(t.Context())
	if action, _ := w.action(res.Leaves[0].Seq); action != protocol.ActionSeal || res.Leaves[0].Seq != size-1 {
		t.Errorf("leaf %d of %d is %v", res.Leaves[0].Seq, size, action)
	}
	_, _, _, err = w.open()
	wantCode(t, "a request", err, protocol.CodeFrozen)
	if !errors.Is(err, protocol.ErrPermanent) {
		t.Error("the refusal is not permanent")
	}
	for name, act := range map[string]func() (control.Result, error){
		"seal": func() (control.Result, error) { return w.Seal(t.Context(), time.Now(), by("x"), 0) },
		"freeze": func() (control.Result, error) {
			return w.Freeze(t.Context(), time.Now(), by("x"), control.All, control.Target{}, 0)
		},
		"thaw": func() (control.Result, error) {
			return w.Thaw(t.Context(), time.Now(), by("x"), control.All, control.Target{})
		},
		"retire": func() (control.Result, error) { return w.Retire(t.Context(), time.Now(), by("x"), w.vk) },
		"revoke": func() (control.Result, error) { return w.Revoke(t.Context(), time.Now(), by("x"), w.id) },
		"invalidate": func() (control.Result, error) {
			return w.Invalidate(t.Context(), time.Now(), by("x"), gate.Filter{}, "all")
		},
	} {
		_, err := act()
		wantCode(t, name, err, protocol.CodeFrozen)
	}
	if now, _ := w.journal.Size(t.Context()); now != size {
		t.Errorf("%d leaves after the seal", now-size)
	}
	if report, err := w.journal.VerifyAudit(t.Context()); err != nil || len(report.Problems) > 0 || report.Rows < 7 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestWithdraw: pending requests of a retired key and of a revoked epoch are invalidated,
// and no request is issued for a retired key.
func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	w.mustOpen()
	res, err := w.Revoke(t.Context(), time.Now(), by("leaked"), w.id)
	if action, target := w.action(res.Leaves[0].Seq); err != nil || action != protocol.ActionRevokeEpoch || target != journal.EpochTarget(w.id) || res.Invalidated.Ended != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	w.mustOpen()
	if res, err = w.Retire(t.Context(), time.Now(), by("unsound"), w.vk); err != nil || res.Invalidated.Ended != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	_, _, _, err = w.open()
	wantCode(t, "a retired claim", err, protocol.CodeUnknownClaim)
}

// TestInvalidate: the leaf is written first and has the target of the filter.
func TestInvalidate(t *testing.T) {
	w := newWorld(t)
	w.mustOpen()
	res, err := w.Invalidate(t.Context(), time.Now(), by("test"), gate.Filter{VK: w.vk, IssuedBefore: time.Unix(0, 0)}, "old ones")
	if _, target := w.action(res.Leaves[0].Seq); err != nil || target != w.vk || res.Invalidated.Ended != 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if res, err = w.Invalidate(t.Context(), time.Now(), by("test"), gate.Filter{Epoch: w.id}, "of the epoch"); err != nil || res.Invalidated.Ended != 1 || w.ended[lifecycle.PhaseInvalidated] != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestRotate: a forced rotation ends the epochs before its leaf is written.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	for _, how := range []epochs.How{epochs.Drain, epochs.Now} {
		w.rotated = nil
		res, err := w.Rotate(t.Context(), time.Now(), by("test"), how)
		if action, _ := w.action(res.Leaves[0].Seq); err != nil || action != protocol.ActionRotate || res.Rotated.Number != 2 || !slices.Equal(w.rotated, []epochs.How{how}) {
			t.Errorf("%v: %+v, %v, %v", how, res, err, w.rotated)
		}
	}
}

// unchecked is a journal that is still being compared.
type unchecked struct{ control.Journal }

func (unchecked) Unchecked() bool { return true }

// TestThawAwaitsComparison: after a start nothing is thawed before the journal was
// compared; freezing does not wait.
func TestThawAwaitsComparison(t *testing.T) {
	w := newWorld(t)
	c := control.New(control.Config{Journal: unchecked{w.journal}, Gate: w.gate, Epochs: machine{w}, Diverged: w.diverged, Log: discard()})
	_, err := c.Freeze(t.Context(), time.Now(), by("x"), control.All, control.Target{}, 0)
	wantCode(t, "a freeze", err, protocol.CodeNone)
	_, err = c.Thaw(t.Context(), time.Now(), by("x"), control.All, control.Target{})
	wantCode(t, "a thaw", err, protocol.CodeConflict)
}

// ends is a journal with freezes that end.
type ends struct {
	control.Journal
	at    []time.Time
	fails int
	looks int
}

func (j *ends) ThawEnded(_ context.Context, now time.Time) (thawed []journal.Entry, err error) {
	if j.looks++; j.fails > 0 {
		j.fails--
		return nil, errors.New("the journal cannot be written")
	}
	for len(j.at) > 0 && !j.at[0].After(now) {
		j.at = j.at[1:]
		thawed = append(thawed, journal.Entry{})
	}
	return thawed, nil
}

// TestEnds: freezes are thawed within a second of their end, a thaw that fails is tried
// again, and none is after journal and log disagree.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &ends{at: []time.Time{time.Now().Add(time.Hour), time.Now().Add(3 * time.Hour)}, fails: 3}
		diverged := make(chan struct{})
		c := control.New(control.Config{Journal: j, Diverged: diverged, Log: discard()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		if len(j.at) != 1 {
			t.Errorf("%d freezes are left", len(j.at))
		}
		close(diverged)
		synctest.Wait()
		looks := j.looks
		time.Sleep(3 * time.Hour)
		if j.looks != looks || len(j.at) != 1 {
			t.Error("a freeze is thawed although journal and log disagree")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
