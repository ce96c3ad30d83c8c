package api

import (
	"github.com/terradourada/td/protocol"
)

// Media types of bodies.
const (
	MediaJSON    = "application/json"
	MediaOctets  = "application/octet-stream" // a bare proof, a tile
	MediaText    = "text/plain; charset=utf-8"
	MediaProblem = "application/problem+json"
	MediaReceipt = "application/vnd.terradourada.receipt.v1+json"
)

// TagHeader carries the tag, base64url, beside a bare proof.
const TagHeader = "TD-Tag"

// Limits of request bodies, in bytes.
const (
	MaxChallengeBody = 16 << 10
	MaxProofBody     = 16 << 10
	MaxEventBody     = 80 << 10 // an event of 64 KiB and its envelope
	MaxReceiptBody   = 1 << 20  // receipt.MaxSize
)

// MaxProblem bounds every problem document, in bytes.
const MaxProblem = 4 << 10

// MaxWait is the longest "Prefer: wait=n" that is honoured, in seconds; longer
// waits are shortened to it.
const MaxWait = 30

// Bytes is a binary value of no fixed length; its text is base64url without
// padding.
type Bytes []byte

// MarshalText is base64url without padding.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(protocol.EncodeBase64(b)), nil }

// UnmarshalText reads base64url without padding, strictly.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := protocol.DecodeBase64(string(text))
	if err != nil {
		return err
	}
	*b = v
	return nil
}

// Payload is an encoded payload, 256 bytes; its text is base64url.
type Payload protocol.EncodedPayload

// AppendText appends base64url without padding.
func (p Payload) AppendText(b []byte) ([]byte, error) { return protocol.AppendBase64(b, p[:]), nil }

// MarshalText is base64url without padding.
func (p Payload) MarshalText() ([]byte, error) { return p.AppendText(nil) }

// UnmarshalText reads exactly 256 bytes of base64url; protocol.ParsePayload
// checks the values in them.
func (p *Payload) UnmarshalText(text []byte) error {
	var b Bytes
	if err := b.UnmarshalText(text); err != nil {
		return err
	}
	if len(b) != protocol.PayloadSize {
		return protocol.Failf(protocol.CodeMalformedRequest, "payload is not %d bytes", protocol.PayloadSize)
	}
	copy(p[:], b)
	return nil
}
