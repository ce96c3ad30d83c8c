// Package session holds the pending requests of a core. The table is bounded and
// sharded, its sessions expire, and each is claimed at most once. Sessions are in
// memory only, so the end of the process ends them all.
//
// A [Session] is one request from its issue to ten minutes past its deadline. Its
// state changes by [lifecycle.Step] alone; this package holds the lock around it. A
// terminal session is reduced to what a repeated answer needs: the client commitment,
// t, the state and the digest of the accepted proof.
package session

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/protocol"
)

// Open holds what a session needs until it is terminal.
type Open struct {
	Payload  protocol.EncodedPayload
	Anchor   protocol.Anchor
	Position uint64 // of the anchor in the issued tree
	Epoch    protocol.EpochID
	Claim    string
	Params   []byte // exact RFC 8785 form
}

// Session is one request. Its first six fields never change.
type Session struct {
	ID      protocol.RequestID
	Client  protocol.Digest  // the client commitment of the payload
	Salt    protocol.Salt    // opens it
	TagHash protocol.Element // t
	Index   uint32           // of the client; 0 if it has no key
	Charge  limit.Charge     // for its challenge

	table    *Table
	deadline time.Time
	places   int // taken while it is pending

	mu      sync.Mutex // guards what follows; held during a Step, never during I/O
	state   lifecycle.State
	proof   protocol.Digest // SHA-256 of the proof that claimed the session
	open    *Open           // nil once terminal
	changed chan struct{}   // closed at the next change of phase; nil if no call waits
}

// View is the state of a session at one moment.
type View struct {
	State lifecycle.State
	Open  *Open // nil once terminal; must not be written
}

// Deadline returns the time at which the session expires.
func (s *Session) Deadline() time.Time { return s.deadline }

// View returns the state of the session.
func (s *Session) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return View{State: s.state, Open: s.open}
}

// Change is what one event has done to a session.
type Change struct {
	State  lifecycle.State
	Effect lifecycle.Effect
	Code   protocol.Code // for the client that caused the event
	Open   *Open         // as it was before the event; must not be written
	Ended  bool          // this event ended the session, so that each end is counted once
}

// Step applies one event. An answer comes with the digest of its proof, which is
// stored if the answer claims the session. The same lock covers the comparison with
// the stored digest that fills in SameProof.
func (s *Session) Step(e lifecycle.Event, proof protocol.Digest) Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := e.(lifecycle.EventAnswer); ok {
		a.SameProof = proof.Equal(s.proof)
		e = a
	}
	before, c := s.state.Phase, Change{Open: s.open}
	s.state, c.Effect, c.Code = lifecycle.Step(s.state, e)
	c.State = s.state
	if c.State.Phase == before {
		return c
	}
	if c.State.Phase == lifecycle.PhaseClaimed {
		s.proof = proof
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	if c.Ended = c.State.Terminal(); c.Ended {
		s.open = nil
		s.table.ended(s)
	}
	return c
}

