package limit

import (
	"net"
	"net/netip"
	"sync"
)

// Conns counts the open connections of each address, up to a bound; those of one IPv6 /64
// count as one address. Loopback addresses are not bounded.
type Conns struct {
	mu   sync.Mutex // guards what follows
	most int
	open map[netip.Addr]int
}

// NewConns returns a bound of so many connections for each address; 0 is no bound.
func NewConns(most int) *Conns {
	return &Conns{most: most, open: make(map[netip.Addr]int)}
}

// Replace sets another bound. What is open stays open.
func (c *Conns) Replace(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most = most
}

// Acquire counts a connection of an address. It reports false, and counts nothing, if the
// address has too many.
func (c *Conns) Acquire(a netip.Addr) bool {
	key := Host(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > 0 && c.open[key] >= c.most && !plain(a).IsLoopback() {
		return false
	}
	c.open[key]++
	return true
}

// Release ends the count of a connection that was acquired.
func (c *Conns) Release(a netip.Addr) {
	key := Host(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] <= 0 {
		delete(c.open, key)
	}
}

// Host returns the address by which one client is counted: that of IPv4, and for IPv6
// the first one of its /64.
func Host(a netip.Addr) netip.Addr {
	if a = plain(a); a.Is6() {
		return netip.PrefixFrom(a, bits6[0]).Masked().Addr()
	}
	return a
}

// AddrOf returns the address of one end of a TCP connection, without port. It is not
// valid for any other kind of connection.
func AddrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return plain(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}
