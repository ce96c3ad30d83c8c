package protocol_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

// TestEpochRefusesKeysOfSmallOrder: under each of these keys a signature without a secret
// verifies for some messages, and no epoch may have one. A key that was drawn is taken.
func TestEpochRefusesKeysOfSmallOrder(t *testing.T) {
	check := func(key [32]byte) error {
		e := protocol.EpochOpen{CheckpointKey: key}
		e.ID = protocol.DeriveEpochID(e.PublicKey[:], key)
		return e.CheckID()
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := check([32]byte(public)); err != nil {
		t.Errorf("a key that was drawn: %v", err)
	}
	ff := strings.Repeat("f", 60)
	for _, y := range []string{
		strings.Repeat("00", 32), "01" + strings.Repeat("00", 31), "ec" + ff + "7f", "ed" + ff + "7f", "ee" + ff + "7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		for _, sign := range []byte{0, 1 << 7} {
			b, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key := [32]byte(b)
			key[31] |= sign
			if check(key) == nil {
				t.Errorf("an epoch has the key %x", key)
			}
			if !forgeable(key) {
				t.Errorf("%x is no key of small order: no signature without a secret verifies", key)
			}
		}
	}
}

// forgeable tries the signatures with S = 0 and the neutral point as R.
func forgeable(key [32]byte) bool {
	signature := make([]byte, ed25519.SignatureSize)
	signature[0] = 1
	for m := range 256 {
		if ed25519.Verify(key[:], []byte{byte(m)}, signature) {
			return true
		}
	}
	return false
}
