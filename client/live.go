package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/terradourada/td/receipt"
)

// NotLiveError is the reason why a connection is not authenticated: nothing shows that
// the server itself accepted it. Nothing was sent over one that [Config].LiveOnly
// refused.
type NotLiveError struct {
	Reason string // one sentence
	Owner  uint32 // the foreign user who listens at the address; 0 if that is not the reason

	changing bool // the listener is being replaced, as when a server starts: a new try may find it settled
}

// Error returns the reason.
func (e *NotLiveError) Error() string { return e.Reason }

// liveness is what is known of the connections of one client.
type liveness struct {
	mu    sync.Mutex
	made  bool
	first *NotLiveError // about the first unauthenticated one, nil if there was none
}

// note records a connection and why it was not authenticated, nil if it was.
func (l *liveness) note(why *NotLiveError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = true
	if l.first == nil {
		l.first = why
	}
}

// Live returns nil if every connection that this client has made so far was
// authenticated, and else why not. A connection is authenticated if it uses TLS
// and the certificate was verified, or if it goes to a loopback address and the
// kernel shows that the listening socket there belongs to root, to the own user or
// to [Config].ServerUID. After one unauthenticated connection the client is not
// live any more. A client that has made no connection is not.
func (c *Client) Live() *NotLiveError {
	c.live.mu.Lock()
	defer c.live.mu.Unlock()
	if c.live.first == nil && !c.live.made {
		return &NotLiveError{Reason: "no connection to the server has been made yet"}
	}
	return c.live.first
}

// Source returns where this client reads checkpoints, for the methods of
// receipt.TrustStore.
func (c *Client) Source() receipt.Source {
	from := receipt.Source{Live: true, Server: c.Server()}
	if why := c.Live(); why != nil {
		from.Live, from.NotLive = false, why
	}
	return from
}

// Server is the canonical URL of the server: scheme, host, port and path. By plain
// HTTP localhost, 127.0.0.1 and [::1] are one host; a certificate names one of them.
func (c *Client) Server() string {
	host := c.base.Hostname()
	if c.base.Scheme == "http" && (host == "localhost" || host == "::1") {
		host = "127.0.0.1"
	}
	return c.base.Scheme + "://" + net.JoinHostPort(host, c.port()) + c.base.EscapedPath()
}

func (c *Client) port() string {
	if port := c.base.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[c.base.Scheme]
}

// hostPort is the address that a connection to the server goes to.
func (c *Client) hostPort() string { return net.JoinHostPort(c.base.Hostname(), c.port()) }

const dialTimeout = 10 * time.Second

// newTransport makes the client's own connections, with bounded times.
// Certificates are always verified as the system does.
func (c *Client) newTransport() http.RoundTripper {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            c.dialPlain,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    16,
	}
	if c.base.Scheme == "https" {
		t.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
		t.TLSClientConfig = &tls.Config{
			MinVersion: tls.VersionTLS12,
			VerifyConnection: func(tls.ConnectionState) error { // runs after the certificate was verified
				c.live.note(nil)
				return nil
			},
		}
	}
	return t
}

// dialPlain connects without TLS and notes whether the listener is known.
func (c *Client) dialPlain(ctx context.Context, _, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("the port %s is out of range", portText)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var first error
	for _, ip := range addresses {
		conn, err := c.dialAddress(ctx, address, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
		if err == nil || errors.As(err, new(*NotLiveError)) {
			return conn, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// dialAddress connects to one address. It reads the listening sockets before and after:
// a socket that listens at both times also listened in between, and meanwhile the kernel
// lets no other user listen on the same address. A single reading could find a listener
// that replaced the one that accepted the connection.
func (c *Client) dialAddress(ctx context.Context, name string, at netip.AddrPort) (net.Conn, error) {
	var why *NotLiveError
	if reason := c.unknownRoute(name, at); reason != "" {
		why = &NotLiveError{Reason: reason}
	}
	if why != nil && c.cfg.LiveOnly {
		return nil, why
	}
	before, shown := c.listeners(at)
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, err
	}
	if why == nil {
		after, err := c.listeners(at)
		why = judgeListeners(at, before, after, errors.Join(shown, err), c.uids)
	}
	refused := why != nil && c.cfg.LiveOnly
	if !refused || !why.changing {
		c.live.note(why)
	}
	if refused {
		return nil, errors.Join(why, conn.Close())
	}
	return &plainConn{Conn: conn}, nil
}

// namesLoopback reports whether the server's URL names its host by an address or as
// localhost, so that no name has to be looked up.
func (c *Client) namesLoopback() bool {
	_, err := netip.ParseAddr(c.base.Hostname())
	return err == nil || c.base.Hostname() == "localhost"
}

// unknownRoute returns why the listener at an address need not be the server, or
// "" if it decides.
func (c *Client) unknownRoute(name string, at netip.AddrPort) string {
	switch {
	case name != c.hostPort():
		return "a proxy carries plain HTTP, and its answers cannot be distinguished from the server's"
	case !at.Addr().IsLoopback():
		return fmt.Sprintf("%s is reached by plain HTTP over a network, where any machine on the way can answer in its place", name)
	case !c.namesLoopback():
		return fmt.Sprintf("the name of %s was looked up without authentication, and could lead to any service on this machine", name)
	}
	return ""
}
