package protocol_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/terradourada/td/protocol"
)

type jcsVectors struct {
	Canonical []struct{ Raw, Canonical string }
	Limits    []runs
	Refused   []struct {
		Reason protocol.JSONReason
		Offset *int // no position where parsers may differ: syntax
		Raw    runs
	}
}

func TestCanonicalizeVectors(t *testing.T) {
	var v jcsVectors
	readVectors(t, "jcs.json", &v)
	for _, row := range v.Canonical {
		raw := []byte(row.Raw)
		got, err := protocol.Canonicalize(raw)
		if err != nil {
			t.Errorf("%.80s: %v", row.Raw, err)
		}
		is(t, fmt.Sprintf("canonical form of %.80s", row.Raw), got, []byte(row.Canonical))
		if string(raw) != row.Raw {
			t.Errorf("%.80s: the input was changed", row.Raw)
		}
	}
	for _, raw := range v.Limits {
		if _, err := protocol.Canonicalize(raw); err != nil {
			t.Errorf("text of %d bytes at its limit: %v", len(raw), err)
		}
	}
}

func TestCanonicalizeRefuses(t *testing.T) {
	var v jcsVectors
	readVectors(t, "jcs.json", &v)
	seen := map[protocol.JSONReason]bool{}
	for _, row := range v.Refused {
		out, err := protocol.Canonicalize(row.Raw)
		var refused *protocol.JSONError
		if !errors.As(err, &refused) || out != nil {
			t.Errorf("%.60q: error = %v, want a refusal", row.Raw, err)
			continue
		}
		if refused.Reason != row.Reason || row.Offset != nil && refused.Offset != *row.Offset {
			t.Errorf("%.60q: %v, want %s", row.Raw, refused, row.Reason)
		}
		if refused.Offset < 0 || refused.Offset > len(row.Raw) {
			t.Errorf("%.60q: offset %d is outside", row.Raw, refused.Offset)
		}
		if got := protocol.CodeOf(err); got != protocol.CodeEventNotCanonicalisable {
			t.Errorf("%.60q: code = %v", row.Raw, got)
		}
		if got, want := protocol.DetailOf(err), fmt.Sprintf("event refused: %s at byte %d", row.Reason, refused.Offset); got != want {
			t.Errorf("%.60q: detail = %q, want %q", row.Raw, got, want)
		}
		checkBodyCode(t, row.Raw, row.Reason)
		seen[row.Reason] = true
	}
	if len(seen) != 11 {
		t.Errorf("%d reasons met, want all 11: %v", len(seen), seen)
	}
}

// checkBodyCode checks the same refusal for a request body.
func checkBodyCode(t *testing.T, raw []byte, reason protocol.JSONReason) {
	t.Helper()
	want := protocol.CodeMalformedRequest
	if reason == protocol.JSONTooLarge {
		want = protocol.CodeTooLarge
	}
	if got := protocol.CodeOf(protocol.CheckJSON(raw, protocol.JSONLimits{})); got != want {
		t.Errorf("%.60q as a body: code = %v, want %v", raw, got, want)
	}
}

// The position at which this parser stops in a text that is not JSON.
func TestSyntaxOffsets(t *testing.T) {
	for raw, want := range map[string]int{
		"": 0, " ": 1, "{": 1, ",{}": 0, `{"a"}`: 4, `{"a":}`: 5, `{"a" 1}`: 5, `{"a":1 "b":2}`: 7, `{1:2}`: 1,
		`{"a":01}`: 6, `{"a":+1}`: 5, `{"a":1.}`: 7, `{"a":"\x"}`: 6, "{\"a\":\"\x01\"}": 6, `{"a":[1 2]}`: 8, `{"a":"b`: 7,
		`{"a":\ud800}`: 5, `{"a":1\udc00}`: 6, // an escape is one in a text only
	} {
		_, err := protocol.Canonicalize([]byte(raw))
		var refused *protocol.JSONError
		if !errors.As(err, &refused) || *refused != (protocol.JSONError{Reason: protocol.JSONSyntax, Offset: want}) {
			t.Errorf("%q: %v, want syntax at byte %d", raw, refused, want)
		}
	}
}

