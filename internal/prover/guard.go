package prover

import (
	"net"
	"sync"
)

// guard is a listener that bounds the connections open at a time and checks the
// other end of each.
type guard struct {
	net.Listener
	cfg  Config
	room chan struct{} // one element per open connection
}

// Accept returns the next connection whose other end is admitted.
func (g *guard) Accept() (net.Conn, error) {
	for {
		g.room <- struct{}{}
		c, err := g.Listener.Accept()
		if err != nil {
			<-g.room
			return nil, err
		}
		if err := g.cfg.Peer(c); err != nil {
			g.cfg.Log.Warn("connection refused", "err", err)
			_ = c.Close()
			<-g.room
			continue
		}
		return &guarded{Conn: c, leave: sync.OnceFunc(func() { <-g.room })}, nil
	}
}

// guarded is a connection that releases its place when it is closed.
type guarded struct {
	net.Conn
	leave func()
}

func (c *guarded) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
