package protocol_test

import (
	"testing"

	"github.com/terradourada/td/protocol"
)

func TestRedemptionNames(t *testing.T) {
	for i, want := range []string{"invalid", "ok", "mismatch", "unknown", "used", "expired", "invalid"} {
		if got := protocol.Redemption(i).String(); got != want {
			t.Errorf("verdict %d is called %q, want %q", i, got, want)
		}
	}
}
