package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// quotas are limits that refuse some classes or claims, and note their calls.
type quotas struct {
	mu      sync.Mutex
	refuses limit.Class
	claim   string
	calls   []string
	failed  []limit.Source
}

var theQuota = limit.Quota{N: 5, Per: time.Second, Burst: 20}

func (q *quotas) Admit(_ time.Time, s limit.Source, c limit.Class, claim string, cost int) limit.Decision {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = append(q.calls, fmt.Sprintf("%s %s %q %d %v", c, s.Addr, claim, cost, s.Local))
	if c == q.refuses && c != limit.Health {
		return limit.Decision{Scope: limit.Address, Quota: theQuota, RetryAfter: 3100 * time.Millisecond, Reset: 3100 * time.Millisecond}
	}
	return limit.Decision{OK: true, Scope: limit.Address, Quota: theQuota, Left: 12, Reset: 1500 * time.Millisecond}
}

func (q *quotas) AdmitClaim(_ time.Time, _ limit.Class, claim string) limit.Decision {
	q.mu.Lock()
	defer q.mu.Unlock()
	return limit.Decision{OK: claim != q.claim, Scope: limit.Claim, RetryAfter: time.Second}
}

func (q *quotas) Failed(_ time.Time, s limit.Source) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failed = append(q.failed, s)
}

// startLimited starts a server with quotas, whose clients name their address in a header.
func startLimited(t *testing.T, q server.Limits) *service {
	t.Helper()
	return start(t, func(c *server.Config) {
		c.Limits, c.RateLimit = q, true
		c.Resolve = func(_ netip.Addr, h http.Header) limit.Source {
			a, err := netip.ParseAddr(h.Get("X-From"))
			return limit.Source{Addr: a, Local: err != nil}
		}
	})
}

// TestQuota: a request beyond a quota is refused before its body is read, with a problem
// that says when to return, and the RateLimit fields.
func TestQuota(t *testing.T) {
	q := &quotas{refuses: limit.Issue, claim: "range/1"}
	s := startLimited(t, q)
	r := s.post("/v1/challenges", "{}", "X-From", "192.0.2.7")
	p := s.problem(r, protocol.CodeRateLimited)
	if r.Header.Get("Retry-After") != "4" || !strings.Contains(p.Detail, "address") || r.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%d, Retry-After %q: %s", r.StatusCode, r.Header.Get("Retry-After"), p.Detail)
	}
	if policy, left := r.Header.Get("RateLimit-Policy"), r.Header.Get("RateLimit"); policy != `"address";q=20;w=4` || left != `"address";r=0;t=4` {
		t.Errorf("RateLimit-Policy %s, RateLimit %s", policy, left)
	}
	if got := <-s.reports; got.Cause != telemetry.Limited || got.Source != netip.MustParseAddr("192.0.2.7") || got.Received != 0 {
		t.Errorf("reported %+v", got)
	}
	r = s.do(http.MethodGet, "/v1/epochs", nil, "X-From", "192.0.2.7")
	if r.StatusCode != http.StatusOK || r.Header.Get("RateLimit") != "" {
		t.Errorf("a read without a key: %d, RateLimit %q", r.StatusCode, r.Header.Get("RateLimit"))
	}
	q.refuses = limit.Health
	s.problem(s.post("/v1/challenges", strings.Replace(challengeBody, "open/1", "range/1", 1)), protocol.CodeRateLimited)
	for _, path := range []string{"/v1/status", "/nowhere", "/v1/receipts/" + knownID.String()} {
		s.do(http.MethodGet, path, nil)
	}
	s.do(http.MethodDelete, "/v1/epochs", nil)
	s.do(http.MethodPost, "/v1/verify", []byte("{}"), "Content-Type", api.MediaJSON)
	s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody())
	want := []string{
		`issue 192.0.2.7 "" 0 false`, `read 192.0.2.7 "" 0 false`, `issue invalid IP "" 0 true`, `health invalid IP "" 0 true`,
		`read invalid IP "" 0 true`, `read invalid IP "" 0 true`, `read invalid IP "" 0 true`, `verify invalid IP "" 0 true`, `submit invalid IP "" 0 true`,
	}
	if !slices.Equal(q.calls, want) {
		t.Errorf("quotas were asked for\n%s\nwant\n%s", strings.Join(q.calls, "\n"), strings.Join(want, "\n"))
	}
}

// TestFramingIsCharged: a request whose framing is refused is charged as any other.
func TestFramingIsCharged(t *testing.T) {
	q := &quotas{refuses: limit.Issue}
	s := startLimited(t, q)
	s.problem(s.chunked("/v1/challenges", challengeBody), protocol.CodeRateLimited)
}

// TestUniform: what the codes of section 14 hide, no byte of an answer shows, but each is
// reported with its cause and charged as a failed validation.
func TestUniform(t *testing.T) {
	q := &quotas{}
	s := startLimited(t, q)
	var first string
	causes := []telemetry.Cause{telemetry.UnknownID, telemetry.WrongTag, telemetry.WrongClient, telemetry.ForeignEpoch}
	for _, cause := range causes {
		s.fake.set(func(f *fake) {
			f.err = telemetry.Because(cause, protocol.Fail(protocol.CodeSubmissionRejected, "because "+cause.String()))
		})
		r := s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody(), "X-From", "192.0.2.7")
		s.problem(r, protocol.CodeSubmissionRejected)
		r.Header.Del("Date")
		if text := r.Status + headerText(r.Header) + string(r.body); first == "" {
			first = text
		} else if text != first {
			t.Errorf("%v is answered with\n%s\nnot with\n%s", cause, text, first)
		}
		if got := <-s.reports; got.Cause != cause {
			t.Errorf("reported %v, want %v", got.Cause, cause)
		}
	}
	if len(q.failed) < len(causes)-1 || q.failed[0].Addr != netip.MustParseAddr("192.0.2.7") {
		t.Errorf("failures of %v", q.failed)
	}
}