func TestJSONLimits(t *testing.T) {
	rows := []struct {
		raw  string
		lim  protocol.JSONLimits
		want string
	}{
		{`{"a":1}`, protocol.JSONLimits{Size: 7}, ""},
		{`{"a":1}`, protocol.JSONLimits{Size: 6}, "too_large at byte 6"},
		{`{"a":[]}`, protocol.JSONLimits{Depth: 2}, ""},
		{`{"a":[]}`, protocol.JSONLimits{Depth: 1}, "too_deep at byte 5"},
		{`{"a":{"b":{}}}`, protocol.JSONLimits{Members: 2}, ""},
		{`{"a":{"b":{"c":"d"}}}`, protocol.JSONLimits{Members: 2}, "too_many_members at byte 11"},
		{`{"a":["b","c","d"],"e":"f"}`, protocol.JSONLimits{Members: 2}, ""},
	}
	for _, row := range rows {
		err := protocol.CheckJSON([]byte(row.raw), row.lim)
		var refused *protocol.JSONError
		got := ""
		if errors.As(err, &refused) {
			got = refused.Error()
		}
		if got != row.want {
			t.Errorf("%s under %+v: %q, want %q", row.raw, row.lim, got, row.want)
		}
	}
}

// The pairs of RFC 8785 are compared with the canonicaliser alone, because
// rules of section 4 refuse two of the six.
func TestCanonicalFormRFC8785(t *testing.T) {
	names, _ := filepath.Glob("../../shared/data/jcs/input/*.json")
	if len(names) == 0 {
		t.Skip("the RFC 8785 pairs are not there")
	}
	refused := map[string]string{
		"arrays.json": "not_an_object at byte 0",
		"values.json": "inexact_number at byte 16",
	}
	for _, name := range names {
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		want, err := os.ReadFile(filepath.Join("../../shared/data/jcs/output", base))
		if err != nil {
			t.Fatal(err)
		}
		got, err := protocol.CanonicalForm(in)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s = %s, %v, want %s", base, got, err, want)
		}
		wantDetail := ""
		if r, ok := refused[base]; ok {
			wantDetail, want = "event refused: "+r, nil
		}
		got, err = protocol.Canonicalize(in)
		if protocol.DetailOf(err) != wantDetail || string(got) != string(want) {
			t.Errorf("%s in front = %s, %v, want %s, %q", base, got, err, want, wantDetail)
		}
	}
	if len(names) != 6 {
		t.Errorf("%d pairs, want 6", len(names))
	}
}

// Every text that is valid JSON passes in a member, or is refused for one of
// the reasons that section 4 adds.
func TestCanonicalizeJSONTestSuite(t *testing.T) {
	names, _ := filepath.Glob("../../shared/data/jsontestsuite/y_*.json")
	if len(names) == 0 {
		t.Skip("the JSON test suite is not there")
	}
	exceptions := map[string]protocol.JSONReason{
		"y_object_duplicated_key.json":           protocol.JSONDuplicateName,
		"y_object_duplicated_key_and_value.json": protocol.JSONDuplicateName,
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		inside := fmt.Appendf(nil, `{"v":%s}`, raw)
		got, err := protocol.Canonicalize(inside)
		var refused *protocol.JSONError
		switch want := exceptions[base]; {
		case want == "" && err != nil:
			t.Errorf("%s: %v", base, err)
		case want == "":
			checkSameValue(t, inside, got)
		case !errors.As(err, &refused) || refused.Reason != want:
			t.Errorf("%s: %v, want %s", base, err, want)
		}
		first := strings.TrimLeft(string(raw), " \t\r\n")[0]
		_, err = protocol.Canonicalize(raw)
		if errors.As(err, &refused) && (refused.Reason == protocol.JSONNotAnObject) != (first != '{') {
			t.Errorf("%s at the top: %v", base, err)
		}
	}
	if len(names) != 95 {
		t.Errorf("%d files, want 95", len(names))
	}
}

// checkSameValue compares the value of two JSON texts, numbers exactly.
func checkSameValue(tb testing.TB, a, b []byte) {
	tb.Helper()
	if x, y := exactValue(tb, a), exactValue(tb, b); !reflect.DeepEqual(x, y) {
		tb.Errorf("canonical form changes the value:\n%.300q\n%.300q", a, b)
	}
}

func exactValue(tb testing.TB, raw []byte) any {
	tb.Helper()
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		tb.Fatalf("%.300q: %v", raw, err)
	}
	return exactNumbers(v)
}

func exactNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		mantissa, _, _ := strings.Cut(strings.ToLower(v.String()), "e")
		if strings.Trim(mantissa, "-0.") == "" {
			return "0" // a huge exponent of zero must not be expanded
		}
		r, _ := new(big.Rat).SetString(v.String())
		return r.RatString()
	case []any:
		for i := range v {
			v[i] = exactNumbers(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = exactNumbers(v[name])
		}
	}
	return v
}

