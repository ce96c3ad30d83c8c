package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// TestLanes: when all slots of a lane are taken, one request too many is refused, and those
// of the other lanes are served.
func TestLanes(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests = 4 })
	let := make(chan struct{})
	s.fake.set(func(f *fake) { f.block = let })
	done := make(chan int)
	for range 2 {
		go func() { done <- s.post("/v1/challenges", challengeBody).StatusCode }()
	}
	<-s.fake.enter
	<-s.fake.enter
	s.problem(s.post("/v1/challenges", challengeBody), protocol.CodeOverloaded)
	s.fake.set(func(f *fake) { f.block = nil })
	s.problem(s.do(http.MethodGet, "/nowhere", nil), protocol.CodeNotFound)
	for _, path := range []string{"/v1/receipts/" + knownID.String(), "/v1/epochs", "/checkpoint", "/v1/status"} {
		if r := s.do(http.MethodGet, path, nil); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	if r := s.do(http.MethodPost, "/v1/verify", []byte(encodedReceipt(t)), "Content-Type", api.MediaJSON); r.StatusCode != http.StatusOK {
		t.Errorf("verify: %d %s", r.StatusCode, r.body)
	}
	close(let)
	for range 2 {
		if status := <-done; status != http.StatusCreated {
			t.Errorf("a request that held a slot ended with %d", status)
		}
	}
}

// TestWaitersAreBounded: one waiting request too many is answered like one
// that does not wait, and slots are left for those that do not wait.
func TestWaitersAreBounded(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests = 2 })
	s.fake.set(func(f *fake) { f.noReceipt = true })
	long := make(chan struct{})
	go func() {
		defer close(long)
		s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil, "Prefer", "wait=3")
	}()
	<-s.fake.enter
	begin := time.Now()
	s.problem(s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil, "Prefer", "wait=30"), protocol.CodeNotFound)
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it waited %v", took)
	}
	<-long
}

// TestWaitersKeepNobodyOut: however many wait for a receipt that never comes,
// the other requests are served.
func TestWaitersKeepNobodyOut(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests = 2 })
	s.fake.set(func(f *fake) { f.noReceipt = true })
	const crowd = 12
	done := make(chan int, crowd)
	for range crowd {
		go func() {
			done <- s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil, "Prefer", "wait=3").StatusCode
		}()
		<-s.fake.enter
	}
	for range 20 {
		if status := s.post("/v1/challenges", challengeBody).StatusCode; status != http.StatusCreated {
			t.Errorf("a challenge ended with %d", status)
		}
	}
	for range crowd {
		if status := <-done; status != http.StatusNotFound {
			t.Errorf("a wait ended with %d", status)
		}
	}
	s.alive()
}

// TestStopAnswersWaiting: a request that waits when the server stops is answered with
// draining, not with overloaded or not_found.
func TestStopAnswersWaiting(t *testing.T) {
	f := &fake{enter: make(chan struct{}, 1), noReceipt: true}
	base, cut := context.WithCancelCause(t.Context())
	cfg := server.Config{Gate: f, Records: f, Ledger: f}
	req := httptest.NewRequestWithContext(base, http.MethodGet, "/v1/receipts/"+knownID.String(), nil)
	req.Header.Set("Prefer", "wait=20")
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { defer close(done); server.New(cfg).ServeHTTP(w, req) }()
	<-f.enter
	cut(protocol.Fail(protocol.CodeDraining, "the server stops"))
	<-done
	(&service{t: t, fake: f}).problem(reply{w.Result(), w.Body.Bytes()}, protocol.CodeDraining)
}

// sendSlowly opens a request and sends body bytes one by one, far apart.
func (s *service) sendSlowly(request string, every time.Duration) (*http.Response, []byte) {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		io.WriteString(c, request)
		for tick := time.NewTicker(every); ; {
			<-tick.C
			if _, err := io.WriteString(c, " "); err != nil {
				tick.Stop()
				return
			}
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil, nil
	}
	b, _ := io.ReadAll(res.Body)
	return res, b
}

