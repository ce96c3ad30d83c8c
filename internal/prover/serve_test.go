package prover_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/prover"
	"github.com/terradourada/td/protocol"
)

func TestServeProves(t *testing.T) {
	c := prover.NewClient(serving(t, prover.Config{}), 2)
	defer c.Close()
	if err := c.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second over the same connection
		s := newSample(t, claim.Open, time.Minute)
		a, err := c.Prove(t.Context(), &s.Job)
		s.check(t, a, err)
	}
}

// body is a request as members, so that a case can spoil one.
func body(t *testing.T) map[string]any {
	t.Helper()
	s := newSample(t, claim.Open, time.Minute)
	b, err := prover.EncodeJob(&s.Job, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestServeIsStrict(t *testing.T) {
	dial := serving(t, prover.Config{})
	encode := func(m map[string]any) string {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	with := func(name string, value any) func(map[string]any) string {
		return func(m map[string]any) string { m[name] = value; return encode(m) }
	}
	without := func(name string) func(map[string]any) string {
		return func(m map[string]any) string { delete(m, name); return encode(m) }
	}
	otherEvent := newSample(t, claim.Open, time.Minute)
	private, err := otherEvent.Assignment.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		spoil func(map[string]any) string
		want  protocol.Code
	}{
		"empty":                 {func(map[string]any) string { return "" }, protocol.CodeMalformedRequest},
		"not JSON":              {func(map[string]any) string { return "proof please" }, protocol.CodeMalformedRequest},
		"array":                 {func(map[string]any) string { return "[]" }, protocol.CodeMalformedRequest},
		"trailing":              {func(m map[string]any) string { return encode(m) + "{}" }, protocol.CodeMalformedRequest},
		"twice the same member": {func(m map[string]any) string { return `{"claim":"open/1",` + encode(m)[1:] }, protocol.CodeMalformedRequest},
		"unknown member":        {with("extra", 1), protocol.CodeMalformedRequest},
		"case of a member":      {func(m map[string]any) string { m["Tag"] = m["tag"]; delete(m, "tag"); return encode(m) }, protocol.CodeMalformedRequest},
		"too large":             {with("params", strings.Repeat("A", 17<<10)), protocol.CodeTooLarge},
		"no claim":              {without("claim"), protocol.CodeUnknownClaim},
		"unknown claim":         {with("claim", "open/2"), protocol.CodeUnknownClaim},
		"claim not loaded":      {unloaded, protocol.CodeUnknownClaim},
		"no params":             {without("params"), protocol.CodeMalformedRequest},
		"params not base64":     {with("params", "{}"), protocol.CodeMalformedRequest},
		"params not canonical":  {with("params", protocol.EncodeBase64([]byte("{ }"))), protocol.CodeMalformedRequest},
		"no commitment":         {without("commitment"), protocol.CodeMalformedRequest},
		"no inputs":             {without("inputs"), protocol.CodeMalformedRequest},
		"inputs not an array":   {with("inputs", "x"), protocol.CodeMalformedRequest},
		"input not canonical":   {with("inputs", []string{strings.Repeat("_", 42) + "8"}), protocol.CodeMalformedRequest},
		"no assignment":         {without("assignment"), protocol.CodeMalformedRequest},
		"short assignment":      {with("assignment", protocol.EncodeBase64(private[:len(private)-1])), protocol.CodeMalformedRequest},
		"another assignment":    {with("assignment", protocol.EncodeBase64(private)), protocol.CodeStatementFalse},
		"no tag":                {without("tag"), protocol.CodeMalformedRequest},
		"short tag":             {with("tag", "AAAA"), protocol.CodeMalformedRequest},
		"no time":               {without("timeout_ms"), protocol.CodeMalformedRequest},
		"negative time":         {with("timeout_ms", -1), protocol.CodeMalformedRequest},
		"too much time":         {with("timeout_ms", protocol.MaxTTL+1), protocol.CodeMalformedRequest},
		"time as text":          {with("timeout_ms", "1000"), protocol.CodeMalformedRequest},
		"hardly any time":       {with("timeout_ms", 1), protocol.CodeProverTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := post(t, dial, "POST", "/v1/prove", tt.spoil(body(t)))
			var r struct {
				Code   string `json:"code"`
				Detail string `json:"detail"`
			}
			if err := json.Unmarshal([]byte(got), &r); err != nil || r.Code != tt.want.String() || r.Detail == "" {
				t.Errorf("got %s, want %v", got, tt.want)
			}
		})
	}
	if status, got := post(t, dial, "POST", "/v1/prove", encode(body(t))); status != 200 {
		t.Errorf("after all that a good one gets %d %s", status, got)
	}
}

// unloaded asks the prover of open/1 for another claim.
func unloaded(m map[string]any) string {
	s := newSample(new(testing.B), claim.Range, time.Minute)
	b, err := prover.EncodeJob(&s.Job, time.Now())
	if err != nil {
		return ""
	}
	return string(b)
}

func TestServeOtherPaths(t *testing.T) {
	dial := serving(t, prover.Config{})
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/healthz", 204},
		{"POST", "/healthz", 405},
		{"GET", "/v1/prove", 405},
		{"PUT", "/v1/prove", 405},
		{"GET", "/", 404},
		{"POST", "/v1/prove/", 404},
		{"POST", "/v1/prove/x", 404},
		{"OPTIONS", "/v1/prove", 405},
	} {
		if got, _ := post(t, dial, tt.method, tt.path, ""); got != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, got, tt.want)
		}
	}
}

