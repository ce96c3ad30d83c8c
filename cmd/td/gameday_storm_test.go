package main_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/protocol"
)

// stormCall is a call of the storm: accept, freeze, thaw or rotate. Of an acceptance,
// epoch is that of the challenge; of a rotation, the one that it opened.
type stormCall struct{ what string }

// stormAnswer is what it returned.
type stormAnswer struct {
	code  protocol.Code
	index uint64
	epoch uint64
}

// stormState is the state of the model: whether acceptance is frozen, the index of the
// last leaf, and the oldest epoch whose keys exist.
type stormState struct {
	frozen      bool
	last, floor uint64
}

// stormModel says what a client may see. Acceptances, freezes and thaws take effect at
// one moment each, in the order of their leaves. Nothing is accepted while frozen, nor of
// an epoch that a forced rotation has ended.
var stormModel = porcupine.Model{
	Init: func() any { return stormState{} },
	Step: func(state, input, output any) (bool, any) {
		s, out, what := state.(stormState), output.(stormAnswer), input.(stormCall).what
		switch {
		case out.code == protocol.CodeFrozen:
			return s.frozen, s
		case out.code == protocol.CodeInvalidated:
			return s.frozen || out.epoch < s.floor, s // a freeze that the commit meets ends the request
		case what == "rotate": // its leaf is written before the keys are destroyed
			s.floor = max(s.floor, out.epoch)
			return true, s
		case out.code != protocol.CodeNone || out.index <= s.last:
			return false, s
		}
		s.last = out.index
		switch what {
		case "accept":
			return !s.frozen && out.epoch >= s.floor, s
		default:
			s.frozen = what == "freeze"
			return true, s
		}
	},
	DescribeOperation: func(input, _ any) string { return input.(stormCall).what },
}

// TestStormModel: the model refuses what a wrong freeze or rotation would show.
func TestStormModel(t *testing.T) {
	op := func(client int, what string, from, to int64, a stormAnswer) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: stormCall{what}, Call: from, Return: to, Output: a}
	}
	freeze, rotate := op(0, "freeze", 0, 1, stormAnswer{index: 5}), op(0, "rotate", 0, 1, stormAnswer{epoch: 2})
	for name, h := range map[string][]porcupine.Operation{
		"accepted after the freeze":         {freeze, op(1, "accept", 2, 3, stormAnswer{index: 6, epoch: 1})},
		"accepted behind the freeze's leaf": {op(0, "freeze", 0, 3, stormAnswer{index: 5}), op(1, "accept", 1, 2, stormAnswer{index: 6, epoch: 1})},
		"frozen after the thaw":             {freeze, op(0, "thaw", 2, 3, stormAnswer{index: 6}), op(1, "accept", 4, 5, stormAnswer{code: protocol.CodeFrozen})},
		"accepted of an ended epoch":        {rotate, op(1, "accept", 2, 3, stormAnswer{index: 6, epoch: 1})},
		"invalidated without a reason":      {op(1, "accept", 0, 1, stormAnswer{code: protocol.CodeInvalidated, epoch: 1}), op(0, "rotate", 2, 3, stormAnswer{epoch: 2})},
	} {
		if porcupine.CheckOperations(stormModel, h) {
			t.Errorf("%s: the history has an order", name)
		}
	}
	if !porcupine.CheckOperations(stormModel, []porcupine.Operation{rotate, op(1, "accept", 0, 2, stormAnswer{index: 6, epoch: 1})}) {
		t.Error("an acceptance beside a rotation has no order")
	}
}

// storm is a history that grows.
type storm struct {
	*game
	b     *backend
	conn  *admin.Conn
	began time.Time

	mu      sync.Mutex
	history []porcupine.Operation
	count   map[string]int // by outcome
}

// storm plays freezes, thaws and forced rotations over the admin socket as fast as they
// go, under clients that answer. What all of them saw must have an order.
func (g *game) storm() {
	b := startBackend(g.T, g.TempDir(), "--prover", "none", "--ttl-ms", "600000")
	s := &storm{game: g, b: b, conn: g.administer(b), began: time.Now(), count: map[string]int{}}
	ctx, stop := context.WithCancel(g.Context())
	defer stop()
	var all sync.WaitGroup
	for i := range 3 { // proving takes the processors
		all.Go(func() { s.answer(ctx, i+2) })
	}
	least, late := time.Now().Add(time.Duration(g.either(2, 40))*time.Second), time.Now().Add(time.Minute)
	over := func() bool {
		now := time.Now()
		return now.After(least) && s.seen("accept") > 1 && s.seen("rotate") > 0 && s.seen("accept frozen") > 0 || now.After(late)
	}
	all.Go(func() {
		for !over() {
			s.wait(1500, 2500) // clients have time to prove
			s.act(0, "rotate")
		}
	})
	for !over() {
		s.act(1, "freeze")
		s.wait(5, 60)
		s.act(1, "thaw")
		s.wait(5, 200)
	}
	stop()
	all.Wait()
	for what, n := range s.count {
		g.figures[what] = n
	}
	if got, info := porcupine.CheckOperationsVerbose(stormModel, s.history, time.Minute); got != porcupine.Ok {
		g.Errorf("porcupine: %s\n%s", got, stuck(s.history, info))
	}
	if time.Now().After(late) {
		g.Errorf("this was no storm: %v", s.count)
	}
	g.accepts(b)
	s.wantFrozen(g.settle(b))
}

