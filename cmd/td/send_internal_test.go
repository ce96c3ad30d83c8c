package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// accepted is a receipt of an earlier version, the challenge it is about and a
// trust store that knows its log.
func accepted(t *testing.T) (*receipt.Receipt, *api.Challenge, receipt.Options) {
	t.Helper()
	const dir = "../../testdata/accepted/v0.1"
	raw, err := os.ReadFile(filepath.Join(dir, "range-1.receipt.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := receipt.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	store := t.TempDir()
	if err := os.CopyFS(store, os.DirFS(filepath.Join(dir, "trust"))); err != nil {
		t.Fatal(err)
	}
	trust, err := receipt.OpenTrust(store)
	if err != nil {
		t.Fatal(err)
	}
	return got, &api.Challenge{Payload: api.Payload(leaf.Body.(*protocol.Accepted).Payload)}, receipt.Options{Trust: trust}
}

// TestSendJudgesReceipts: what td send gives out is about its own challenge and
// verifies.
func TestSendJudgesReceipts(t *testing.T) {
	got, ch, o := accepted(t)
	leaf, err := protocol.ParseLeaf(got.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	if err := ownReceipt(got, ch, leaf.Seq); err != nil {
		t.Error(err)
	}
	if err := judgeReceipt(t.Context(), got, o); err != nil {
		t.Error(err)
	}
	if err := ownReceipt(got, ch, leaf.Seq+1); !isNegative(err) {
		t.Errorf("the receipt of another leaf: got %v", err)
	}
	other := *ch
	other.Payload[100] ^= 1
	if err := ownReceipt(got, &other, leaf.Seq); !isNegative(err) {
		t.Errorf("the receipt of another request: got %v", err)
	}
	tampered := *got
	tampered.Leaf = append([]byte(nil), got.Leaf...)
	tampered.Leaf[len(tampered.Leaf)-1] ^= 1
	if err := judgeReceipt(t.Context(), &tampered, o); !isNegative(err) || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("a receipt with a bit flipped: got %v", err)
	}
}

// isNegative reports an error that ends td with the status of a negative verdict.
func isNegative(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.exit == exitNegative
}
