package journal

import (
	"cmp"
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

	// Of a seal, guarded by the lock of stops.
	parked  bool // it is not written yet: its leaf follows the last close leaf
	issuing bool // only issue is stopped so far
}

// stops are the control actions that are in force and not committed yet, in order.
// The writer begins each transaction with all of them that are not parked.
type stops struct {
	state atomic.Pointer[State] // their effect; nil if there are none
	due   atomic.Bool           // one is not parked

	mu     sync.Mutex // guards what follows and changes of state
	held   []*stop
	asked  uint64          // stops so far
	latest map[Hold]uint64 // which of them was the last freeze of a hold
}

// Stop is [Journal.Control] for actions that never wait for a disk: freezes, the seal,
// a rotation. They take effect in memory at once and together. If they cannot be
// committed at once, the error is [ErrNotDurable]: the writer retries until they are
// committed, and commits them with their rows before the next acceptance. A process that
// ends before that loses them. One that repeats another in memory, with the same actor and
// reason, takes its place. Any other error is a refusal, and the refused action is not in
// force; overloaded means that too many are in memory and that equal ones are in force.
// The entries are those of the actions, in their order.
//
// An acceptance whose COMMIT is under way may still become part of the log, with an
// index before the leaves of the actions.
func (j *Journal) Stop(ctx context.Context, now time.Time, r Request, actions ...protocol.Control) ([]Entry, error) {
	all := make([]*stop, len(actions))
	for i, c := range actions {
		s, err := newStop(now, r, c)
		if err != nil {
			return nil, err
		}
		all[i] = s
	}
	if err := j.stops.add(all...); err != nil {
		j.log.Warn("control action refused: it is in force, and too many are held in memory", "action", r.Action, "target", r.Target, "actor", r.Actor.Actor())
		return nil, err
	}
	return j.awaitStops(ctx, all...)
}

func newStop(now time.Time, r Request, c protocol.Control) (*stop, error) {
	switch c.Action {
	case protocol.ActionFreezeIssue, protocol.ActionFreezeAccept, protocol.ActionSeal, protocol.ActionRotate:
	default:
		return nil, protocol.Failf(protocol.CodeInternal, "the action %s does not stop anything", c.Action)
	}
	if err := errors.Join(r.check(), r.checkUntil(c.Action), checkBody(&c)); err != nil {
		return nil, err
	}
	return &stop{now: now, request: r, salt: newSalt(), control: c, done: make(chan outcome, 1)}, nil
}

// awaitStops wakes the writer and waits for it, but no longer than stopPatience.
func (j *Journal) awaitStops(ctx context.Context, all ...*stop) ([]Entry, error) {
	// The outcome of this submission says nothing: only that a transaction has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	_, err := j.submit(ctx, j.urgent, &submission{apply: func(*group) (Entry, error) { return Entry{}, nil }})
	entries := make([]Entry, len(all))
	var refused error
	for i, s := range all {
		select {
		case o := <-s.done:
			entries[i] = o.entry
			refused = cmp.Or(refused, o.err)
		default:
			for _, late := range all[i:] {
				late.late.Store(true)
			}
			j.log.Warn("control action held in memory, not durable", "action", s.control.Action.String(), "err", err)
			return nil, protocol.Wrap(protocol.CodeLedgerUnavailable, ErrNotDurable.Error(), ErrNotDurable)
		}
	}
	return entries, refused
}

// stopPatience bounds the wait of a stop for the writer.
const stopPatience = time.Second

// maxHeld is the number of stops from which on only those are held that add an effect.
const maxHeld = 256

// add puts stops in force together, or refuses them together.
func (s *stops) add(all ...*stop) (err error) {
	s.change(func() {
		if len(s.held) >= maxHeld && !slices.ContainsFunc(all, s.needs) {
			err = protocol.Fail(protocol.CodeOverloaded, "it is in force already, and too many actions wait to be written")
			return
		}
		for _, one := range all {
			if i := slices.IndexFunc(s.held, one.repeats); i >= 0 {
				s.held[i] = one.instead(s.held[i])
			} else {
				s.held = append(s.held, one)
			}
		}
		s.asked++
		for _, h := range merge(State{}, all).Holds {
			if s.latest == nil {
				s.latest = make(map[Hold]uint64)
			}
			s.latest[h] = s.asked
		}
	})
	return err
}

// needs reports whether a stop adds an effect, or takes the place of another.
func (s *stops) needs(one *stop) bool {
	return !slices.ContainsFunc(s.held, one.stopsSame) || slices.ContainsFunc(s.held, one.repeats)
}

// stopsSame reports whether two stops have the same effect, except for its end.
func (s *stop) stopsSame(other *stop) bool {
	return s.control.Action == other.control.Action && s.control.Target == other.control.Target
}

