package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

type inner struct {
	Count uint32 `json:"count"`
}

type body struct {
	ID     protocol.RequestID `json:"request_id"`
	Rows   []inner            `json:"rows"`
	Maybe  *inner             `json:"maybe,omitempty"`
	Named  map[string]uint32  `json:"named"`
	Text   string             `json:"text"`
	Raw    json.RawMessage    `json:"raw"`
	Skip   string             `json:"-"`
	Nested struct {
		Cm protocol.Commitment `json:"cm"`
	} `json:"nested"`
}

func TestDecodeStrict(t *testing.T) {
	raw := `{"request_id":"000102030405060708090a0b0c0d0e0f","rows":[{"count":1},{"count":2}],"maybe":{"count":3},
		"named":{"x":4},"text":"caf\u00e9","raw":{"b":[1.50],"a":null},"nested":{"cm":"` + strings.Repeat("A", 43) + `"}}`
	var got body
	if err := protocol.DecodeStrict([]byte(raw), protocol.JSONLimits{}, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID[15] != 15 || len(got.Rows) != 2 || got.Rows[1].Count != 2 || got.Maybe == nil || got.Maybe.Count != 3 ||
		got.Named["x"] != 4 || got.Text != "café" || string(got.Raw) != `{"b":[1.50],"a":null}` {
		t.Errorf("decoded %+v", got)
	}
}

func TestDecodeStrictRefuses(t *testing.T) {
	const secret = "s3cr3t"
	rows := []struct{ raw, want string }{
		{`{"Text":"` + secret + `"}`, "unknown member in the JSON text"},
		{`{"` + secret + `":1}`, "unknown member in the JSON text"},
		{`{"Skip":"` + secret + `"}`, "unknown member in the JSON text"},
		{`{"-":"` + secret + `"}`, "unknown member in the JSON text"},
		{`{"rows":[{"count":1},{"` + secret + `":1}]}`, "unknown member in /rows/1"},
		{`{"maybe":{"` + secret + `":1}}`, "unknown member in /maybe"},
		{`{"rows":[{"count":"` + secret + `"}]}`, "/rows/0/count has the wrong type or range"},
		{`{"rows":[{"count":-1}]}`, "/rows/0/count has the wrong type or range"},
		{`{"rows":[{"count":1.5}]}`, "/rows/0/count has the wrong type or range"},
		{`{"rows":[{"count":4294967296}]}`, "/rows/0/count has the wrong type or range"},
		{`{"rows":{}}`, "/rows has the wrong type or range"},
		{`{"maybe":[]}`, "/maybe has the wrong type or range"},
		{`{"text":7}`, "/text has the wrong type or range"},
		{`{"named":{"` + secret + `":-1}}`, "/named has the wrong type or range"},
		{`{"request_id":"` + secret + `"}`, "/request_id: identifier has the wrong length"},
		{`{"request_id":7}`, "/request_id has the wrong type or range"},
		{`{"nested":{"cm":"` + strings.Repeat("_", 43) + `"}}`, "/nested/cm: value is not base64url without padding"},
		{`{"text":"a","text":"` + secret + `"}`, "JSON refused: duplicate_name at byte 12"},
		{`{"text":"` + secret + `"} x`, "JSON refused: trailing_data at byte 18"},
		{`["` + secret + `"]`, "JSON refused: not_an_object at byte 0"},
	}
	for _, row := range rows {
		var got body
		err := protocol.DecodeStrict([]byte(row.raw), protocol.JSONLimits{}, &got)
		if protocol.CodeOf(err) != protocol.CodeMalformedRequest || protocol.DetailOf(err) != row.want {
			t.Errorf("%s: error = %v, want %q", row.raw, err, row.want)
			continue
		}
		for _, leak := range []string{secret, "body", "inner", "uint32", "protocol.", "Go "} {
			if strings.Contains(err.Error(), leak) {
				t.Errorf("%s: the error holds %q: %v", row.raw, leak, err)
			}
		}
	}
	if err := protocol.DecodeStrict([]byte(`{"text":"x"}`), protocol.JSONLimits{Size: 5}, &body{}); protocol.CodeOf(err) != protocol.CodeTooLarge {
		t.Errorf("too long: error = %v, want too_large", err)
	}
}

func TestDecodeStrictEmbedded(t *testing.T) {
	var got struct {
		Shared
		Other string `json:"other"`
	}
	if err := protocol.DecodeStrict([]byte(`{"mark":"x","other":"y"}`), protocol.JSONLimits{}, &got); err != nil || got.Mark != "x" {
		t.Errorf("decoded %+v, %v", got, err)
	}
	err := protocol.DecodeStrict([]byte(`{"mark":1}`), protocol.JSONLimits{}, &got)
	if protocol.DetailOf(err) != "/mark has the wrong type or range" {
		t.Errorf("error = %v", err)
	}
}

// Shared is a part of several bodies.
type Shared struct {
	Mark string `json:"mark"`
}
