package remote

import (
	"strings"
	"testing"
)

func TestEntryPrintsNothingDangerous(t *testing.T) {
	if got := rawJSON("{\"a\":\"\x1b[2J\u2028\"}").String(); strings.ContainsAny(got, "\x1b\u2028") {
		t.Errorf("it prints %q", got)
	}
}
