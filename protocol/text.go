package protocol

import (
	"encoding"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// Parse reads the text form of a value, for example Parse[RequestID](text). An error
// has the code malformed_request.
func Parse[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](text string) (T, error) {
	var v T
	err := P(&v).UnmarshalText([]byte(text))
	return v, err
}

// String is the text form: lower-case hexadecimal.
func (r RequestID) String() string { return hex.EncodeToString(r[:]) }

// AppendText appends the text form of [RequestID.String].
func (r RequestID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, r[:]), nil }

// MarshalText is the text form of [RequestID.String].
func (r RequestID) MarshalText() ([]byte, error) { return r.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (r *RequestID) UnmarshalText(text []byte) error { return parseHex(r[:], text) }

// String is the text form: lower-case hexadecimal.
func (e EpochID) String() string { return hex.EncodeToString(e[:]) }

// AppendText appends the text form of [EpochID.String].
func (e EpochID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, e[:]), nil }

// MarshalText is the text form of [EpochID.String].
func (e EpochID) MarshalText() ([]byte, error) { return e.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (e *EpochID) UnmarshalText(text []byte) error { return parseHex(e[:], text) }

// String is the text form: lower-case hexadecimal.
func (i InstanceID) String() string { return hex.EncodeToString(i[:]) }

// AppendText appends the text form of [InstanceID.String].
func (i InstanceID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, i[:]), nil }

// MarshalText is the text form of [InstanceID.String].
func (i InstanceID) MarshalText() ([]byte, error) { return i.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (i *InstanceID) UnmarshalText(text []byte) error { return parseHex(i[:], text) }

// String is the text form: lower-case hexadecimal.
func (l ListID) String() string { return hex.EncodeToString(l[:]) }

// AppendText appends the text form of [ListID.String].
func (l ListID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, l[:]), nil }

// MarshalText is the text form of [ListID.String].
func (l ListID) MarshalText() ([]byte, error) { return l.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (l *ListID) UnmarshalText(text []byte) error { return parseHex(l[:], text) }

// String is the text form: lower-case hexadecimal.
func (m Member) String() string { return hex.EncodeToString(m[:]) }

// AppendText appends the text form of [Member.String].
func (m Member) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, m[:]), nil }

// MarshalText is the text form of [Member.String].
func (m Member) MarshalText() ([]byte, error) { return m.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (m *Member) UnmarshalText(text []byte) error { return parseElement(m[:], text, parseHex) }

// String is the text form: lower-case hexadecimal.
func (n Nullifier) String() string { return hex.EncodeToString(n[:]) }

// AppendText appends the text form of [Nullifier.String].
func (n Nullifier) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, n[:]), nil }

// MarshalText is the text form of [Nullifier.String].
func (n Nullifier) MarshalText() ([]byte, error) { return n.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (n *Nullifier) UnmarshalText(text []byte) error { return parseElement(n[:], text, parseHex) }

// String is the text form: base64url without padding.
func (n Nonce) String() string { return base64url.EncodeToString(n[:]) }

// AppendText appends the text form of [Nonce.String].
func (n Nonce) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, n[:]), nil }

// MarshalText is the text form of [Nonce.String].
func (n Nonce) MarshalText() ([]byte, error) { return n.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (n *Nonce) UnmarshalText(text []byte) error { return parseBase64(n[:], text) }

// String is the text form: base64url without padding.
func (s Salt) String() string { return base64url.EncodeToString(s[:]) }

// AppendText appends the text form of [Salt.String].
func (s Salt) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, s[:]), nil }

// MarshalText is the text form of [Salt.String].
func (s Salt) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (s *Salt) UnmarshalText(text []byte) error { return parseBase64(s[:], text) }

// String is the text form: base64url without padding.
func (d Digest) String() string { return base64url.EncodeToString(d[:]) }

// AppendText appends the text form of [Digest.String].
func (d Digest) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, d[:]), nil }

// MarshalText is the text form of [Digest.String].
func (d Digest) MarshalText() ([]byte, error) { return d.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (d *Digest) UnmarshalText(text []byte) error { return parseBase64(d[:], text) }

// redacted is what a secret prints as.
const redacted = "redacted"

// Format prints "redacted" for every verb and flag: a reader of the tag could answer the
// challenge in place of its client. [Tag.String] is for the wire.
func (Tag) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "redacted".
func (Tag) LogValue() slog.Value { return slog.StringValue(redacted) }

// String is the text form: base64url without padding.
func (t Tag) String() string { return base64url.EncodeToString(t[:]) }

// AppendText appends the text form of [Tag.String].
func (t Tag) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, t[:]), nil }

// MarshalText is the text form of [Tag.String].
func (t Tag) MarshalText() ([]byte, error) { return t.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (t *Tag) UnmarshalText(text []byte) error { return parseBase64(t[:], text) }

// String is the text form: base64url without padding.
func (e Element) String() string { return base64url.EncodeToString(e[:]) }

// AppendText appends the text form of [Element.String].
func (e Element) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, e[:]), nil }

// MarshalText is the text form of [Element.String].
func (e Element) MarshalText() ([]byte, error) { return e.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (e *Element) UnmarshalText(text []byte) error { return parseElement(e[:], text, parseBase64) }

// String is the text form: base64url without padding.
func (a Anchor) String() string { return base64url.EncodeToString(a[:]) }

// AppendText appends the text form of [Anchor.String].
func (a Anchor) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, a[:]), nil }

// MarshalText is the text form of [Anchor.String].
func (a Anchor) MarshalText() ([]byte, error) { return a.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (a *Anchor) UnmarshalText(text []byte) error { return parseElement(a[:], text, parseBase64) }

// String is the text form: base64url without padding.
func (c Commitment) String() string { return base64url.EncodeToString(c[:]) }

// AppendText appends the text form of [Commitment.String].
func (c Commitment) AppendText(b []byte) ([]byte, error) { return base64url.AppendEncode(b, c[:]), nil }

// MarshalText is the text form of [Commitment.String].
func (c Commitment) MarshalText() ([]byte, error) { return c.AppendText(nil) }

// UnmarshalText is [Parse] into a value, which an error leaves unchanged.
func (c *Commitment) UnmarshalText(text []byte) error { return parseElement(c[:], text, parseBase64) }
