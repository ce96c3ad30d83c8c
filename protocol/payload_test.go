package protocol_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/terradourada/td/protocol"
)

type payloadFields struct {
	Version, Suite, Mode                uint16
	RequestID                           hexBytes `json:"request_id"`
	Nonce                               hexBytes
	EpochID                             hexBytes    `json:"epoch_id"`
	EpochNumber                         json.Number `json:"epoch_number"`
	Seq                                 json.Number
	IssuedAt                            json.Number `json:"issued_at"`
	TTL, Policy                         uint32
	Commitment, Client, VKFP, Statement hexBytes
	InstanceID                          hexBytes `json:"instance_id"`
}

func number(tb testing.TB, n json.Number) (v uint64) {
	tb.Helper()
	if _, err := fmt.Sscan(n.String(), &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func (f *payloadFields) payload(tb testing.TB) protocol.Payload {
	tb.Helper()
	return protocol.Payload{
		Mode: protocol.Mode(f.Mode), RequestID: protocol.RequestID(f.RequestID), Nonce: protocol.Nonce(f.Nonce),
		EpochID: protocol.EpochID(f.EpochID), EpochNumber: number(tb, f.EpochNumber), Seq: number(tb, f.Seq),
		IssuedAt: number(tb, f.IssuedAt), TTL: f.TTL, Policy: f.Policy,
		Commitment: protocol.Commitment(f.Commitment), Client: protocol.Digest(f.Client), VK: protocol.Digest(f.VKFP),
		Statement: protocol.Digest(f.Statement), Instance: protocol.InstanceID(f.InstanceID),
	}
}

type payloadVectors struct {
	Valid []struct {
		Name   string
		Fields payloadFields
		Bytes  hexBytes
	}
	Draft   hexBytes
	Invalid []struct {
		Name  string
		Bytes hexBytes
	}
}

func TestPayloadVectors(t *testing.T) {
	var v payloadVectors
	readVectors(t, "payload.json", &v)
	for _, row := range v.Valid {
		want := row.Fields.payload(t)
		b := want.Encode()
		is(t, row.Name, b[:], row.Bytes)
		got, err := protocol.ParsePayload(row.Bytes)
		if err != nil {
			t.Errorf("%s: %v", row.Name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.Name, diff)
		}
	}
	for _, row := range v.Invalid {
		if _, err := protocol.ParsePayload(row.Bytes); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s: error = %v, want malformed_request", row.Name, err)
		}
	}
}

func TestPayloadDraftMayLackItsNumber(t *testing.T) {
	var v payloadVectors
	readVectors(t, "payload.json", &v)
	p, err := protocol.ParseDraft(v.Draft)
	if err != nil || p.Seq != 0 {
		t.Fatalf("draft: seq = %d, error = %v", p.Seq, err)
	}
	if _, err := protocol.ParsePayload(v.Draft); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("draft as payload: error = %v, want malformed_request", err)
	}
	for _, row := range v.Invalid {
		_, err := protocol.ParseDraft(row.Bytes)
		if refused := err != nil; refused != (row.Name != "seq 0") {
			t.Errorf("%s as draft: error = %v", row.Name, err)
		}
	}
}

// Each of the 2048 bits matters: a flipped bit leads to a refusal or to
// another payload, never to the same one.
func TestPayloadHasNoIdleBit(t *testing.T) {
	var v payloadVectors
	readVectors(t, "payload.json", &v)
	good := v.Valid[0].Bytes
	want, err := protocol.ParsePayload(good)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * protocol.PayloadSize {
		b := append([]byte(nil), good...)
		b[bit/8] ^= 1 << (bit % 8)
		got, err := protocol.ParsePayload(b)
		if err == nil && got == want {
			t.Errorf("bit %d of byte %d does not matter", bit%8, bit/8)
		}
		if err == nil && got.Encode() != protocol.EncodedPayload(b) {
			t.Errorf("byte %d is not written back", bit/8)
		}
	}
}

func TestModeText(t *testing.T) {
	for mode, want := range map[protocol.Mode]string{protocol.ModePush: "push", protocol.ModePull: "pull", 0: "unknown", 3: "unknown"} {
		if got := mode.String(); got != want {
			t.Errorf("mode %d = %q, want %q", mode, got, want)
		}
	}
}

func FuzzParsePayload(f *testing.F) {
	var v payloadVectors
	readVectors(f, "payload.json", &v)
	for _, row := range v.Valid {
		f.Add([]byte(row.Bytes))
	}
	for _, row := range v.Invalid {
		f.Add([]byte(row.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := protocol.ParsePayload(b)
		if err != nil {
			if protocol.CodeOf(err) != protocol.CodeMalformedRequest {
				t.Fatalf("error = %v, want malformed_request", err)
			}
			return
		}
		if e := p.Encode(); string(e[:]) != string(b) {
			t.Fatalf("written back as %s", hex.EncodeToString(e[:]))
		}
		if _, err := protocol.ParseDraft(b); err != nil {
			t.Fatalf("a payload is no draft: %v", err)
		}
	})
}
