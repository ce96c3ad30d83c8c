package claim

import (
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