func TestSlowBody(t *testing.T) {
	s := start(t, func(c *server.Config) { c.BodyTimeout = 200 * time.Millisecond })
	for _, framing := range []string{"Content-Length: 500\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
		begin := time.Now()
		res, body := s.sendSlowly("POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+framing, 20*time.Millisecond)
		if res == nil {
			t.Fatal("no answer to a slow body")
		}
		s.problem(reply{res, body}, protocol.CodeMalformedRequest)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	}
	// The request is refused before the body was read, and the server does not
	// wait for the rest either.
	for _, path := range []string{"/nowhere", "/v1/status", "/v1/challenges"} {
		begin := time.Now()
		s.sendSlowly("POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{", 20*time.Millisecond)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %v", path, took)
		}
	}
	s.alive()
}

// TestSlowBodiesKeepNobodyOut: more bodies than there are slots arrive, and
// other requests are served.
func TestSlowBodiesKeepNobodyOut(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests, c.BodyTimeout = 2, time.Minute })
	for _, path := range []string{"/v1/challenges", "/v1/events", "/v1/verify"} {
		for range 4 {
			s.halfBody(path)
		}
	}
	if r := s.do(http.MethodGet, "/v1/status", nil); r.StatusCode != http.StatusOK {
		t.Errorf("status: %d %s", r.StatusCode, r.body)
	}
	if r := s.post("/v1/challenges", challengeBody); r.StatusCode != http.StatusCreated {
		t.Errorf("challenge: %d %s", r.StatusCode, r.body)
	}
}

// halfBody begins to send a body of 500 bytes, and returns when the server has begun to
// read it.
func (s *service) halfBody(path string) { s.announce(path, 500) }

// announce announces a body and sends none of it. It returns when the server has begun to
// read it.
func (s *service) announce(path string, size int, headers ...string) *raw {
	s.t.Helper()
	c := s.dial()
	c.write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n%s\r\n",
		path, size, strings.Join(headers, "")))
	if res := c.answer(); res == nil || res.StatusCode != http.StatusContinue {
		s.t.Fatalf("the body is not asked for: %v", res)
	}
	return c
}

// TestBodiesOnTheirWayAreBounded: few of the largest may arrive at once, and one too many
// costs the slowest its room.
func TestBodiesOnTheirWayAreBounded(t *testing.T) {
	s := start(t, func(c *server.Config) { c.BodyTimeout = time.Minute })
	var all []*raw
	for range server.MaxBodies / api.MaxReceiptBody {
		all = append(all, s.announce("/v1/verify", api.MaxReceiptBody))
	}
	s.problem(s.do(http.MethodPost, "/v1/verify", []byte("{}"), "Content-Type", api.MediaJSON), protocol.CodeMalformedRequest)
	s.problem(*all[0].answer(), protocol.CodeOverloaded)
	all[1].write(strings.Repeat("x", api.MaxReceiptBody))
	s.problem(*all[1].answer(), protocol.CodeMalformedRequest)
}

// TestSmallAnnouncementsTakeLittle: more clients than there may be connections announce
// two bytes and send none, and no operation is denied.
func TestSmallAnnouncementsTakeLittle(t *testing.T) {
	s := start(t, func(c *server.Config) { c.BodyTimeout, c.MaxConns = time.Minute, 200 })
	for i := range 600 {
		s.announce([]string{"/v1/verify", "/v1/events", "/v1/challenges"}[i%3], 2)
	}
	for path := range jsonPaths() {
		if p := s.problem(s.post(path, "{}"), protocol.CodeNone); p.Code != protocol.CodeMalformedRequest {
			t.Errorf("%s: %v", path, p.Code)
		}
	}
	if r := s.post("/v1/challenges", challengeBody); r.StatusCode != http.StatusCreated {
		t.Errorf("challenge: %d %s", r.StatusCode, r.body)
	}
}

// TestBodiesOfOneSourceAreBounded: what one source announces beyond its bound is refused;
// others are served.
func TestBodiesOfOneSourceAreBounded(t *testing.T) {
	s := start(t, func(c *server.Config) {
		c.BodyTimeout = time.Minute
		c.Resolve = func(_ netip.Addr, h http.Header) limit.Source {
			return limit.Source{Addr: netip.MustParseAddr(h.Get("X-From"))}
		}
	})
	for range server.MaxBodiesEach / api.MaxReceiptBody {
		s.announce("/v1/verify", api.MaxReceiptBody, "X-From: 2001:db8::2\r\n")
	}
	s.problem(s.post("/v1/challenges", challengeBody, "X-From", "2001:db8::1"), protocol.CodeRateLimited)
	if r := s.post("/v1/challenges", challengeBody, "X-From", "2001:db8:0:1::1"); r.StatusCode != http.StatusCreated {
		t.Errorf("another source: %d %s", r.StatusCode, r.body)
	}
}

