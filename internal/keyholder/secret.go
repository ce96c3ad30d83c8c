package keyholder

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is embedded first in every type that holds a key: no verb, logger or
// encoder prints it, and it cannot be compared with ==. The three types that do
// are [originKey], [checkpointKey] and [tagKey]; no other place of this package
// keeps key material.
type redacted struct{ _ [0]func() }

const redactedText = "redacted"

func (redacted) Format(s fmt.State, _ rune)   { _, _ = io.WriteString(s, redactedText) }
func (redacted) String() string               { return redactedText }
func (redacted) GoString() string             { return redactedText }
func (redacted) LogValue() slog.Value         { return slog.StringValue(redactedText) }
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
func (redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedText + `"`), nil }
