package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/protocol"
)

// call is one well-formed request per operation that reaches the fake.
type call struct {
	method, path, body string
	headers            []string
}

const challengeBody = `{"claim":"open/1","params":{},"commitment":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`

func proofBody() string {
	return fmt.Sprintf(`{"tag":%q,"proof":"AAAA"}`, aTag.String())
}

func calls() []call {
	return []call{
		{http.MethodPost, "/v1/challenges", challengeBody, []string{"Content-Type", "application/json"}},
		{http.MethodPost, "/v1/challenges/" + knownID.String() + "/proof", proofBody(), []string{"Content-Type", "application/json; charset=UTF-8"}},
		{http.MethodPost, "/v1/challenges/" + knownID.String() + "/proof", "\x00\x01", []string{"Content-Type", "application/octet-stream", "TD-Tag", aTag.String()}},
		{http.MethodPost, "/v1/events", `{"claim":"open/1","params":{},"event":{"a":1}}`, []string{"Content-Type", "application/json"}},
		{http.MethodGet, "/v1/receipts/" + knownID.String(), "", nil},
		{http.MethodGet, "/v1/claims", "", nil},
		{http.MethodGet, "/v1/claims/" + aClaim.Fingerprint.String(), "", nil},
		{http.MethodGet, "/v1/epochs", "", nil},
		{http.MethodGet, "/v1/epochs/1", "", nil},
		{http.MethodGet, "/v1/epochs/1/attestation", "", nil},
		{http.MethodGet, "/v1/status", "", nil},
		{http.MethodGet, "/checkpoint", "", nil},
		{http.MethodGet, "/tile/0/x001/002.p/7", "", nil},
	}
}

// specCodes reads code and status from section 14 of the specification itself.
func specCodes(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/td-1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## 14.")
	section, _, ended := strings.Cut(section, "429 and 503")
	if !found || !ended {
		t.Fatal("the specification has no section 14")
	}
	codes := map[string]int{}
	for _, m := range regexp.MustCompile(`\b([a-z_]+) ([45][0-9]{2})\b`).FindAllStringSubmatch(section, -1) {
		codes[m[1]], _ = strconv.Atoi(m[2])
	}
	return codes
}

func TestEveryCodeFromEveryOperation(t *testing.T) {
	s := start(t, nil)
	spec := specCodes(t)
	if len(spec) != len(protocol.Codes()) {
		t.Errorf("section 14 has %d codes, package protocol %d", len(spec), len(protocol.Codes()))
	}
	for _, code := range protocol.Codes() {
		cause := errors.New("cause " + canary)
		s.fake.set(func(f *fake) { f.err = protocol.Wrap(code, "a detail", cause) })
		for _, c := range calls() {
			r := s.do(c.method, c.path, []byte(c.body), c.headers...)
			p := s.problem(r, code)
			if r.StatusCode != spec[code.String()] {
				t.Errorf("%s: status %d, the specification says %d", code, r.StatusCode, spec[code.String()])
			}
			mute := code == protocol.CodeSubmissionRejected || code == protocol.CodeInternal
			if (p.Detail == "") != mute {
				t.Errorf("%s: detail %q", code, p.Detail)
			}
		}
	}
	s.fake.set(func(f *fake) { f.err = nil })
	for _, c := range calls() {
		if r := s.do(c.method, c.path, []byte(c.body), c.headers...); r.StatusCode >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.StatusCode, r.body)
		}
	}
}

func TestSubmissionRejectedHasOneBody(t *testing.T) {
	s := start(t, nil)
	var first string
	for i, id := range []protocol.RequestID{knownID, otherID} {
		s.fake.set(func(f *fake) {
			f.err = protocol.Wrap(protocol.CodeSubmissionRejected, fmt.Sprint("reason ", i), errors.New("cause"))
		})
		r := s.post("/v1/challenges/"+id.String()+"/proof", proofBody())
		if i == 0 {
			first = string(r.body)
		}
		if string(r.body) != first {
			t.Errorf("bodies differ: %s and %s", first, r.body)
		}
	}
}

type laterError struct{ error }

func (l laterError) Unwrap() error { return l.error }

func (laterError) RetryAfter() time.Duration { return 6500 * time.Millisecond }

func TestErrorsThatCarryLittleOrMuch(t *testing.T) {
	s := start(t, nil)
	for _, tt := range []struct {
		name  string
		err   error
		code  protocol.Code
		after string
	}{
		{"no code", errors.New(canary), protocol.CodeInternal, ""},
		{"bare code", protocol.CodeFrozen, protocol.CodeFrozen, "60"},
		{"unknown code", protocol.Code(200), protocol.CodeInternal, ""},
		{"code none", protocol.CodeNone, protocol.CodeInternal, ""},
		{"own time", laterError{protocol.CodeRateLimited}, protocol.CodeRateLimited, "7"},
		{"time is up", fmt.Errorf("deep: %w", context.DeadlineExceeded), protocol.CodeOverloaded, "1"},
		{"internal, because time was up", protocol.Wrap(protocol.CodeInternal, "", context.Canceled), protocol.CodeInternal, ""},
		{"endless detail", protocol.Fail(protocol.CodeExpired, strings.Repeat("é\"\n", 100_000)), protocol.CodeExpired, ""},
		{"control characters", protocol.Fail(protocol.CodeExpired, strings.Repeat("\x00", 10_000)), protocol.CodeExpired, ""},
	} {
		s.fake.set(func(f *fake) { f.err = tt.err })
		r := s.post("/v1/challenges", challengeBody)
		s.problem(r, tt.code)
		if got := r.Header.Get("Retry-After"); got != tt.after {
			t.Errorf("%s: Retry-After %q, want %q", tt.name, got, tt.after)
		}
	}
}

func TestPanicIsInternal(t *testing.T) {
	s := start(t, nil)
	s.fake.set(func(f *fake) { f.panics = "claim: internal error: " + canary })
	for _, c := range calls() {
		s.problem(s.do(c.method, c.path, []byte(c.body), c.headers...), protocol.CodeInternal)
	}
	s.fake.set(func(f *fake) { f.panics = nil })
	s.alive()
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v2/status", "/v1/status/", "/v1/" + canary, "/" + canary + "?" + canary,
		"/v1/challenges/" + knownID.String(), "/openapi.yaml", "/openapi-3.0.json", "/schemas/Problem.json",
		"/v1/../v1/status", "//v1/status", "/./v1/status", "/tile", "/tile/", "/%2e%2e/" + canary, "/v1%2fstatus",
		"/tile/0/../../journal.db", "/tile/entries/..", "/tile/0/000.p/0", "/tile/64/000", "/tile/0/000.p/1/" + canary, "/tile/0/%2e%2e/000",
	} {
		r := s.do(http.MethodGet, path, nil)
		if r.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, r.StatusCode)
		}
		s.problem(r, protocol.CodeNotFound)
	}
	if len(s.fake.paths) != 0 {
		t.Errorf("these paths reached the ledger: %q", s.fake.paths)
	}
	for _, c := range calls() {
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", canary, other(c.method)} {
			r := s.do(method, c.path, nil)
			s.problem(r, protocol.CodeMethodNotAllowed)
			if !strings.Contains(r.Header.Get("Allow"), c.method) {
				t.Errorf("%s %s: Allow %q", method, c.path, r.Header.Get("Allow"))
			}
		}
	}
}

func other(method string) string {
	if method == http.MethodGet {
		return http.MethodPost
	}
	return http.MethodGet
}
