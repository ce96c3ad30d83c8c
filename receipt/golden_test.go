package receipt_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/terradourada/td/receipt"
)

var update = flag.Bool("update", false, "write testdata anew, with fresh keys")

// The files in testdata: a receipt of range/1, flagged, with its opening, a
// policy file that names its cosigner, and the receipt of the same acceptance
// before the withdrawal.
const (
	goldenReceipt = "testdata/range.receipt.json"
	goldenFlagged = "testdata/range-flagged.receipt.json"
	goldenOpening = "testdata/range.opening.json"
	goldenPolicy  = "testdata/policy.txt"
)

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// Every later release must accept what was accepted once.
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	policy, err := receipt.ParsePolicy(read(t, goldenPolicy))
	if err != nil {
		t.Fatal(err)
	}
	opening, err := receipt.ParseOpening(read(t, goldenOpening))
	if err != nil {
		t.Fatal(err)
	}
	for file, verdict := range map[string]string{goldenReceipt: receipt.Valid, goldenFlagged: receipt.Flagged} {
		b := read(t, file)
		r, err := receipt.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if again := encode(t, r); string(again) != string(b) {
			t.Errorf("%s is not what Encode writes", file)
		}
		p := verify(t, r, receipt.Options{Policy: policy, Opening: opening, Client: testClient})
		if p.Verdict != verdict || !p.OK {
			t.Errorf("%s: got %+v, want %s", file, p, verdict)
		}
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	s := newScene(t)
	alice := cosigner(t, "cosigner.example")
	before := s.other
	opening, err := s.ranges.opening.Encode()
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf("# The log, and a cosigner outside of its operator's reach.\norigin %s\nwitness Alice %s\nquorum Alice\n", testOrigin, alice.Verifier())
	for file, b := range map[string][]byte{
		goldenReceipt: encode(t, s.receiptFor(s.ranges, s.second, s.checkpoint(before, s.signer(s.second), alice), before)),
		goldenFlagged: encode(t, s.receiptFor(s.ranges, s.second, s.checkpoint(s.size(), s.signer(s.second), alice), s.size(), s.revoke, s.retire)),
		goldenOpening: opening,
		goldenPolicy:  []byte(policy),
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
