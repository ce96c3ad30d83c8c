package cosign

import (
	"net"
	"sync"
)

// bounded is a listener that accepts only as many connections as open has room for.
// Further ones wait in the kernel.
type bounded struct {
	net.Listener
	open chan struct{}
}

// Accept waits for a connection, and before that for room.
func (b *bounded) Accept() (net.Conn, error) {
	b.open <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.open
		return nil, err
	}
	return &boundedConn{Conn: c, open: b.open}, nil
}

// boundedConn makes room when it is closed.
type boundedConn struct {
	net.Conn
	open chan struct{}
	once sync.Once
}

// Close closes the connection.
func (c *boundedConn) Close() error {
	c.once.Do(func() { <-c.open })
	return c.Conn.Close()
}
