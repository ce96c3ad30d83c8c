package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

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
