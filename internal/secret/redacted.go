package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Redacted is embedded first in every type that holds key material: no verb,
// logger or encoder prints such a value, and it cannot be compared with ==.
// It cannot help a struct that holds one in an unexported field, which fmt
// prints by reflection; there, hold it by pointer.
type Redacted struct{ _ [0]func() }

const redacted = "redacted"

// Format prints "redacted" for every verb and flag.
func (Redacted) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String is "redacted".
func (Redacted) String() string { return redacted }

// GoString is "redacted".
func (Redacted) GoString() string { return redacted }

// LogValue is "redacted".
func (Redacted) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "redacted".
func (Redacted) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "redacted", quoted.
func (Redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