// Two requests whose bodies never come fill the prover; a third is refused at
// once, and health is still answered.
func TestServeBoundsItsQueue(t *testing.T) {
	dial := serving(t, prover.Config{Workers: 1, Queue: 1})
	for range 2 {
		c := inHand(t, dial)
		defer func() { _ = c.Close() }()
	}
	s := newSample(t, claim.Open, time.Minute)
	c := prover.NewClient(dial, 2)
	_, err := c.Prove(t.Context(), &s.Job)
	wantCode(t, err, protocol.CodeOverloaded)
	if err := c.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

// inHand is a connection whose request the prover has begun to read.
func inHand(t *testing.T, dial func(context.Context) (net.Conn, error)) net.Conn {
	t.Helper()
	c, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprint(c, "POST /v1/prove HTTP/1.1\r\nHost: prover\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n")
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("got %q, %v", line, err)
	}
	return c
}

func TestServeAsksWhoIsThere(t *testing.T) {
	dial := serving(t, prover.Config{Peer: func(net.Conn) error { return errors.New("nobody") }})
	c, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, net.ErrClosed) || err == nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestSameUser(t *testing.T) {
	ln, dial := listen(t)
	if _, err := dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := prover.SameUser(c); err != nil {
		t.Errorf("own connection: %v", err)
	}
	a, _ := net.Pipe()
	if prover.SameUser(a) == nil {
		t.Error("a connection without a user was let in")
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	out, err := net.Dial("tcp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if prover.SameUser(out) == nil {
		t.Error("a TCP connection was let in")
	}
}

// A prover on a handed-over socket ends when the other side is gone.
func TestServeEndsWithTheCore(t *testing.T) {
	p, err := claim.NewProver(claim.Open)
	if err != nil {
		t.Fatal(err)
	}
	ln, sock, err := prover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- prover.Serve(context.Background(), ln, p, prover.Config{}) }()
	c := prover.NewClient(func(context.Context) (net.Conn, error) { return prover.Dial(sock) }, 1)
	s := newSample(t, claim.Open, time.Minute)
	a, err := c.Prove(t.Context(), &s.Job)
	s.check(t, a, err)
	if err := sock.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the prover goes on without its core")
	}
}

// Bytes without a descriptor on the socket are no connection.
func TestHandoffRefusesOtherMessages(t *testing.T) {
	ln, sock, err := prover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sock.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if c, err := ln.Accept(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("got %v, %v", c, err)
	}
}

func FuzzDecodeTask(f *testing.F) {
	s := newSample(f, claim.Open, time.Minute)
	b, err := prover.EncodeJob(&s.Job, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"claim":"open/1","params":"e30"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		switch err := prover.DecodeTask(b); protocol.CodeOf(err) {
		case protocol.CodeNone, protocol.CodeMalformedRequest, protocol.CodeTooLarge, protocol.CodeUnknownClaim, protocol.CodeEventNotEncodable:
		default:
			t.Errorf("%q: %v", b, err)
		}
	})
}

// TestAdmitFollowsNoLink: a link in the place of a socket changes no file elsewhere.
func TestAdmitFollowsNoLink(t *testing.T) {
	file, link := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "socket")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	if prover.Admit(link, -1, 0o666) == nil {
		t.Error("a link is admitted")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
