package telemetry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Events distributes events. Its methods may be called from any goroutine, and never
// block. A nil Events drops everything.
//
// The observers in the path of the event are called at once, in the goroutine of the
// caller. The readers are called by [Events.Run], one event after another, from a ring
// of bounded size. Events that find the ring full are dropped for the readers and
// counted.
type Events struct {
	inPath  []Observer
	readers []Observer
	lost    atomic.Uint64
	wake    chan struct{} // one element once the ring is half full

	mu    sync.Mutex // guards what follows
	ring  []entry
	spare []entry // the ring that the readers have read
}

// entry is one event.
type entry struct {
	request  Request
	change   Change
	isChange bool
}

// ringSize is the number of events that the ring takes between two reads.
const ringSize = 4096

// readEvery is the longest time for which an event stays in the ring. A reader that was
// woken for each event would cost more than the event.
const readEvery = 100 * time.Millisecond

// NewEvents returns a hub. [Events.Run] must run for the readers to be called.
func NewEvents(inPath, readers []Observer) *Events {
	return &Events{
		inPath: inPath, readers: readers, wake: make(chan struct{}, 1),
		ring: make([]entry, 0, ringSize), spare: make([]entry, 0, ringSize),
	}
}

// Request reports a request that was answered.
func (e *Events) Request(r Request) {
	if e == nil {
		return
	}
	for _, o := range e.inPath {
		o.Request(r)
	}
	e.mu.Lock()
	if next := e.slot(); next != nil {
		next.request, next.isChange = r, false
	}
	e.mu.Unlock()
}

// Change reports a change of state.
func (e *Events) Change(c Change) {
	if e == nil {
		return
	}
	c.Subject = Bounded(c.Subject)
	for _, o := range e.inPath {
		o.Change(c)
	}
	e.mu.Lock()
	if next := e.slot(); next != nil {
		next.change, next.isChange = c, true
	}
	e.mu.Unlock()
}

// slot returns the next free place of the ring, nil if there is none. The lock is held.
func (e *Events) slot() *entry {
	n := len(e.ring)
	if n == cap(e.ring) {
		e.lost.Add(1)
		return nil
	}
	e.ring = e.ring[:n+1]
	if n+1 == cap(e.ring)/2 {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
	return &e.ring[n]
}

// Lost returns how many events the readers have not seen.
func (e *Events) Lost() uint64 { return e.lost.Load() }

// Run calls the readers until ctx ends, and then for what is in the ring.
func (e *Events) Run(ctx context.Context) error {
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			e.Read()
			return nil
		case <-e.wake:
		case <-tick.C:
		}
		e.Read()
	}
}

// Read calls the readers for what is in the ring. It is for tests, and must not be
// called while [Events.Run] runs.
func (e *Events) Read() {
	e.mu.Lock()
	batch := e.ring
	e.ring = e.spare[:0]
	e.spare = nil
	e.mu.Unlock()
	for i := range batch {
		for _, o := range e.readers {
			if batch[i].isChange {
				o.Change(batch[i].change)
			} else {
				o.Request(batch[i].request)
			}
		}
	}
	e.mu.Lock()
	e.spare = batch
	e.mu.Unlock()
}

// maxText bounds the text that one field of an event or of a line of the log takes.
const maxText = 256

// Bounded returns a text that is no longer than 256 bytes, cut at a whole character.
func Bounded(s string) string { return cut(s, maxText) }

// cut cuts a text at the last whole character within a number of bytes.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}
