package main_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
)

// attackFirstUse has every command but td submit and td trust add meet the
// attacker's server first.
func (s *siege) attackFirstUse() {
	s.attack("commands that meet a server first, and may not believe it", func(a *attack) {
		c := s.scene
		b := s.clone() // of this user, on loopback: there is no proxy
		user := newVictim(a.T, "")
		work := a.TempDir()
		challenge, private := filepath.Join(work, "challenge.json"), filepath.Join(work, "private")
		event := forgeEvent(a)
		for _, args := range [][]string{
			{"verify", c.forged, "--log", b.url, "--trust", user.store},
			{"verify", c.forged, "--log", b.url, "--trust", user.store, "--scan", "--strict"},
			{"log", "audit", "--server", b.url, "--trust", user.store, "--progress", "none"},
			{"log", "audit", "--server", b.url, "--trust", user.store, "--progress", "none", "--allow-self-asserted"},
			{"log", "info", "--server", b.url},
			{"log", "checkpoint", "--server", b.url},
			{"claims", "--server", b.url},
			{"challenge", "--server", b.url, "--claim", "open/1", "--private", private, "--out", challenge, event},
			{"trust", "list", "--trust", user.store},
		} {
			user.td(1, args...)
			if user.files() != "" {
				a.Fatalf("td %s recorded:\n%s", strings.Join(args, " "), user.files())
			}
		}
		a.want(user.verify(c.forged, "--log", b.url), unvouched)
		a.want(user.verify(c.forged, "--log", b.url, "--scan", "--strict"), unvouched)
		a.want(user.audit("--server", b.url), unvouched)
		a.want(user.verify(c.forged), unvouched)
	})
	s.attack("td verify --allow-self-asserted teaches nothing", func(a *attack) {
		c, user := s.scene, newVictim(a.T, "")
		a.want(user.verify(c.forged, "--allow-self-asserted"), "valid")
		a.want(user.verify(c.forged, "--log", c.mirror), unvouched)
	})
	s.attack("a server answers with the receipt of another request", func(a *attack) {
		c := s.scene
		stolen := []byte(a.read(c.receipt))
		address := between(a.T, s.real().url, func(r *http.Request, body []byte) []byte {
			if strings.HasPrefix(r.URL.Path, "/v1/receipts/") {
				return stolen
			}
			return body
		})
		user := newVictim(a.T, "")
		got, file := user.submit(address)
		if a.want(got, invalid, unavailable); file != "" {
			a.Error("the receipt was taken")
		}
	})
	s.attack("a server hands out receipts of another log than its own", func(a *attack) {
		c := s.scene
		other := startBackend(a.T, a.TempDir())
		mux := http.NewServeMux() // requests go to the other server, the log is the real one's
		mux.Handle("/v1/", forward(a, other.url))
		mux.Handle("/", forward(a, s.real().url))
		mixed := httptest.NewServer(mux)
		a.Cleanup(mixed.Close)
		user := a.user()
		a.want(first(user.submit(mixed.URL)), accepted, unvouched, unavailable, invalid)
		user.boundTo(c.url())
		a.want(user.verify(c.receipt), "valid")
		a.want(user.verify(c.forged, "--log", mixed.URL), unvouched, unavailable)
	})
}

func forward(a *attack, target string) http.Handler {
	a.Helper()
	u, err := url.Parse(target)
	a.must(err)
	return httputil.NewSingleHostReverseProxy(u)
}

func forgeEvent(a *attack) string {
	a.Helper()
	return (&forge{t: a.T}).save("event.json", string(submission().Event))
}

// serveDir serves a log's files as its server does; show takes other files.
func (a *attack) serveDir(dir string) (address string, show func(dir string)) {
	a.Helper()
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/octet-stream")
		if r.URL.Path == "/checkpoint" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		http.ServeFile(w, r, filepath.Join(dir, filepath.FromSlash(r.URL.Path)))
	}))
	a.Cleanup(s.Close)
	return s.URL, func(d string) {
		mu.Lock()
		defer mu.Unlock()
		dir = d
	}
}
