package keyholder

import (
	"container/heap"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	"github.com/terradourada/td/protocol"
)

// table is the one-shot table of a tagger: which requests of the epoch were
// issued, with which payload, until when, and whether the tag may still be
// used. It is pure; now is the time since boot, suspension included, and never
// goes back. A request is remembered until its deadline, used or not, so that
// its id is not issued again and its second use is recognised; capacity
// bounds how many are remembered.
//
// After the deadline a request needs no memory: a client that still has the right tag
// of a payload that is not in the table can only have it from this tagger, and
// learns that it expired.
type table struct {
	capacity int
	entries  map[protocol.RequestID]entry
	due      deadlines
	seq      uint64 // of the last issued payload
	stats    TaggerStats
}

// entry is one request: digest of its payload, and whether its tag is closed
// (used or cancelled).
type entry struct {
	digest protocol.Digest
	closed bool
}

func newTable(capacity int) *table {
	return &table{capacity: capacity, entries: make(map[protocol.RequestID]entry)}
}

// issue numbers a draft and enters it. Code is CodeNone, CodeConflict for a
// request id in the table, or CodeOverloaded for a full table.
func (t *table) issue(now time.Duration, draft *protocol.Payload) (protocol.EncodedPayload, protocol.Code) {
	t.sweep(now)
	if _, ok := t.entries[draft.RequestID]; ok {
		return protocol.EncodedPayload{}, protocol.CodeConflict
	}
	if len(t.entries) >= t.capacity {
		return protocol.EncodedPayload{}, protocol.CodeOverloaded
	}
	t.seq++
	p := *draft
	p.Seq = t.seq
	encoded := p.Encode()
	t.entries[p.RequestID] = entry{digest: sha256.Sum256(encoded[:])}
	heap.Push(&t.due, deadline{at: now + time.Duration(p.TTL)*time.Millisecond, id: p.RequestID})
	t.stats.Issued++
	return encoded, protocol.CodeNone
}

// redeem uses up the tag of a payload, at most once; right says whether the tag
// is the payload's. A wrong tag or payload changes nothing: a client without
// the tag cannot end the request of another, and 256 bits cannot be guessed.
func (t *table) redeem(now time.Duration, id protocol.RequestID, payload *protocol.EncodedPayload, right bool) protocol.Redemption {
	t.sweep(now)
	v := t.verdict(id, payload, right)
	switch v {
	case protocol.RedeemOK:
		t.close(id)
		t.stats.Redeemed++
	case protocol.RedeemMismatch:
		t.stats.Mismatched++
	case protocol.RedeemUnknown:
		t.stats.Unknown++
	case protocol.RedeemUsed:
		t.stats.Reused++
	case protocol.RedeemExpired:
		t.stats.Late++
	}
	return v
}

func (t *table) verdict(id protocol.RequestID, payload *protocol.EncodedPayload, right bool) protocol.Redemption {
	e, known := t.entries[id]
	digest := sha256.Sum256(payload[:])
	same := subtle.ConstantTimeCompare(digest[:], e.digest[:]) == 1
	switch {
	case !known && !right:
		return protocol.RedeemUnknown
	case !known:
		return protocol.RedeemExpired
	case !right || !same:
		return protocol.RedeemMismatch
	case e.closed:
		return protocol.RedeemUsed
	default:
		return protocol.RedeemOK
	}
}

// cancel closes a request; one that is not open stays as it is.
func (t *table) cancel(now time.Duration, id protocol.RequestID) {
	t.sweep(now)
	if e, ok := t.entries[id]; ok && !e.closed {
		t.close(id)
		t.stats.Cancelled++
	}
}

// cancelAll closes every open request.
func (t *table) cancelAll(now time.Duration) {
	t.sweep(now)
	for id, e := range t.entries {
		if !e.closed {
			t.close(id)
			t.stats.Cancelled++
		}
	}
}

func (t *table) close(id protocol.RequestID) {
	e := t.entries[id]
	e.closed = true
	t.entries[id] = e
}

// figures are the counts as of now.
func (t *table) figures(now time.Duration) TaggerStats {
	t.sweep(now)
	s := t.stats
	s.Remembered = uint64(len(t.entries))
	s.Pending = s.Issued - s.Redeemed - s.Cancelled - s.Expired
	return s
}

// sweep forgets every request whose deadline is reached.
func (t *table) sweep(now time.Duration) {
	for len(t.due) > 0 && t.due[0].at <= now {
		d := heap.Pop(&t.due).(deadline)
		if !t.entries[d.id].closed {
			t.stats.Expired++
		}
		delete(t.entries, d.id)
	}
}

// deadline is when a request is forgotten.
type deadline struct {
	at time.Duration
	id protocol.RequestID
}

// deadlines is a heap, the earliest first.
type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at < d[j].at }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
