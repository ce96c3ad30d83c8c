package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// into reads a strict JSON answer of the given status.
func (s *service) into(r reply, status int, v any) {
	s.t.Helper()
	if r.StatusCode != status || r.Header.Get("Content-Type") != api.MediaJSON {
		s.t.Fatalf("status %d, %s: %s", r.StatusCode, r.Header.Get("Content-Type"), r.body)
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		s.t.Fatalf("%v: %s", err, r.body)
	}
}

func encodedReceipt(t *testing.T) string {
	t.Helper()
	b, err := aReceipt().Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestChallenge(t *testing.T) {
	s := start(t, nil)
	r := s.post("/v1/challenges", strings.Replace(challengeBody, "{", `{"ttl_ms":5000,`, 1))
	var c api.Challenge
	s.into(r, http.StatusCreated, &c)
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", r.Header.Get("Cache-Control"))
	}
	p, err := protocol.ParsePayload(c.Payload[:])
	if err != nil || p.RequestID != knownID || c.RequestID != knownID || !c.Tag.Equal(aTag) || len(c.PublicInputs) != 4 {
		t.Errorf("%v: %+v", err, c)
	}
	if got := c.ExpiresAt.Format(time.RFC3339Nano); got != "2027-01-15T08:00:00.123Z" {
		t.Errorf("expires_at %s", got)
	}
	if got := s.fake.opened[0]; got.TTL != 5*time.Second || got.Client != protocol.LocalClient || got.Commitment != (protocol.Commitment{31: 1}) {
		t.Errorf("asked %+v", got)
	}
}

func TestProofWithAndWithoutReceipt(t *testing.T) {
	s := start(t, nil)
	path := "/v1/challenges/" + knownID.String() + "/proof"
	for prefer, want := range map[string]string{"": "", "wait=0": "", "wait=5": encodedReceipt(t), `foo, WAIT="2"; x`: "", "wait=99999": encodedReceipt(t), "wait=-1": ""} {
		var a api.Accepted
		s.into(s.post(path, proofBody(), "Prefer", prefer), http.StatusCreated, &a)
		if a.RequestID != knownID || a.Index != 41 || string(a.Receipt) != want {
			t.Errorf("Prefer %q: %+v", prefer, a)
		}
	}
	s.fake.set(func(f *fake) { f.noReceipt = true })
	var a api.Accepted
	s.into(s.post(path, proofBody(), "Prefer", "wait=1"), http.StatusCreated, &a)
	if a.Index != 41 || a.Receipt != nil {
		t.Errorf("without a receipt in time: %+v", a)
	}
}

func TestPush(t *testing.T) {
	const body = `{"claim":"open/1","params":{},"event":{"b":2, "a":1}}`
	s := start(t, func(c *server.Config) { c.PushWait = 50 * time.Millisecond })
	var done api.EventAccepted
	s.into(s.post("/v1/events", body), http.StatusCreated, &done)
	opening := `{"version":1,"request_id":"` + knownID.String() + `","event":"{\"a\":1,\"b\":2}",`
	if done.Index != 42 || done.Receipt != nil || !strings.HasPrefix(string(done.Opening), opening) {
		t.Errorf("%+v %s", done, done.Opening)
	}
	s.into(s.post("/v1/events", body, "Prefer", "respond-async, wait=5"), http.StatusCreated, &done)
	if string(done.Receipt) != encodedReceipt(t) {
		t.Errorf("receipt %s", done.Receipt)
	}
	queued := func(prefer string) {
		t.Helper()
		r := s.post("/v1/events", body, "Prefer", prefer)
		var q api.EventQueued
		s.into(r, http.StatusAccepted, &q)
		if q.RequestID != knownID || !strings.HasPrefix(string(q.Opening), opening) || r.Header.Get("Location") != "/v1/receipts/"+knownID.String() {
			t.Errorf("%+v, Location %q", q, r.Header.Get("Location"))
		}
	}
	queued("respond-async")
	s.fake.set(func(f *fake) { f.noOutcome = true })
	queued("")
	queued("wait=1")
	queued("wait=0")
}

// TestPushFailure: the problem names the request that was issued.
func TestPushFailure(t *testing.T) {
	s := start(t, nil)
	for _, code := range []protocol.Code{protocol.CodeProverTimeout, protocol.CodeInvalidated, protocol.CodeOverloaded} {
		// Whatever its cause, an outcome is not "still being proved".
		s.fake.set(func(f *fake) { f.outcome = protocol.Wrap(code, "outcome", context.DeadlineExceeded) })
		p := s.problem(s.post("/v1/events", `{"claim":"open/1","params":{},"event":{}}`), code)
		if p.RequestID == nil || *p.RequestID != knownID {
			t.Errorf("%s: request id %v", code, p.RequestID)
		}
	}
}