func FuzzCanonicalize(f *testing.F) {
	var v jcsVectors
	readVectors(f, "jcs.json", &v)
	for _, row := range v.Canonical {
		f.Add([]byte(row.Raw))
	}
	for _, row := range v.Refused {
		if len(row.Raw) < 4096 {
			f.Add([]byte(row.Raw))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := protocol.Canonicalize(raw)
		if err != nil {
			var refused *protocol.JSONError
			if !errors.As(err, &refused) || refused.Offset < 0 || refused.Offset > len(raw) {
				t.Fatalf("refusal without a place: %v", err)
			}
			return
		}
		if !json.Valid(got) {
			t.Fatalf("canonical form is not JSON: %q", got)
		}
		again, err := protocol.Canonicalize(got)
		if err != nil || string(again) != string(got) {
			t.Fatalf("canonical form of the canonical form = %q, %v, want %q", again, err, got)
		}
		checkSameValue(t, raw, got)
	})
}

// The number rule against exact arithmetic.
func FuzzExactNumber(f *testing.F) {
	for _, s := range []string{"0", "-0.0e7", "1", "0.1", "9007199254740993", "1e400", "5e-324", "123456789.123456789e-5", "1e23"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 || !json.Valid([]byte(s)) || strings.Trim(s, "-+.eE0123456789") != "" {
			return
		}
		mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
		if len(strings.TrimLeft(exponent, "+-0")) > 4 {
			return // too large for exact arithmetic
		}
		short, got := protocol.ExactNumber([]byte(s))
		value, _ := new(big.Rat).SetString(s)
		shortest := "0"
		if strings.Trim(mantissa, "-0.") != "" {
			form, err := protocol.CanonicalForm([]byte(s))
			if err != nil {
				t.Fatal(err)
			}
			shortest = string(form)
		}
		shown, _ := new(big.Rat).SetString(shortest)
		if want := value.Cmp(shown) == 0; got != want {
			t.Fatalf("%s is exact = %t, want %t (%s)", s, got, want, shortest)
		}
		if again, ok := new(big.Rat).SetString(string(short)); got && (!ok || again.Cmp(value) != 0 || len(short) > 26) {
			t.Fatalf("%s is written %s", s, short)
		}
	})
}

// strconv.ParseFloat misreads an integer of more than 800 digits with an
// exponent; an event that holds one must keep its value.
func TestCanonicalizeLongNumbers(t *testing.T) {
	for _, zeros := range []int{10, 390, 400, 799, 800, 801, 9_999, 10_001, 60_000} {
		for _, format := range []string{`{"n":1%se-%d}`, `{"n":-2.5%se0,"m":[1%[1]se-%[2]d,3]}`} {
			raw := fmt.Appendf(nil, format, strings.Repeat("0", zeros), zeros)
			if len(raw) > protocol.MaxJSONSize {
				continue
			}
			got, err := protocol.Canonicalize(raw)
			if err != nil {
				t.Errorf("%d zeros: %v", zeros, err)
				continue
			}
			checkSameValue(t, raw, got)
		}
	}
}

// The texts of 64 KiB that cost the most time.
func BenchmarkCanonicalize(b *testing.B) {
	members := make([]string, 1024)
	for i := range members {
		members[i] = fmt.Sprintf(`"%057d":0`, i)
	}
	rows := []struct{ name, raw string }{
		{"small", `{"lot":"A-17","readings":[64.25,70,78.5],"note":"caf\u00e9","ok":true,"grade":2,"tags":["x",{"y":1.5}]}`},
		{"spaces", strings.Repeat(" ", 32_000) + `{"a":[` + strings.Repeat("0,", 16_000) + "0]}"},
		{"members", "{" + strings.Join(members, ",") + "}"},
		{"numbers", `{"a":[` + strings.Repeat("1.7976931348623157e308,", 2_700) + "0]}"},
		{"escapes", `{"a":"` + strings.Repeat(`\u00e9`, 10_900) + `"}`},
		{"digits", `{"a":1` + strings.Repeat("0", 65_000) + "e-65000}"},
		{"arrays", `{"a":[` + strings.Repeat("[],", 21_000) + "0]}"},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			b.SetBytes(int64(len(row.raw)))
			for b.Loop() {
				if _, err := protocol.Canonicalize([]byte(row.raw)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestCanonicalFormIsBounded: every result must be accepted as input again.
func TestCanonicalFormIsBounded(t *testing.T) {
	raw := []byte(`{"a":[` + strings.Repeat("1e20,", 8000) + `1]}`)
	_, err := protocol.Canonicalize(raw)
	var refused *protocol.JSONError
	if !errors.As(err, &refused) || refused.Reason != protocol.JSONTooLarge {
		t.Errorf("%d bytes that become 21 times 8,000: got %v, want too_large", len(raw), err)
	}
}
