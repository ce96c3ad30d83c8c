package server_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/server"
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
