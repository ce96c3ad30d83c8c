package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/protocol"
)

// keyed makes the server ask for keys and returns a key of the client north with these
// scopes.
func keyed(t *testing.T, scopes string) (key string, change func(*server.Config)) {
	t.Helper()
	s, err := principal.ParseScopes(scopes)
	if err != nil {
		t.Fatal(err)
	}
	k := principal.NewKey()
	registry := principal.NewRegistry([]principal.Client{{Index: 7, ID: "north"}},
		[]principal.Record{{ID: k.ID(), Client: 7, Digest: k.Digest(), Scopes: s}})
	return k.Text(), func(c *server.Config) {
		c.KeysOnly = true
		c.Clients = func() *principal.Registry { return registry }
	}
}

// public reports whether a call reads the public log.
func (c *call) public() bool { return c.method == http.MethodGet }

// TestIdentityComesFirst: without a valid key the gate is not asked and nothing of a body
// is read; the public log needs none, but a key that is not valid is refused there too.
func TestIdentityComesFirst(t *testing.T) {
	_, change := keyed(t, "challenge proof event verify")
	s := start(t, change)
	stranger := principal.NewKey()
	for _, c := range append(calls(), call{http.MethodPost, "/v1/verify", "{", []string{"Content-Type", "application/json"}}) {
		r := s.do(c.method, c.path, []byte(c.body), c.headers...)
		if c.public() {
			if r.StatusCode == http.StatusUnauthorized {
				t.Errorf("%s needs a key", c.path)
			}
		} else if s.problem(r, protocol.CodeUnauthenticated); r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: WWW-Authenticate %q", c.path, r.Header.Get("WWW-Authenticate"))
		}
		r = s.do(c.method, c.path, []byte(c.body), append(c.headers, "Authorization", "Bearer "+stranger.Text())...)
		s.problem(r, protocol.CodeUnauthenticated)
		if strings.Contains(string(r.body), "tdk_") {
			t.Error("the answer repeats the key")
		}
	}
	if len(s.fake.opened)+len(s.fake.answers)+len(s.fake.pushes) != 0 {
		t.Error("the gate was asked")
	}
}

// TestIdentity: the gate learns the client and its index.
func TestIdentity(t *testing.T) {
	key, change := keyed(t, "challenge proof event verify")
	s := start(t, change)
	bearer := []string{"Authorization", "Bearer " + key}
	s.post("/v1/challenges", challengeBody, bearer...)
	s.post("/v1/challenges/"+knownID.String()+"/proof", proofBody(), bearer...)
	s.post("/v1/events", `{"claim":"open/1","params":{},"event":{}}`, bearer...)
	f := s.fake
	if got := f.opened[0].Client + f.answers[0].Client + f.pushes[0].Client; got != strings.Repeat("north", 3) {
		t.Errorf("clients %q", got)
	}
	if f.opened[0].Index != 7 || f.pushes[0].Index != 7 {
		t.Errorf("indexes %d, %d", f.opened[0].Index, f.pushes[0].Index)
	}
}

// TestAuthorizationIsStrict: the header has one form, and is given once.
func TestAuthorizationIsStrict(t *testing.T) {
	key, change := keyed(t, "challenge")
	s := start(t, change)
	var details []string
	for _, headers := range [][]string{
		{"Authorization", key},
		{"Authorization", "bearer " + key},
		{"Authorization", "Bearer  " + key},
		{"Authorization", "Basic " + key},
		{"Authorization", "Bearer " + key + "," + key},
		{"Authorization", "Bearer " + key, "Authorization", "Bearer " + key},
		{"Authorization", ""},
		{"Authorization", "Bearer " + strings.Repeat("a", 10_000)},
		{"Authorization", "Bearer tdk_" + strings.Repeat("a", 64)},
	} {
		p := s.problem(s.post("/v1/challenges", challengeBody, headers...), protocol.CodeUnauthenticated)
		details = append(details, p.Detail)
	}
	for _, d := range details {
		if d != details[0] {
			t.Errorf("%q and %q", d, details[0])
		}
	}
	if len(s.fake.opened) != 0 {
		t.Error("the gate was asked")
	}
	if r := s.post("/v1/challenges", challengeBody, "Authorization", "Bearer "+key); r.StatusCode != http.StatusCreated {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

// TestScopes: each operation needs its own scope, and one that is limited to a claim
// allows no other claim.
func TestScopes(t *testing.T) {
	paths := map[string]string{
		"challenge": "/v1/challenges", "proof": "/v1/challenges/" + knownID.String() + "/proof", "event": "/v1/events", "verify": "/v1/verify",
	}
	bodies := map[string]string{"challenge": challengeBody, "proof": proofBody(), "event": `{"claim":"open/1","params":{},"event":{}}`, "verify": "{}"}
	for _, scopes := range []string{"challenge", "proof", "event", "verify", "challenge:open/1", "event:open/1", "challenge:sum/1 event:range/1"} {
		key, change := keyed(t, scopes)
		s := start(t, change)
		for op, path := range paths {
			r := s.post(path, bodies[op], "Authorization", "Bearer "+key)
			allowed := scopes == op || scopes == op+":open/1"
			if got := r.StatusCode != http.StatusForbidden; got != allowed {
				t.Errorf("%q: %s: %d %s", scopes, op, r.StatusCode, r.body)
			}
			if !allowed {
				s.problem(r, protocol.CodeForbidden)
			}
		}
		if n := len(s.fake.opened) + len(s.fake.pushes) + len(s.fake.answers); n > 1 {
			t.Errorf("%q: the gate was asked %d times", scopes, n)
		}
	}
}

// TestRevokedAtOnce: the registry is asked for each request.
func TestRevokedAtOnce(t *testing.T) {
	key, change := keyed(t, "challenge")
	revoked := false
	s := start(t, func(c *server.Config) {
		change(c)
		registry := c.Clients()
		c.Clients = func() *principal.Registry {
			if revoked {
				return principal.NewRegistry(registry.Clients(), nil)
			}
			return registry
		}
	})
	if r := s.post("/v1/challenges", challengeBody, "Authorization", "Bearer "+key); r.StatusCode != http.StatusCreated {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	revoked = true
	s.problem(s.post("/v1/challenges", challengeBody, "Authorization", "Bearer "+key), protocol.CodeUnauthenticated)
}

// TestAnonymous: a server that asks for no keys serves clients without one, and checks a
// key that it gets.
func TestAnonymous(t *testing.T) {
	key, change := keyed(t, "proof")
	s := start(t, func(c *server.Config) { change(c); c.KeysOnly = false })
	if r := s.post("/v1/challenges", challengeBody); r.StatusCode != http.StatusCreated || s.fake.opened[0].Client != protocol.LocalClient || s.fake.opened[0].Index != 0 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	s.problem(s.post("/v1/challenges", challengeBody, "Authorization", "Bearer "+key), protocol.CodeForbidden)
	expired := principal.NewKey()
	s.problem(s.post("/v1/challenges", challengeBody, "Authorization", "Bearer "+expired.Text()), protocol.CodeUnauthenticated)
}
