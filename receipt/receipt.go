package receipt

import (
	"bytes"
	"encoding/json"

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
	Leaf []byte
	Log  string
}

// Receipt is the parsed JSON of section 13; the package comment has the format.
// Nothing in it is verified: see [Verify].
type Receipt struct {
	Version int
	Pair           // the accepted leaf
	Claim   Pair   // the claim leaf that brought the verifying key into the log
	Epoch   Pair   // the epoch-open leaf that the payload names
	Signer  Pair   // the epoch-open leaf whose key signed the checkpoint
	Last    Pair   // the last leaf of the checkpoint's tree
	Flags   []Pair // withdrawals: all of the log up to the checkpoint, or those of this epoch or claim, in log order
}

// leafText is the base64url text of a leaf.
type leafText []byte

func (l leafText) MarshalText() ([]byte, error) { return []byte(protocol.EncodeBase64(l)), nil }

func (l *leafText) UnmarshalText(text []byte) error {
	b, err := protocol.DecodeBase64(string(text))
	*l = b
	return err
}

type wirePair struct {
	Leaf leafText `json:"leaf"`
	Log  string   `json:"log"`
}

type wireReceipt struct {
	Version int        `json:"version"`
	Leaf    leafText   `json:"leaf"`
	Log     string     `json:"log"`
	Claim   wirePair   `json:"claim"`
	Epoch   wirePair   `json:"epoch"`
	Signer  wirePair   `json:"signer"`
	Last    wirePair   `json:"last"`
	Flags   []wirePair `json:"flags"`
}

// Parse reads a receipt. It refuses with code malformed_request or too_large:
// unknown, repeated or missing members, another version, text that is not
// strict base64url, trailing data, and anything beyond the limits. [Verify]
// judges the contents of leaves and log texts.
func Parse(b []byte) (*Receipt, error) {
	var w wireReceipt
	if err := protocol.DecodeStrict(b, protocol.JSONLimits{Size: MaxSize}, &w); err != nil {
		return nil, err
	}
	if w.Flags == nil {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "receipt has no list of flags")
	}
	r := &Receipt{
		Version: w.Version,
		Pair:    Pair{w.Leaf, w.Log},
		Claim:   Pair{w.Claim.Leaf, w.Claim.Log},
		Epoch:   Pair{w.Epoch.Leaf, w.Epoch.Log},
		Signer:  Pair{w.Signer.Leaf, w.Signer.Log},
		Last:    Pair{w.Last.Leaf, w.Last.Log},
	}
	for _, f := range w.Flags {
		r.Flags = append(r.Flags, Pair{f.Leaf, f.Log})
	}
	return r, r.check()
}

// Encode writes the one compact JSON text of the receipt, without a line end.
// It refuses what [Parse] would refuse.
func (r *Receipt) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	w := wireReceipt{r.Version, r.Leaf, r.Log, wire(r.Claim), wire(r.Epoch), wire(r.Signer), wire(r.Last), []wirePair{}}
	for _, f := range r.Flags {
		w.Flags = append(w.Flags, wire(f))
	}
	b, err := encodeJSON(w)
	if err == nil && len(b) > MaxSize {
		return nil, protocol.Fail(protocol.CodeTooLarge, "receipt is too large")
	}
	return b, err
}

func wire(p Pair) wirePair { return wirePair{p.Leaf, p.Log} }

// encodeJSON writes v compactly and leaves "<", ">" and "&" as they are.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "value has no JSON form", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
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
