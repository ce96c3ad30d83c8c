package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

// The codes are those of section 14, in its order, and no others.
func TestCodesAreThoseOfTheSpecification(t *testing.T) {
	spec, err := os.ReadFile("../docs/spec/td-1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(spec), "## 14. ")
	if !ok {
		t.Fatal("the specification has no section 14")
	}
	section, _, _ = strings.Cut(section, "429 and 503 carry")
	var want []string
	for _, m := range regexp.MustCompile(`\b([a-z_]+) [45][0-9]{2}\b`).FindAllStringSubmatch(section, -1) {
		want = append(want, m[1])
	}
	var got []string
	for _, c := range protocol.Codes() {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("codes = %q\nwant    %q", got, want)
	}
}

func TestCodeText(t *testing.T) {
	for _, c := range protocol.Codes() {
		got, ok := protocol.ParseCode(c.String())
		if !ok || got != c {
			t.Errorf("%v is read back as %v, %t", c, got, ok)
		}
		b, err := json.Marshal(c)
		if err != nil || string(b) != `"`+c.String()+`"` {
			t.Errorf("%v is marshalled as %s, %v", c, b, err)
		}
		var again protocol.Code
		if err := json.Unmarshal(b, &again); err != nil || again != c {
			t.Errorf("%s is unmarshalled as %v, %v", b, again, err)
		}
	}
	for _, s := range []string{"", "none", "FROZEN", "frozen ", "unknown"} {
		if c, ok := protocol.ParseCode(s); ok || c != protocol.CodeInternal {
			t.Errorf("%q is read as %v, %t", s, c, ok)
		}
		c := protocol.CodeFrozen
		if err := c.UnmarshalText([]byte(s)); err == nil || c != protocol.CodeFrozen {
			t.Errorf("%q is unmarshalled as %v, %v", s, c, err)
		}
	}
	if got := protocol.Code(200).String(); got != "internal" {
		t.Errorf("a code out of range = %q", got)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk")
	err := fmt.Errorf("open: %w", protocol.Wrap(protocol.CodeFrozen, "try later", cause))
	switch {
	case !errors.Is(err, protocol.CodeFrozen), errors.Is(err, protocol.CodeExpired), !errors.Is(err, cause):
		t.Error("errors.Is does not see code and cause")
	case protocol.CodeOf(err) != protocol.CodeFrozen, protocol.DetailOf(err) != "try later":
		t.Errorf("code %v, detail %q", protocol.CodeOf(err), protocol.DetailOf(err))
	case err.Error() != "open: frozen: try later: disk":
		t.Errorf("error = %q", err)
	}
	if protocol.CodeOf(nil) != protocol.CodeNone || protocol.CodeOf(cause) != protocol.CodeInternal {
		t.Error("CodeOf of nil or of a foreign error is wrong")
	}
	if protocol.CodeOf(fmt.Errorf("x: %w", protocol.CodeExpired)) != protocol.CodeExpired || protocol.DetailOf(cause) != "" {
		t.Error("CodeOf of a bare code or DetailOf of a foreign error is wrong")
	}
	if got := protocol.DetailOf(protocol.Failf(protocol.CodeTooLarge, "more than %d", 7)); got != "more than 7" {
		t.Errorf("detail = %q", got)
	}
}
