package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/fault"
)

// TestFailureAsJSON: a server that ends says so as an object.
func TestFailureAsJSON(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"serve", "--log-format", "json", "--listen", "nonsense"},
		{"serve", "--log-format", "json", "--max-lag", "0"},
		{"serve", "--log-format", "json", "--data", "/proc/nowhere", "--listen", "127.0.0.1:0"},
	} {
		var stderr bytes.Buffer
		if code := run(args, nil, &stderr, &stderr); code != fault.Config {
			t.Errorf("%q: exit code %d", args, code)
		}
		for line := range strings.Lines(stderr.String()) {
			var o struct {
				Msg, Err string
				Exit     int `json:"exit_code"`
			}
			if err := json.Unmarshal([]byte(line), &o); err != nil || o.Msg == "ended" && (o.Exit != fault.Config || o.Err == "") {
				t.Errorf("%q: %v: %s", args, err, line)
			}
		}
		if !strings.Contains(stderr.String(), `"ended"`) {
			t.Errorf("%q: %s", args, &stderr)
		}
	}
}
