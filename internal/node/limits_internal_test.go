package node

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
)

func limitsOf(t *testing.T, flags map[string]string) (*limits, *config.Config) {
	t.Helper()
	flags["data"] = t.TempDir()
	cfg, err := config.Load(nil, flags)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLimits(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, cfg
}

// TestLimits: the settings reach what bounds clients, at the start and when they are read
// again, and each change of them is another policy.
func TestLimits(t *testing.T) {
	l, cfg := limitsOf(t, map[string]string{"client-address": "forwarded", "trusted-proxies": "127.0.0.1,10.0.0.0/8", "limit-issue": "1/h burst 2", "conns-per-address": "1"})
	peer := netip.MustParseAddr("127.0.0.1")
	s := l.resolve(peer, http.Header{"Forwarded": {"for=192.0.2.1"}})
	if s.Addr != netip.MustParseAddr("192.0.2.1") || s.Local {
		t.Errorf("the client is %v", s)
	}
	at := now()
	for i, want := range []bool{true, true, false} {
		if d := l.Admit(at, s, limit.Issue, "", 0); d.OK != want {
			t.Errorf("request %d is admitted: %v", i, d.OK)
		}
	}
	other := netip.MustParseAddr("192.0.2.2")
	conns, proxy := peers{l}, netip.MustParseAddr("10.0.0.1")
	if !conns.Acquire(other) || conns.Acquire(other) || !conns.Acquire(proxy) || !conns.Acquire(proxy) {
		t.Error("the bound on connections is not one for an address and none for the proxy")
	}

	before := policy(cfg, nil)
	cfg.LimitIssue, cfg.ConnsPerAddress = "1/h burst 3", 2
	if err := l.replace(cfg); err != nil {
		t.Fatal(err)
	}
	admitted, refused := l.Admit(at, s, limit.Issue, "", 0), l.Admit(at, s, limit.Issue, "", 0)
	if !admitted.OK || refused.OK {
		t.Errorf("with a burst of 3: %v, %v", admitted, refused)
	}
	if !conns.Acquire(other) || conns.Acquire(other) {
		t.Error("the bound for an address is not 2")
	}
	changed := policy(cfg, nil)
	if cfg.LimitIssue = "1/h burst 2"; before == changed || policy(cfg, nil) != before {
		t.Error("the policy does not follow the limits")
	}
	if policy(cfg, []gate.Claim{{Fingerprint: [32]byte{1}}}) == before {
		t.Error("the policy does not follow the claims")
	}
}

// accepted is a listener with given connections.
type accepted struct {
	net.Listener
	conns chan net.Conn
}

func (a accepted) Accept() (net.Conn, error) {
	if c, ok := <-a.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// peer is a connection from an address.
type peer struct {
	net.Conn
	ip net.IP
}

func (p peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: p.ip, Port: 1} }

// TestProxied: connections of trusted proxies have the address of the client, and every
// other one is refused.
func TestProxied(t *testing.T) {
	proxy := net.IPv4(10, 0, 0, 1)
	v2 := func(command, family byte, rest ...byte) string {
		return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family, 0, byte(len(rest))}) + string(rest)
	}
	v4 := []byte{192, 0, 2, 1, 10, 0, 0, 9, 0x12, 0x34, 0, 80}
	for _, c := range []struct {
		name string
		from net.IP
		sent string
		want string // address of the client, "" if refused
	}{
		{"version 1", proxy, "PROXY TCP4 192.0.2.1 10.0.0.9 4660 80\r\n", "192.0.2.1"},
		{"version 1, IPv6", proxy, "PROXY TCP6 2001:db8::1 2001:db8::9 4660 80\r\n", "2001:db8::1"},
		{"version 2", proxy, v2(0x21, 0x11, v4...), "192.0.2.1"},
		{"a check of health", proxy, v2(0x20, 0x00), "10.0.0.1"},
		{"version 1, unknown", proxy, "PROXY UNKNOWN\r\n", "10.0.0.1"},
		{"UDP", proxy, v2(0x21, 0x12, v4...), ""},
		{"a Unix socket", proxy, v2(0x21, 0x31, make([]byte, 216)...), ""},
		{"no family", proxy, v2(0x21, 0x00), ""},
		{"no header", proxy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		{"half a header", proxy, "PROXY TCP4 192.0.2.1 ", ""},
		{"not an address", proxy, "PROXY TCP4 unknown 10.0.0.9 4660 80\r\n", ""},
		{"a long header", proxy, "PROXY TCP4 192.0.2.1 10.0.0.9 4660 80" + string(make([]byte, 200)), ""},
		{"not trusted", net.IPv4(192, 0, 2, 9), "PROXY TCP4 192.0.2.1 10.0.0.9 4660 80\r\n", ""},
		{"loopback is not trusted", net.IPv4(127, 0, 0, 1), "PROXY TCP4 192.0.2.1 10.0.0.9 4660 80\r\n", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			in := accepted{conns: make(chan net.Conn, 1)}
			in.conns <- peer{there, c.from}
			close(in.conns)
			began := time.Now()
			go func() { _, _ = io.WriteString(here, c.sent+"x") }()
			l := &proxied{Listener: in, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, conns: limit.NewConns(32)}
			conn, err := l.Accept()
			got := ""
			if err == nil {
				b := make([]byte, 1)
				if _, err = conn.Read(b); err == nil && b[0] == 'x' {
					got = limit.AddrOf(conn.RemoteAddr()).String()
				}
				_ = conn.Close()
			}
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("%s: the client is %q, %v; want %q", c.name, got, err, c.want)
			}
			if took := time.Since(began); took > proxyTimeout {
				t.Errorf("%s: refused after %v", c.name, took)
			}
			_ = here.Close()
		})
	}
}

