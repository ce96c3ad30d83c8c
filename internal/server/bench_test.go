package server_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/server"
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
// connection.
func BenchmarkShed(b *testing.B) {
	f := &fake{busy: protocol.Fail(protocol.CodeOverloaded, "busy")}
	cfg := server.Config{Gate: f, Records: f, Ledger: f}
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h, _ := server.HTTPServer(cfg, server.New(cfg))
	go h.Serve(l)
	defer h.Close()
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	request := fmt.Appendf(nil, "POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(challengeBody), challengeBody)
	answer := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if n, err := c.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 503 ") {
			b.Fatalf("%v: %s", err, answer[:n])
		}
	}
}
