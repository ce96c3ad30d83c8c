package claim

import (
	"bytes"
	"encoding/hex"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// MemberSecret is the secret of a list member: a uniformly random field element
// that never leaves its holder. It prints as "redacted"; only
// [MemberSecret.Encode] returns the value, for the holder's own file.
type MemberSecret struct {
	hidden

	// sk is behind a function because fmt ignores the methods below for an
	// unexported field of another struct and would print it.
	sk func() protocol.Element
}

// hold makes a secret of a field element.
func hold(sk protocol.Element) MemberSecret {
	return MemberSecret{sk: func() protocol.Element { return sk }}
}

// element is sk; that of the zero value is 0.
func (m MemberSecret) element() protocol.Element {
	if m.sk == nil {
		return protocol.Element{}
	}
	return m.sk()
}

// NewMemberSecret draws a secret from the system's CSPRNG.
func NewMemberSecret() MemberSecret { return hold(NewBlind()) }

// ParseMemberSecret reads the file form: 64 lower-case hexadecimal digits, with
// or without one newline at the end. Zero, which is never drawn, is refused
// like any other text with code malformed_request.
func ParseMemberSecret(b []byte) (MemberSecret, error) {
	m, err := protocol.Parse[protocol.Member](string(bytes.TrimSuffix(b, []byte("\n"))))
	if err != nil || m == (protocol.Member{}) {
		return MemberSecret{}, rules.Malformed("member secret is not 64 lower-case hexadecimal digits of a field element")
	}
	return hold(protocol.Element(m)), nil
}

// Encode is the file form, for the holder alone.
func (m MemberSecret) Encode() []byte {
	sk := m.element()
	return append(hex.AppendEncode(nil, sk[:]), '\n')
}

// Member is the public commitment of the secret, C(sk, 1).
func (m MemberSecret) Member() protocol.Member {
	return protocol.Member(Compress(m.element(), protocol.SmallElement(1)))
}

// Nullifier is C(sk, scope).
func (m MemberSecret) Nullifier(scope protocol.Element) protocol.Nullifier {
	return protocol.Nullifier(Compress(m.element(), scope))
}