// stuck prints a history in the order of its calls, and marks what has no place in the
// longest order that was found.
func stuck(history []porcupine.Operation, info porcupine.LinearizationInfo) string {
	placed := map[porcupine.Operation]bool{}
	var longest []porcupine.Operation
	for _, order := range info.PartialLinearizationsOperations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	for _, op := range longest {
		placed[op] = true
	}
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range history {
		mark := "       "
		if !placed[op] {
			mark = "no place"
		}
		fmt.Fprintf(&b, "%s %8d to %8d us: client %d %s %+v\n", mark, op.Call/1000, op.Return/1000, op.ClientId, op.Input.(stormCall).what, op.Output)
	}
	return b.String()
}

// wait waits for some milliseconds.
func (s *storm) wait(least, most int64) {
	s.mu.Lock()
	pause := least + s.rng.Int64N(most-least)
	s.mu.Unlock()
	time.Sleep(time.Duration(pause) * time.Millisecond) // the random moments
}

// note adds a call to the history.
func (s *storm) note(client int, what string, called time.Duration, out stormAnswer) {
	op := porcupine.Operation{ClientId: client, Input: stormCall{what}, Call: called.Nanoseconds(), Output: out, Return: time.Since(s.began).Nanoseconds()}
	if out.code != protocol.CodeNone {
		what += " " + out.code.String()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[what]++; client >= 0 {
		s.history = append(s.history, op)
	}
}

// seen returns how many calls had an outcome so far.
func (s *storm) seen(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[what]
}

// act has an administrator act.
func (s *storm) act(client int, what string) {
	why, scope := admin.Reason{Reason: "game day"}, admin.Scope{Operation: "accept"}
	called := time.Since(s.began)
	var done *admin.Done
	var err error
	switch what {
	case "freeze":
		done, err = s.conn.Freeze(s.Context(), admin.FreezeRequest{Reason: why, Scope: scope})
	case "thaw":
		done, err = s.conn.Thaw(s.Context(), admin.ThawRequest{Reason: why, Scope: scope})
	default:
		done, err = s.conn.Rotate(s.Context(), admin.RotateRequest{Reason: why, How: "now"})
	}
	if err != nil || len(done.Leaves) != 1 {
		s.Errorf("%s: %+v, %v", what, done, err)
		return
	}
	out := stormAnswer{index: done.Leaves[0].Index}
	if done.Epoch != nil {
		out.epoch = done.Epoch.Number
	}
	s.note(client, what, called, out)
}

// answer answers one request after the other; one that is refused as frozen is sent again.
func (s *storm) answer(ctx context.Context, who int) {
	p, err := openProver()
	if err != nil {
		s.Error(err)
		return
	}
	for ctx.Err() == nil {
		a, err := s.b.challenge(ctx, submission())
		if err == nil {
			a.proof, err = a.draft.Prove(ctx, p, a.ch, protocol.LocalClient)
		}
		if err != nil {
			if code := protocol.CodeOf(err); ctx.Err() == nil && code != protocol.CodeInvalidated && code != protocol.CodeDraining {
				s.Errorf("a challenge: %v", err)
			}
			time.Sleep(5 * time.Millisecond) // no busy loop between epochs
			continue
		}
		s.send(ctx, who, a)
	}
}

func (s *storm) send(ctx context.Context, who int, a *answer) {
	payload, err := protocol.ParsePayload(a.ch.Payload[:])
	if err != nil {
		s.Error(err)
		return
	}
	for ctx.Err() == nil {
		called := time.Since(s.began)
		acc, err := s.b.send(context.WithoutCancel(ctx), a, 0)
		for died(err) { // the same answer may be sent again; the outcome is that of the first one that arrived
			s.note(-1, "broken connection", 0, stormAnswer{})
			acc, err = s.b.send(context.WithoutCancel(ctx), a, 0)
		}
		out := stormAnswer{code: protocol.CodeOf(err), epoch: payload.EpochNumber}
		if err == nil {
			out.index = acc.Index
			s.h.note(s.T, acc)
		}
		s.note(who, "accept", called, out)
		switch {
		case err == nil || out.code == protocol.CodeInvalidated:
			return
		case out.code != protocol.CodeFrozen:
			s.Errorf("an answer: %v", err)
			return
		}
		time.Sleep(5 * time.Millisecond) // until it is tried again
	}
}

// wantFrozen wants no acceptance in the log between a freeze and the thaw.
func (s *storm) wantFrozen(rows []row) {
	s.Helper()
	frozen, freezes := false, 0
	for _, r := range rows {
		switch body := r.leaf.Body.(type) {
		case *protocol.Control:
			switch body.Action {
			case protocol.ActionFreezeAccept:
				frozen, freezes = true, freezes+1
			case protocol.ActionThawAccept:
				frozen = false
			}
		case *protocol.Accepted:
			if frozen {
				s.Errorf("leaf %d is an acceptance in frozen time", r.leaf.Seq)
			}
		}
	}
	if freezes == 0 {
		s.Error("the log holds no freeze")
	}
}
