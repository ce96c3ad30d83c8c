package receipt

import (
	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// Limits of a receipt. They leave room for every flag in a tree of 2^40 leaves
// and for a few cosignatures.
const (
	Version    = 1        // the one version of receipts and openings
	MaxSize    = 1 << 20  // bytes of the JSON text
	MaxLogSize = 64 << 10 // bytes of one log text
	MaxFlags   = 256      // withdrawals in one receipt
)

// Pair is a leaf, byte for byte as logged, and the C2SP tlog-proof text that
// shows it in the log.
type Pair struct {
	Leaf api.Bytes `json:"leaf"`
	Log  string    `json:"log"`
}

// Receipt is the parsed JSON of section 13; the package comment has the format.
// Nothing in it is verified: see [Verify].
type Receipt struct {
	Version int    `json:"version"`
	Pair           // the accepted leaf
	Claim   Pair   `json:"claim"`  // the claim leaf that brought the verifying key into the log
	Epoch   Pair   `json:"epoch"`  // the epoch-open leaf that the payload names
	Signer  Pair   `json:"signer"` // the epoch-open leaf whose key signed the checkpoint
	Last    Pair   `json:"last"`   // the last leaf of the checkpoint's tree
	Flags   []Pair `json:"flags"`  // withdrawals: all of the log up to the checkpoint, or those of this epoch or claim, in log order
}

// Parse reads a receipt. It refuses with code malformed_request or too_large:
// unknown, repeated or missing members, another version, text that is not
// strict base64url, trailing data, and anything beyond the limits. [Verify]
// judges the contents of leaves and log texts.
func Parse(b []byte) (*Receipt, error) {
	var r Receipt
	if err := protocol.DecodeStrict(b, protocol.JSONLimits{Size: MaxSize}, &r); err != nil {
		return nil, err
	}
	if r.Flags == nil {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "receipt has no list of flags")
	}
	r.Flags = append([]Pair(nil), r.Flags...) // nil if it is empty
	return &r, r.check()
}

// Encode writes the one compact JSON text of the receipt, without a line end.
// It refuses what [Parse] would refuse.
func (r *Receipt) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	w := *r
	w.Flags = append([]Pair{}, r.Flags...) // not null
	b, err := protocol.EncodeJSON(&w)
	if err == nil && len(b) > MaxSize {
		return nil, protocol.Fail(protocol.CodeTooLarge, "receipt is too large")
	}
	return b, err
}

// check applies the limits to all parts.
func (r *Receipt) check() error {
	if r.Version != Version {
		return protocol.Fail(protocol.CodeMalformedRequest, "receipt has an unknown version")
	}
	if len(r.Flags) > MaxFlags {
		return protocol.Fail(protocol.CodeMalformedRequest, "receipt has too many flags")
	}
	for _, p := range r.pairs() {
		if len(p.Leaf) == 0 || p.Log == "" {
			return protocol.Fail(protocol.CodeMalformedRequest, "receipt lacks a leaf or its log text")
		}
		if len(p.Leaf) > protocol.MaxLeafSize || len(p.Log) > MaxLogSize {
			return protocol.Fail(protocol.CodeTooLarge, "receipt holds a leaf or a log text that is too large")
		}
	}
	return nil
}

// pairs lists every pair: accepted, claim, epoch, signer, last, then the flags.
func (r *Receipt) pairs() []Pair {
	return append([]Pair{r.Pair, r.Claim, r.Epoch, r.Signer, r.Last}, r.Flags...)
}
