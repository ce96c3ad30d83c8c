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

func TestEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"é 日本/a b":              "é 日本/a b",
		"a\nb\x1b[2J\x00\u009b": `a\nb\x1b[2J\x00\u009b`,
		"\u202egnp":             `\u202egnp`,
		"\xff":                  "\ufffd",
	} {
		if got := protocol.Escaped(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