// TestShed: a challenge that could not be verified is refused before its body is read,
// with a time to return that differs between clients.
func TestShed(t *testing.T) {
	s := start(t, nil)
	s.fake.set(func(f *fake) { f.busy = &after{protocol.Fail(protocol.CodeOverloaded, "busy"), 20 * time.Second} })
	times := map[string]bool{}
	for range 100 {
		r := s.post("/v1/challenges", "{}")
		s.problem(r, protocol.CodeOverloaded)
		times[r.Header.Get("Retry-After")] = true
	}
	if len(times) < 4 || times["15"] || times["25"] {
		t.Errorf("Retry-After: %v", times)
	}
	if got := <-s.reports; got.Received != 0 || got.Cause != telemetry.Overloaded {
		t.Errorf("reported %+v", got)
	}
	for _, path := range []string{"/v1/status", "/v1/epochs", "/v1/receipts/" + knownID.String()} {
		if r := s.do(http.MethodGet, path, nil); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	if r := s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody()); r.StatusCode != http.StatusCreated {
		t.Errorf("a proof: %d %s", r.StatusCode, r.body)
	}
}

// TestLoad: a request counts for its class while it holds a slot, and not longer.
func TestLoad(t *testing.T) {
	f := &fake{enter: make(chan struct{}, 1), block: make(chan struct{})}
	s := server.New(server.Config{Gate: f, Records: f, Ledger: f, MaxRequests: 64})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/challenges/"+knownID.String()+"/proof", strings.NewReader(proofBody()))
	r.Header.Set("Content-Type", "application/json")
	done := make(chan struct{})
	go func() { defer close(done); s.ServeHTTP(httptest.NewRecorder(), r) }()
	<-f.enter
	for i, want := range []int{1, 0} {
		if inWork, places := s.Load(limit.Submit); inWork != want || places != 32 {
			t.Errorf("%d of %d slots are taken, want %d", inWork, places, want)
		}
		if inWork, _ := s.Load(limit.Issue); inWork != 0 {
			t.Error("another class has it, too")
		}
		if i == 0 {
			close(f.block)
			<-done
		}
	}
}

// after is a refusal that names a time.
type after struct {
	error
	d time.Duration
}

func (a *after) RetryAfter() time.Duration { return a.d }
func (a *after) Unwrap() error             { return a.error }

// three admits three connections.
type three struct{ atomic.Int32 }

func (n *three) Acquire(netip.Addr) bool { return n.Add(1) <= 3 }
func (n *three) Release(netip.Addr)      { n.Add(-1) }

// TestConnectionsOfOnePeer: a peer may have so many connections, whatever else is free.
func TestConnectionsOfOnePeer(t *testing.T) {
	s := start(t, func(c *server.Config) { c.Peers = new(three) })
	for range 3 {
		s.silent()
	}
	select {
	case <-s.silent():
	case <-time.After(3 * time.Second):
		t.Error("a fourth connection is open")
	}
}

// TestPenaltyOfANetwork: a penalty in force makes the requests of its network cost more, so
// that they are refused sooner, and one of a single address refuses them. Others are
// served as before.
func TestPenaltyOfANetwork(t *testing.T) {
	set := limit.Defaults()
	set.Response.DryRun, set.Response.Share = false, 1
	set.Address[limit.Issue] = limit.Quota{N: 1, Per: time.Hour, Burst: 4}
	l, err := limit.New(time.Now(), set)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	punish := func(network string, times int) {
		for range times {
			p, err := l.Punish(at, limit.Subject{Prefix: netip.MustParsePrefix(network)}, "false proofs")
			if err != nil {
				t.Fatal(err)
			}
			at = p.Since.Add(set.Response.First / 4) // it is no longer new
		}
	}
	punish("192.0.2.0/24", 2)
	punish("198.51.100.7/32", 3)
	s := startLimited(t, l)
	for _, c := range []struct {
		from   string
		served int // of 5 requests
		detail string
	}{
		{"203.0.113.7", 4, "address"},
		{"192.0.2.7", 4, "address"},
		{"192.0.2.8", 4, "address"},
		{"192.0.2.9", 0, "subnet"}, // a quarter of what 8 addresses may ask for was used up by two
		{"198.51.100.8", 4, "address"},
		{"198.51.100.7", 0, "penalty"},
	} {
		served := 0
		for range 5 {
			r := s.post("/v1/challenges", challengeBody, "X-From", c.from)
			if r.StatusCode == http.StatusCreated {
				served++
				continue
			}
			if p := s.problem(r, protocol.CodeRateLimited); !strings.Contains(p.Detail, c.detail) || r.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %s, Retry-After %q", c.from, p.Detail, r.Header.Get("Retry-After"))
			}
		}
		if served != c.served {
			t.Errorf("%s was served %d times of 5, want %d", c.from, served, c.served)
		}
	}
}
