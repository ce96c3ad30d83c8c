package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/server"
)

// aHealth answers what a test sets.
type aHealth struct{ dead, faults, notes []server.Finding }

func (h *aHealth) Alive(context.Context) []server.Finding  { return h.dead }
func (h *aHealth) Ready() (faults, notes []server.Finding) { return h.faults, h.notes }
func findings(code string) []server.Finding                { return []server.Finding{{Code: code, Why: "why"}} }
func isLocal(host string) bool                             { return host == "localhost" }
func ask(h *aHealth, method, target, host string) (int, string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, http.NoBody)
	r.Host = host
	server.NewOps(h, isLocal, nil).ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

// TestOps: each of the two paths answers 503 for its own faults only, and says them.
func TestOps(t *testing.T) {
	t.Parallel()
	const well = `{"ok":true,"faults":[],"notes":[]}`
	frozen := `{"ok":true,"faults":[],"notes":[{"code":"frozen","why":"why"}]}`
	for _, c := range []struct {
		name         string
		health       aHealth
		method, path string
		status       int
		body         string
	}{
		{"alive", aHealth{faults: findings("no_epoch")}, "GET", "/healthz", 200, well},
		{"dead", aHealth{dead: findings("journal_stuck")}, "GET", "/healthz", 503, `{"ok":false,"faults":[{"code":"journal_stuck","why":"why"}],"notes":[]}`},
		{"ready", aHealth{dead: findings("journal_stuck")}, "GET", "/readyz", 200, well},
		{"not ready", aHealth{faults: findings("no_epoch")}, "GET", "/readyz", 503, `{"ok":false,"faults":[{"code":"no_epoch","why":"why"}],"notes":[]}`},
		{"ready, and said", aHealth{notes: findings("frozen")}, "GET", "/readyz", 200, frozen},
		{"another method", aHealth{}, "POST", "/readyz", 405, "Method Not Allowed"},
		{"another path", aHealth{}, "GET", "/", 404, "404 page not found"},
	} {
		if status, body := ask(&c.health, c.method, c.path, "localhost"); status != c.status || body != c.body {
			t.Errorf("%s: %d %s, want %d %s", c.name, status, body, c.status, c.body)
		}
	}
	if status, _ := ask(&aHealth{}, "GET", "/readyz", "evil.example"); status != http.StatusForbidden {
		t.Errorf("under a foreign name: %d", status)
	}
}
