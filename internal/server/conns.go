package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/terradourada/td/internal/limit"
)

// Peers bounds the connections of each peer. [limit.Conns] has the contract.
type Peers interface {
	Acquire(peer netip.Addr) bool
	Release(peer netip.Addr)
}

// conns bounds the open connections of a listener, in all and of each peer. A
// connection too many takes the place of the one that has been without work for
// longest, so silent and slow connections cannot block other clients. The new one is
// closed if every connection has a request in work, or if its peer has too many.
type conns struct {
	most  int
	peers Peers

	mu      sync.Mutex
	open    map[net.Conn]*seat
	waiting line // those without work, longest first
}

// seat is the place of one connection.
type seat struct {
	conn          net.Conn
	peer          netip.Addr
	waits         bool  // no request is in work: the seat is in the line
	before, after *seat // in the line; nil at its ends
}

// line is a list of seats. Each request puts its seat in it twice, so the links are in the
// seats: a list.List would allocate an element each time.
type line struct{ first, last *seat }

// push adds a seat at the end.
func (l *line) push(s *seat) {
	s.waits, s.before = true, l.last
	if l.last == nil {
		l.first = s
	} else {
		l.last.after = s
	}
	l.last = s
}

// remove removes a seat that is in the line.
func (l *line) remove(s *seat) {
	if s.before == nil {
		l.first = s.after
	} else {
		s.before.after = s.after
	}
	if s.after == nil {
		l.last = s.before
	} else {
		s.after.before = s.before
	}
	s.waits, s.before, s.after = false, nil, nil
}

func newConns(most int, peers Peers) *conns {
	return &conns{most: most, peers: peers, open: make(map[net.Conn]*seat)}
}

// count returns the number of open connections.
func (c *conns) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// changed is the ConnState hook of an http.Server. StateNew comes from the
// goroutine that accepts, so every connection is counted.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.add(conn)
	case http.StateIdle:
		c.setWaiting(conn, true)
	case http.StateActive:
		c.setWaiting(conn, false)
	default: // closed or hijacked
		c.drop(conn)
	}
}

func (c *conns) add(conn net.Conn) {
	peer := limit.AddrOf(conn.RemoteAddr())
	if !c.peers.Acquire(peer) {
		hangUp(conn)
		return
	}
	if len(c.open) >= c.most && !c.makeRoom() {
		c.peers.Release(peer)
		hangUp(conn)
		return
	}
	s := &seat{conn: conn, peer: peer}
	c.open[conn] = s
	c.waiting.push(s)
}

// setWaiting says whether a connection is without work. It ignores one that was
// closed here.
func (c *conns) setWaiting(conn net.Conn, waits bool) {
	s := c.open[conn]
	if s == nil {
		return
	}
	if s.waits {
		c.waiting.remove(s)
	}
	if waits {
		c.waiting.push(s)
	}
}

func (c *conns) drop(conn net.Conn) {
	s := c.open[conn]
	if s == nil {
		return
	}
	c.setWaiting(conn, false)
	delete(c.open, conn)
	c.peers.Release(s.peer)
}

// makeRoom closes the connection that has been without work for longest.
func (c *conns) makeRoom() bool {
	longest := c.waiting.first
	if longest == nil {
		return false
	}
	c.drop(longest.conn)
	hangUp(longest.conn)
	return true
}

// link is the connection of a request, as its handler sees it.
type link struct {
	conns *conns
	conn  net.Conn
	base  context.Context // of the listener; it does not end with the connection
}

type linkKey struct{}

// context makes the connection available to the handlers of its requests.
func (c *conns) context(base context.Context, conn net.Conn) context.Context {
	return context.WithValue(base, linkKey{}, &link{c, conn, base})
}

// linkOf returns the connection of a request; nil if the request came over none.
func linkOf(r *http.Request) *link {
	l, _ := r.Context().Value(linkKey{}).(*link)
	return l
}

// context returns the context for the work on a request. It does not end when the
// client half-closes the connection, which net/http cannot tell from a client that has
// left: a client that has sent its request may still want the answer.
func (l *link) context(r *http.Request) context.Context {
	if l == nil {
		return r.Context()
	}
	return l.base
}

// waits says whether the connection is without work, so that it can be closed for a new
// one: while a body arrives or an answer leaves, and after a refusal, until the rest of
// the body is there.
func (l *link) waits(waits bool) {
	if l == nil {
		return
	}
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	l.conns.setWaiting(l.conn, waits)
}

// hangUp closes without the closing message of TLS, which could block.
func hangUp(conn net.Conn) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	_ = conn.Close() // nothing can be done about a connection that does not close
}
