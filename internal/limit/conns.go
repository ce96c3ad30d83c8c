package limit

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Conns bounds the open connections of each address; those of one IPv6 /64 count as one
// address. Loopback addresses and exempt networks are not bounded.
type Conns struct {
	mu      sync.Mutex // guards what follows
	most    int
	exempt  []netip.Prefix
	open    map[netip.Addr]int
	refused uint64
}

// NewConns returns a bound of so many connections for each address; 0 is no bound.
func NewConns(most int, exempt []netip.Prefix) *Conns {
	return &Conns{most: most, exempt: slices.Clone(exempt), open: make(map[netip.Addr]int)}
}

// Replace sets another bound. What is open stays open.
func (c *Conns) Replace(most int, exempt []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most, c.exempt = most, slices.Clone(exempt)
}

// Refused returns how many connections were refused.
func (c *Conns) Refused() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// Acquire counts a connection of an address. It reports false, and counts nothing, if the
// address has too many.
func (c *Conns) Acquire(a netip.Addr) bool {
	key := host(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && c.open[key] >= c.most && !key.IsLoopback() && !Within(c.exempt, plain(a)) {
		c.refused++
		return false
	}
	c.open[key]++
	return true
}

// Release ends the count of a connection that was acquired.
func (c *Conns) Release(a netip.Addr) {
	key := host(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] <= 0 {
		delete(c.open, key)
	}
}

// host returns an address, or for IPv6 the first one of its /64.
func host(a netip.Addr) netip.Addr {
	if a = plain(a); a.Is6() {
		return netip.PrefixFrom(a, bits6[0]).Masked().Addr()
	}
	return a
}

// Listen returns a listener that closes the connections which an address has too many.
// Where the address of the client is read from the connection, as in the PROXY protocol,
// late must be true: then the connection is counted at its first Read and not as it is
// accepted.
func (c *Conns) Listen(l net.Listener, late bool) net.Listener {
	return &boundListener{Listener: l, conns: c, late: late}
}

type boundListener struct {
	net.Listener
	conns *Conns
	late  bool
}

// Accept returns the next connection that is not one too many.
func (l *boundListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		bound := &boundConn{Conn: conn, conns: l.conns}
		if l.late || bound.acquire() {
			return bound, nil
		}
		_ = conn.Close() // it was not used
	}
}

// boundConn is a connection that is counted until it is closed.
type boundConn struct {
	net.Conn
	conns *Conns
	first sync.Once // counts it
	ok    bool      // set by first

	mu     sync.Mutex // guards what follows
	addr   netip.Addr // valid if the connection counts
	closed bool
}

var errTooMany = errors.New("the address has too many connections")

// acquire counts the connection once, and reports whether it may be used.
func (c *boundConn) acquire() bool {
	c.first.Do(func() {
		a := AddrOf(c.RemoteAddr())
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ok = !c.closed && a.IsValid() && c.conns.Acquire(a); c.ok {
			c.addr = a
		}
	})
	return c.ok
}

// Read reads from a connection that counts.
func (c *boundConn) Read(p []byte) (int, error) {
	if !c.acquire() {
		return 0, errTooMany
	}
	return c.Conn.Read(p)
}

// Close closes the connection, which no longer counts.
func (c *boundConn) Close() error {
	c.mu.Lock()
	if c.addr.IsValid() && !c.closed {
		c.conns.Release(c.addr)
	}
	c.closed = true
	c.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite closes the connection for writing, if it can.
func (c *boundConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// AddrOf returns the address of one end of a TCP connection, without port. It is not
// valid for any other kind of connection.
func AddrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return plain(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}