// TestPace: the first bytes of a body are due soon, the others at a least speed, and all
// of it within a time.
func TestPace(t *testing.T) {
	start := time.Unix(1000, 0)
	for n, want := range map[int]time.Duration{
		0: 2 * time.Second, server.LeastSpeed: 3 * time.Second, 4 * server.LeastSpeed: 6 * time.Second, 1 << 20: 10 * time.Second,
	} {
		if got := server.BodyDue(start, n).Sub(start); got != want {
			t.Errorf("after %d bytes: %v, want %v", n, got, want)
		}
	}
}

// TestSlowReadersKeepNobodyOut: clients that do not read a large answer hold no slot.
// One too many costs the slowest its answer.
func TestSlowReadersKeepNobodyOut(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests = 1 })
	const size = 11 << 20 // more than the buffers of a socket; two have room
	s.fake.set(func(f *fake) { f.tile = size })
	var readers []io.Reader
	for range 3 {
		c := s.dial()
		c.write("GET /tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(c.in, nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", res, err)
		}
		readers = append(readers, res.Body)
		if r := s.do(http.MethodGet, "/v1/epochs", nil); r.StatusCode != http.StatusOK {
			t.Errorf("beside %d readers: %d %s", len(readers), r.StatusCode, r.body)
		}
	}
	for i, r := range readers {
		n, err := io.Copy(io.Discard, r)
		if whole := n == size && err == nil; whole != (i > 0) {
			t.Errorf("reader %d received %d bytes: %v", i, n, err)
		}
	}
}

// TestOpeningsLeaveBesideSlowReaders: however much of one address leaves slowly, an answer
// with the opening of a pushed event is neither refused nor cut, since the client cannot
// get it again.
func TestOpeningsLeaveBesideSlowReaders(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.7")
	s := start(t, func(c *server.Config) {
		c.Resolve = func(netip.Addr, http.Header) limit.Source { return limit.Source{Addr: own} }
	})
	s.fake.set(func(f *fake) { f.tile = 4<<20 - 20_000 })
	c := s.dial()
	_ = c.SetReadBuffer(4096)
	c.write("GET /tile/0/000 HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, err := http.ReadResponse(c.in, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", res, err)
	}
	s.problem(s.do(http.MethodGet, "/tile/0/000", nil), protocol.CodeRateLimited)
	const size = 60_000
	if r := s.post("/v1/events", `{"claim":"open/1","params":{},"event":{"a":"`+strings.Repeat("x", size)+`"}}`); r.StatusCode != http.StatusCreated || len(r.body) < size {
		t.Errorf("%d, %d bytes: %.200s", r.StatusCode, len(r.body), r.body)
	}
}

// TestWaitersOfOneSource: one source has a part of the places of those who wait, also
// after its connections are closed.
func TestWaitersOfOneSource(t *testing.T) {
	var other atomic.Bool
	s := start(t, func(c *server.Config) {
		c.MaxRequests = 32 // 16 may wait, two of one source
		c.Resolve = func(netip.Addr, http.Header) limit.Source {
			if other.Load() {
				return limit.Source{Addr: netip.MustParseAddr("198.51.100.1")}
			}
			return limit.Source{Addr: netip.MustParseAddr("192.0.2.7")}
		}
	})
	s.fake.set(func(f *fake) { f.noReceipt = true })
	for range 2 {
		c := s.dial()
		c.write("GET /v1/receipts/" + knownID.String() + " HTTP/1.1\r\nHost: x\r\nPrefer: wait=4\r\n\r\n")
		<-s.fake.enter
		_ = c.Close()
	}
	took := func() time.Duration {
		begin := time.Now()
		s.problem(s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil, "Prefer", "wait=3"), protocol.CodeNotFound)
		return time.Since(begin)
	}
	if d := took(); d > 2500*time.Millisecond {
		t.Errorf("a third one waited %v", d)
	}
	other.Store(true)
	if d := took(); d < 2500*time.Millisecond {
		t.Errorf("another source waited %v", d)
	}
}

