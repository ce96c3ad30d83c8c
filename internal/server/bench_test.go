package server_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// BenchmarkRequest measures what the listener adds to the gate's work, and
// the cost of a refused request, without the connection.
func BenchmarkRequest(b *testing.B) {
	var unknown strings.Builder
	for i := 0; unknown.Len() < 60_000; i++ {
		fmt.Fprintf(&unknown, `,"k%d":"v"`, i)
	}
	f := &fake{}
	h := server.New(server.Config{Gate: f, Records: f, Ledger: f})
	for _, bb := range []struct{ name, path, body string }{
		{"challenge", "/v1/challenges", challengeBody},
		{"proof", "/v1/challenges/" + knownID.String() + "/proof", proofBody()},
		{"unknown_member", "/v1/challenges", strings.Replace(challengeBody, "{", `{"x":1,`, 1)},
		{"60KB_unknown_members", "/v1/events", `{"a":1` + unknown.String() + `}`},
		{"not_found", "/nowhere", ""},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", bb.path, strings.NewReader(bb.body))
				r.Header.Set("Content-Type", "application/json")
				h.ServeHTTP(httptest.NewRecorder(), r)
				f.opened, f.answers = nil, nil
			}
		})
	}
}

// BenchmarkShed measures a request that is refused before its body is read, over a
// connection and with quotas and reports as in a server at work.
func BenchmarkShed(b *testing.B) {
	c := begin(b, refusing(b))
	b.ReportAllocs()
	for b.Loop() {
		c.ask(b)
	}
}

// TestRefusalsAllocateLittle bounds what a refused request and its report allocate, the
// library's part included, which is by far the greatest. It was 54; what is refused under
// overload decides how often the collector runs.
func TestRefusalsAllocateLittle(t *testing.T) {
	const most = 32
	c := begin(t, refusing(t))
	if n := testing.AllocsPerRun(200, func() { c.ask(t) }); n > most {
		t.Errorf("a refused request makes %v allocations, more than %d", n, most)
	}
}

// refusing returns the configuration of a server that has no room for a challenge.
func refusing(tb testing.TB) server.Config {
	tb.Helper()
	quotas, err := limit.New(time.Now(), limit.Defaults())
	if err != nil {
		tb.Fatal(err)
	}
	resolver, err := limit.NewResolver("", nil, false)
	if err != nil {
		tb.Fatal(err)
	}
	f := &fake{busy: protocol.Fail(protocol.CodeOverloaded, "busy")}
	return server.Config{
		Gate: f, Records: f, Ledger: f, Limits: quotas,
		Host:    server.Hosts(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil),
		Observe: telemetry.NewEvents(nil, nil).Request,
		Resolve: func(peer netip.Addr, h http.Header) limit.Source { return resolver.Resolve(peer, h.Values) },
	}
}

// asking is a connection to a server that refuses a challenge each time.
type asking struct {
	net.Conn
	request, answer []byte
}

func begin(tb testing.TB, cfg server.Config) *asking {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	h, _ := server.HTTPServer(cfg, server.New(cfg))
	go h.Serve(l)
	tb.Cleanup(func() { h.Close() })
	c, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	request := fmt.Appendf(nil, "POST /v1/challenges HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(challengeBody), challengeBody)
	return &asking{c, request, make([]byte, 4096)}
}

// ask sends the request and reads the refusal, without an allocation.
func (a *asking) ask(tb testing.TB) {
	tb.Helper()
	if _, err := a.Write(a.request); err != nil {
		tb.Fatal(err)
	}
	if n, err := a.Read(a.answer); err != nil || !bytes.HasPrefix(a.answer[:n], []byte("HTTP/1.1 503 ")) {
		tb.Fatalf("%v: %s", err, a.answer[:n])
	}
}