func TestReceipt(t *testing.T) {
	s := start(t, nil)
	r := s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != api.MediaReceipt || string(r.body) != encodedReceipt(t) {
		t.Errorf("%d %s %s", r.StatusCode, r.Header.Get("Content-Type"), r.body)
	}
	s.problem(s.do(http.MethodGet, "/v1/receipts/"+otherID.String(), nil), protocol.CodeNotFound)
	s.fake.set(func(f *fake) { f.noReceipt = true })
	if p := s.problem(s.do(http.MethodGet, "/v1/receipts/"+knownID.String(), nil), protocol.CodeNotFound); p.Detail == "" {
		t.Error("a receipt that is not there yet is not told from one that never will be")
	}
}

func TestVerify(t *testing.T) {
	s := start(t, nil)
	for _, query := range []string{"", "?allow_self_asserted=true", "?allow_self_asserted=false"} {
		r := s.do(http.MethodPost, "/v1/verify"+query, []byte(encodedReceipt(t)), "Content-Type", api.MediaReceipt)
		var report receipt.Report
		s.into(r, http.StatusOK, &report)
		if report.OK || report.Verdict != "invalid" {
			t.Errorf("%s", r.body)
		}
	}
	for _, query := range []string{"?x=1", "?allow_self_asserted", "?allow_self_asserted=true&x", "?" + canary} {
		s.problem(s.do(http.MethodPost, "/v1/verify"+query, []byte(encodedReceipt(t)), "Content-Type", api.MediaReceipt), protocol.CodeMalformedRequest)
	}
}

func TestReads(t *testing.T) {
	s := start(t, nil)
	var claims api.Claims
	s.into(s.do(http.MethodGet, "/v1/claims", nil), http.StatusOK, &claims)
	var one api.Claim
	s.into(s.do(http.MethodGet, "/v1/claims/"+aClaim.Fingerprint.String(), nil), http.StatusOK, &one)
	if len(claims.Claims) != 1 || claims.Claims[0] != aClaim || one != aClaim {
		t.Errorf("%+v %+v", claims, one)
	}
	r := s.do(http.MethodGet, "/v1/epochs", nil)
	if string(r.body) != `{"epochs":[]}`+"\n" {
		t.Errorf("%s", r.body)
	}
	var epoch api.Epoch
	s.into(s.do(http.MethodGet, "/v1/epochs/1", nil), http.StatusOK, &epoch)
	var status api.Status
	r = s.do(http.MethodGet, "/v1/status", nil)
	s.into(r, http.StatusOK, &status)
	if status.Origin != "terradourada/test" || !strings.Contains(string(r.body), `"holds":[]`) || r.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s", r.body)
	}
}

func TestFiles(t *testing.T) {
	s := start(t, nil)
	for path, want := range map[string]string{
		"/checkpoint":            "text/plain; charset=utf-8 no-cache",
		"/tile/0/000":            "application/octet-stream public, max-age=31536000, immutable",
		"/tile/63/x123/456.p/9":  "application/octet-stream public, max-age=31536000, immutable",
		"/tile/entries/000.p/25": "application/octet-stream public, max-age=31536000, immutable",
	} {
		r := s.do(http.MethodGet, path, nil)
		if got := r.Header.Get("Content-Type") + " " + r.Header.Get("Cache-Control"); got != want || string(r.body) != "bytes of "+path[1:] {
			t.Errorf("%s: %q %q", path, got, r.body)
		}
		head := s.do(http.MethodHead, path, nil)
		if head.StatusCode != http.StatusOK || len(head.body) != 0 {
			t.Errorf("HEAD %s: %d, %d bytes", path, head.StatusCode, len(head.body))
		}
	}
	r := s.do(http.MethodGet, "/v1/epochs/1/attestation", nil)
	if string(r.body) != "evidence" || r.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %q", r.Header.Get("Content-Type"), r.body)
	}
	for _, path := range []string{"/v1/epochs/01/attestation", "/v1/epochs/x/attestation"} {
		s.problem(s.do(http.MethodGet, path, nil), protocol.CodeMalformedRequest)
	}
	s.problem(s.do(http.MethodGet, "/v1/epochs/2/attestation", nil), protocol.CodeNotFound)
}

func TestOutcomesAreObserved(t *testing.T) {
	s := start(t, nil)
	s.post("/v1/challenges", challengeBody)
	s.do(http.MethodGet, "/nowhere", nil)
	s.fake.set(func(f *fake) { f.err = protocol.CodeFrozen })
	s.post("/v1/challenges", challengeBody)
	here := netip.MustParseAddr("127.0.0.1")
	for _, want := range []telemetry.Request{
		{Operation: "openChallenge", Source: here, Status: 201, Received: int64(len(challengeBody))},
		{Operation: "none", Source: here, Code: protocol.CodeNotFound, Cause: telemetry.NotFound, Status: 404},
		{Operation: "openChallenge", Source: here, Code: protocol.CodeFrozen, Cause: telemetry.Held, Status: 503, Received: int64(len(challengeBody))},
	} {
		got := <-s.reports
		if got.Took <= 0 || got.Sent <= 0 || got.At.IsZero() {
			t.Errorf("reported %+v", got)
		}
		got.At, got.Took, got.Sent = time.Time{}, 0, 0
		if got != want {
			t.Errorf("reported %+v, want %+v", got, want)
		}
	}
}
