package termui_test

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/termui"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"é 日本/a b":              "é 日本/a b",
		"a\nb\x1b[2J\x00\u009b": `a\nb\x1b[2J\x00\u009b`,
		"\u202egnp":             `\u202egnp`,
		"\xff":                  "\ufffd",
	} {
		if got := termui.Line(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := termui.Lines("a\r\nb"), "a\\r\nb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := termui.Lines(strings.Repeat("é", 1<<20))
	if len(got) > 1600 || !strings.HasSuffix(got, "é…") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("a long text became %d bytes that end in %q", len(got), got[len(got)-8:])
	}
}
