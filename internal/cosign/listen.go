package cosign

import (
	"net"
	"sync"

	"github.com/terradourada/td/internal/limit"
)

// bounded is a listener that accepts only as many connections as open has room for.
// Further ones wait in the kernel. An address that has too many of them gets no other one,
// so that it alone cannot fill the room.
type bounded struct {
	net.Listener
	open chan struct{}
	each *limit.Conns
}

// Accept waits for a connection, and before that for room.
func (b *bounded) Accept() (net.Conn, error) {
	b.open <- struct{}{}
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			<-b.open
			return nil, err
		}
		if b.each.Acquire(limit.AddrOf(c.RemoteAddr())) {
			return &boundedConn{Conn: c, from: b}, nil
		}
		_ = c.Close()
	}
}

// boundedConn makes room when it is closed.
type boundedConn struct {
	net.Conn
	from *bounded
	once sync.Once
}

// Close closes the connection.
func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.from.each.Release(limit.AddrOf(c.RemoteAddr()))
		<-c.from.open
	})
	return c.Conn.Close()
}
