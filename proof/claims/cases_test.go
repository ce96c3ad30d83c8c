package claims_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/proof/claims"
	"github.com/terradourada/td/proof/field"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/protocol"
)

// jsonCase is one of the cases of proof/ts/src/cases.ts.
type jsonCase struct {
	Claim     string `json:"claim,omitempty"`
	Params    []byte `json:"params,omitzero"`
	Event     []byte `json:"event,omitzero"`
	Blind     string `json:"blind,omitempty"`
	List      []byte `json:"list,omitzero"`
	Secret    string `json:"secret,omitempty"`
	Printable bool   `json:"printable,omitempty"`
}

// refusal says how a case is refused.
type refusal struct {
	Refused string `json:"refused"`
	Offset  *int   `json:"offset,omitempty"`
}

// witnessed is the result of a claim, parameters and an event.
type witnessed struct {
	Publics []uint32 `json:"publics"`
	Number  int      `json:"number"`
	Width   int      `json:"width"`
	Secrets []uint32 `json:"secrets"`
}

// TestCases makes cases about JSON, and requires that each verdict occurs for each claim. It
// writes the cases and their results to the file TD_SUITE2_CASES, if that is set, for the
// program in proof/ts, which compares them: scripts/suite2.sh runs both. TD_SUITE2 is short
// or full, as for TestSuite2 in claim.
func TestCases(t *testing.T) {
	rounds, seed := 1_000, [32]byte{3}
	switch os.Getenv("TD_SUITE2") {
	case "short":
		rounds = 2_000
	case "full":
		rounds = 60_000
		binary.BigEndian.PutUint64(seed[:], uint64(time.Now().UnixNano()))
	}
	t.Logf("seed %x", seed)
	to := io.Discard
	if name := os.Getenv("TD_SUITE2_CASES"); name != "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		to = f
	}
	lines, seen := json.NewEncoder(to), map[string]int{}
	write := func(v any) {
		if err := lines.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	g := generator{rand.New(rand.NewChaCha8(seed))}
	first := append([]jsonCase{{Printable: true}}, edges(t)...)
	if rounds > 2_000 {
		largest := g.largest(t, claims.MaxMembers)
		first = append(first, jsonCase{List: largest}, jsonCase{List: g.largest(t, claims.MaxMembers+1)},
			jsonCase{List: slices.Concat(largest, bytes.Repeat([]byte(" "), claims.MaxListSize-len(largest)))},
			jsonCase{List: slices.Concat(largest, bytes.Repeat([]byte(" "), claims.MaxListSize-len(largest)+1))})
	}
	for i := range rounds {
		var c jsonCase
		if i < len(first) {
			c = first[i]
		} else {
			c = g.next(t)
		}
		want := outcome(t, c)
		seen[c.kind()+" "+codeOf(want)]++
		write(map[string]any{"case": c, "want": want})
	}
	write(map[string]int{"cases": rounds})
	t.Log(seen)
	checkSeen(t, seen)
}

// checkSeen requires that each claim had each verdict that it can have.
func checkSeen(t *testing.T, seen map[string]int) {
	t.Helper()
	verdicts := map[string]string{
		"event":   "accepted syntax duplicate_name inexact_number trailing_data surrogate not_utf8",
		"list":    "accepted malformed_request",
		"open/1":  "accepted malformed_request event_not_canonicalisable",
		"group/1": "accepted malformed_request event_not_canonicalisable statement_false",
	}
	for _, id := range claims.IDs() {
		if verdicts[id] == "" {
			verdicts[id] = "accepted malformed_request event_not_canonicalisable event_not_encodable statement_false"
		}
	}
	for kind, list := range verdicts {
		for verdict := range strings.FieldsSeq(list) {
			if seen[kind+" "+verdict] == 0 {
				t.Errorf("no case of %s: %s", kind, verdict)
			}
		}
	}
}

// kind returns the id of the claim, or list, event or characters.
func (c jsonCase) kind() string {
	switch {
	case c.Claim != "":
		return c.Claim
	case c.List != nil:
		return "list"
	case c.Event != nil:
		return "event"
	default:
		return "characters"
	}
}

