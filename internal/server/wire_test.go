package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// raw is a connection to the server.
type raw struct {
	*net.TCPConn
	in *bufio.Reader
	t  *testing.T
}

func (s *service) dial() *raw {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{c.(*net.TCPConn), bufio.NewReader(c), s.t}
}

func (c *raw) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads the next answer with its body; nil if the server has closed.
func (c *raw) answer() *reply {
	c.t.Helper()
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &reply{res, b}
}

// TestHalfClosed: a client that closes its side after a request waits for its answer as
// any other.
func TestHalfClosed(t *testing.T) {
	s := start(t, nil)
	s.fake.set(func(f *fake) { f.noReceipt, f.noOutcome = true, true })
	event := `{"claim":"open/1","params":{},"event":{}}`
	for request, want := range map[string]int{
		"GET /v1/receipts/" + knownID.String() + " HTTP/1.1\r\nHost: x\r\nPrefer: wait=1\r\n\r\n": http.StatusNotFound,
		fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nPrefer: wait=1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			api.MediaJSON, len(event), event): http.StatusAccepted,
	} {
		c, begin := s.dial(), time.Now()
		c.write(request)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		r := c.answer()
		if took := time.Since(begin); r == nil || r.StatusCode != want || took < 900*time.Millisecond {
			t.Errorf("%.20s: %+v after %v", request, r, took)
		}
	}
}

// TestBothFramings: a request with both headers about the length of its body is refused
// and the connection closed, so that nothing after it is taken for a request.
func TestBothFramings(t *testing.T) {
	s := start(t, nil)
	smuggled := "GET /v1/epochs HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, framing := range []string{
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		for _, path := range []string{"/v1/challenges", "/v1/status", "/nowhere"} {
			c := s.dial()
			c.write("POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + framing + smuggled)
			r := c.answer()
			if r == nil {
				t.Fatalf("%s with %q: no answer", path, framing)
			}
			s.problem(*r, protocol.CodeNone)
			if next := c.answer(); r.StatusCode/100 != 4 || !r.Close || next != nil {
				t.Errorf("%s with %q: %d, then %v", path, framing, r.StatusCode, next)
			}
		}
	}
	c := s.dial()
	c.write("POST /v1/challenges HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}" + smuggled)
	if first, next := c.answer(), c.answer(); first == nil || next != nil {
		t.Errorf("HTTP/1.0: %v, then %v", first, next)
	}
	if n := len(s.fake.opened); n != 0 {
		t.Errorf("%d requests reached the gate", n)
	}
}

// TestEveryEncodingLineCounts: a compressed body is refused wherever the header names it.
func TestEveryEncodingLineCounts(t *testing.T) {
	s := start(t, nil)
	for _, lines := range [][]string{{"identity", "gzip"}, {"", "br"}, {"identity, gzip"}} {
		var headers []string
		for _, l := range lines {
			headers = append(headers, "Content-Encoding", l)
		}
		s.problem(s.post("/v1/challenges", challengeBody, headers...), protocol.CodeUnsupportedMedia)
	}
	if r := s.post("/v1/challenges", challengeBody, "Content-Encoding", "identity"); r.StatusCode != http.StatusCreated {
		t.Errorf("identity: %d", r.StatusCode)
	}
}

// TestLibraryAnswers: answers that the HTTP library sends by itself are short texts on a
// connection that it closes, and the description of the API names each status.
func TestLibraryAnswers(t *testing.T) {
	s := start(t, nil)
	spec := string(s.do(http.MethodGet, "/openapi.json", nil).body)
	for request, want := range map[string]int{
		"GET /v1/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                                  400,
		"GET /v1/status HTTP/1.1\r\n\r\n":                                                          400,
		"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nExpect: coffee\r\nContent-Length: 2\r\n\r\n{}": 417,
		"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 20<<10) + "\r\n\r\n":     431,
		"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n":               501,
		"GET /v1/status HTTP/2.0\r\nHost: x\r\n\r\n":                                               505,
	} {
		c := s.dial()
		go func() { _, _ = io.WriteString(c, request) }()
		r := c.answer()
		if r == nil || r.StatusCode != want || !r.Close || len(r.body) > 128 || r.Header.Get("Content-Type") == api.MediaProblem {
			t.Errorf("%.60q: %+v, want %d", request, r, want)
		}
		if name := fmt.Sprintf("%d (", want); !strings.Contains(spec, name) {
			t.Errorf("the description does not name %d", want)
		}
	}
}

