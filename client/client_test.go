package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var anID = protocol.RequestID{0: 0xab, 15: 1}

// serve runs a handler on a real listener.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// script is a transport that plays one answer after the other, the last one for
// ever, and notes when it was asked what.
type script struct {
	answers []func(*http.Request) (*http.Response, error)
	asked   []*http.Request
	when    []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	n := min(len(s.asked), len(s.answers)-1)
	s.asked, s.when = append(s.asked, r), append(s.when, time.Now())
	return s.answers[n](r)
}

func response(status int, media, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {media}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func problem(code protocol.Code, status int, retryAfter string) func(*http.Request) (*http.Response, error) {
	body := fmt.Sprintf(`{"type":"urn:terradourada:error:%s","title":"T.","status":%d,"code":%q,"detail":"d","retryable":%v}`,
		code, status, code, status == 429 || status == 503)
	if retryAfter == "" {
		return response(status, api.MediaProblem, body)
	}
	return response(status, api.MediaProblem, body, "Retry-After", retryAfter)
}

func failure(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }

func play(t *testing.T, cfg client.Config, answers ...func(*http.Request) (*http.Response, error)) (*client.Client, *script) {
	t.Helper()
	s := &script{answers: answers}
	cfg.Transport = s
	c, err := client.New("http://td.example/base/", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

var (
	accepted = response(201, api.MediaJSON, `{"request_id":"`+anID.String()+`","index":7,"later":"member"}`)
	status   = response(200, api.MediaJSON, `{"origin":"o","size":3,"claims":1,"sealed":false,"holds":[],"version":"v"}`)
)

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "td.example", "ftp://td.example", "http://", "http://user:secret@td.example", "http://td.example?x", "http://td.example#x", "http://a b", "unix:///x"} {
		if _, err := client.New(bad, client.Config{}); err == nil {
			t.Errorf("%q is taken", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func TestSendSaysWhatItMust(t *testing.T) {
	c, s := play(t, client.Config{Token: "key"}, accepted)
	tag := protocol.Tag{1, 2, 3}
	a, err := c.Send(t.Context(), anID, tag, []byte("proof"), 1500*time.Millisecond)
	if err != nil || a.Index != 7 || a.Receipt != nil {
		t.Fatalf("%+v, %v", a, err)
	}
	r := s.asked[0]
	body, _ := io.ReadAll(r.Body)
	got := fmt.Sprintln(r.Method, r.URL, r.Header.Get("TD-Tag"), r.Header.Get("Content-Type"), r.Header.Get("Prefer"), r.Header.Get("Authorization"), string(body))
	want := fmt.Sprintln("POST", "http://td.example/base/v1/challenges/"+anID.String()+"/proof", tag.String(), "application/octet-stream", "wait=2", "Bearer key", "proof")
	if got != want {
		t.Errorf("sent %s want %s", got, want)
	}
}

func TestProblems(t *testing.T) {
	for _, code := range protocol.Codes() {
		c, _ := play(t, client.Config{Retries: -1}, problem(code, 422, ""))
		_, err := c.Status(t.Context())
		var p *client.Problem
		if !errors.Is(err, code) || protocol.CodeOf(err) != code || !errors.As(err, &p) || p.Detail != "d" || p.Status != 422 {
			t.Errorf("%s: %v", code, err)
		}
	}
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		code   protocol.Code
		again  bool
	}{
		"proxy's page":       {response(503, "text/html", "<html>"), protocol.CodeOverloaded, true},
		"proxy's failure":    {response(502, "text/html", "<html>"), protocol.CodeInternal, false},
		"later code":         {response(503, api.MediaProblem, `{"code":"later_code","retryable":true,"title":"New."}`), protocol.CodeOverloaded, true},
		"no JSON":            {response(404, api.MediaProblem, `{`), protocol.CodeNotFound, false},
		"redirect":           {response(302, "text/html", "", "Location", "http://elsewhere.example/"), protocol.CodeInternal, false},
		"success not asked":  {response(204, "text/html", ""), protocol.CodeInternal, false},
		"retryable nonsense": {response(422, api.MediaProblem, `{"code":"frozen","retryable":true}`), protocol.CodeFrozen, false},
	} {
		c, s := play(t, client.Config{Retries: -1}, tt.answer)
		_, err := c.Status(t.Context())
		var p *client.Problem
		if !errors.As(err, &p) || p.Code != tt.code || p.Retryable != tt.again || err.Error() == "" {
			t.Errorf("%s: %v %+v", name, err, p)
		}
		if len(s.asked) != 1 {
			t.Errorf("%s: %d requests", name, len(s.asked))
		}
	}
}

// TestProblemTextIsHarmless: a server does not get to steer the terminal.
func TestProblemTextIsHarmless(t *testing.T) {
	body, err := json.Marshal(map[string]any{"code": "frozen", "title": "a\x1b[2J\u202eb", "detail": strings.Repeat("x\r\n", 100)})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := play(t, client.Config{}, response(403, api.MediaProblem, string(body)))
	_, err = c.Status(t.Context())
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e\r\n") {
		t.Errorf("%q", err)
	}
	huge := response(403, api.MediaProblem, `{"code":"frozen","title":"`+strings.Repeat("x", 1<<20)+`"}`)
	c, _ = play(t, client.Config{}, huge)
	if _, err = c.Status(t.Context()); err == nil || len(err.Error()) > 200 {
		t.Errorf("%d bytes of error", len(err.Error()))
	}
}

func TestRetries(t *testing.T) {
	send := func(c *client.Client, ctx context.Context) error {
		_, err := c.Send(ctx, anID, protocol.Tag{}, []byte("p"), 0)
		return err
	}
	open := func(c *client.Client, ctx context.Context) error {
		_, err := c.Challenge(ctx, api.ChallengeRequest{Claim: "open/1", Params: []byte("{}")})
		return err
	}
	busy, frozen := problem(protocol.CodeOverloaded, 503, "1"), problem(protocol.CodeFrozen, 503, "60")
	draining := problem(protocol.CodeDraining, 503, "")
	for name, tt := range map[string]struct {
		call    func(*client.Client, context.Context) error
		cfg     client.Config
		answers []func(*http.Request) (*http.Response, error)
		tries   int
		code    protocol.Code
		least   time.Duration
		most    time.Duration
	}{
		"busy twice":             {send, client.Config{}, []func(*http.Request) (*http.Response, error){busy, busy, accepted}, 3, 0, 2 * time.Second, 2500 * time.Millisecond},
		"busy for ever":          {send, client.Config{Retries: 3}, []func(*http.Request) (*http.Response, error){busy}, 4, protocol.CodeOverloaded, 3 * time.Second, 3750 * time.Millisecond},
		"never again":            {send, client.Config{Retries: -1}, []func(*http.Request) (*http.Response, error){busy}, 1, protocol.CodeOverloaded, 0, 0},
		"frozen for long":        {send, client.Config{}, []func(*http.Request) (*http.Response, error){frozen}, 1, protocol.CodeFrozen, 0, 0},
		"frozen, patiently":      {send, client.Config{MaxPause: 2 * time.Minute, Retries: 1}, []func(*http.Request) (*http.Response, error){frozen}, 2, protocol.CodeFrozen, time.Minute, 75 * time.Second},
		"no time named":          {open, client.Config{}, []func(*http.Request) (*http.Response, error){draining}, 5, protocol.CodeDraining, 1500 * time.Millisecond, 3 * time.Second},
		"rejected":               {send, client.Config{}, []func(*http.Request) (*http.Response, error){problem(protocol.CodeSubmissionRejected, 403, "")}, 1, protocol.CodeSubmissionRejected, 0, 0},
		"prover's time":          {open, client.Config{}, []func(*http.Request) (*http.Response, error){problem(protocol.CodeProverTimeout, 504, "")}, 1, protocol.CodeProverTimeout, 0, 0},
		"lost proof":             {send, client.Config{}, []func(*http.Request) (*http.Response, error){failure, accepted}, 2, 0, 100 * time.Millisecond, 200 * time.Millisecond},
		"lost challenge":         {open, client.Config{}, []func(*http.Request) (*http.Response, error){failure}, 1, protocol.CodeInternal, 0, 0},
		"answer of another kind": {send, client.Config{}, []func(*http.Request) (*http.Response, error){response(201, "text/html", "x")}, 1, protocol.CodeInternal, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := play(t, tt.cfg, tt.answers...)
				begin := time.Now()
				err := tt.call(c, t.Context())
				if got := protocol.CodeOf(err); got != tt.code || len(s.asked) != tt.tries {
					t.Errorf("%d tries, %v", len(s.asked), err)
				}
				if took := time.Since(begin); took < tt.least || took > tt.most {
					t.Errorf("took %v", took)
				}
				for _, r := range s.asked {
					if b, _ := io.ReadAll(r.Body); len(b) == 0 {
						t.Error("a try without its body")
					}
				}
			})
		})
	}
}

func TestContextEndsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := play(t, client.Config{Retries: 100}, problem(protocol.CodeOverloaded, 503, "1"))
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := c.Status(ctx)
		if !errors.Is(err, protocol.CodeOverloaded) || time.Since(begin) > 3500*time.Millisecond || len(s.asked) < 3 || len(s.asked) > 4 {
			t.Errorf("%d tries in %v: %v", len(s.asked), time.Since(begin), err)
		}
	})
}

func TestReceiptWaits(t *testing.T) {
	p := receipt.Pair{Leaf: []byte{1}, Log: "l"}
	b, err := (&receipt.Receipt{Version: 1, Pair: p, Claim: p, Epoch: p, Signer: p, Last: p}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	missing, there := problem(protocol.CodeNotFound, 404, ""), response(200, api.MediaReceipt, string(b))
	synctest.Test(t, func(t *testing.T) {
		c, s := play(t, client.Config{}, missing, missing, there)
		r, err := c.Receipt(t.Context(), anID, 45*time.Second)
		if err != nil || !bytes.Equal(r.Leaf, []byte{1}) || len(s.asked) != 3 {
			t.Errorf("%v after %d", err, len(s.asked))
		}
		if got := s.asked[0].Header.Get("Prefer"); got != "wait=30" {
			t.Errorf("Prefer: %s", got)
		}
		c, _ = play(t, client.Config{}, missing)
		begin := time.Now()
		_, err = c.Receipt(t.Context(), anID, 5*time.Second)
		if took := time.Since(begin); !errors.Is(err, protocol.CodeNotFound) || took > 5*time.Second || took < 4*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		c, s = play(t, client.Config{}, missing)
		if _, err = c.Receipt(t.Context(), anID, 0); !errors.Is(err, protocol.CodeNotFound) || len(s.asked) != 1 || s.asked[0].Header.Get("Prefer") != "" {
			t.Errorf("%v after %d", err, len(s.asked))
		}
	})
}

// TestAnswersThatAreNone: what a server of this API never says is ErrAnswer.
func TestAnswersThatAreNone(t *testing.T) {
	other := protocol.RequestID{9}
	for name, tt := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		call   func(*client.Client) error
	}{
		"another request": {response(201, api.MediaJSON, `{"request_id":"`+other.String()+`","index":1}`), func(c *client.Client) error {
			_, err := c.Send(t.Context(), anID, protocol.Tag{}, nil, 0)
			return err
		}},
		"malformed receipt": {response(201, api.MediaJSON, `{"request_id":"`+anID.String()+`","index":1,"receipt":{}}`), func(c *client.Client) error {
			_, err := c.Send(t.Context(), anID, protocol.Tag{}, nil, time.Second)
			return err
		}},
		"no JSON": {response(200, api.MediaJSON, `{`), func(c *client.Client) error {
			_, err := c.Status(t.Context())
			return err
		}},
		"endless": {func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {api.MediaJSON}}, Body: io.NopCloser(endless{}), Request: r}, nil
		}, func(c *client.Client) error { _, err := c.Claims(t.Context()); return err }},
		"opening of another event": {response(202, api.MediaJSON, `{"request_id":"`+anID.String()+`","opening":`+opening(t, `{"a":2}`)+`}`), func(c *client.Client) error {
			_, err := c.Push(t.Context(), prepared(t, `{"a":1}`), 0, 0)
			return err
		}},
	} {
		c, s := play(t, client.Config{}, tt.answer)
		if err := tt.call(c); !errors.Is(err, client.ErrAnswer) || len(s.asked) != 1 {
			t.Errorf("%s: %v after %d", name, err, len(s.asked))
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func opening(t *testing.T, event string) string {
	t.Helper()
	b, err := (&receipt.Opening{RequestID: anID, Event: event}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func prepared(t *testing.T, event string) *claim.Prepared {
	t.Helper()
	p, err := claim.Prepare(claim.Open, []byte("{}"), []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPush(t *testing.T) {
	e := prepared(t, `{ "a" : 1 }`)
	c, s := play(t, client.Config{}, response(202, api.MediaJSON, `{"request_id":"`+anID.String()+`","opening":`+opening(t, `{"a":1}`)+`}`))
	p, err := c.Push(t.Context(), e, 0, 0)
	if err != nil || p.RequestID != anID || p.Accepted != nil || p.Opening.Event != `{"a":1}` || s.asked[0].Header.Get("Prefer") != "respond-async" {
		t.Errorf("%+v, %v", p, err)
	}
	c, s = play(t, client.Config{}, response(201, api.MediaJSON, `{"request_id":"`+anID.String()+`","index":3,"opening":`+opening(t, `{"a":1}`)+`}`))
	p, err = c.Push(t.Context(), e, 0, 10*time.Second)
	if err != nil || p.Accepted == nil || p.Accepted.Index != 3 || s.asked[0].Header.Get("Prefer") != "wait=10" {
		t.Errorf("%+v, %v", p, err)
	}
	c, s = play(t, client.Config{}, failure)
	if _, err = c.Push(t.Context(), e, 0, 0); err == nil || len(s.asked) != 1 {
		t.Errorf("a push whose fate is unknown was sent %d times: %v", len(s.asked), err)
	}
	if _, err = c.Push(t.Context(), e, -1, 0); !errors.Is(err, protocol.CodeMalformedRequest) || len(s.asked) != 1 {
		t.Errorf("%v", err)
	}
}

func TestReads(t *testing.T) {
	c, _ := play(t, client.Config{}, status)
	if st, err := c.Status(t.Context()); err != nil || st.Size != 3 {
		t.Errorf("%+v %v", st, err)
	}
	c, s := play(t, client.Config{}, response(200, api.MediaJSON, `{"number":4}`))
	if e, err := c.Epoch(t.Context(), 4); err != nil || e.Number != 4 || s.asked[0].URL.Path != "/base/v1/epochs/4" {
		t.Errorf("%+v %v", e, err)
	}
}

// TestRedirectIsNotFollowed: a proof and its tag go to one server only.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the client went elsewhere with tag %q", r.Header.Get("TD-Tag"))
	}))
	base := serve(t, http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect))
	c, err := client.New(base, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(t.Context(), anID, protocol.Tag{1}, []byte("p"), 0); err == nil {
		t.Error("a redirect is a success")
	}
}
