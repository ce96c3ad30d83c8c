package client_test

import (
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/terradourada/td/client"
)

// counted serves the status of a service and counts the requests.
func counted(t *testing.T) (base string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	return serve(t, statusHandler(requests)), requests
}

func statusHandler(requests *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"origin":"o"}`))
	})
}

func newClient(t *testing.T, base string, cfg client.Config) *client.Client {
	t.Helper()
	cfg.Retries = -1
	c, err := client.New(base, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wantLive(t *testing.T, c *client.Client, want bool, reason string) {
	t.Helper()
	why, from := c.Live(), c.Source()
	switch {
	case from.Live != want || want != (why == nil) || want != (from.NotLive == nil):
		t.Errorf("live is %v because %v, want %v and %q", from.Live, from.NotLive, want, reason)
	case !want && (!strings.Contains(why.Reason, reason) || from.NotLive.Error() != why.Reason):
		t.Errorf("not live because %v, want %q", from.NotLive, reason)
	}
}

// owner makes up what the system says: the owners of the listening sockets, one
// answer after the other, the last one again and again. Each owner has one
// socket.
func owner(answers ...uint32) func(netip.AddrPort) (map[uint64]uint32, error) {
	n := 0
	return func(netip.AddrPort) (map[uint64]uint32, error) {
		uid := answers[min(n, len(answers)-1)]
		n++
		return map[uint64]uint32{uint64(uid) + 100: uid}, nil
	}
}

const foreignUID = 61234

func TestLiveOnLoopback(t *testing.T) {
	nothing := func(netip.AddrPort) (map[uint64]uint32, error) { return nil, nil }
	hidden := func(netip.AddrPort) (map[uint64]uint32, error) { return nil, errors.New("no tables") }
	for name, tt := range map[string]struct {
		listeners func(netip.AddrPort) (map[uint64]uint32, error)
		server    uint32
		reason    string
	}{
		"root":           {owner(0), 0, ""},
		"own user":       {owner(uint32(os.Geteuid())), 0, ""},
		"named user":     {owner(foreignUID), foreignUID, ""},
		"foreign user":   {owner(foreignUID), 0, "belongs to user 61234, which is neither root nor this user"},
		"other user":     {owner(foreignUID), foreignUID + 1, "belongs to user 61234, which is none of root, this user and user 61235, who was named"},
		"changed":        {owner(0, foreignUID), foreignUID, "changed while"},
		"no listener":    {nothing, 0, "shows no listener"},
		"hidden":         {hidden, 0, "does not show who listens on 127.0.0.1:"},
		"two, one known": {func(netip.AddrPort) (map[uint64]uint32, error) { return map[uint64]uint32{1: 0, 2: foreignUID}, nil }, 0, "belongs to user 61234"},
	} {
		t.Run(name, func(t *testing.T) {
			base, requests := counted(t)
			c := newClient(t, base, client.Config{ServerUID: tt.server})
			c.SetListeners(tt.listeners)
			wantLive(t, c, false, "no connection to the server has been made yet")
			if _, err := c.Status(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantLive(t, c, tt.reason == "", tt.reason)

			// The same where only live connections are wanted.
			requests.Store(0)
			c = newClient(t, base, client.Config{ServerUID: tt.server, LiveOnly: true})
			c.SetListeners(tt.listeners)
			if name == "changed" {
				c.SetListeners(owner(0, foreignUID))
			}
			_, err := c.Status(t.Context())
			if tt.reason == "" {
				if err != nil || requests.Load() != 1 {
					t.Errorf("%d requests, %v", requests.Load(), err)
				}
				return
			}
			var refused *client.NotLiveError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, tt.reason) || requests.Load() != 0 {
				t.Fatalf("%d requests were sent: %v", requests.Load(), err)
			}
			if foreign := strings.Contains(tt.reason, "belongs to user 61234"); foreign != (refused.Owner == foreignUID) {
				t.Errorf("the owner is %d", refused.Owner)
			}
		})
	}
}

// TestLiveIsLostForGood: later connections do not make up for one.
func TestLiveIsLostForGood(t *testing.T) {
	base, _ := counted(t)
	c := newClient(t, base, client.Config{})
	for i, uid := range []uint32{0, foreignUID, 0} {
		c.SetListeners(owner(uid))
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantLive(t, c, i == 0, "")
		c.CloseIdle()
	}
}

func TestNeverLive(t *testing.T) {
	// Addresses of RFC 5737 and RFC 3849, which nothing is sent to.
	for _, base := range []string{"http://192.0.2.1:1", "http://[2001:db8::1]:1"} {
		_, err := newClient(t, base, client.Config{LiveOnly: true}).Status(t.Context())
		if !errors.As(err, new(*client.NotLiveError)) || !strings.Contains(err.Error(), "plain HTTP over a network") {
			t.Errorf("%s: %v", base, err)
		}
	}
	c, _ := play(t, client.Config{}, status)
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLive(t, c, false, "another transport")
	if _, err := client.New("https://td.example", client.Config{Transport: http.DefaultTransport, LiveOnly: true}); err == nil {
		t.Error("a foreign transport can be live only")
	}
}

// TestLiveByCertificate is one test because the system's certificates are read
// once in a process.
func TestLiveByCertificate(t *testing.T) {
	requests := new(atomic.Int32)
	s := httptest.NewUnstartedServer(statusHandler(requests))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	c := newClient(t, s.URL, client.Config{LiveOnly: true})
	c.SetListeners(owner(foreignUID)) // the certificate says more
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLive(t, c, true, "")

	// The certificate does not name this host.
	requests.Store(0)
	c = newClient(t, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), client.Config{})
	if _, err := c.Status(t.Context()); err == nil || requests.Load() != 0 {
		t.Errorf("%d requests, %v", requests.Load(), err)
	}
	wantLive(t, c, false, "no connection")
}

// TestPlainToTLS: a request without TLS to a port that speaks it says so, whichever
// way the server answers.
func TestPlainToTLS(t *testing.T) {
	tls := httptest.NewUnstartedServer(statusHandler(new(atomic.Int32)))
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	answer := func(status int, body string) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
	}
	alert := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		conn.Write([]byte("\x15\x03\x01\x00\x02\x02\x16\n"))
		conn.Close()
	}))
	const hint = "The plain HTTP request was sent to HTTPS port"
	for base, want := range map[string]bool{
		strings.Replace(tls.URL, "https:", "http:", 1): true,
		alert:                                      true,
		answer(http.StatusBadRequest, hint):        true,
		answer(http.StatusNotFound, hint):          false,
		answer(http.StatusBadRequest, "something"): false,
	} {
		if _, err := newClient(t, base, client.Config{}).Status(t.Context()); err == nil || errors.Is(err, client.ErrTLS) != want {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestServerName(t *testing.T) {
	for base, want := range map[string]string{
		"https://TD.Example":            "https://td.example:443",
		"http://td.example/":            "http://td.example:80",
		"HTTP://127.0.0.1:8080":         "http://127.0.0.1:8080",
		"https://[::1]/a/B/":            "https://[::1]:443/a/B",
		"http://LocalHost:8080":         "http://127.0.0.1:8080",
		"http://[::1]:8080":             "http://127.0.0.1:8080",
		"http://127.0.0.2:8080":         "http://127.0.0.2:8080",
		"https://localhost:8080":        "https://localhost:8080",
		"http://localhost.example":      "http://localhost.example:80",
		"https://[2001:db8::1]":         "https://[2001:db8::1]:443",
		"https://td.example:8443/a%20b": "https://td.example:8443/a%20b",
	} {
		c := newClient(t, base, client.Config{})
		if got := c.Source().Server; got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}
