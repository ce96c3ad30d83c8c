package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

var (
	knownID = protocol.RequestID{0: 0xa1, 15: 0x5e}
	otherID = protocol.RequestID{0: 0xb2}
	aTag    = protocol.Tag{0: 9, 31: 7}
)

const canary = "CANARY7f3a91"

// fake is gate, records and ledger in one. It fails with err if that is set,
// panics with panic, blocks while block is open, and records its calls.
type fake struct {
	mu     sync.Mutex
	err    error
	panics any
	block  chan struct{} // closed by the test to end the block
	enter  chan struct{} // receives a value when a call blocks or waits for a receipt

	opened    []gate.OpenRequest
	answers   []gate.Answer
	pushes    []gate.PushRequest
	paths     []string
	noReceipt bool  // Receipt waits for its context to end
	outcome   error // of a push
	noOutcome bool  // the outcome of a push never comes
	tile      int   // bytes of a tile, if not 0
	busy      error // of Busy
}

func (f *fake) call(note func()) error {
	f.mu.Lock()
	if note != nil {
		note()
	}
	err, panics, block := f.err, f.panics, f.block
	f.mu.Unlock()
	if block != nil {
		f.enter <- struct{}{}
		<-block
	}
	if panics != nil {
		panic(panics)
	}
	return err
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (*fake) Payer(s limit.Source) limit.Payer { return limit.Payer{Local: s.Local} }

func (f *fake) Busy(limit.Payer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.busy
}

func (f *fake) Open(_ context.Context, r gate.OpenRequest) (*gate.Challenge, error) {
	if err := f.call(func() { f.opened = append(f.opened, r) }); err != nil {
		return nil, err
	}
	p := protocol.Payload{Mode: protocol.ModePull, RequestID: knownID, Seq: 1, TTL: protocol.DefaultTTL, Commitment: r.Commitment}
	return &gate.Challenge{
		RequestID: knownID, Payload: p.Encode(), Anchor: protocol.Anchor{31: 3}, Tag: aTag,
		Inputs:    []protocol.Element{{31: 3}, {31: 4}, {31: 5}, protocol.Element(r.Commitment)},
		ExpiresAt: time.Unix(1_800_000_000, 123_456_789),
	}, nil
}

func (f *fake) Accept(_ context.Context, a gate.Answer) (uint64, error) {
	err := f.call(func() { f.answers = append(f.answers, a) })
	return 41, err
}

func (f *fake) Push(_ context.Context, r gate.PushRequest) (*gate.Pushed, func(context.Context) (uint64, error), error) {
	if err := f.call(func() { f.pushes = append(f.pushes, r) }); err != nil {
		return nil, nil, err
	}
	canonical, err := protocol.Canonicalize(r.Event)
	if err != nil {
		return nil, nil, err
	}
	wait := func(ctx context.Context) (uint64, error) {
		if f.noOutcome {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return 42, f.outcome
	}
	return &gate.Pushed{RequestID: knownID, Opening: receipt.Opening{RequestID: knownID, Event: string(canonical)}}, wait, nil
}

func (f *fake) Receipt(ctx context.Context, id protocol.RequestID) (*receipt.Receipt, error) {
	if err := f.call(nil); err != nil {
		return nil, err
	}
	if f.noReceipt {
		f.enter <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if id != knownID {
		return nil, protocol.CodeNotFound
	}
	return aReceipt(), nil
}

func aReceipt() *receipt.Receipt {
	p := receipt.Pair{Leaf: []byte("leaf <&>"), Log: "log \u2014 <&>\n"}
	return &receipt.Receipt{Version: 1, Pair: p, Claim: p, Epoch: p, Signer: p, Last: p}
}

var aClaim = api.Claim{Fingerprint: protocol.Digest{1}, Claim: "open/1", Gates: 703, Index: 0}

func (f *fake) Claims(context.Context) ([]api.Claim, error) {
	return []api.Claim{aClaim}, f.call(nil)
}

func (f *fake) Epochs(context.Context, int) ([]api.Epoch, error) { return nil, f.call(nil) }

func (f *fake) Epoch(_ context.Context, n uint64) (api.Epoch, error) {
	if n != 1 {
		return api.Epoch{}, protocol.CodeNotFound
	}
	return api.Epoch{Number: 1, PublicKey: make(api.Bytes, protocol.MLDSAPublicKeySize)}, f.call(nil)
}

func (f *fake) Attestation(_ context.Context, n uint64) ([]byte, error) {
	if n != 1 {
		return nil, protocol.CodeNotFound
	}
	return []byte("evidence"), f.call(nil)
}

func (f *fake) Status(context.Context) (api.Status, error) {
	return api.Status{Origin: "terradourada/test", Size: 42}, f.call(nil)
}

func (f *fake) Read(_ context.Context, path string) ([]byte, error) {
	tile := 0
	err := f.call(func() { f.paths, tile = append(f.paths, path), f.tile })
	if tile > 0 {
		return make([]byte, tile), err
	}
	return []byte("bytes of " + path), err
}

// service is a server on a real listener.
type service struct {
	t       *testing.T
	fake    *fake
	addr    string
	reports chan telemetry.Request
}

func start(t *testing.T, change func(*server.Config)) *service {
	t.Helper()
	f := &fake{enter: make(chan struct{}, 64)}
	s := &service{t: t, fake: f, reports: make(chan telemetry.Request, 4096)}
	cfg := server.Config{Gate: f, Records: f, Ledger: f, Observe: func(r telemetry.Request) { s.reports <- r }}
	if change != nil {
		change(&cfg)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h, _ := server.HTTPServer(cfg, server.New(cfg))
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	s.addr = l.Addr().String()
	return s
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

func (s *service) do(method, path string, body []byte, headers ...string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return s.send(req)
}

func (s *service) send(req *http.Request) reply {
	s.t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{res, b}
}

// post sends a JSON body.
func (s *service) post(path, body string, headers ...string) reply {
	s.t.Helper()
	return s.do(http.MethodPost, path, []byte(body), append(headers, "Content-Type", api.MediaJSON)...)
}

// raw writes bytes to a new connection and reads one answer; nil means that
// the server closed without an answer.
func (s *service) raw(request string) *reply {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, request)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return &reply{res, b}
}

// alive checks that the server still works.
func (s *service) alive() {
	s.t.Helper()
	if r := s.do(http.MethodGet, "/v1/status", nil); r.StatusCode != http.StatusOK {
		s.t.Fatalf("the server no longer answers: %d %s", r.StatusCode, r.body)
	}
}

// goNames matches what an answer must not show: type names, traces, library
// words.
var goNames = regexp.MustCompile(`\b(?:api|protocol|server|gate|claim|receipt|json|jsontext|http|huma|reflect|runtime|errors|main)\.[A-Za-z]|Go (?:struct|type|value)|goroutine|panic|\.go:\d|0x[0-9a-f]{6,}|unexpected EOF|invalid character`)

// problem checks everything that holds for every problem document and returns
// it.
func (s *service) problem(r reply, want protocol.Code) api.Problem {
	s.t.Helper()
	var p api.Problem
	if len(r.body) > api.MaxProblem {
		s.t.Errorf("problem has %d bytes", len(r.body))
	}
	if got := r.Header.Get("Content-Type"); got != api.MediaProblem {
		s.t.Fatalf("problem has media type %q: %d %.200s", got, r.StatusCode, r.body)
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		s.t.Fatalf("problem is no problem: %v: %.200s", err, r.body)
	}
	if want != protocol.CodeNone && p.Code != want {
		s.t.Errorf("code %v, want %v (%s)", p.Code, want, p.Detail)
	}
	if p.Type != "urn:terradourada:error:"+p.Code.String() || p.Status != r.StatusCode || p.Title == "" {
		s.t.Errorf("problem does not fit itself: status %d, %+v", r.StatusCode, p)
	}
	later := r.StatusCode == 429 || r.StatusCode == 503
	if after := r.Header.Get("Retry-After"); (after != "") != later || p.Retryable != later {
		s.t.Errorf("status %d: Retry-After %q, retryable %v", r.StatusCode, after, p.Retryable)
	}
	if strings.Contains(string(r.body)+headerText(r.Header), canary) {
		s.t.Errorf("the answer repeats input: %s", r.body)
	}
	if m := goNames.Find(r.body); m != nil {
		s.t.Errorf("the answer shows %q: %s", m, r.body)
	}
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		s.t.Errorf("headers of a problem: %v", r.Header)
	}
	return p
}

func headerText(h http.Header) string {
	var b strings.Builder
	h.Write(&b)
	return b.String()
}
