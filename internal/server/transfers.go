package server

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// pace is the least speed of a transfer: its first bytes within a time, and from then on
// so many bytes a second, on average.
type pace struct {
	first time.Duration
	least int // bytes a second
	most  time.Duration
}

// due returns the time at which n bytes must have been transferred.
func (p pace) due(start time.Time, n int) time.Time {
	return start.Add(min(p.most, p.first+time.Duration(n)*time.Second/time.Duration(p.least)))
}

// transfers bounds the bytes of the bodies that arrive, or of the answers that leave, at
// one time: in all, and of each source. A transfer that finds no room takes that of the
// ones that have been under way for longest, so slow clients cannot block others.
type transfers struct {
	most, each int64

	mu    sync.Mutex
	bytes int64
	of    map[netip.Addr]int64
	all   *list.List // of *transfer, longest first
}

// transfer is one body on its way.
type transfer struct {
	in     *transfers
	source netip.Addr // zero for one without a bound of its own
	size   int64
	set    func(time.Time) error // its deadline
	place  *list.Element
	kept   bool // it loses its room only if nothing else can
	over   bool // it has lost its room
}

func newTransfers(most, each int64) *transfers {
	return &transfers{most: most, each: each, of: make(map[netip.Addr]int64), all: list.New()}
}

// begin takes room for a body of a size. One that is kept is not refused, and loses its
// room last. The transfer must end.
func (t *transfers) begin(source netip.Addr, size int64, kept bool, deadline func(time.Time) error) (*transfer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !kept && source.IsValid() && t.of[source]+size > t.each {
		return nil, protocol.Fail(protocol.CodeRateLimited, "too many bodies from this address are on their way")
	}
	for t.bytes+size > t.most && t.all.Len() > 0 {
		t.longest().cut()
	}
	x := &transfer{in: t, source: source, size: size, kept: kept, set: deadline}
	x.place = t.all.PushBack(x)
	t.bytes += size
	if source.IsValid() {
		t.of[source] += size
	}
	return x, nil
}

// longest returns the transfer that loses its room next.
func (t *transfers) longest() *transfer {
	var first *transfer
	for e := t.all.Front(); e != nil; e = e.Next() {
		x, _ := e.Value.(*transfer)
		if !x.kept {
			return x
		}
		if first == nil {
			first = x
		}
	}
	return first
}

// until sets the time at which the next bytes must have been transferred.
func (x *transfer) until(deadline time.Time) error {
	x.in.mu.Lock()
	defer x.in.mu.Unlock()
	if x.over {
		return errNoRoom
	}
	return x.set(deadline)
}

// errNoRoom means that a transfer has lost its room to another one.
var errNoRoom = telemetry.Because(telemetry.Slow, protocol.Fail(protocol.CodeOverloaded, "too many bodies are on their way, and this one was the slowest"))

// end releases the room. It returns errNoRoom if it was lost before.
func (x *transfer) end() error {
	x.in.mu.Lock()
	defer x.in.mu.Unlock()
	if x.over {
		return errNoRoom
	}
	x.leave()
	return nil
}

// cut ends the transfer from outside: what reads or writes fails at once.
func (x *transfer) cut() {
	x.leave()
	_ = x.set(longAgo) // a connection that is closed needs no deadline
}

func (x *transfer) leave() {
	x.over = true
	x.in.all.Remove(x.place)
	x.in.bytes -= x.size
	if !x.source.IsValid() {
		return
	}
	if x.in.of[x.source] -= x.size; x.in.of[x.source] == 0 {
		delete(x.in.of, x.source)
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)