// TestProxiedSlow: a header that does not arrive within its time is not waited for.
func TestProxiedSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		in := accepted{conns: make(chan net.Conn, 1)}
		in.conns <- peer{there, net.IPv4(10, 0, 0, 1)}
		conn, err := (&proxied{Listener: in, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, conns: limit.NewConns(32)}).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a connection without a header is read from")
		}
		if took := time.Since(began); took != proxyTimeout {
			t.Errorf("the header was waited for %v, want %v", took, proxyTimeout)
		}
	})
}

// TestBoundByClient: behind a proxy the connections of each client are bounded, and not
// those of the proxy.
func TestBoundByClient(t *testing.T) {
	in := accepted{conns: make(chan net.Conn, 8)}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	conns := limit.NewConns(2)
	l := &proxied{Listener: in, trusted: trusted, conns: conns}
	for i, want := range []error{nil, nil, errors.New("too many"), nil} {
		client := "192.0.2.1"
		if i == 3 {
			client = "192.0.2.2"
		}
		here, there := net.Pipe()
		in.conns <- peer{there, net.IPv4(10, 0, 0, 1)}
		go func() { _, _ = io.WriteString(here, "PROXY TCP4 "+client+" 10.0.0.9 4660 80\r\nx") }()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := limit.AddrOf(conn.RemoteAddr()).String(); got != "10.0.0.1" {
			t.Errorf("before the header is read the peer is %s", got)
		}
		if _, err := conn.Read(make([]byte, 1)); (err == nil) != (want == nil) {
			t.Errorf("connection %d of %s: %v, want %v", i, client, err, want)
		}
		defer func() { _, _ = conn.Close(), here.Close() }()
		if i == 0 {
			_, _ = conn.Close(), conn.Close()
			a := netip.MustParseAddr(client)
			if first, second, third := conns.Acquire(a), conns.Acquire(a), conns.Acquire(a); !first || !second || third {
				t.Error("a connection that was closed, twice, counts or has made room twice")
			}
			conns.Release(a)
		}
	}
}

// TestLimitsInForce: the server of a node limits its clients, and applies what was read
// again without forgetting what they have used.
func TestLimitsInForce(t *testing.T) {
	t.Parallel()
	n := recordsNode(t)
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	n.Settings.LimitRead, n.Settings.LimitFields = "1/h burst 2", true
	again := func() error { return nil }
	n.Reread = func() error { return again() }
	if err := n.reload(); err != nil {
		t.Fatal(err)
	}
	handler := server.New(n.serverConfig())
	ask := func(from string, header ...string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/claims", nil)
		r.RemoteAddr, r.Host = from+":1", "127.0.0.1"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		handler.ServeHTTP(w, r)
		return w
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if w := ask("192.0.2.1"); w.Code != want {
			t.Errorf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	w := ask("192.0.2.1")
	h := w.Header()
	if h.Get("Retry-After") != "3600" || h.Get("RateLimit") != `"address";r=0;t=3600` || h.Get("Content-Type") != "application/problem+json" || !strings.Contains(w.Body.String(), `"rate_limited"`) {
		t.Errorf("a refusal has the header %v and the body %s", h, w.Body)
	}
	if w := ask("192.0.2.2"); w.Code != http.StatusOK || w.Header().Get("RateLimit") != "" {
		t.Errorf("another client: %d %v", w.Code, w.Header())
	}
	for i := range 5 {
		if w := ask("127.0.0.1"); w.Code != http.StatusOK {
			t.Errorf("request %d of this machine: %d", i, w.Code)
		}
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if w := ask("127.0.0.1", "X-Forwarded-For", "192.0.2.1"); w.Code != want {
			t.Errorf("request %d through a proxy that is not configured: %d", i, w.Code)
		}
	}
	scrape := httptest.NewRecorder()
	n.reporting.metrics.Handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, line := range []string{`ratelimit_decisions_total{decision="refused",scope="address"} 3`, `ratelimit_overflow_total{table="address"} 0`, `responses_active{step="blocked"} 0`} {
		if !strings.Contains(scrape.Body.String(), line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	again = func() error { n.Settings.LimitRead = "1/h burst 3"; return nil }
	if err := n.reload(); err != nil {
		t.Fatal(err)
	}
	if a, b := ask("192.0.2.1").Code, ask("192.0.2.1").Code; a != http.StatusOK || b != http.StatusTooManyRequests {
		t.Errorf("after a reload: %d, %d", a, b)
	}
}
