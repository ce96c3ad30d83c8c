package node

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/terradourada/td/internal/limit"
)

// proxyTimeout is the time for the header of the PROXY protocol to arrive.
const proxyTimeout = 2 * time.Second

// proxied is a listener whose peers are proxies that speak the PROXY protocol. Its
// connections have the address of the client; the header is read at their first use. A
// peer that is not trusted, or sends no header, is refused.
//
// The listener of the module is not used: its Accept returns an error, which would end the
// server, if a refused connection cannot be closed.
type proxied struct {
	net.Listener
	trusted []netip.Prefix
}

// Accept returns the next connection of a trusted proxy.
func (l *proxied) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if limit.Within(l.trusted, limit.AddrOf(conn.RemoteAddr())) {
			return proxiedConn{proxyproto.NewConn(conn,
				proxyproto.WithPolicy(proxyproto.REQUIRE),
				proxyproto.SetReadHeaderTimeout(proxyTimeout),
				proxyproto.ValidateHeader(overTCP))}, nil
		}
		_ = conn.Close() // it was not used
	}
}

// proxiedConn is a connection that can be closed for writing, as the HTTP server does so
// that the last answer is received.
type proxiedConn struct{ *proxyproto.Conn }

// CloseWrite closes the connection for writing.
func (c proxiedConn) CloseWrite() error {
	if tcp, ok := c.TCPConn(); ok {
		return tcp.CloseWrite()
	}
	return errNotTCP
}

var errNotTCP = errors.New("the PROXY header names no client of TCP")

// overTCP refuses a header whose client has no TCP address. A proxy that speaks for itself,
// as it does for a check of health, names none.
func overTCP(h *proxyproto.Header) error {
	if h.Command.IsLocal() || limit.AddrOf(h.SourceAddr).IsValid() {
		return nil
	}
	return errNotTCP
}
