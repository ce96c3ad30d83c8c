package node

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/terradourada/td/internal/limit"
)

// proxyTimeout is the time for the header of the PROXY protocol to arrive.
const proxyTimeout = 2 * time.Second

// proxied is a listener whose peers are proxies that speak the PROXY protocol. A peer that
// is not trusted, or sends no header, is refused. Connections are bounded by the address
// of the client.
//
// The listener of the module is not used: its Accept returns an error, which would end the
// server, if a refused connection cannot be closed.
type proxied struct {
	net.Listener
	trusted []netip.Prefix
	conns   *limit.Conns
}

// Accept returns the next connection of a trusted proxy.
func (l *proxied) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if limit.Within(l.trusted, limit.AddrOf(conn.RemoteAddr())) {
			return &proxiedConn{conns: l.conns, Conn: proxyproto.NewConn(conn,
				proxyproto.WithPolicy(proxyproto.REQUIRE),
				proxyproto.SetReadHeaderTimeout(proxyTimeout),
				proxyproto.ValidateHeader(overTCP))}, nil
		}
		_ = conn.Close() // it was not used
	}
}

// proxiedConn is a connection through a proxy. The header is read by the first Read, so
// that a proxy which sends none blocks no other connection.
type proxiedConn struct {
	*proxyproto.Conn
	conns *limit.Conns
	first sync.Once // reads the header
	err   error     // set by first

	mu     sync.Mutex // guards what follows
	client net.Addr   // nil until the header was read; then the connection counts
	closed bool
}

// The reasons why the connection of a proxy is refused.
var (
	errNotTCP  = errors.New("the PROXY header names no client of TCP")
	errTooMany = errors.New("the client has too many connections")
)

// Read reads from a client that has not too many connections.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if c.first.Do(func() { c.err = c.begin() }); c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// begin reads the header and counts the connection.
func (c *proxiedConn) begin() error {
	if c.ProxyHeader() == nil {
		_, err := c.Conn.Read(nil) // returns why there is none
		return err
	}
	client := c.Conn.RemoteAddr()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if !c.conns.Acquire(limit.AddrOf(client)) {
		return errTooMany
	}
	c.client = client
	return nil
}

// RemoteAddr returns the address of the client, or before the first Read that of the
// proxy.
func (c *proxiedConn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client
	}
	return c.Raw().RemoteAddr()
}

// Close closes the connection, which no longer counts.
func (c *proxiedConn) Close() error {
	c.mu.Lock()
	if c.client != nil && !c.closed {
		c.conns.Release(limit.AddrOf(c.client))
	}
	c.closed = true
	c.mu.Unlock()
	return c.Raw().Close()
}

// LocalAddr returns the address of the server.
func (c *proxiedConn) LocalAddr() net.Addr { return c.Raw().LocalAddr() }

// CloseWrite closes the connection for writing, as the HTTP server does so that the last
// answer is received.
func (c *proxiedConn) CloseWrite() error {
	if tcp, ok := c.TCPConn(); ok {
		return tcp.CloseWrite()
	}
	return errNotTCP
}

// overTCP refuses a header whose client has no TCP address. A proxy that speaks for itself,
// as it does for a check of health, names none.
func overTCP(h *proxyproto.Header) error {
	if h.Command.IsLocal() || limit.AddrOf(h.SourceAddr).IsValid() {
		return nil
	}
	return errNotTCP
}