// TestWorkOutlastsTheBodysDeadline: the deadline of the body must not end the
// context of the work.
func TestWorkOutlastsTheBodysDeadline(t *testing.T) {
	s := start(t, func(c *server.Config) { c.BodyTimeout = 100 * time.Millisecond })
	s.fake.set(func(f *fake) { f.noReceipt = true })
	begin := time.Now()
	r := s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody(), "Prefer", "wait=1")
	if took := time.Since(begin); r.StatusCode != http.StatusCreated || took < 900*time.Millisecond {
		t.Errorf("%d after %v: %s", r.StatusCode, took, r.body)
	}
	begin = time.Now()
	r = s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil, "Prefer", "wait=1")
	s.problem(r, protocol.CodeNotFound)
	if took := time.Since(begin); took < 900*time.Millisecond {
		t.Errorf("the wait of a GET ended after %v", took)
	}
}

// TestVerifyTakesTurns: with one place, those who wait are served too.
func TestVerifyTakesTurns(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxVerify = 1 })
	body := encodedReceipt(t)
	done := make(chan int)
	for range 8 {
		go func() {
			done <- s.do(http.MethodPost, "/v1/verify", []byte(body), "Content-Type", "application/json").StatusCode
		}()
	}
	for range 8 {
		if status := <-done; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
}

func TestHTTPServerIsBounded(t *testing.T) {
	h, _ := server.HTTPServer(server.Config{}, http.NotFoundHandler())
	if h.ReadHeaderTimeout <= 0 || h.WriteTimeout <= 0 || h.IdleTimeout <= 0 || h.MaxHeaderBytes <= 0 || h.MaxHeaderBytes > 16<<10 {
		t.Errorf("%+v", h)
	}
	s := start(t, nil)
	r := s.raw("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 20<<10) + "\r\n\r\n")
	if r != nil && r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("20 KiB of header: %d", r.StatusCode)
	}
	r = s.raw("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + strings.Repeat("a", 12<<10) + "\r\n\r\n")
	if r == nil || r.StatusCode != http.StatusOK {
		t.Errorf("12 KiB of header: %+v", r)
	}
}

// TestHostIsIrrelevant: no answer depends on the Host header.
func TestHostIsIrrelevant(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/openapi.json", "/docs", "/v1/status", "/v1/nothing"} {
		var bodies [2]string
		for i, host := range []string{"one.example", canary + ".example"} {
			r := s.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host))
			r.Header.Del("Date")
			bodies[i] = headerText(r.Header) + string(r.body)
		}
		if bodies[0] != bodies[1] || strings.Contains(bodies[1], canary) {
			t.Errorf("%s depends on Host", path)
		}
	}
}

// TestFit: connections and the files that requests read never take more
// descriptors than there are.
func TestFit(t *testing.T) {
	for n := range 5000 {
		var c server.Config
		ok := c.Fit(n)
		if ok != (n >= server.LeastDescriptors) || c.MaxConns+c.MaxRequests > n || ok && c.MaxRequests < 8 {
			t.Fatalf("%d descriptors: %v, %d connections, %d requests", n, ok, c.MaxConns, c.MaxRequests)
		}
	}
}

// TestStatusIsNeverShed: every connection has half a header or half a body,
// every slot of other requests is taken, and the status is answered.
func TestStatusIsNeverShed(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxRequests, c.MaxConns, c.BodyTimeout = 8, 60, time.Minute })
	s.crowd(200)
	let := make(chan struct{})
	s.fake.set(func(f *fake) { f.block = let })
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { s.do(http.MethodGet, "/v1/epochs", nil) })
		<-s.fake.enter
	}
	defer held.Wait()
	defer close(let)
	s.fake.set(func(f *fake) { f.block = nil })
	s.problem(s.do(http.MethodGet, "/v1/claims", nil), protocol.CodeOverloaded)
	s.crowd(100)
}

// crowd sends the first part of n requests, and asks for the status after each.
func (s *service) crowd(n int) {
	s.t.Helper()
	for i := range n {
		c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, []string{
			"GET /v1/claims HTTP/1.1\r\nHost: localh",
			"POST /v1/challenges HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
		}[i%2])
		s.alive()
	}
}
