package anomaly

import (
	"fmt"
	"strings"
)

// named returns a scope in words: "client lab", "network 192.0.2.0/24", "the server".
func named(scope string) string {
	if scope == ScopeServer {
		return "the server"
	}
	return strings.Replace(scope, ":", " ", 1)
}

// times returns a number of events in words.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// upper returns a text with a capital letter.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
