package claim

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/terradourada/td/protocol"
)

// MemberSecret is the secret of a list member: a uniformly random field element
// that never leaves its holder. It never prints; only [MemberSecret.Encode]
// gives it away, for the holder's own file.
type MemberSecret struct {
	_  [0]func()
	sk protocol.Element
}

// NewMemberSecret draws a secret from the system's CSPRNG.
func NewMemberSecret() MemberSecret { return MemberSecret{sk: NewBlind()} }

// ParseMemberSecret reads the file form: 64 lower-case hexadecimal digits, with
// or without one newline at the end. Zero, which nobody draws, is refused as
// anything else with code malformed_request.
func ParseMemberSecret(b []byte) (MemberSecret, error) {
	m, err := protocol.ParseMember(string(bytes.TrimSuffix(b, []byte("\n"))))
	if err != nil || m == (protocol.Member{}) {
		return MemberSecret{}, malformed("member secret is not 64 lower-case hexadecimal digits of a field element")
	}
	return MemberSecret{sk: protocol.Element(m)}, nil
}

// Encode is the file form, for the holder alone.
func (m MemberSecret) Encode() []byte { return append(hex.AppendEncode(nil, m.sk[:]), '\n') }

// Member is the public commitment of the secret, C(sk, 1).
func (m MemberSecret) Member() protocol.Member {
	return protocol.Member(Compress(m.sk, protocol.SmallElement(1)))
}

// Nullifier is C(sk, scope).
func (m MemberSecret) Nullifier(scope protocol.Element) protocol.Nullifier {
	return protocol.Nullifier(Compress(m.sk, scope))
}

// String answers "redacted".
func (MemberSecret) String() string { return redacted }

// GoString answers "redacted".
func (MemberSecret) GoString() string { return redacted }

// Format answers "redacted" to every verb.
func (MemberSecret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue answers "redacted".
func (MemberSecret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON answers "redacted".
func (MemberSecret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText answers "redacted".
func (MemberSecret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
