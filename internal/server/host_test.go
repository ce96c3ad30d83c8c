package server_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		listener string
		further  []string
		good     []string
		bad      []string
	}{
		{
			listener: "127.0.0.1",
			good:     []string{"localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.0.0.1:1", "127.8.9.10", "[::1]", "[::1]:8080", "::1", "[::ffff:127.0.0.1]:80"},
			bad: []string{
				"", "evil.example", "evil.example:8080", "localhost.evil.example", "evil.localhost", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0",
				"[::]:8080", "2130706433", "0x7f000001", "127.1", "localhost:80:80", "localhost@evil.example", "user@localhost", "local host",
			},
		},
		{
			listener: "::1", further: []string{"td.example", "Receipts.Example."},
			good: []string{"td.example", "TD.example:443", "receipts.example", "localhost"},
			bad:  []string{"x.td.example", "example", "td.example.evil.example"},
		},
		{
			listener: "192.0.2.7", further: []string{"td.example"},
			good: []string{"td.example", "192.0.2.7:8080", "localhost"},
			bad:  []string{"192.0.2.8", "evil.example"},
		},
	} {
		allowed := server.Hosts(&net.TCPAddr{IP: net.ParseIP(c.listener)}, c.further)
		for _, host := range c.good {
			if !allowed(host) {
				t.Errorf("%s with %q: %q is refused", c.listener, c.further, host)
			}
		}
		for _, host := range c.bad {
			if allowed(host) {
				t.Errorf("%s with %q: %q is allowed", c.listener, c.further, host)
			}
		}
	}
	for _, open := range []string{"192.0.2.7", "0.0.0.0", "::"} {
		if server.Hosts(&net.TCPAddr{IP: net.ParseIP(open)}, nil) != nil {
			t.Errorf("%s without a setting asks for names", open)
		}
	}
}

// TestForeignHostIsForbidden: on every path, before anything is called, and with
// the one code.
func TestForeignHostIsForbidden(t *testing.T) {
	s := start(t, func(c *server.Config) {
		c.Host = server.Hosts(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, nil)
	})
	for _, request := range []string{"GET /v1/status", "GET /docs", "GET /checkpoint", "GET /nowhere", "POST /v1/challenges", "OPTIONS /v1/events", "GET //x"} {
		r := s.raw(fmt.Sprintf("%s HTTP/1.1\r\nHost: %s.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", request, canary))
		s.problem(*r, protocol.CodeForbidden)
	}
	if r := s.raw("GET http://evil.example/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); r.StatusCode != 403 {
		t.Errorf("a name in the request line: %d", r.StatusCode)
	}
	if r := s.raw("GET /v1/status HTTP/1.0\r\n\r\n"); r.StatusCode != 403 {
		t.Errorf("no name at all: %d", r.StatusCode)
	}
	s.alive() // by its address
	if o := <-s.reports; o.Code != protocol.CodeForbidden {
		t.Errorf("observed: %+v", o)
	}
}
