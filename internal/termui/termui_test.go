package termui_test

import (
	"strings"
	"testing"

	"github.com/terradourada/td/internal/termui"
)

func TestLines(t *testing.T) {
	if got, want := termui.Lines("a\r\nb"), "a\\r\nb"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got := termui.Lines(strings.Repeat("é", 1<<20))
	if len(got) > 1600 || !strings.HasSuffix(got, "é…") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("a long text became %d bytes that end in %q", len(got), got[len(got)-8:])
	}
}