// codeOf returns the reason of a refusal, and accepted for any other outcome.
func codeOf(outcome any) string {
	if r, ok := outcome.(refusal); ok {
		return r.Refused
	}
	return "accepted"
}

// outcome returns the result of a case, or its refusal.
func outcome(t *testing.T, c jsonCase) any {
	t.Helper()
	var result any
	var err error
	switch c.kind() {
	case "characters":
		return printable()
	case "event":
		return canonicalOrReason(c.Event)
	case "list":
		result, err = describeList(c.List)
	default:
		result, err = witnessOf(t, c)
	}
	if err != nil {
		return refusal{Refused: protocol.CodeOf(err).String()}
	}
	return result
}

// printable returns the digest of one byte for each character: 1 if it may be in a name.
func printable() string {
	all := make([]byte, utf8.MaxRune+1)
	for r := range all {
		if utf8.ValidRune(rune(r)) && rules.CheckList(string(rune(r)), [][32]byte{{}}, 1, func([]byte) error { return nil }) == nil {
			all[r] = 1
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256(all))
}

// canonicalOrReason returns the canonical form of an event, or the reason of its refusal. The
// offset of a syntax error is left out, because readers may differ in it.
func canonicalOrReason(event []byte) any {
	canonical, err := protocol.Canonicalize(event)
	if unreadable := (*protocol.JSONError)(nil); errors.As(err, &unreadable) {
		if unreadable.Reason == protocol.JSONSyntax {
			return refusal{Refused: string(unreadable.Reason)}
		}
		return refusal{string(unreadable.Reason), &unreadable.Offset}
	}
	return string(canonical)
}

func describeList(file []byte) (any, error) {
	l, err := claims.ParseList(file)
	if err != nil {
		return nil, err
	}
	depth, root := l.Shape()
	return map[string]any{"id": l.ID().String(), "name": l.Name(), "depth": depth, "root": hexDigest(root)}, nil
}

// witnessOf commits to an event, and makes the statement of the commitment as a verifier does.
func witnessOf(t *testing.T, c jsonCase) (any, error) {
	t.Helper()
	p, err := claims.ParseParams(c.Claim, c.Params)
	if err != nil {
		return nil, err
	}
	event, err := protocol.Canonicalize(c.Event)
	if err != nil {
		event = c.Event // Commit refuses it, because it is not canonical
	}
	var l *claims.List
	var w *claims.Witness
	if c.List == nil {
		w, err = claims.Commit(p, event, parseDigest(t, c.Blind))
	} else {
		if l, err = claims.ParseList(c.List); err != nil {
			return nil, err
		}
		w, err = claims.CommitMember(p, event, parseDigest(t, c.Blind), l, parseDigest(t, c.Secret))
	}
	if err != nil {
		return nil, err
	}
	s, err := p.Statement(claims.CommitmentOf(w.Statement()), l)
	if err != nil {
		t.Fatal(err)
	}
	_, number, width := claims.Shape(s)
	publics := claims.Publics(claims.Bound{Statement: s})[3*poseidon.DigestSize:]
	return witnessed{integers(publics), number, width, integers(w.Secrets())}, nil
}

func hexDigest(d claims.Digest) string { return fmt.Sprintf("%x", claims.AppendDigest(nil, d)) }

func parseDigest(t *testing.T, text string) claims.Digest {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(text, "%x", &b); err != nil {
		t.Fatal(err)
	}
	d, err := claims.ParseDigest(b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// edges returns cases at limits, which random ones miss.
func edges(t *testing.T) (all []jsonCase) {
	t.Helper()
	blind := hexDigest(digest("r"))
	add := func(claim, params, event string) {
		all = append(all, jsonCase{Claim: claim, Params: []byte(params), Event: []byte(event), Blind: blind})
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	all = append(all, jsonCase{Event: []byte(`{"a":[1` + strings.Repeat(",1e20", 4000) + `]}`)}) // 5 characters become 21
	for n := range 2 {
		add("open/1", "{}", `{"a":"`+long(64<<10-8+n)+`"}`)
		equals := `{"field":0,"offset":0,"scale":0,"schema":["/a"],"value":"` + long(2048-59+n) + `"}`
		add("record-equals/1", equals, `{"a":"`+long(2048-59+n)+`"}`)
	}
	for _, at := range []string{"", "1.0", "1e0", "+1", " 1", "0x1", "2", "3"} {
		add("range/1", `{"offset":0,"scale":0,"values":[{"at":"/d/`+at+`","hi":9,"lo":0}]}`, `{"d":[1,2,3]}`)
	}
	// Carries into the third limb.
	add("sum/1", `{"at":["/a"],"hi":4294967296,"lo":0,"scale":0}`, `{"a":1}`)
	add("record-range/1", `{"field":0,"hi":"18446744073709551615","lo":1,"offset":0,"scale":0,"schema":["/a"]}`, `{"a":4294967296}`)

	series := func(n int, hi, sumlo, sumhi string) string {
		return fmt.Sprintf(`{"at":"/r","count":%d,"hi":%s,"lo":0,"offset":0,"scale":0,"sumhi":%s,"sumlo":%s}`, n, hi, sumhi, sumlo)
	}
	add("series-range/1", series(1, "1073741823", "0", "1073741823"), `{"r":[1073741823]}`)
	add("series-range/1", series(1, "1073741824", "0", "1073741824"), `{"r":[1073741823]}`)
	for _, n := range []int{1, 2, 3, 4, 1024, 1025} {
		readings := `{"r":[1` + strings.Repeat(",1", n-1) + `]}`
		add("series-range/1", series(n, "1", "0", fmt.Sprint(n)), readings)
		add("series-range/1", series(n, "1", "0", fmt.Sprint(n+1)), readings)
		add("series-range/1", series(n, "1", "-1", fmt.Sprint(n)), readings)
		add("series-range/1", series(3, "1", "0", "3"), readings)
		add("series-range/1", fmt.Sprintf(`{"at":"/r","count":%d,"hi":2,"lo":1,"offset":0,"scale":0,"sumhi":%d,"sumlo":%d}`, n, n, n-1), readings)
		add("series-range/1", fmt.Sprintf(`{"at":"/r","count":%d,"hi":1,"lo":-1,"offset":1,"scale":0,"sumhi":%d,"sumlo":-1}`, n, n), readings)
	}
	return append(all, groupEdges(t)...)
}

// groupEdges returns those of group/1.
func groupEdges(t *testing.T) (all []jsonCase) {
	t.Helper()
	sk := digest("sk")
	name, scope := strings.Repeat("n", 128), strings.Repeat("s", 128)
	l, err := claims.NewList(name, []claims.Digest{claims.MemberOf(sk)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := claims.GroupParams(l, scope, sk)
	if err != nil {
		t.Fatal(err)
	}
	params, file := string(raw), string(l.Encode())
	member, beyond := hexDigest(claims.MemberOf(sk)), strings.Repeat("7f000001", 8)
	add := func(params, file string, secret claims.Digest) {
		all = append(all, jsonCase{List: []byte(file)},
			jsonCase{Claim: "group/1", Params: []byte(params), Event: []byte("{}"), Blind: hexDigest(digest("r")), List: []byte(file), Secret: hexDigest(secret)})
	}
	replace := func(text, old, new string) string { return strings.Replace(text, old, new, 1) }
	add(params, file, sk)
	for _, other := range []string{scope + "s", "S" + scope[1:], " " + scope[1:], ""} {
		add(replace(params, scope, other), file, sk)
	}
	for _, other := range []string{name + "n", "\u0000" + name[1:], ""} {
		add(replace(params, name, other), replace(file, name, other), sk)
	}
	add(replace(params, name, "m"), file, sk)                                // another name than the list's
	add(replace(params, l.ID().String(), beyond), file, sk)                  // another id
	add(replace(params, l.ID().String(), strings.Repeat("A", 64)), file, sk) // not an id
	add(params, replace(file, member, beyond), sk)
	add(params, replace(file, `"`+member+`"`, ""), sk)
	nullifier := func(sk claims.Digest) string {
		return hexDigest(poseidon.Compress(sk, claims.ScopeOf(name, scope)))
	}
	add(replace(params, nullifier(sk), beyond), file, sk)
	add(replace(params, nullifier(sk), nullifier(digest("x"))), file, sk)
	add(replace(params, nullifier(sk), nullifier(digest("x"))), file, digest("x")) // no member
	return all
}

// generator makes random cases. Most are valid, or differ from a valid one in one place.
type generator struct{ *rand.Rand }

func (g generator) oneOf(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g generator) raw(texts ...string) json.RawMessage { return json.RawMessage(g.oneOf(texts...)) }

// odd returns a value that is seldom valid where it is put.
func (g generator) odd() json.RawMessage {
	return g.raw("null", "true", `""`, `"x"`, "[]", "{}", "[1]", `{"a":1}`, "-1", "0", "1", "2", "0.5", "1e400", "18", "19", "1e-7",
		"4294967295", "4294967296", "68719476735", "68719476736", "1073741823", "1073741824", "9007199254740991", "9007199254740992", "9007199254740993",
		"-9007199254740991", "18446744073709550000", "18446744073709551616", `"18446744073709551615"`, `"18446744073709551616"`, `"184467440737095516.15"`,
		`"5"`, `"9007199254740993"`, `"-9007199254740993"`, `"0.30000000000000001"`, `"/a"`, `"/d/0"`, `"/d/01"`, `"/d/-"`, `"/~2"`, `"/~0~1"`, `"/~"`, `"a"`,
		`"\u00e9"`, `"\ud83d\ude02"`, `"\ud800"`, `"\u0000"`, `"\u2028"`, `["/a","/a"]`, `["/a","/b"]`, `"`+strings.Repeat("ab", 32)+`"`, `"`+strings.Repeat("7f000001", 8)+`"`,
		`"`+strings.Repeat("x", 128)+`"`, `"`+strings.Repeat("x", 129)+`"`)
}

// number returns a number of an event or of parameters, in one of its spellings.
func (g generator) number() json.RawMessage {
	n := g.IntN(300)
	if g.IntN(10) == 0 {
		n = g.IntN(42949672)
	}
	switch g.IntN(9) {
	case 0:
		return fmt.Appendf(nil, "%d.%d", n, g.IntN(100))
	case 1:
		return fmt.Appendf(nil, "%d.0e0", n)
	case 2:
		return fmt.Appendf(nil, "%de-1", 10*n)
	case 3:
		return fmt.Appendf(nil, "0.%08dE+8", n)
	case 4:
		if g.IntN(3) > 0 {
			break
		}
		return g.raw("-0", "0e99999999999", "42949672.95", "1e2", "-1.5", "1073741823", "18446744073709550000", "0.1", "1e20", "5e-324")
	}
	return fmt.Appendf(nil, "%d", n)
}

func (g generator) value() json.RawMessage {
	switch g.IntN(60) {
	case 0:
		return g.odd()
	case 1, 2, 3, 4, 5:
		return g.raw(`"red"`, `"caf\u00e9"`, `"true"`, "true", "false", "null")
	default:
		return g.number()
	}
}

func (g generator) values(n int) []json.RawMessage {
	all := make([]json.RawMessage, n)
	for i := range all {
		all[i] = g.value()
	}
	return all
}

func (g generator) event() map[string]any {
	return map[string]any{"a": g.value(), "b": g.value(), "m/n": map[string]any{"~": g.value(), "": g.value()}, "d": g.values(9 + g.IntN(9)), "\U0001f642": g.value(), "\ufb33": g.value()}
}

// pointers returns 1 to most different pointers, nearly all of which resolve.
func (g generator) pointers(most int) []string {
	all := []string{"/a", "/b", "/m~1n/~0", "/m~1n/", "/\U0001f642", "/d/0", "/d/1", "/d/2", "/d/3", "/d/4", "/d/5", "/d/6", "/d/7", "/d/8"}
	if g.IntN(8) == 0 {
		all = append(all, "/d", "/d/00", "/d/x", "/a/0", "/e", "", "/~2", "/-")
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(1+g.IntN(most), len(all))]
}

// params returns parameters of a claim other than group/1.
func (g generator) params(id string, event map[string]any) map[string]any {
	lo, hi := g.raw("0", "0", "0", "0", "1", "100"), g.raw("300", "400", "4294967", "200", "42949672.95", "42949672.95")
	p := map[string]any{"scale": 2, "offset": 0}
	if g.IntN(8) == 0 {
		p["scale"], p["offset"] = g.IntN(20), g.raw("0", "1", "100", "-100", "9007199254740991", "-5")
		lo, hi = g.value(), g.value()
	}
	switch id {
	case "open/1":
		p = map[string]any{}
	case "range/1":
		var values []any
		for _, at := range g.pointers(8) {
			values = append(values, map[string]any{"at": at, "lo": lo, "hi": hi})
		}
		p["values"] = values
	case "sum/1":
		delete(p, "offset")
		p["at"], p["lo"], p["hi"] = g.pointers(15), lo, g.raw("3000", "687194767.35", "500")
	case "series-range/1":
		g.series(p, event)
	default:
		g.record(id, p, event)
	}
	return p
}

// series completes parameters of a series, and appends its readings to the event.
func (g generator) series(p, event map[string]any) {
	n := 1 + g.IntN(30)
	if g.IntN(20) == 0 {
		n = 1 + g.IntN(1024)
	}
	readings := make([]json.RawMessage, n)
	for i := range readings {
		readings[i] = fmt.Appendf(nil, "%d.%d", 18+g.IntN(9), g.IntN(10))
	}
	if g.IntN(6) == 0 {
		readings[g.IntN(n)] = g.value()
	}
	event["r"] = readings
	p["at"], p["count"], p["lo"], p["hi"] = "/r", n, 18, g.raw("28", "27", "673.35", "673.36", "10737418.23", "65553")
	p["sumlo"], p["sumhi"] = 18*n, 27*n
}

// record completes parameters of a claim about a record.
func (g generator) record(id string, p, event map[string]any) {
	at := g.pointers(9)
	p["schema"], p["field"] = at, g.IntN(len(at))
	claimed, ok := event[strings.TrimPrefix(at[p["field"].(int)], "/")].(json.RawMessage)
	if !ok || g.IntN(4) == 0 {
		claimed = g.value()
	}
	switch id {
	case "record-range/1":
		p["lo"], p["hi"] = g.raw("0", "0", "1", "100"), g.raw("300", "1000", `"184467440737095516.15"`, `"18446744073709551615"`, "184467440737095.5")
	case "record-equals/1":
		p["value"] = claimed
	default:
		values := append(g.values(g.IntN(8)), claimed)
		g.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		p["values"] = values
	}
}

// text returns v as JSON, in its canonical form if canonical is set. Now and then a value is
// replaced, or the text is edited.
func (g generator) text(t *testing.T, v any, canonical bool) []byte {
	t.Helper()
	raw, err := protocol.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	if g.IntN(6) == 0 {
		raw = g.replaced(raw)
	}
	if jcs, err := rules.Canonicalize(raw); canonical && err == nil {
		raw = jcs
	}
	if g.IntN(12) == 0 {
		raw = g.edited(raw)
	}
	return raw
}

// replaced returns an object in which one member or element has another value, another place,
// or is added or removed.
func (g generator) replaced(raw []byte) []byte {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&object) != nil {
		return raw
	}
	var places []func()
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				places = append(places, func() { v[name] = g.odd() }, func() { delete(v, name) }, func() { v[name+g.oneOf("x", " ")] = v[name] })
				visit(v[name])
			}
		case []any:
			for i := range v {
				places = append(places, func() { v[i] = g.odd() }, func() { v[i] = v[0] }, func() { v[0], v[i] = v[i], v[0] })
				visit(v[i])
			}
		}
	}
	visit(object)
	if len(places) == 0 {
		return raw
	}
	places[g.IntN(len(places))]()
	changed, err := protocol.EncodeJSON(object)
	if err != nil {
		return raw
	}
	return changed
}

// edited returns a text with one edit, after which it may be no JSON.
func (g generator) edited(raw []byte) []byte {
	at := g.IntN(len(raw))
	insert := g.oneOf(" ", "\n", ",", "{", "}", "[", "]", ":", `"`, "0", "9", "-", "+", ".", "e", "E5", "\\", `\u0041`, `\ud800`, `\udc00`, "\xff", "\xc3\xa9", "\xed\xa0\x80", "\x00",
		"\t", `"a":1,`, `"\u0061":1,`, "null", "tru", "\xef\xbb\xbf", "9007199254740993", strings.Repeat("[", 32), strings.Repeat(" ", 1<<16))
	switch g.IntN(6) {
	case 0:
		return raw[:at]
	case 1:
		return slices.Concat(raw[:at], raw[at+1:])
	case 2:
		return slices.Concat(raw, []byte(insert))
	case 3:
		return slices.Concat(raw[:at], []byte(insert), raw[min(at+1, len(raw)):])
	case 4:
		return slices.Concat([]byte(`{"a":0,`), raw[1:])
	default:
		return slices.Concat(raw[:at], []byte(insert), raw[at:])
	}
}

func (g generator) digest() (d claims.Digest) {
	for i := range d {
		d[i] = field.New(g.Uint64())
	}
	return d
}

// list returns a list file, and parameters and the secret of one of its members. Now and then
// the secret is another one.
func (g generator) list(t *testing.T) (file, params []byte, secret claims.Digest) {
	t.Helper()
	members := make([]claims.Digest, 1+g.IntN(20))
	for i := range members {
		secret = g.digest()
		members[i] = claims.MemberOf(secret)
	}
	l, err := claims.NewList(g.oneOf("board", "caf\u00e9 \u2116 7", "\U0001f642", strings.Repeat("x", 128)), members)
	if err != nil {
		t.Fatal(err)
	}
	params, err = claims.GroupParams(l, g.oneOf("2026-11/budget", "a", "z.0_9:/-", strings.Repeat("s", 128)), secret)
	if err != nil {
		t.Fatal(err)
	}
	if g.IntN(12) == 0 {
		secret = g.digest()
	}
	return l.Encode(), params, secret
}

// largest returns the file of a list of n members, which no secrets belong to.
func (g generator) largest(t *testing.T, n int) []byte {
	t.Helper()
	members := make([]string, n)
	for i := range members {
		members[i] = hexDigest(g.digest())
	}
	slices.Sort(members)
	file, err := protocol.EncodeJSON(map[string]any{"name": "all", "members": members})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// next returns a random case.
func (g generator) next(t *testing.T) jsonCase {
	t.Helper()
	event := g.event()
	switch kind := g.IntN(12); kind {
	case 0:
		return jsonCase{Event: g.edited(g.text(t, event, false))}
	case 1:
		return jsonCase{Event: g.text(t, event, false)}
	case 2:
		file, _, _ := g.list(t)
		return jsonCase{List: g.text(t, json.RawMessage(file), false)}
	}
	ids := claims.IDs()
	c := jsonCase{Claim: ids[g.IntN(len(ids))], Blind: hexDigest(g.digest())}
	var params any
	if c.Claim == "group/1" {
		file, raw, secret := g.list(t)
		c.List, c.Secret, params = g.text(t, json.RawMessage(file), false), hexDigest(secret), json.RawMessage(raw)
		if g.IntN(12) == 0 {
			c.List, _, _ = g.list(t)
		}
	} else {
		params = g.params(c.Claim, event)
	}
	c.Params, c.Event = g.text(t, params, true), g.text(t, event, false)
	if g.IntN(100) == 0 {
		c.Claim = g.oneOf("open/2", "OPEN/1", "series", "range/1 ", "group/1", "sum/1")
	}
	return c
}
