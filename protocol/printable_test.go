package protocol_test

import (
	"testing"

	"github.com/terradourada/td/protocol"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"open/1 ~":                  "open/1 ~",
		"\x1b[2J\u2028\x7f\n\xff é": "?[2J???? ?",
	} {
		if got := protocol.Printable(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
