package claim_test

import (
	"os"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

func TestKnownKeys(t *testing.T) {
	var all []byte
	for _, id := range claim.FixedIDs() {
		vk, err := claim.Setup(id, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, vk.Encode()...)
		t.Log(id, vk.Fingerprint(id, protocol.ListID{}))
	}
	if *update {
		if err := os.WriteFile("data/keys.bin", all, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
