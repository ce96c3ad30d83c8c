package cosign

import (
	"net"
	"sync"

	"github.com/terradourada/td/internal/limit"
)

// bounded is a listener that accepts only as many connections as open has room for.
// Further ones wait in the kernel. A connection from an address that has its share of them
// is closed at once, so that one address alone cannot take all the room.
type bounded struct {
	net.Listener
	open chan struct{}
	each *limit.Conns // of one address
}

// Accept waits for room, then for a connection.
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
