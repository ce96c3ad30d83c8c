package server

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// conns bounds the open connections of a listener. A connection too many takes
// the place of the one that has been without a request for longest, so silent
// connections cannot block other clients. The new one is closed if every
// connection has a request in work.
type conns struct {
	most int

	mu      sync.Mutex
	open    map[net.Conn]*list.Element // nil while a request is in work
	waiting *list.List                 // of net.Conn: those without a request in work, longest first
}

func newConns(most int) *conns {
	return &conns{most: most, open: make(map[net.Conn]*list.Element), waiting: list.New()}
}

// changed is the ConnState hook of an http.Server. StateNew comes from the
// goroutine that accepts, so every connection is counted.
func (c *conns) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, known := c.open[conn]
	if place != nil {
		c.waiting.Remove(place)
	}
	switch {
	case state == http.StateNew:
		if len(c.open) >= c.most && !c.makeRoom() {
			hangUp(conn)
			return
		}
		c.open[conn] = c.waiting.PushBack(conn)
	case !known: // already closed here
	case state == http.StateIdle:
		c.open[conn] = c.waiting.PushBack(conn)
	case state == http.StateActive:
		c.open[conn] = nil
	default: // closed or hijacked
		delete(c.open, conn)
	}
}

// context lets the handler of a request release its connection.
func (c *conns) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, releaseKey{}, func() { c.release(conn) })
}

type releaseKey struct{}

// release marks the connection of a refused request as one without a request,
// so that it can be closed for a new one. net/http still waits for the rest of
// the body.
func release(ctx context.Context) {
	if f, ok := ctx.Value(releaseKey{}).(func()); ok {
		f()
	}
}

func (c *conns) release(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place, known := c.open[conn]; known && place == nil {
		c.open[conn] = c.waiting.PushBack(conn)
	}
}

// makeRoom closes the connection that has had no request for longest.
func (c *conns) makeRoom() bool {
	longest := c.waiting.Front()
	if longest == nil {
		return false
	}
	conn, ok := c.waiting.Remove(longest).(net.Conn)
	if !ok {
		panic("server: internal error: something else waits among the connections")
	}
	delete(c.open, conn)
	hangUp(conn)
	return true
}

// hangUp closes without the closing message of TLS, which could block.
func hangUp(conn net.Conn) {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	_ = conn.Close() // nothing can be done about a connection that does not close
}
