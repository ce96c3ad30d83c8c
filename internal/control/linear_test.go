package control_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/protocol"
)

// call and answered are one operation of a history: accept, freeze or thaw.
type (
	call     string
	answered struct {
		code  protocol.Code
		index uint64
	}
)

// held is the state of the model: whether acceptance is frozen, and the index of the last
// leaf.
type held struct {
	frozen bool
	last   uint64
}

// model is the specification of a freeze: acceptances and control actions take effect at
// one moment each, in the order of their leaves, and nothing is accepted while frozen.
var model = porcupine.Model{
	Init: func() any { return held{} },
	Step: func(state, input, output any) (bool, any) {
		s, out := state.(held), output.(answered)
		if out.code == protocol.CodeFrozen || out.code == protocol.CodeInvalidated {
			return s.frozen, s
		}
		if out.code != protocol.CodeNone || out.index <= s.last {
			return false, s
		}
		s.last = out.index
		switch input.(call) {
		case "accept":
			return !s.frozen, s
		case "freeze":
			s.frozen = true
		case "thaw":
			s.frozen = false
		}
		return true, s
	},
}

// TestLinearizable: the history of acceptances, freezes and thaws by many goroutines has
// an order, in which nothing is accepted after a freeze and before the thaw.
func TestLinearizable(t *testing.T) {
	const clients, each, freezes = 8, 2, 12
	w := newWorld(t)
	var mu sync.Mutex
	var history []porcupine.Operation
	begun := time.Now()
	do := func(client int, c call, effect func() (uint64, error)) protocol.Code {
		at := time.Since(begun).Nanoseconds()
		index, err := effect()
		op := porcupine.Operation{ClientId: client, Input: c, Call: at, Output: answered{protocol.CodeOf(err), index}, Return: time.Since(begun).Nanoseconds()}
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
		return protocol.CodeOf(err)
	}
	operate := func(c call, act func() (control.Result, error)) {
		do(0, c, func() (uint64, error) {
			res, err := act()
			if err != nil {
				return 0, err
			}
			return res.Leaves[0].Seq, nil
		})
	}
	type answer func(client int) protocol.Code
	answers := make(chan answer, clients*each)
	for range clients * each {
		a := w.answer()
		answers <- func(client int) protocol.Code {
			return do(client, "accept", func() (uint64, error) { return w.gate.Accept(t.Context(), a) })
		}
	}
	var workers sync.WaitGroup
	wake := make(chan struct{}) // a client that was refused waits for it
	for client := range clients {
		workers.Go(func() {
			for {
				select {
				case one := <-answers:
					if one(client+1) == protocol.CodeFrozen { // nothing was consumed
						answers <- one
						<-wake
					}
				default:
					return
				}
			}
		})
	}
	for range freezes {
		operate("freeze", func() (control.Result, error) {
			return w.Freeze(t.Context(), time.Now(), by("test"), control.Accept, control.Target{}, 0)
		})
		for range rand.IntN(clients) + 1 {
			select {
			case wake <- struct{}{}:
			case <-time.After(time.Millisecond): // none waits
			}
		}
		operate("thaw", func() (control.Result, error) {
			return w.Thaw(t.Context(), time.Now(), by("test"), control.Accept, control.Target{})
		})
	}
	close(wake)
	workers.Wait()
	count := map[answered]int{}
	for _, op := range history {
		out := op.Output.(answered)
		out.index = min(out.index, 1)
		count[out]++
	}
	t.Logf("%d operations: %v", len(history), count)
	if !porcupine.CheckOperations(model, history) {
		slices.SortFunc(history, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		t.Errorf("the history has no order: %+v", history)
	}
}

// TestModelRefuses: the model refuses the histories that a wrong freeze would leave.
func TestModelRefuses(t *testing.T) {
	op := func(client int, c call, from, to int64, code protocol.Code, index uint64) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: c, Call: from, Return: to, Output: answered{code, index}}
	}
	for name, history := range map[string][]porcupine.Operation{
		"accepted after the freeze": {op(0, "freeze", 0, 1, 0, 5), op(1, "accept", 2, 3, 0, 6)},
		"a later index":             {op(0, "freeze", 0, 3, 0, 5), op(1, "accept", 1, 2, 0, 6), op(0, "thaw", 9, 10, 0, 7)},
		"frozen after the thaw":     {op(0, "freeze", 0, 1, 0, 5), op(0, "thaw", 2, 3, 0, 6), op(1, "accept", 4, 5, protocol.CodeFrozen, 0)},
	} {
		if porcupine.CheckOperations(model, history) {
			t.Errorf("%s: the history is accepted", name)
		}
	}
}
