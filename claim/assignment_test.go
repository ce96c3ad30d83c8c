package claim_test

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// filled is an assignment whose values are recognisable when printed.
func filled(id claim.ID) *claim.Assignment {
	values := make([]protocol.Element, claim.PrivateCount(id))
	for i := range values {
		copy(values[i][:], bytes.Repeat([]byte{0x5a, byte(i)}, 16))
	}
	return claim.NewAssignment(id, values...)
}

func TestAssignmentRoundTrip(t *testing.T) {
	for _, id := range claim.IDs() {
		b, err := filled(id).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var a claim.Assignment
		if err := a.UnmarshalBinary(b); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if a.Claim() != id || !slices.Equal(a.Values(), filled(id).Values()) || len(b) > claim.MaxAssignmentSize {
			t.Errorf("%s: assignment changed on its way", id)
		}
		if a.Wipe(); slices.ContainsFunc(a.Values(), func(e protocol.Element) bool { return e != protocol.Element{} }) {
			t.Errorf("%s: values are left after Wipe", id)
		}
	}
}

func TestAssignmentRefusals(t *testing.T) {
	good, err := filled(claim.Open).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	longest, err := filled(claim.Sum).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte{7}, "group/1"...)
	for name, b := range map[string][]byte{
		"empty":         {},
		"id cut":        good[:4],
		"length 255":    bytes.Repeat([]byte{255}, 300),
		"no values":     good[:7],
		"byte short":    good[:len(good)-1],
		"byte more":     append(slices.Clone(good), 0),
		"value short":   good[:len(good)-32],
		"value more":    append(slices.Clone(good), make([]byte, 32)...),
		"too long":      append(slices.Clone(longest), make([]byte, 4096)...),
		"unknown claim": append([]byte{7}, append([]byte("shut/1x"), good[7:]...)...),
		"other claim":   append(other, good[7:]...),
		"not reduced":   append(slices.Clone(good[:len(good)-32]), bytes.Repeat([]byte{0xff}, 32)...),
	} {
		a := filled(claim.Group)
		err := a.UnmarshalBinary(b)
		if code := protocol.CodeOf(err); code != protocol.CodeMalformedRequest && code != protocol.CodeUnknownClaim {
			t.Errorf("%s: got %v", name, err)
		}
		if a.Claim() != claim.Group || !slices.Equal(a.Values(), filled(claim.Group).Values()) {
			t.Errorf("%s: the assignment changed", name)
		}
	}
	for _, a := range []*claim.Assignment{{}, claim.NewAssignment(claim.Open), claim.NewAssignment("none/1")} {
		if b, err := a.MarshalBinary(); err == nil {
			t.Errorf("an incomplete assignment was encoded to %d bytes", len(b))
		}
	}
}

func FuzzAssignment(f *testing.F) {
	for _, id := range claim.IDs() {
		b, err := filled(id).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a claim.Assignment
		if a.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := a.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is read but written as %x, %v", b, again, err)
		}
	})
}

// TestSecretsNeverPrint prints the private types by every verb and encoder.
func TestSecretsNeverPrint(t *testing.T) {
	a := filled(claim.Range)
	secret, err := claim.ParseMemberSecret([]byte(strings.Repeat("5a", 32)))
	if err != nil {
		t.Fatal(err)
	}
	held := struct {
		A, a *claim.Assignment
		S, s claim.MemberSecret
		P, p *claim.MemberSecret
	}{a, a, secret, secret, &secret, &secret}
	for _, v := range []any{a, *a, secret, &secret, held, &held, []any{a, secret}, map[string]any{"a": a, "s": secret}} {
		for _, verb := range "vsdxXqobcUeEfgGtpT" {
			for _, flags := range []string{"", "+", "#", "0", " ", "-", ".3"} {
				checkHidden(t, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		checkHidden(t, string(j))
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		checkHidden(t, log.String())
	}
	for _, v := range []encoding.TextMarshaler{a, secret} {
		if text, err := v.MarshalText(); string(text) != "redacted" || err != nil {
			t.Errorf("%T: text %q, %v", v, text, err)
		}
	}
	for _, v := range []interface {
		fmt.Stringer
		fmt.GoStringer
		slog.LogValuer
	}{a, secret} {
		if v.String() != "redacted" || v.GoString() != "redacted" || v.LogValue().String() != "redacted" {
			t.Errorf("%T: got %q, %q, %v", v, v.String(), v.GoString(), v.LogValue())
		}
	}
}

// checkHidden looks for the bytes 5a in any base.
func checkHidden(t *testing.T, printed string) {
	t.Helper()
	for _, secret := range []string{hex.EncodeToString([]byte{0x5a, 0x5a}), "90 90", "90,90", "ZZ", "WlpaWl", "0x5a", "132 132", "1011010 1011010"} {
		if strings.Contains(strings.ToLower(printed), strings.ToLower(secret)) {
			t.Fatalf("printed %q", printed)
		}
	}
}
