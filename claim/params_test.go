package claim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// jcs is the canonical form of a JSON object.
func jcs(t testing.TB, raw string) []byte {
	t.Helper()
	b, err := protocol.Canonicalize([]byte(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return b
}

func mustParams(t testing.TB, id claim.ID, raw string) *claim.Params {
	t.Helper()
	p, err := claim.ParseParams(id, jcs(t, raw))
	if err != nil {
		t.Fatalf("%s %s: %v", id, raw, err)
	}
	return p
}

// smalls are the elements of small integers.
func smalls(values ...uint64) []protocol.Element {
	out := make([]protocol.Element, len(values))
	for i, v := range values {
		out[i] = protocol.SmallElement(v)
	}
	return out
}

const zeroList = "0000000000000000000000000000000000000000000000000000000000000000"

// goodParams holds one set of parameters per claim.
var goodParams = map[claim.ID]string{
	claim.Open:         `{}`,
	claim.Range:        `{"offset":0,"scale":2,"values":[{"at":"/readings/0","hi":80,"lo":60},{"at":"/readings/1","hi":80.5,"lo":0.25}]}`,
	claim.Sum:          `{"at":["/jan","/feb"],"hi":900,"lo":100,"scale":0}`,
	claim.RecordRange:  `{"field":2,"hi":9,"lo":1,"offset":0,"scale":0,"schema":["/a","/b","/c"]}`,
	claim.RecordEquals: `{"field":1,"offset":0,"scale":0,"schema":["/a","/b","/c"],"value":"ok"}`,
	claim.RecordOneOf:  `{"field":0,"offset":-1,"scale":1,"schema":["/a"],"values":["x",1.5,2]}`,
	claim.Group:        `{"list":"` + zeroList + `","name":"Board","nullifier":"` + zeroList + `","scope":"vote:1"}`,
}

func TestPublicValues(t *testing.T) {
	text := protocol.TextElement
	scope := protocol.ScopeElement("Board", "vote:1")
	want := map[claim.ID][]protocol.Element{
		claim.Open:         nil,
		claim.Range:        smalls(6000, 25, 0, 0, 0, 0, 0, 8000, 8050, 0, 0, 0, 0, 0),
		claim.Sum:          smalls(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 900),
		claim.RecordRange:  smalls(0, 1, 0, 1, 9),
		claim.RecordEquals: append(smalls(1, 0, 0), text([]byte("ok"))),
		claim.RecordOneOf:  append(append(smalls(0, 0, 0), text([]byte("x"))), smalls(14, 19, 19, 19, 19, 19, 19)...),
		claim.Group:        {scope, {}},
	}
	cm := protocol.Commitment(protocol.SmallElement(77))
	for _, id := range claim.IDs() {
		s, err := claim.NewStatement(mustParams(t, id, goodParams[id]), cm)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if diff := cmp.Diff(append(smalls(77), want[id]...), s.Public()); diff != "" {
			t.Errorf("%s: public values (-want +got):\n%s", id, diff)
		}
		if len(s.Public()) > 32 || len(s.Public()) != claim.PublicCount(id) {
			t.Errorf("%s: %d public values", id, len(s.Public()))
		}
		x := s.Inputs(protocol.Anchor(protocol.SmallElement(1)), protocol.SmallElement(2), protocol.SmallElement(3))
		if diff := cmp.Diff(append(smalls(1, 2, 3), s.Public()...), x); diff != "" {
			t.Errorf("%s: inputs (-want +got):\n%s", id, diff)
		}
		if s.Claim() != id || s.Commitment() != cm || string(s.Params().Bytes()) != goodParams[id] || s.Params().Claim() != id {
			t.Errorf("%s: statement does not give back what it was made of", id)
		}
		if s.Digest() != protocol.StatementDigest(string(id), []byte(goodParams[id]), cm) {
			t.Errorf("%s: wrong statement digest", id)
		}
	}
}

func TestIndexBits(t *testing.T) {
	schema := `"/0","/1","/2","/3","/4","/5","/6","/7"`
	for field := range uint64(8) {
		p := mustParams(t, claim.RecordEquals, fmt.Sprintf(`{"field":%d,"offset":0,"scale":0,"schema":[%s],"value":1}`, field, schema))
		s, err := claim.NewStatement(p, protocol.Commitment{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Public()[1:4], smalls(field&1, field>>1&1, field>>2&1); !slices.Equal(got, want) {
			t.Errorf("field %d: got bits %v", field, got)
		}
	}
}

// edit replaces one member of a JSON object, or removes it for an empty text.
func edit(t *testing.T, raw, name, replacement string) string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &object); err != nil {
		t.Fatal(err)
	}
	if object[name] = json.RawMessage(replacement); replacement == "" {
		delete(object, name)
	}
	return string(canonicalOf(t, object))
}

// TestEveryMemberIsRequired removes and repeats members, adds one, changes the
// case of one, and sets each to null.
func TestEveryMemberIsRequired(t *testing.T) {
	for _, id := range claim.IDs() {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(goodParams[id]), &members); err != nil {
			t.Fatal(err)
		}
		bad := []string{edit(t, goodParams[id], "extra", "0"), edit(t, goodParams[id], "", "0")}
		for name, value := range members {
			without := edit(t, goodParams[id], name, "")
			bad = append(bad, without, edit(t, without, strings.ToUpper(name), string(value)))
			if name != "value" { // which may be null
				bad = append(bad, edit(t, goodParams[id], name, "null"))
			}
		}
		for _, raw := range bad {
			checkParamsCode(t, id, raw, protocol.CodeMalformedRequest)
		}
	}
}

func checkParamsCode(t *testing.T, id claim.ID, raw string, want protocol.Code) {
	t.Helper()
	p, err := claim.ParseParams(id, []byte(raw))
	if got := protocol.CodeOf(err); got != want {
		t.Errorf("%s %s: got %v (%v), want %v", id, raw, got, err, want)
	}
	if (p == nil) != (want != protocol.CodeNone) {
		t.Errorf("%s %s: parameters and error %v", id, raw, err)
	}
}

func TestParamsForm(t *testing.T) {
	good := goodParams[claim.Sum]
	for _, raw := range []string{
		"", " ", "{", "null", "[]", "0", `"x"`, good + " ", good + good, " " + good, "\ufeff" + good,
		`{"hi":900,"at":["/jan","/feb"],"lo":100,"scale":0}`,
		`{"at":["/jan","/feb"],"hi":9e2,"lo":100,"scale":0}`,
		`{"at":["/jan","/feb"],"hi":900.0,"lo":100,"scale":0}`,
		`{"at":["/jan","/feb"],"hi":900,"hi":900,"lo":100,"scale":0}`,
		`{"at":["/jan","/f\u0065b"],"hi":900,"lo":100,"scale":0}`,
		`{"at":["/jan", "/feb"],"hi":900,"lo":100,"scale":0}`,
		`{"at":["/jan","/feb"],"hi":900,"lo":-0,"scale":0}`,
	} {
		checkParamsCode(t, claim.Sum, raw, protocol.CodeMalformedRequest)
	}
	checkParamsCode(t, claim.Open, `{"x":{}}`, protocol.CodeMalformedRequest)
	for _, id := range []claim.ID{"", "open", "open/2", "Open/1", "open/1 ", "range/10", "group/0"} {
		checkParamsCode(t, id, "{}", protocol.CodeUnknownClaim)
	}
}

// TestParamsSize fills parameters up to the limit and one byte beyond.
func TestParamsSize(t *testing.T) {
	const before, after = `{"field":0,"offset":0,"scale":0,"schema":["/a"],"value":"`, `"}`
	fill := strings.Repeat("x", claim.MaxParamsSize-len(before)-len(after))
	checkParamsCode(t, claim.RecordEquals, before+fill+after, protocol.CodeNone)
	checkParamsCode(t, claim.RecordEquals, before+fill+"x"+after, protocol.CodeMalformedRequest)
}

// TestNativeRules changes one member of good parameters at a time.
func TestNativeRules(t *testing.T) {
	const ok, bad = protocol.CodeNone, protocol.CodeMalformedRequest
	entry := func(at, lo, hi string) string { return fmt.Sprintf(`{"at":%q,"hi":%s,"lo":%s}`, at, hi, lo) }
	entries := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, entry(fmt.Sprint("/", i), "0", "1"))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	pointers := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"/%d"`, i))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	const (
		range1, sum1, rr, re, ro, group = claim.Range, claim.Sum, claim.RecordRange, claim.RecordEquals, claim.RecordOneOf, claim.Group
	)
	for _, test := range []struct {
		id          claim.ID
		member, new string
		want        protocol.Code
	}{
		{range1, "values", entries(1), ok},
		{range1, "values", entries(7), ok},
		{range1, "values", entries(8), bad},
		{range1, "values", "[]", bad},
		{range1, "values", "{}", bad},
		{range1, "values", `"/readings"`, bad},
		{range1, "values", `["/readings"]`, bad},
		{range1, "values", `[{"at":"/a","hi":1,"lo":0,"x":0}]`, bad},
		{range1, "values", `[{"at":"/a","hi":1}]`, bad},
		{range1, "values", `[{"at":["/a"],"hi":1,"lo":0}]`, bad},
		{range1, "values", "[" + entry("/a", "0", "1") + "," + entry("/a", "0", "2") + "]", bad},
		{range1, "values", "[" + entry("/a", "1", "1") + "]", ok},
		{range1, "values", "[" + entry("/a", "1.01", "1") + "]", bad},
		{range1, "values", "[" + entry("/a", "1.001", "2") + "]", bad},
		{range1, "values", "[" + entry("/a", "0", "42949672.95") + "]", ok},
		{range1, "values", "[" + entry("/a", "0", "42949672.96") + "]", bad},
		{range1, "values", "[" + entry("/a", "-0.01", "1") + "]", bad},
		{range1, "values", "[" + entry("/a", "0", "1e+300") + "]", bad},
		{range1, "values", "[" + entry("/a", "1e-300", "1") + "]", bad},
		{range1, "values", "[" + entry("/a", `"0"`, "1") + "]", bad},
		{range1, "values", "[" + entry("/a", "null", "1") + "]", bad},
		{range1, "values", "[" + entry("/a", "true", "1") + "]", bad},
		{range1, "values", "[" + entry("", "0", "1") + "]", bad},
		{range1, "values", "[" + entry("a", "0", "1") + "]", bad},
		{range1, "values", "[" + entry("/~2", "0", "1") + "]", bad},
		{range1, "values", "[" + entry("/a/01", "0", "1") + "]", bad},
		{range1, "values", "[" + entry("/a/-", "0", "1") + "]", bad},
		{range1, "scale", "0", bad}, // 80.5 is no integer then
		{range1, "scale", "18", bad},
		{range1, "scale", "19", bad},
		{range1, "scale", "-1", bad},
		{range1, "scale", "2.5", bad},
		{range1, "scale", `"2"`, bad},
		{range1, "offset", "-25", ok},
		{range1, "offset", "-26", bad},
		{range1, "offset", "4294959245", ok}, // 8050 + offset = 2^32 - 1
		{range1, "offset", "4294959246", bad},
		{range1, "offset", "0.5", bad},
		{range1, "offset", `"0"`, bad},

		{sum1, "at", pointers(1), ok},
		{sum1, "at", pointers(14), ok},
		{sum1, "at", pointers(15), bad},
		{sum1, "at", "[]", bad},
		{sum1, "at", `"/jan"`, bad},
		{sum1, "at", `["/jan","/feb","/jan"]`, bad},
		{sum1, "at", `["/jan",0]`, bad},
		{sum1, "at", `[""]`, bad},
		{sum1, "hi", "100", ok},
		{sum1, "hi", "99", bad},
		{sum1, "hi", "68719476735", ok},
		{sum1, "hi", "68719476736", bad},
		{sum1, "lo", "-1", bad},
		{sum1, "lo", "0.5", bad},
		{sum1, "lo", "901", bad},
		{sum1, "scale", "7", ok},
		{sum1, "scale", "8", bad}, // 900 is not below 2^36 then
		{sum1, "scale", "19", bad},
		{sum1, "offset", "0", bad},

		{rr, "field", "0", ok},
		{rr, "field", "3", bad},
		{rr, "field", "-1", bad},
		{rr, "field", "0.5", bad},
		{rr, "field", `"/a"`, bad},
		{rr, "schema", pointers(8), ok},
		{rr, "schema", pointers(9), bad},
		{rr, "schema", pointers(2), bad},
		{rr, "schema", "[]", bad},
		{rr, "schema", `["/a","/b","/a"]`, bad},
		{rr, "schema", `["/a","/b","c"]`, bad},
		{rr, "lo", "9", ok},
		{rr, "lo", "10", bad},
		{rr, "lo", `"1"`, bad},
		{rr, "hi", "18446744073709550000", ok},
		{rr, "hi", "18446744073709552000", bad},
		{rr, "hi", "9.5", bad},
		{rr, "hi", `"18446744073709551615"`, ok},
		{rr, "hi", `"18446744073709551616"`, bad},
		{rr, "hi", `"18446744073709550000"`, bad}, // a number can hold it
		{rr, "hi", `"18446744073709551615.0"`, bad},
		{rr, "hi", `"018446744073709551615"`, bad},
		{rr, "hi", `"18446744073709551615e0"`, bad},
		{rr, "hi", `"9007199254740993-1"`, bad},
		{rr, "hi", "true", bad},
		{rr, "lo", `"-0"`, bad},
		{rr, "lo", "null", bad},
		{rr, "scale", "18", ok}, // 9·10^18 is below 2^64
		{rr, "scale", "19", bad},
		{rr, "offset", "9007199254740991", ok},
		{rr, "offset", "9007199254740992", bad},
		{rr, "offset", "-1", ok},
		{rr, "offset", "-2", bad},
		{rr, "offset", "-9007199254740991", bad},

		{re, "value", `""`, ok},
		{re, "value", "0", ok},
		{re, "value", "18446744073709550000", ok},
		{re, "value", "18446744073709552000", bad},
		{re, "value", "0.5", bad},
		{re, "value", "-1", bad},
		{re, "value", "true", ok},
		{re, "value", "false", ok},
		{re, "value", "null", ok},
		{re, "value", `["ok"]`, bad},
		{re, "value", "{}", bad},
		{re, "field", "2", ok},
		{re, "field", "3", bad},
		{re, "offset", "-9007199254740991", ok},
		{re, "offset", "-9007199254740992", bad},

		{ro, "values", `[0.1]`, ok},
		{ro, "values", `[0]`, bad}, // offset -1
		{ro, "values", `["","","","","","","",""]`, ok},
		{ro, "values", `[1,2,3,4,5,6,7,8,9]`, bad},
		{ro, "values", "[]", bad},
		{ro, "values", `["x",null,false,1.5,true]`, ok},
		{ro, "values", `["x",[null]]`, bad},
		{ro, "values", "null", bad},
		{ro, "values", "true", bad},
		{ro, "values", `[0.01]`, bad},
		{ro, "values", `"x"`, bad},
		{ro, "field", "1", bad},

		{group, "list", `"` + zeroList[2:] + `"`, bad},
		{group, "list", `"` + strings.Repeat("A", 64) + `"`, bad},
		{group, "list", "0", bad},
		{group, "name", `""`, bad},
		{group, "name", `"` + strings.Repeat("é", 64) + `"`, ok},
		{group, "name", `"` + strings.Repeat("é", 64) + `x"`, bad},
		{group, "name", `"a\nb"`, bad},
		{group, "name", `"a\u200bb"`, bad},
		{group, "name", "7", bad},
		{group, "scope", `"az09._:/-"`, ok},
		{group, "scope", `"` + strings.Repeat("s", 128) + `"`, ok},
		{group, "scope", `"` + strings.Repeat("s", 129) + `"`, bad},
		{group, "scope", `""`, bad},
		{group, "scope", `"A"`, bad},
		{group, "scope", `"a b"`, bad},
		{group, "scope", `"é"`, bad},
		{group, "scope", `"a\n"`, bad},
		{group, "nullifier", `"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000"`, ok},
		{group, "nullifier", `"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"`, bad},
		{group, "nullifier", `"73EDa753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000"`, bad},
		{group, "nullifier", `"00"`, bad},
	} {
		checkParamsCode(t, test.id, edit(t, goodParams[test.id], test.member, test.new), test.want)
	}
}

// TestParamsNeverEcho searches the answer to the client for the content of
// refused parameters.
func TestParamsNeverEcho(t *testing.T) {
	for _, raw := range []string{
		`{"at":["/SECRET/01"],"hi":900,"lo":100,"scale":0}`,
		`{"at":["SECRET"],"hi":900,"lo":100,"scale":0}`,
		`{"SECRET":0}`,
		`{"at":["/x"],"hi":"SECRET","lo":100,"scale":0}`,
		`SECRET`,
	} {
		_, err := claim.ParseParams(claim.Sum, []byte(raw))
		if err == nil || strings.Contains(err.Error(), "SECRET") || protocol.DetailOf(err) == "" {
			t.Errorf("%s: got %v", raw, err)
		}
	}
}

func TestOnlyGroupHasListAndNullifier(t *testing.T) {
	for _, id := range claim.IDs() {
		p := mustParams(t, id, goodParams[id])
		_, hasList := p.List()
		_, _, hasNullifier := p.Nullifier()
		if want := id == claim.Group; hasList != want || hasNullifier != want {
			t.Errorf("%s: list %v, nullifier %v, want %v", id, hasList, hasNullifier, want)
		}
	}
}

func TestParamsDoNotChange(t *testing.T) {
	raw := []byte(goodParams[claim.Sum])
	p, err := claim.ParseParams(claim.Sum, raw)
	if err != nil {
		t.Fatal(err)
	}
	raw[2], p.Bytes()[2] = 'X', 'Y'
	if got := string(p.Bytes()); got != goodParams[claim.Sum] {
		t.Errorf("parameters changed to %s", got)
	}
}

func TestStatementRefusesCommitment(t *testing.T) {
	p := mustParams(t, claim.Open, "{}")
	var cm protocol.Commitment
	for i := range cm {
		cm[i] = 0xff
	}
	if _, err := claim.NewStatement(p, cm); protocol.CodeOf(err) != protocol.CodeMalformedRequest {
		t.Errorf("got %v", err)
	}
}

func TestIDs(t *testing.T) {
	for _, id := range claim.IDs() {
		if got, err := claim.ParseID(id.String()); err != nil || got != id {
			t.Errorf("%s: got %s, %v", id, got, err)
		}
	}
	if _, err := claim.ParseID("none/1"); protocol.CodeOf(err) != protocol.CodeUnknownClaim {
		t.Errorf("none/1: got %v", err)
	}
	if claim.PublicCount("none/1") != 0 || claim.PrivateCount("none/1") != 0 {
		t.Error("a claim that is none has values")
	}
}

func FuzzParseParams(f *testing.F) {
	for i, id := range claim.IDs() {
		f.Add(i, []byte(goodParams[id]))
	}
	f.Add(3, []byte(`{"field":0,"hi":"18446744073709551615","lo":"0.00000000000000001","offset":0,"scale":18,"schema":["/a"]}`))
	f.Add(5, []byte(`{"field":0,"offset":0,"scale":0,"schema":["/a"],"values":[null,true,false,"true",1]}`))
	f.Add(2, []byte(`{"at":["/~1\\\"","/\u0001"],"hi":1e+21,"lo":1e-7,"scale":18}`))
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		ids := claim.IDs()
		id := ids[uint(which)%uint(len(ids))]
		if p, err := claim.ParseParams(id, raw); err == nil {
			if string(p.Bytes()) != string(raw) {
				t.Errorf("%s: bytes changed", id)
			}
			if _, err := claim.NewStatement(p, protocol.Commitment{}); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		} else if code := protocol.CodeOf(err); code != protocol.CodeMalformedRequest {
			t.Errorf("%s: code %v", id, code)
		}
		prepared, err := claim.Prepare(id, raw, []byte(`{"":[],"a":[1,2,[3,[],4]]}`))
		if err != nil {
			return
		}
		if _, err := claim.ParseParams(id, prepared.Params().Bytes()); err != nil {
			t.Errorf("%s: prepared parameters are refused: %v", id, err)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		id   claim.ID
		raw  string
		want []string
	}{
		{claim.Open, `{}`, []string{}},
		{claim.Range, `{"offset":0,"scale":0,"values":[{"at":"/a~1b~0/0","hi":1,"lo":0},{"at":"/c","hi":1,"lo":0}]}`, []string{"/a~1b~0/0", "/c"}},
		{claim.Sum, `{"at":["/a","/b"],"hi":1,"lo":0,"scale":0}`, []string{"/a", "/b"}},
		{claim.RecordRange, `{"field":1,"hi":1,"lo":0,"offset":0,"scale":0,"schema":["/a","/b"]}`, []string{"/b"}},
		{claim.RecordEquals, `{"field":0,"offset":0,"scale":0,"schema":["/a","/b"],"value":"x"}`, []string{}},
		{claim.RecordEquals, `{"field":0,"offset":0,"scale":0,"schema":["/a","/b"],"value":7}`, []string{"/a"}},
		{claim.RecordOneOf, `{"field":0,"offset":0,"scale":0,"schema":["/a"],"values":["x",7]}`, []string{"/a"}},
	} {
		if got := mustParams(t, tt.id, tt.raw).Numbers(); !slices.Equal(got, tt.want) {
			t.Errorf("%s %s: %q, want %q", tt.id, tt.raw, got, tt.want)
		}
	}
}

func canonicalOf(t interface{ Fatal(...any) }, v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := protocol.Canonicalize(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
