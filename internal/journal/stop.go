package journal

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/protocol"
)

// ErrNotDurable marks the answer to a stop that is in force in memory and is not on
// the disk yet.
var ErrNotDurable = errors.New("held in memory, not durable")

// stop is a control action that takes effect before it is written.
type stop struct {
	now     time.Time
	request Request
	salt    protocol.Salt
	control protocol.Control
	late    atomic.Bool  // the actor was answered that it is not durable
	done    chan outcome // capacity one
}

// stops are the control actions that are in force and not committed yet, in order.
// The writer begins each transaction with all of them.
type stops struct {
	state atomic.Pointer[State] // their effect; nil if there are none

	mu     sync.Mutex // guards what follows and changes of state
	held   []*stop
	asked  uint64          // stops so far
	latest map[Hold]uint64 // which of them was the last freeze of a hold
}

// Stop is [Journal.Control] for actions that never wait for a disk: a freeze, the seal,
// a rotation. The action takes effect in memory at once. If it cannot be committed at
// once, the error is [ErrNotDurable]: the writer retries until it is committed, and
// commits it with its row before the next acceptance. Any other error is a refusal, and
// the action is not in force.
//
// An acceptance whose COMMIT is under way may still become part of the log, with an
// index before the leaf of the action.
func (j *Journal) Stop(ctx context.Context, now time.Time, r Request, c protocol.Control) (Entry, error) {
	switch c.Action {
	case protocol.ActionFreezeIssue, protocol.ActionFreezeAccept, protocol.ActionSeal, protocol.ActionRotate:
	default:
		return Entry{}, protocol.Failf(protocol.CodeInternal, "the action %s does not stop anything", c.Action)
	}
	if err := errors.Join(r.check(), checkBody(&c)); err != nil {
		return Entry{}, err
	}
	s := &stop{now: now, request: r, salt: newSalt(), control: c, done: make(chan outcome, 1)}
	j.stops.add(s)
	// This wakes the writer. Its own outcome says whether a transaction has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	_, err := j.submit(ctx, j.urgent, &submission{apply: func(*group) (Entry, error) { return Entry{}, nil }})
	select {
	case o := <-s.done:
		return o.entry, o.err
	default:
	}
	s.late.Store(true)
	j.log.Warn("control action held in memory, not durable", "action", c.Action.String(), "err", err)
	return Entry{}, protocol.Wrap(protocol.CodeLedgerUnavailable, ErrNotDurable.Error(), ErrNotDurable)
}

// stopPatience bounds the wait of a stop for the writer.
const stopPatience = time.Second

func (s *stops) add(one *stop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, one)
	s.asked++
	for _, h := range merge(State{}, []*stop{one}).Holds {
		if s.latest == nil {
			s.latest = make(map[Hold]uint64)
		}
		s.latest[h] = s.asked
	}
	s.refresh()
}

// count returns how many stops were asked for so far.
func (s *stops) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// since reports whether a freeze of a hold was asked for after so many stops.
func (s *stops) since(h Hold, asked uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest[h] > asked
}

// list returns those that are held at the moment.
func (s *stops) list() []*stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.held)
}

// drop forgets those that were committed or refused.
func (s *stops) drop(over []*stop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = slices.DeleteFunc(s.held, func(one *stop) bool { return slices.Contains(over, one) })
	s.refresh()
}

func (s *stops) refresh() {
	if len(s.held) == 0 {
		s.state.Store(nil)
		return
	}
	s.state.Store(merge(State{}, s.held))
}

// merge returns a state with the effect of stops.
func merge(state State, held []*stop) *State {
	for _, one := range held {
		switch one.control.Action {
		case protocol.ActionSeal:
			state.Sealed = true
		case protocol.ActionFreezeIssue:
			state.add(Hold{Issue, one.control.Target})
		case protocol.ActionFreezeAccept:
			state.add(Hold{Accept, one.control.Target})
		}
	}
	state.NotDurable = len(held)
	return &state
}

func (s *State) add(h Hold) {
	if !slices.Contains(s.Holds, h) {
		s.Holds = append(s.Holds, h)
	}
}

// any reports whether a stop waits to be committed.
func (s *stops) any() bool { return s.state.Load() != nil }

// stop writes the stops that are held at the begin of a transaction.
func (g *group) stop(held []*stop) {
	g.stops, g.stopped = held, make([]outcome, len(held))
	for i, s := range held {
		done := Done
		if s.late.Load() {
			done = NotDurable
		}
		g.stopped[i].entry, g.stopped[i].err = g.act(s.now, &s.request, s.salt, done, func(g *group, salt protocol.Salt) (Entry, error) {
			return g.control(s.now, s.request.commit(salt, s.control))
		})
		if g.err != nil {
			return
		}
	}
}

// finishStops answers the stops of a group that was committed.
func (j *Journal) finishStops(g *group) {
	if len(g.stops) == 0 {
		return
	}
	j.stops.drop(g.stops)
	for i, s := range g.stops {
		s.done <- g.stopped[i]
	}
}
