package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradourada/td/client"
)

func TestCompare(t *testing.T) {
	long := strings.Repeat("a", 10_000)
	for _, tt := range []struct{ want, got, text string }{
		{"x", "x", ""},
		{long, long, ""},
		{"x", "", "its part differs: asked for x, came back nothing"},
		{"a\x1b[2J", "b", "its part differs: asked for a?[2J, came back b"},
		{
			long + "b", long, "its part differs: asked for ..." + strings.Repeat("a", 119) + "b, came back ..." + strings.Repeat("a", 120),
		},
		{
			long, "b" + long, "its part differs: asked for " + strings.Repeat("a", 120) + "... (10000 bytes), came back b" + strings.Repeat("a", 119) + "... (10001 bytes)",
		},
	} {
		err := client.Compare("part", tt.want, tt.got)
		if tt.text == "" {
			if err != nil {
				t.Errorf("equal values: %v", err)
			}
			continue
		}
		if !errors.As(err, new(*client.DiffersError)) || err.Error() != tt.text {
			t.Errorf("got  %v\nwant %s", err, tt.text)
		}
	}
}