// AwaitChange waits until the session has left the phase. It returns the context's
// error if ctx ends first.
func (s *Session) AwaitChange(ctx context.Context, from lifecycle.Phase) error {
	s.mu.Lock()
	if s.state.Phase != from {
		s.mu.Unlock()
		return nil
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	changed := s.changed
	s.mu.Unlock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const shards = 64

// Config bounds a [Table].
type Config struct {
	MaxPending int           // places for sessions that are not terminal; see [Table.Reserve]; 0 means 100,000
	MaxKept    int           // terminal sessions kept for repeated answers; 0 means 200,000
	Keep       time.Duration // how long past its deadline a terminal session is kept; 0 means 10 min (section 10)
}

// Table is the set of sessions. The zero value is not usable; see [New].
type Table struct {
	cfg     Config
	pending atomic.Int64
	shards  [shards]shard

	payersMu sync.Mutex     // guards payers; taken last
	payers   map[uint64]int // places taken by the sessions of one payer
}

type shard struct {
	mu   sync.Mutex // guards the shard's maps and queues; taken after a session's own lock, never before it
	byID map[protocol.RequestID]*Session
	due  dueHeap    // by deadline, terminal ones included until then
	kept []*Session // terminal, oldest end first
}

// New returns an empty table.
func New(cfg Config) *Table {
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 100_000)
	cfg.MaxKept = cmp.Or(cfg.MaxKept, 200_000)
	cfg.Keep = cmp.Or(cfg.Keep, 10*time.Minute)
	t := &Table{cfg: cfg, payers: make(map[uint64]int)}
	for i := range t.shards {
		t.shards[i].byID = make(map[protocol.RequestID]*Session)
	}
	return t
}

// placeSize is the size of the parameters that one place covers, in bytes: about a
// third of the size of a session without them.
const placeSize = 256

// placesFor returns one place for each 256 bytes of parameters, rounded up, at least
// one and at most all. So the bound on sessions also bounds their memory.
func (t *Table) placesFor(params int) int {
	return min(max(1, (params+placeSize-1)/placeSize), t.cfg.MaxPending)
}

// Reserve takes the places of one pending session with this size of parameters. It
// fails with overloaded if not enough are left. If [Table.Add] is not called,
// [Table.Release] must be.
func (t *Table) Reserve(params int) error {
	places := int64(t.placesFor(params))
	if t.pending.Add(places) > int64(t.cfg.MaxPending) {
		t.pending.Add(-places)
		return protocol.Fail(protocol.CodeOverloaded, "too many requests are pending")
	}
	return nil
}

// Release releases what Reserve took for this size of parameters.
func (t *Table) Release(params int) { t.pending.Add(-int64(t.placesFor(params))) }

// Pending returns the number of places taken.
func (t *Table) Pending() int { return int(t.pending.Load()) }

// Places returns the number of places.
func (t *Table) Places() int { return t.cfg.MaxPending }

// PendingOf returns the number of places taken by the sessions of a payer ([limit.Charge]).
func (t *Table) PendingOf(payer uint64) int {
	t.payersMu.Lock()
	defer t.payersMu.Unlock()
	return t.payers[payer]
}

func (t *Table) count(payer uint64, places int) {
	t.payersMu.Lock()
	defer t.payersMu.Unlock()
	if t.payers[payer] += places; t.payers[payer] == 0 {
		delete(t.payers, payer)
	}
}

// Add adds a new session and applies its first event. If the event is refused, or the
// id is taken (a broken random source), the session is not stored and its places are
// released.
func (t *Table) Add(s *Session, open *Open, deadline time.Time, issued lifecycle.EventIssued) protocol.Code {
	state, _, code := lifecycle.Step(lifecycle.State{}, issued)
	sh := t.shard(s.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if _, taken := sh.byID[s.ID]; taken {
		code = protocol.CodeInternal
	}
	if code != protocol.CodeNone {
		t.Release(len(open.Params))
		return code
	}
	s.table, s.deadline, s.state, s.open, s.places = t, deadline, state, open, t.placesFor(len(open.Params))
	sh.byID[s.ID] = s
	heap.Push(&sh.due, s)
	t.count(s.Charge.Key, s.places)
	return protocol.CodeNone
}

// Get returns the session of a request.
func (t *Table) Get(id protocol.RequestID) (*Session, bool) {
	sh := t.shard(id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s, ok := sh.byID[id]
	return s, ok
}

// Due returns the sessions whose deadline has passed, each once; the caller expires
// those that are still ISSUED. It also drops terminal sessions past their time.
func (t *Table) Due(now time.Time) []*Session {
	var due []*Session
	for i := range t.shards {
		due = t.shards[i].take(due, now, t.cfg.Keep)
	}
	return due
}

func (sh *shard) take(due []*Session, now time.Time, keep time.Duration) []*Session {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for len(sh.due) > 0 && !sh.due[0].deadline.After(now) {
		due = append(due, heap.Pop(&sh.due).(*Session))
	}
	for len(sh.kept) > 0 && !sh.kept[0].deadline.Add(keep).After(now) {
		sh.dropOldest()
	}
	return due
}

// List lists the sessions that are not terminal and match. If most is 0 it returns all of
// them, in any order. Otherwise it returns at most that many with an id greater than after,
// in the order of their ids.
func (t *Table) List(after protocol.RequestID, most int, match func(*Session, *Open) bool) []*Session {
	var all []*Session
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, s := range sh.byID {
			if most == 0 || bytes.Compare(s.ID[:], after[:]) > 0 {
				all = append(all, s)
			}
		}
		sh.mu.Unlock()
	}
	live := all[:0]
	for _, s := range all {
		if v := s.View(); v.Open != nil && match(s, v.Open) {
			live = append(live, s)
		}
	}
	if most == 0 {
		return live
	}
	slices.SortFunc(live, func(a, b *Session) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return live[:min(most, len(live))]
}

func (t *Table) shard(id protocol.RequestID) *shard { return &t.shards[id[0]%shards] }

// ended releases the places of a session that has become terminal, and drops the
// oldest terminal session if there are too many. The session's lock is held.
func (t *Table) ended(s *Session) {
	t.pending.Add(-int64(s.places))
	t.count(s.Charge.Key, -s.places)
	sh := t.shard(s.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.kept = append(sh.kept, s)
	if len(sh.kept) > max(1, t.cfg.MaxKept/shards) {
		sh.dropOldest()
	}
}

func (sh *shard) dropOldest() {
	s := sh.kept[0]
	sh.kept[0] = nil
	sh.kept = sh.kept[1:]
	delete(sh.byID, s.ID)
}

// dueHeap orders sessions by deadline for container/heap.
type dueHeap []*Session

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].deadline.Before(h[j].deadline) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*Session)) }

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	old := *h
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return s
}
