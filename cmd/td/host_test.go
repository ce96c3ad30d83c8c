package main_test

import (
	"net/http"
	"testing"
)

// TestAllowHost: the real server answers under its own names and the ones it was
// told, and under no other.
func TestAllowHost(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir(), "--allow-host", "td.example", "--allow-host", "receipts.example")
	for host, want := range map[string]int{
		"": http.StatusOK, "localhost:8080": http.StatusOK, "td.example": http.StatusOK, "receipts.example:443": http.StatusOK, "evil.example": http.StatusForbidden,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/v1/status", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host // "" is the address
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("host %q: %d, want %d", host, res.StatusCode, want)
		}
	}
}
