package server

import (
	"container/list"
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
	waiting *list.List // of net.Conn: those without work, longest first
}

// seat is the place of one connection.
type seat struct {
	peer netip.Addr
	wait *list.Element // nil while a request is in work
}

func newConns(most int, peers Peers) *conns {
	return &conns{most: most, peers: peers, open: make(map[net.Conn]*seat), waiting: list.New()}
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
	c.open[conn] = &seat{peer, c.waiting.PushBack(conn)}
}

// setWaiting says whether a connection is without work. It ignores one that was
// closed here.
func (c *conns) setWaiting(conn net.Conn, waits bool) {
	s := c.open[conn]
	if s == nil {
		return
	}
	if s.wait != nil {
		c.waiting.Remove(s.wait)
		s.wait = nil
	}
	if waits {
		s.wait = c.waiting.PushBack(conn)
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
	longest := c.waiting.Front()
	if longest == nil {
		return false
	}
	conn, ok := longest.Value.(net.Conn)
	if !ok {
		panic("server: internal error: something else waits among the connections")
	}
	c.drop(conn)
	hangUp(conn)
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
