package client

import (
	"fmt"
	"strings"

	"github.com/terradourada/td/protocol"
)

// DiffersError is an answer of the server that is about something else than what it was
// asked. It holds both, so its text shows what it says. Only [Compare] makes one.
type DiffersError struct {
	Part      string // what differs
	Want, Got string // as it was sent, or follows from it; and as it came back
}

// Compare returns a [*DiffersError] if want, which was sent or follows from what was sent,
// differs from what came back, and else nil.
func Compare(part, want, got string) error {
	if want == got {
		return nil
	}
	return &DiffersError{Part: part, Want: want, Got: got}
}

// Error names the part and shows an excerpt of both values, from shortly before the first
// byte that differs.
func (e *DiffersError) Error() string {
	first := 0
	for first < min(len(e.Want), len(e.Got)) && e.Want[first] == e.Got[first] {
		first++
	}
	return fmt.Sprintf("its %s differs: asked for %s, came back %s", e.Part, excerpt(e.Want, first), excerpt(e.Got, first))
}

// Most of an excerpt, and of it before the byte at first, in bytes.
const (
	maxExcerpt    = 120
	excerptBefore = 40
)

// excerpt returns what surrounds the byte at first, in printable form.
func excerpt(s string, first int) string {
	from := 0
	if len(s) > maxExcerpt {
		from = max(0, min(first-excerptBefore, len(s)-maxExcerpt))
	}
	to := min(len(s), from+maxExcerpt)
	var b strings.Builder
	if from > 0 {
		b.WriteString("...")
	}
	b.WriteString(protocol.Printable(s[from:to]))
	if to < len(s) {
		fmt.Fprintf(&b, "... (%d bytes)", len(s))
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}
