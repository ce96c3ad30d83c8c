package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

func TestBinaryTexts(t *testing.T) {
	var v struct {
		B api.Bytes   `json:"b"`
		P api.Payload `json:"p"`
	}
	in := fmt.Sprintf(`{"b":"AP_-","p":%q}`, strings.Repeat("_", 341)+"w")
	if err := json.Unmarshal([]byte(in), &v); err != nil {
		t.Fatal(err)
	}
	if string(v.B) != "\x00\xff\xfe" || v.P[255] != 0xff {
		t.Errorf("%x %x", v.B, v.P)
	}
	if out, err := json.Marshal(v); err != nil || string(out) != in {
		t.Errorf("%s, %v", out, err)
	}
	for _, bad := range []string{
		`{"b":"AP_"}`, `{"b":"AP_-="}`, `{"b":"AP/+"}`, `{"b":"A\nP_-"}`, `{"b":[0]}`,
		`{"p":"AAAA"}`, `{"p":"` + strings.Repeat("_", 342) + `"}`, `{"p":"` + strings.Repeat("A", 346) + `"}`,
	} {
		if err := json.Unmarshal([]byte(bad), &v); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestChallengeText: the text that a challenge writes for itself is that of
// encoding/json.
func TestChallengeText(t *testing.T) {
	c := api.Challenge{
		RequestID: protocol.RequestID{1}, Payload: api.Payload{2, 255: 3}, Anchor: protocol.Anchor{31: 4}, Tag: protocol.Tag{0xfb, 0xff},
		PublicInputs: []protocol.Element{{31: 1}, {31: 2}, {31: 3}, {31: 4}}, ClientSalt: protocol.Salt{6},
		ExpiresAt: time.Date(2026, 11, 22, 1, 2, 3, 40e6, time.UTC),
	}
	for range 2 {
		want, err := json.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.AppendJSON([]byte("before"))
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
		c.PublicInputs, c.ExpiresAt = c.PublicInputs[:1], c.ExpiresAt.Truncate(time.Second)
	}
	c.ExpiresAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := c.AppendJSON(nil); err == nil {
		t.Error("a time that has no text is taken")
	}
}

// TestProblemText: the text that a problem writes for itself is that of encoding/json
// without the escapes for HTML.
func TestProblemText(t *testing.T) {
	id := protocol.RequestID{1, 15: 0xff}
	for _, p := range []api.Problem{
		{},
		{Type: api.ProblemType + "overloaded", Title: "The service is busy.", Status: 503, Code: protocol.CodeOverloaded, Retryable: true, RetryAfter: time.Second},
		{Type: "t", Title: "T", Status: 502, Code: protocol.CodeProverTimeout, Detail: "late", RequestID: &id},
		{Code: protocol.Code(200), Status: -1, Detail: "<&>'~", Type: `a"b`, Title: `a\b`},
		{Detail: "\x00\b\t\n\r\x1f \x7f \u00e9 \u2028\u2029 \U0001f600 \xff\xc3("},
	} {
		want, err := protocol.EncodeJSON(&p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.AppendJSON([]byte("before"))
		if err != nil || string(got) != "before"+string(want) {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestProblemIsItsCode(t *testing.T) {
	err := fmt.Errorf("sending: %w", &api.Problem{Code: protocol.CodeFrozen, Title: "Frozen."})
	if !errors.Is(err, protocol.CodeFrozen) || errors.Is(err, protocol.CodeDraining) || protocol.CodeOf(err) != protocol.CodeFrozen {
		t.Errorf("%v", err)
	}
	if got := err.Error(); got != "sending: Frozen. (frozen)" {
		t.Error(got)
	}
	if got := (&api.Problem{Code: protocol.CodeExpired, Title: "T.", Detail: "late"}).Error(); got != "late (expired)" {
		t.Error(got)
	}
}
