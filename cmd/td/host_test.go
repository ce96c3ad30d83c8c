package main_test

import (
	"io"
	"net/http"
	"testing"
)

// TestAllowHost: the real server answers under its own names and those of
// --allow-host, and under no other.
func TestAllowHost(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--allow-host", "td.example", "--allow-host", "receipts.example")
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:8080": http.StatusOK, "td.example": http.StatusOK, "receipts.example:443": http.StatusOK, "evil.example": http.StatusForbidden,
	} {
		if got := b.asHost(host); got.status != want {
			t.Errorf("host %q: %d, want %d", host, got.status, want)
		}
	}
}

// asHost asks for the status under a name, or under the address.
func (b *backend) asHost(host string) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/v1/status", http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Host = host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, body}
}
