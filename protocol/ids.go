package protocol

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
)

// Sizes of the values that travel, in bytes.
const (
	IDSize      = 16 // request, epoch and instance identifiers
	DigestSize  = 32 // SHA-256 values, nonces, salts, tags
	ElementSize = 32 // a canonical scalar of BLS12-381
)

// RequestID names one request (one session); 16 random bytes.
type RequestID [IDSize]byte

// EpochID names one epoch; it follows from the keys of the epoch, see [DeriveEpochID].
type EpochID [IDSize]byte

// InstanceID names one run of the core process.
type InstanceID [IDSize]byte

// ListID names one revision of a member list (section 6, group/1).
type ListID [DigestSize]byte

// Nonce is the random value inside a payload.
type Nonce [DigestSize]byte

// Salt is the random value that hides a client identity in a payload.
type Salt [DigestSize]byte

// Digest is a SHA-256 value.
type Digest [DigestSize]byte

// Tag is the tagger's one output: HMAC-SHA-256 over the payload, never
// truncated. Compare it with [Tag.Equal] only.
type Tag [DigestSize]byte

// Element is a canonical field element, 32 bytes big-endian.
type Element [ElementSize]byte

// Anchor is the signer's one output: the field element a signature was
// reduced to.
type Anchor [ElementSize]byte

// Commitment is the field element cm that fixes an event and hides it.
type Commitment [ElementSize]byte

// Member is the public commitment of a list member, M = C(sk, 1).
type Member [ElementSize]byte

// Nullifier is the one-per-scope value of a member, C(sk, scope).
type Nullifier [ElementSize]byte

// Equal reports whether two tags are the same, in constant time.
func (t Tag) Equal(u Tag) bool { return subtle.ConstantTimeCompare(t[:], u[:]) == 1 }

// Equal reports whether two elements are the same, in constant time.
func (e Element) Equal(f Element) bool { return subtle.ConstantTimeCompare(e[:], f[:]) == 1 }

// Equal reports whether two digests are the same, in constant time.
func (d Digest) Equal(o Digest) bool { return subtle.ConstantTimeCompare(d[:], o[:]) == 1 }

// CheckElement refuses, with code malformed_request, a value that is not a
// canonical field element.
func CheckElement(b []byte) error {
	if len(b) == ElementSize {
		if _, below := scalarOf(b).minusOrder(); below == 1 {
			return nil
		}
	}
	return Fail(CodeMalformedRequest, "value is not a canonical field element")
}

// SmallElement is the field element of a small integer.
func SmallElement(v uint64) Element {
	return scalar{v}.element()
}

// base64url decodes with Strict, so that each value has exactly one text.
var base64url = base64.RawURLEncoding.Strict()

// EncodeBase64 is the text form of a binary value that is no identifier.
func EncodeBase64(b []byte) string { return base64url.EncodeToString(b) }

// AppendBase64 appends the text of [EncodeBase64] for b.
func AppendBase64(dst, b []byte) []byte { return base64url.AppendEncode(dst, b) }

// Printable returns a text with "?" in place of every character that is not printable
// ASCII, so that it cannot steer a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// Escaped returns a text with every character that is not graphic written as its Go
// escape, so that it can neither steer a terminal nor end a line.
func Escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strconv.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// DecodeBase64 reads the text form written by [EncodeBase64]. It refuses
// padding, line breaks and non-zero trailing bits with malformed_request.
func DecodeBase64(s string) ([]byte, error) {
	// The standard decoder skips CR and LF, which would allow a second text for
	// the same value.
	if bytes.ContainsAny([]byte(s), "\r\n") {
		return nil, Fail(CodeMalformedRequest, "value is not base64url without padding")
	}
	b, err := base64url.DecodeString(s)
	if err != nil {
		return nil, Fail(CodeMalformedRequest, "value is not base64url without padding")
	}
	return b, nil
}

func parseHex(dst, text []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return Fail(CodeMalformedRequest, "identifier has the wrong length")
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Fail(CodeMalformedRequest, "identifier is not lower-case hexadecimal")
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}

func parseBase64(dst, text []byte) error {
	if len(text) != base64url.EncodedLen(len(dst)) {
		return Fail(CodeMalformedRequest, "value has the wrong length")
	}
	b, err := DecodeBase64(string(text))
	if err != nil {
		return err
	}
	copy(dst, b)
	return nil
}

func parseElement(dst, text []byte, parse func(dst, text []byte) error) error {
	b := make([]byte, len(dst))
	if err := parse(b, text); err != nil {
		return err
	}
	if err := CheckElement(b); err != nil {
		return err
	}
	copy(dst, b)
	return nil
}
