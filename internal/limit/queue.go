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
// small turns in a hurry cannot keep a large one waiting until it is refused. Only turns in
// a hurry use the reserve, so a small one need not wait for the end of a large one.
type Queue struct {
	reserve int // units
	most    int // waiting at a time
	within  time.Duration

	mu      sync.Mutex
	free    int        // units, those of the reserve included
	waiting *list.List // of *Turn: those in a hurry, then the others in order of arrival
	hurried int        // of them, in a hurry
	overdue *Turn      // the one in a hurry because of its wait; nil if there is none
}

// NewQueue returns a queue for a number of units and a reserve beside them, in which so
// many may wait for so long.
func NewQueue(units, reserve, most int, within time.Duration) *Queue {
	return &Queue{reserve: reserve, most: most, within: within, free: units + reserve, waiting: list.New()}
}

// Turn is a place of some units, or the wait for it.
type Turn struct {
	units int
	began time.Time     // when it joined, then when it received its place
	due   time.Time     // the zero time for one that waits as long as it must
	ready chan struct{} // closed when it has a place or is refused; nil if it had one at once
	err   error         // set before ready is closed
	wait  *list.Element
	hurry bool
	left  bool
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
	t := &Turn{units: m.Units, began: now, hurry: m.Hurry}
	if first := q.waiting.Len() == 0 || m.Hurry && q.hurried == 0; first && q.fits(t) {
		q.free -= m.Units
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

// fits reports whether the units of a turn are free.
func (q *Queue) fits(t *Turn) bool {
	if t.hurry {
		return q.free >= t.units
	}
	return q.free-q.reserve >= t.units
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
		q.free += t.units
	}
	for q.waiting.Len() > 0 {
		first := turnOf(q.waiting.Front())
		late := !first.due.IsZero() && now.After(first.due)
		if !late && !q.fits(first) {
			break
		}
		q.remove(first)
		if late {
			first.err = ErrLate
		} else {
			q.free -= first.units
			first.began = now
			next = append(next, first)
		}
		close(first.ready)
	}
	return next
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
