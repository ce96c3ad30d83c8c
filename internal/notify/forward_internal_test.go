package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestForward: what a cosigner answers is returned as it is, within the bound; an answer
// without an end, or of another kind, is an error and holds nothing up.
func TestForward(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/echo":
			fmt.Fprintf(w, "%s %s %s", r.Method, r.Header.Get("Content-Type"), body)
		case "/behind":
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, "5\n")
		case "/redirect":
			http.Redirect(w, r, "/echo", http.StatusTemporaryRedirect)
		case "/longest":
			fmt.Fprint(w, strings.Repeat("x", maxAnswer))
		case "/huge":
			fmt.Fprint(w, strings.Repeat("x", maxAnswer+1))
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		case "/silent":
			<-release
		case "/trickle":
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			<-release
		}
	}))
	defer s.Close()
	defer close(release)
	at := netip.MustParseAddrPort(strings.TrimPrefix(s.URL, "http://"))
	allowed, err := ParseAllowed([]string{at.String()})
	if err != nil {
		t.Fatal(err)
	}
	client := (&network{allowed: allowed}).client()
	client.Timeout = 500 * time.Millisecond
	d := &deliverer{http: client, allowed: allowed}
	for path, want := range map[string]struct {
		status int
		body   string // or part of the error, if there is no status
	}{
		"/echo":     {200, "POST text/plain sent"},
		"/behind":   {409, "5\n"},
		"/redirect": {307, ""},
		"/longest":  {200, strings.Repeat("x", maxAnswer)},
		"/huge":     {0, "longer than"},
		"/endless":  {0, "longer than"},
		"/silent":   {0, "Timeout"},
		"/trickle":  {0, "did not arrive"},
	} {
		got, err := d.handle(t.Context(), forwardRequest(t, s.URL+path))
		if err != nil {
			if want.status != 0 || !strings.Contains(err.Error(), want.body) || strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want %+v", path, err, want)
			}
			continue
		}
		if r := got.(*reply); r.Status != want.status || want.status != 307 && string(r.Body) != want.body || (r.Type == "text/x.tlog.size") != (path == "/behind") {
			t.Errorf("%s: %d %q %.40q", path, r.Status, r.Type, r.Body)
		}
	}
	for _, url := range []string{"http://127.0.0.2/", "http://169.254.169.254/", "file:///etc/passwd", "https://other.example/", ""} {
		if _, err := d.handle(t.Context(), forwardRequest(t, url)); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.handle(ctx, forwardRequest(t, s.URL+"/echo")); err == nil {
		t.Error("a request without a core was made")
	}
}

func forwardRequest(t *testing.T, url string) *request {
	t.Helper()
	body, err := json.Marshal(forward{url, []byte("sent")})
	if err != nil {
		t.Fatal(err)
	}
	return &request{Op: opForward, Body: body}
}
