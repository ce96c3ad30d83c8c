package limit

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Why [Queue] refuses.
var (
	ErrFull = errors.New("limit: too many wait for a place")
	ErrLate = errors.New("limit: no place was free in time")
)

// Queue is a number of units for costly work with one queue of bounded length before it.
// Work that has waited for too long is refused when its turn comes: its client has given
// up by then, or soon will, and the work would be in vain.
//
// Turns in a hurry come before the others. The first of the others is in a hurry too once
// it has waited for half of the time, and no turn passes another one in a hurry. So many
// small turns in a hurry cannot keep a large one waiting until it is refused.
//
// Only turns that are in a hurry from the start use the reserve, and one that has room in it
// passes all that wait: it takes nothing of what they wait for.
type Queue struct {
	most   int // waiting at a time
	within time.Duration

	mu      sync.Mutex
	free    int        // units, without the reserve
	reserve int        // free units of the reserve
	waiting *list.List // of *Turn: those in a hurry, then the others in order of arrival
	hurried int        // of them, in a hurry
	overdue *Turn      // the one in a hurry because of its wait; nil if there is none
}

// NewQueue returns a queue for a number of units and a reserve beside them, in which so
// many may wait for so long.
func NewQueue(units, reserve, most int, within time.Duration) *Queue {
	return &Queue{most: most, within: within, free: units, reserve: reserve, waiting: list.New()}
}

// Turn is a place of some units, or the wait for it.
type Turn struct {
	units  int
	spared int           // units of the reserve that it holds, of all its units
	began  time.Time     // when it joined, then when it received its place
	due    time.Time     // the zero time for one that waits as long as it must
	ready  chan struct{} // closed when it has a place or is refused; nil if it had one at once
	err    error         // set before ready is closed
	wait   *list.Element
	urgent bool // in a hurry from the start
	hurry  bool // in a hurry now
	left   bool
}

// Ask is what a turn asks for, and how it waits.
type Ask struct {
	Units   int
	Hurry   bool // before those that are not in a hurry
	Patient bool // without a deadline
}

// Join takes a place, or begins to wait for one. It returns [ErrFull] if neither can be.
func (q *Queue) Join(now time.Time, m Ask) (*Turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.promote(now)
	t := &Turn{units: m.Units, began: now, urgent: m.Hurry, hurry: m.Hurry}
	first := q.waiting.Len() == 0 || m.Hurry && q.hurried == 0
	if (first || q.passes(t)) && q.take(t) {
		return t, nil
	}
	if q.waiting.Len() >= q.most {
		return nil, ErrFull
	}
	if t.ready = make(chan struct{}); !m.Patient {
		t.due = now.Add(q.within)
	}
	if at := q.unhurried(); m.Hurry && at != nil {
		t.wait = q.waiting.InsertBefore(t, at)
	} else {
		t.wait = q.waiting.PushBack(t)
	}
	if m.Hurry {
		q.hurried++
	}
	return t, nil
}

// passes reports whether a turn has room in the reserve alone.
func (q *Queue) passes(t *Turn) bool { return t.urgent && t.units <= q.reserve }

// take takes the units of a turn if they are free, those of the reserve first.
func (q *Queue) take(t *Turn) bool {
	spared := 0
	if t.urgent {
		spared = min(t.units, q.reserve)
	}
	if t.units-spared > q.free {
		return false
	}
	t.spared = spared
	q.reserve -= spared
	q.free -= t.units - spared
	return true
}

// promote puts the first turn that is not in a hurry in a hurry if it has waited for half
// of the time. It does so with one at a time: a turn that was in a hurry from the start
// waits for one of them, not for a queue of them.
func (q *Queue) promote(now time.Time) {
	at := q.unhurried()
	if at == nil || q.overdue != nil {
		return
	}
	if t := turnOf(at); now.Sub(t.began) >= q.within/2 {
		t.hurry, q.overdue = true, t
		q.hurried++
	}
}

// unhurried returns the first turn that is not in a hurry; nil if there is none.
func (q *Queue) unhurried() *list.Element {
	at := q.waiting.Front()
	for range q.hurried {
		at = at.Next()
	}
	return at
}

func turnOf(e *list.Element) *Turn {
	t, ok := e.Value.(*Turn)
	if !ok {
		panic("limit: internal error: something else waits in the queue")
	}
	return t
}

// Leave releases the place of a turn and hands it to the next ones whose time has not
// passed, which it returns. A turn that still waits gives up. It may be called more than
// once.
func (q *Queue) Leave(now time.Time, t *Turn) (next []*Turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.left {
		return nil
	}
	t.left = true
	switch {
	case t.wait != nil:
		q.remove(t)
	case t.err == nil:
		q.free += t.units - t.spared
		q.reserve += t.spared
	}
	for t := q.next(); t != nil; t = q.next() {
		if late := !t.due.IsZero() && now.After(t.due); late {
			t.err = ErrLate
		} else if q.take(t) {
			t.began = now
			next = append(next, t)
		} else {
			break
		}
		q.remove(t)
		close(t.ready)
	}
	return next
}

// next returns the turn whose turn it is: the first that has room in the reserve alone, or
// the first of all; nil if none waits.
func (q *Queue) next() *Turn {
	at := q.waiting.Front()
	if at == nil {
		return nil
	}
	for e, n := at, q.hurried; n > 0; e, n = e.Next(), n-1 {
		if t := turnOf(e); q.passes(t) {
			return t
		}
	}
	return turnOf(at)
}

func (q *Queue) remove(t *Turn) {
	q.waiting.Remove(t.wait)
	t.wait = nil
	if t.hurry {
		q.hurried--
	}
	if t == q.overdue {
		q.overdue = nil
	}
}

// Await waits for the place of a turn. It returns [ErrLate], or the error of the context.
// After an error the turn is over.
func (q *Queue) Await(ctx context.Context, t *Turn) error {
	if t.ready == nil {
		return nil
	}
	select {
	case <-t.ready:
		return t.err
	case <-ctx.Done():
		q.Leave(time.Now(), t)
		return ctx.Err()
	}
}

// Waits reports whether a turn had no place when it joined.
func (t *Turn) Waits() bool { return t.ready != nil }

// Began returns when a turn with a place received it.
func (t *Turn) Began() time.Time { return t.began }

// Waiting returns how many wait for a place of so many units.
func (q *Queue) Waiting(units int) (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for e := q.waiting.Front(); e != nil; e = e.Next() {
		if turnOf(e).units == units {
			n++
		}
	}
	return n
}
