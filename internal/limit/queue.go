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

// Queue is a number of places for costly work with one queue of bounded length before it.
// Work that has waited for too long is refused when its turn comes: its client has given
// up by then, or soon will, and the work would be in vain.
type Queue struct {
	most   int // waiting at a time
	within time.Duration

	mu      sync.Mutex
	free    int
	waiting *list.List // of *Turn: those in a hurry, then the others, each in order of arrival
	hurried int        // of them, in a hurry
}

// NewQueue returns a queue for a number of places, in which so many may wait for so long.
func NewQueue(places, most int, within time.Duration) *Queue {
	return &Queue{most: most, within: within, free: places, waiting: list.New()}
}

// Turn is one place, or the wait for it.
type Turn struct {
	began time.Time     // when it received its place
	due   time.Time     // the zero time for one that waits as long as it must
	ready chan struct{} // closed when it has a place or is refused; nil if it had one at once
	err   error         // set before ready is closed
	wait  *list.Element
	hurry bool
	left  bool
}

// Manner is how a turn waits.
type Manner struct {
	Hurry   bool // before those that are not in a hurry
	Patient bool // without a deadline
}

// Join takes a place, or begins to wait for one. It returns [ErrFull] if neither can be.
func (q *Queue) Join(now time.Time, m Manner) (*Turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &Turn{began: now, hurry: m.Hurry}
	if q.free > 0 {
		q.free--
		return t, nil
	}
	if q.waiting.Len() >= q.most {
		return nil, ErrFull
	}
	if t.ready = make(chan struct{}); !m.Patient {
		t.due = now.Add(q.within)
	}
	if !m.Hurry || q.hurried == q.waiting.Len() {
		t.wait = q.waiting.PushBack(t)
	} else {
		at := q.waiting.Front()
		for range q.hurried {
			at = at.Next()
		}
		t.wait = q.waiting.InsertBefore(t, at)
	}
	if m.Hurry {
		q.hurried++
	}
	return t, nil
}

// Leave releases the place of a turn and hands it to the next one whose time has not
// passed, which it returns; nil if there is none. A turn that still waits gives up. It
// may be called more than once.
func (q *Queue) Leave(now time.Time, t *Turn) (next *Turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.left {
		return nil
	}
	t.left = true
	if t.wait != nil {
		q.remove(t)
		return nil
	}
	if t.err != nil {
		return nil
	}
	for q.waiting.Len() > 0 {
		next, ok := q.waiting.Front().Value.(*Turn)
		if !ok {
			panic("limit: internal error: something else waits in the queue")
		}
		q.remove(next)
		if late := !next.due.IsZero() && now.After(next.due); !late {
			next.began = now
			close(next.ready)
			return next
		}
		next.err = ErrLate
		close(next.ready)
	}
	q.free++
	return nil
}

func (q *Queue) remove(t *Turn) {
	q.waiting.Remove(t.wait)
	t.wait = nil
	if t.hurry {
		q.hurried--
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

// Waiting returns how many wait for a place.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.Len()
}