// repeats reports whether s can take the place of another stop: their rows would differ
// only in time and end, and the actor of the other one was answered.
func (s *stop) repeats(other *stop) bool {
	a, b := &s.request, &other.request
	return s.stopsSame(other) && other.late.Load() && !other.parked && a.Actor.Actor() == b.Actor.Actor() && a.Role == b.Role &&
		a.Action == b.Action && a.Target == b.Target && a.Reason == b.Reason
}

// instead returns s as it takes the place of a stop that is in force: from the earlier
// time to the later end. If the writer is at work on that one, both are written.
func (s *stop) instead(of *stop) *stop {
	s.now = of.now
	if of.request.Until.IsZero() || !s.request.Until.IsZero() && of.request.Until.After(s.request.Until) {
		s.request.Until = of.request.Until
	}
	s.late.Store(true)
	return s
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

// change changes held, or an element of it.
func (s *stops) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	s.due.Store(slices.ContainsFunc(s.held, func(one *stop) bool { return !one.parked }))
	if len(s.held) == 0 {
		s.state.Store(nil)
		return
	}
	s.state.Store(merge(State{}, s.held))
}

// list returns those that are held at the moment; if due, only those to be written.
func (s *stops) list(due bool) []*stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.held), func(one *stop) bool { return due && one.parked })
}

// drop forgets those that were committed or refused.
func (s *stops) drop(over []*stop) {
	s.change(func() {
		s.held = slices.DeleteFunc(s.held, func(one *stop) bool { return slices.Contains(over, one) })
	})
}

// merge returns a state with the effect of stops. The lock is held.
func merge(state State, held []*stop) *State {
	for _, one := range held {
		switch c := one.control; c.Action {
		case protocol.ActionSeal:
			state.Sealing = true
			state.Sealed = state.Sealed || !one.issuing
		case protocol.ActionFreezeIssue:
			state.add(Hold{Issue, c.Target}, one.request.Until)
		case protocol.ActionFreezeAccept:
			state.add(Hold{Accept, c.Target}, one.request.Until)
		}
	}
	state.NotDurable = len(held)
	return &state
}

// any reports whether a stop waits to be committed.
func (s *stops) any() bool { return s.due.Load() }

// stop writes the stops that are held at the begin of a transaction.
func (g *group) stop(held []*stop) {
	g.stops, g.stopped = held, make([]outcome, len(held))
	for i, s := range held {
		done := Done
		if s.late.Load() {
			done = NotDurable
		}
		g.stopped[i].entry, g.stopped[i].err = g.act(s.now, &s.request, s.salt, done, func(g *group, salt protocol.Salt) (Entry, error) {
			return g.control(s.now, &s.request, s.request.commit(salt, s.control))
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

// warnLost logs the stops that end with the process: they were in force and are in no
// file. Their actors were answered so.
func (j *Journal) warnLost() {
	for _, s := range j.stops.list(false) {
		j.log.Error("control action was held in memory and is lost with this process; repeat it", "action", s.control.Action.String(),
			"target", s.request.Target, "actor", s.request.Actor.Actor())
	}
}

// Sealing is a seal that is in force in memory. Its leaf is the last one, so it is
// written when the epochs have ended.
type Sealing struct {
	j    *Journal
	stop *stop
}

// BeginSeal refuses every further issue, in memory and without waiting for a disk.
// [Sealing.StopAcceptance] and [Sealing.Commit] follow. A process that ends before the
// leaf is committed loses the seal. The code frozen means that the log is sealed, or is
// being sealed; conflict is never returned.
func (j *Journal) BeginSeal(now time.Time, r Request) (*Sealing, error) {
	s, err := newStop(now, r, protocol.Control{Action: protocol.ActionSeal})
	if err != nil {
		return nil, err
	}
	s.parked, s.issuing = true, true
	j.stops.change(func() {
		taken := j.state.Load().Sealed || slices.ContainsFunc(j.stops.held, func(one *stop) bool { return one.control.Action == protocol.ActionSeal })
		if taken {
			err = errSealed()
			return
		}
		j.stops.held = append(j.stops.held, s)
	})
	if err != nil {
		return nil, err
	}
	return &Sealing{j, s}, nil
}

// StopAcceptance refuses every further acceptance, in memory.
func (s *Sealing) StopAcceptance() { s.j.stops.change(func() { s.stop.issuing = false }) }

// Commit commits the seal with its row, as [Journal.Stop] does. After [ErrNotDurable] it
// may be called again.
func (s *Sealing) Commit(ctx context.Context) (Entry, error) {
	s.j.stops.change(func() { s.stop.parked, s.stop.issuing = false, false })
	entries, err := s.j.awaitStops(ctx, s.stop)
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}