// TestOnlyHTTP1: a client that begins to speak HTTP/2 is refused.
func TestOnlyHTTP1(t *testing.T) {
	h, _ := server.HTTPServer(server.Config{}, http.NotFoundHandler())
	if p := h.Protocols; p == nil || !p.HTTP1() || p.HTTP2() || p.UnencryptedHTTP2() {
		t.Errorf("protocols %v", h.Protocols)
	}
	s := start(t, nil)
	c := s.dial()
	c.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	r := c.answer()
	if r == nil || r.StatusCode < 400 || r.ProtoMajor != 1 || !r.Close {
		t.Errorf("the preface is answered with %+v", r)
	}
	upgrade := s.do(http.MethodGet, "/v1/status", nil, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
	if upgrade.StatusCode != http.StatusOK || upgrade.ProtoMajor != 1 {
		t.Errorf("an upgrade to h2c is answered with %d", upgrade.StatusCode)
	}
}

// TestRefusedBeforeTheBody: a refusal does not wait for a body that has not arrived, and
// the connection serves the next request if the body was there.
func TestRefusedBeforeTheBody(t *testing.T) {
	s := start(t, nil)
	c, begin := s.dial(), time.Now()
	c.write("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
	if r := c.answer(); r == nil || r.StatusCode != http.StatusNotFound || !r.Close {
		t.Errorf("%+v", r)
	}
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("the refusal took %v", took)
	}
	c = s.dial()
	for range 3 {
		c.write("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		if r := c.answer(); r == nil || r.StatusCode != http.StatusNotFound || r.Close {
			t.Fatalf("%+v", r)
		}
	}
}

// TestRefusalOnTheWire pins status, headers and body of an answer under overload.
func TestRefusalOnTheWire(t *testing.T) {
	s := start(t, nil)
	s.fake.set(func(f *fake) { f.busy = laterError{protocol.Fail(protocol.CodeOverloaded, "a \"detail\" <&> é")} })
	c := s.dial()
	for range 2 { // on one connection
		c.write(challengeOf(len(challengeBody), challengeBody))
		r := c.answer()
		if r == nil {
			t.Fatal("no answer")
		}
		const want = `{"type":"urn:terradourada:error:overloaded","title":"The service is busy.","status":503,"code":"overloaded",` +
			`"detail":"a \"detail\" <&> é","retryable":true}` + "\n"
		if string(r.body) != want {
			t.Errorf("body %s\nwant %s", r.body, want)
		}
		after := r.Header.Get("Retry-After") // 6.5 s, a fifth more or less
		if n, err := strconv.Atoi(after); err != nil || n < 5 || n > 8 {
			t.Errorf("Retry-After %q", after)
		}
		r.Header.Del("Retry-After")
		r.Header.Del("Date")
		const headers = "Cache-Control: no-store\r\nContent-Length: 157\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" +
			"Content-Type: application/problem+json\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
		if got := headerText(r.Header); r.Status != "503 Service Unavailable" || got != headers {
			t.Errorf("%s\n%s\nwant\n%s", r.Status, got, headers)
		}
	}
}

// challengeOf returns a request for a challenge that announces n bytes and has a body.
func challengeOf(n int, body string) string {
	return fmt.Sprintf("POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n, body)
}

// TestAnswersDoNotMix: requests at the same time get the answers that they get alone,
// although their exchanges use the same memory in turn.
func TestAnswersDoNotMix(t *testing.T) {
	s := start(t, nil)
	var all []call
	for _, c := range calls() {
		all = append(all, c, call{c.method, c.path + "/none", c.body, c.headers})
	}
	want := make([]string, len(all))
	for i, c := range all {
		r := s.do(c.method, c.path, []byte(c.body), c.headers...)
		want[i] = fmt.Sprint(r.StatusCode, string(r.body))
	}
	var each sync.WaitGroup
	for begin := range 4 {
		each.Go(func() {
			for n := range 3 * len(all) {
				i := (n + begin*7) % len(all)
				r := s.do(all[i].method, all[i].path, []byte(all[i].body), all[i].headers...)
				if got := fmt.Sprint(r.StatusCode, string(r.body)); got != want[i] {
					t.Errorf("%s %s: %s\nalone: %s", all[i].method, all[i].path, got, want[i])
				}
			}
		})
	}
	each.Wait()
}
