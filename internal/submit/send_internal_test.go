package submit

import (
	"errors"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// TestOwnReceipt: td send accepts only a receipt about its own challenge and about the
// leaf that was acknowledged.
func TestOwnReceipt(t *testing.T) {
	const index = 7
	body := &protocol.Accepted{Payload: (&protocol.Payload{Mode: protocol.ModePull, Seq: 3, TTL: protocol.DefaultTTL, Policy: 1}).Encode(), Params: []byte("{}"), Proof: make([]byte, protocol.ProofSize)}
	body.Issued.Size, body.Issued.Signature[0] = 1, 1
	leaf := protocol.Leaf{Seq: index, Time: 1_800_000_000_000, Body: body}
	raw, err := leaf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got := &receipt.Receipt{}
	got.Leaf = raw
	ch := &api.Challenge{Payload: api.Payload(body.Payload)}
	other := *ch
	other.Payload[100] ^= 1
	for _, tt := range []struct {
		name     string
		got      *receipt.Receipt
		ch       *api.Challenge
		accepted *client.Accepted
		ok       bool
	}{
		{"acknowledged", got, ch, &client.Accepted{Index: index}, true},
		{"not acknowledged", got, ch, nil, true},
		{"another leaf", got, ch, &client.Accepted{Index: index + 1}, false},
		{"another request", got, &other, nil, false},
		{"no leaf", &receipt.Receipt{}, ch, nil, false},
	} {
		at, err := ownReceipt(tt.got, tt.ch, tt.accepted)
		f := new(fault.Fault)
		switch {
		case tt.ok && (err != nil || at != index):
			t.Errorf("%s: leaf %d, %v", tt.name, at, err)
		case !tt.ok && (!errors.As(err, &f) || f.Exit != fault.Negative):
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
