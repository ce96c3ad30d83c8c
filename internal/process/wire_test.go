package process_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/terradourada/td/internal/process"
)

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		packet string
		good   bool
	}{
		{"\x01\x00\x00\x00\x00\x01", true},
		{"\x01\x02\xff\xff\xff\xff", true},
		{"\x02\x00\x00\x00\x00\x01", true},
		{"", false},
		{"\x01\x00\x00\x00\x00", false},
		{"\x01\x00\x00\x00\x00\x01\x00", false},
		{"\x00\x00\x00\x00\x00\x01", false},
		{"\x03\x00\x00\x00\x00\x01", false},
		{"\x01\x03\x00\x00\x00\x01", false}, // there are three kinds
		{"\x02\x01\x00\x00\x00\x01", false},
		{"\x01\x00\x00\x00\x00\x00", false}, // no id
		{"\x02\x00\x00\x00\x00\x00", false},
	} {
		encoded, err := process.ReadRequest([]byte(c.packet), 3)
		if good := err == nil; good != c.good || good && string(encoded) != c.packet {
			t.Errorf("%q: %q, %v", c.packet, encoded, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		packet string
		good   bool
	}{
		{"\x01\x00\x00\x00\x00\x00\x00\x00\x02", true},
		{"\x02\x00\x00\x00\x01\x00\x00\x12\x34", true},
		{"\x03\x00\x00\x00\x01\x00\x00\x00\x00too many children", true},
		{"\x04\x00\x00\x00\x01\xff\xff\xff\xffsignal: killed", true},
		{"\x04\x00\x00\x00\x01\xff\xff\xff\xff" + strings.Repeat("x", 200), true},
		{"", false},
		{"\x01\x00\x00\x00\x00\x00\x00\x00", false},
		{"\x01\x00\x00\x00\x01\x00\x00\x00\x02", false}, // ready has no id
		{"\x02\x00\x00\x00\x00\x00\x00\x12\x34", false}, // the others have one
		{"\x00\x00\x00\x00\x01\x00\x00\x00\x00", false},
		{"\x05\x00\x00\x00\x01\x00\x00\x00\x00", false},
		{"\x04\x00\x00\x00\x01\xff\xff\xff\xffa\nb", false},
		{"\x04\x00\x00\x00\x01\xff\xff\xff\xff\xc3\xa9", false},
		{"\x04\x00\x00\x00\x01\xff\xff\xff\xff" + strings.Repeat("x", 201), false},
	} {
		encoded, err := process.ReadAnswer([]byte(c.packet))
		if good := err == nil; good != c.good || good && string(encoded) != c.packet {
			t.Errorf("%q: %q, %v", c.packet, encoded, err)
		}
		if err != nil && !errors.Is(err, process.ErrMalformed) {
			t.Errorf("%q: %v", c.packet, err)
		}
	}
	got := string(process.FailedAnswer(1, "é\n"+strings.Repeat("x", 300)))
	if want := "\x03\x00\x00\x00\x01\x00\x00\x00\x00??" + strings.Repeat("x", 198); got != want {
		t.Errorf("a text that does not fit becomes %q", got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x01"))
	f.Add([]byte("\x04\x00\x00\x00\x01\xff\xff\xff\xffsignal: killed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if encoded, err := process.ReadRequest(b, 3); err == nil && string(encoded) != string(b) {
			t.Errorf("request %q comes back as %q", b, encoded)
		}
		if encoded, err := process.ReadAnswer(b); err == nil && string(encoded) != string(b) {
			t.Errorf("answer %q comes back as %q", b, encoded)
		}
	})
}
