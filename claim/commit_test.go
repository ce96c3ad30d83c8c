package claim_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// sumMod is the sum of two elements modulo r, by big integers.
func sumMod(x, y protocol.Element) protocol.Element {
	r, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	sum := new(big.Int).Add(new(big.Int).SetBytes(x[:]), new(big.Int).SetBytes(y[:]))
	return protocol.Element(sum.Mod(sum, r).FillBytes(make([]byte, 32)))
}

// sideBySide is the sum of v_i·2^(32(i-1)), by big integers.
func sideBySide(values ...uint32) protocol.Element {
	sum := new(big.Int)
	for i, v := range values {
		sum.Add(sum, new(big.Int).Lsh(big.NewInt(int64(v)), uint(32*i)))
	}
	return protocol.Element(sum.FillBytes(make([]byte, 32)))
}

// wantCommitment follows section 5 from F on.
func wantCommitment(id claim.ID, event []byte, blind, f protocol.Element) protocol.Commitment {
	h := claim.Compress(protocol.EventElement(event), blind)
	return protocol.Commitment(claim.Compress(h, sumMod(f, protocol.ClaimElement(string(id)))))
}

const (
	readings = `{"readings":[61.5,0.25]}`
	months   = `{"apr":1,"feb":250,"jan":50.0,"mar":-3}`
	record   = `{"a":1.5,"b":"ok","c":7,"d":{"deep":[null,true]},"e":"é"}`
)

// TestCommit computes what goes into each commitment a second time, step by
// step, and the private values with it.
func TestCommit(t *testing.T) {
	blind := claim.NewBlind()
	salt := func(i uint8) protocol.Element { return protocol.SaltElement(blind, i) }
	leaf := func(i uint8, v protocol.Element) protocol.Element { return claim.Compress(v, salt(i)) }
	text := func(s string) protocol.Element { return protocol.TextElement([]byte(s)) }
	literal := func(s string) protocol.Element { return protocol.H2F("TD-V1-literal", []byte(s)) }
	other := func(s string) protocol.Element { return protocol.ValueElement([]byte(s)) }
	zero, small, node := protocol.Element{}, protocol.SmallElement, claim.Compress

	empty := node(leaf(6, zero), leaf(7, zero))
	schema := `"schema":["/a","/b","/c","/d","/e"]`
	n01 := node(leaf(0, other("1.5")), leaf(1, other(`"ok"`)))
	n23 := node(leaf(2, small(7)), leaf(3, other(`{"deep":[null,true]}`)))
	n45 := node(leaf(4, other(`"é"`)), leaf(5, zero))
	m01 := node(leaf(0, small(20)), leaf(1, other(`"ok"`)))
	m23 := node(leaf(2, other("7")), leaf(3, other(`{"deep":[null,true]}`)))
	k45 := node(leaf(4, text("é")), leaf(5, zero))
	k01 := n01
	for _, test := range []struct {
		id            claim.ID
		params, event string
		f             protocol.Element
		private       []protocol.Element // after h
	}{
		{claim.Range, goodParams[claim.Range], readings, sideBySide(6150, 25), smalls(6150, 25, 0, 0, 0, 0, 0)},
		{
			claim.Range, `{"offset":1000,"scale":1,"values":[{"at":"/x","hi":5,"lo":-100}]}`, `{"x":-99.9}`,
			sideBySide(1), smalls(1, 0, 0, 0, 0, 0, 0),
		},
		{
			claim.Sum, goodParams[claim.Sum], months,
			node(sideBySide(50, 250), zero), smalls(50, 250, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		},
		{
			claim.Sum,
			`{"at":["/8","/7","/6","/5","/4","/3","/2","/1"],"hi":100,"lo":0,"scale":0}`,
			`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":4294967295}`,
			node(sideBySide(1<<32-1, 7, 6, 5, 4, 3, 2), sideBySide(1)),
			smalls(1<<32-1, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0),
		},
		{
			claim.RecordRange, `{"field":2,"hi":9,"lo":1,"offset":0,"scale":0,` + schema + `}`, record,
			node(node(n01, n23), node(n45, empty)),
			[]protocol.Element{small(7), salt(2), leaf(3, other(`{"deep":[null,true]}`)), n01, node(n45, empty)},
		},
		{
			claim.RecordEquals, `{"field":0,"offset":5,"scale":1,` + schema + `,"value":1.5}`, record,
			node(node(m01, m23), node(n45, empty)),
			[]protocol.Element{small(20), salt(0), leaf(1, other(`"ok"`)), m23, node(n45, empty)},
		},
		{
			claim.RecordOneOf, `{"field":4,"offset":0,"scale":0,` + schema + `,"values":["é",3]}`, record,
			node(node(k01, m23), node(k45, empty)),
			[]protocol.Element{text("é"), salt(4), leaf(5, zero), empty, node(k01, m23)},
		},
		{ // true where it is claimed, and null where it is not
			claim.RecordEquals, `{"field":1,"offset":0,"scale":0,"schema":["/d/deep/0","/d/deep/1"],"value":true}`, record,
			node(node(node(leaf(0, other("null")), leaf(1, literal("true"))), node(leaf(2, zero), leaf(3, zero))),
				node(node(leaf(4, zero), leaf(5, zero)), empty)),
			[]protocol.Element{
				literal("true"), salt(1), leaf(0, other("null")), node(leaf(2, zero), leaf(3, zero)),
				node(node(leaf(4, zero), leaf(5, zero)), empty),
			},
		},
	} {
		p := mustParams(t, test.id, test.params)
		event := jcs(t, test.event)
		cm, a, err := claim.Commit(p, event, blind)
		if err != nil {
			t.Errorf("%s %s: %v", test.id, test.params, err)
			continue
		}
		if want := wantCommitment(test.id, event, blind, test.f); cm != want {
			t.Errorf("%s %s: wrong commitment", test.id, test.params)
		}
		h := claim.Compress(protocol.EventElement(event), blind)
		if diff := cmp.Diff(append([]protocol.Element{h}, test.private...), a.Values()); diff != "" || a.Claim() != test.id {
			t.Errorf("%s %s: private values (-want +got):\n%s", test.id, test.params, diff)
		}
	}
}

func TestCommitOpen(t *testing.T) {
	blind, event := claim.NewBlind(), jcs(t, record)
	cm, a, err := claim.Commit(mustParams(t, claim.Open, "{}"), event, blind)
	if err != nil {
		t.Fatal(err)
	}
	if cm != wantCommitment(claim.Open, event, blind, protocol.Element{}) {
		t.Error("wrong commitment")
	}
	if want := []protocol.Element{protocol.EventElement(event), blind}; !slices.Equal(a.Values(), want) {
		t.Error("private values are not e and r")
	}
}

// TestEventNotEncodable lists the events that a claim cannot encode, and their
// neighbours that it can.
func TestEventNotEncodable(t *testing.T) {
	const ok, bad = protocol.CodeNone, protocol.CodeEventNotEncodable
	two := `{"offset":-5,"scale":1,"values":[{"at":"/x","hi":3,"lo":1},{"at":"/y/0","hi":3,"lo":1}]}`
	for _, test := range []struct {
		id            claim.ID
		params, event string
		want          protocol.Code
	}{
		{claim.Range, two, `{"x":0.5,"y":[429496730]}`, ok},
		{claim.Range, two, `{"x":0.5,"y":[429496730.1]}`, bad},
		{claim.Range, two, `{"x":0.4,"y":[1]}`, bad},
		{claim.Range, two, `{"x":-0.5,"y":[1]}`, bad},
		{claim.Range, two, `{"x":0.55,"y":[1]}`, bad},
		{claim.Range, two, `{"x":1e-300,"y":[1]}`, bad},
		{claim.Range, two, `{"x":1e300,"y":[1]}`, bad},
		{claim.Range, two, `{"x":1,"y":[]}`, bad},
		{claim.Range, two, `{"x":1,"y":{"0":1}}`, ok},
		{claim.Range, two, `{"x":1,"y":1}`, bad},
		{claim.Range, two, `{"x":1}`, bad},
		{claim.Range, two, `{}`, bad},
		{claim.Range, two, `{"x":"1","y":[1]}`, bad},
		{claim.Range, two, `{"x":null,"y":[1]}`, bad},
		{claim.Range, two, `{"x":true,"y":[1]}`, bad},
		{claim.Range, two, `{"x":[1],"y":[1]}`, bad},
		{claim.Range, two, `{"X":1,"y":[1]}`, bad},
		{claim.Sum, goodParams[claim.Sum], `{"feb":4294967295,"jan":-0}`, ok},
		{claim.Sum, goodParams[claim.Sum], `{"feb":4294967296,"jan":0}`, bad},
		{claim.Sum, goodParams[claim.Sum], `{"feb":-1,"jan":0}`, bad},
		{claim.Sum, goodParams[claim.Sum], `{"feb":1}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":null,"b":[],"c":18446744073709550000}`, ok},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":18446744073709552000}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":-1}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":1.5}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":"text"}`, ok}, // but never in range
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":null}`, ok},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":{}}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":[]}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1,"c":false}`, ok},
		{claim.RecordEquals, goodParams[claim.RecordEquals], `{"a":1,"b":null,"c":1}`, ok},
		{claim.RecordEquals, goodParams[claim.RecordEquals], `{"a":1,"c":1}`, bad}, // missing is not null
		{claim.RecordEquals, goodParams[claim.RecordEquals], `{"a":1,"b":[null],"c":1}`, bad},
		{claim.RecordOneOf, goodParams[claim.RecordOneOf], `{"a":true}`, ok},
		{claim.RecordOneOf, goodParams[claim.RecordOneOf], `{"A":true}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"c":1}`, bad},
		{claim.RecordRange, goodParams[claim.RecordRange], `{"a":1,"b":1}`, bad},
	} {
		_, _, err := claim.Commit(mustParams(t, test.id, test.params), jcs(t, test.event), claim.NewBlind())
		if got := protocol.CodeOf(err); got != test.want {
			t.Errorf("%s %s: got %v, want %v", test.id, test.event, err, test.want)
		}
	}
}

func TestCommitRefusals(t *testing.T) {
	open, group := mustParams(t, claim.Open, "{}"), mustParams(t, claim.Group, goodParams[claim.Group])
	var tooBig protocol.Element
	tooBig[0] = 0xff
	for name, test := range map[string]struct {
		p     *claim.Params
		event string
		blind protocol.Element
		want  protocol.Code
	}{
		"group":         {group, `{}`, claim.NewBlind(), protocol.CodeMalformedRequest},
		"blind":         {open, `{}`, tooBig, protocol.CodeMalformedRequest},
		"not JSON":      {open, `{`, claim.NewBlind(), protocol.CodeEventNotCanonicalisable},
		"not canonical": {open, `{ }`, claim.NewBlind(), protocol.CodeEventNotCanonicalisable},
		"empty":         {open, ``, claim.NewBlind(), protocol.CodeEventNotCanonicalisable},
	} {
		if _, a, err := claim.Commit(test.p, []byte(test.event), test.blind); protocol.CodeOf(err) != test.want || a != nil {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestRecommit(t *testing.T) {
	events := map[claim.ID]string{
		claim.Open: record, claim.Range: readings, claim.Sum: months, claim.RecordRange: record,
		claim.RecordEquals: record, claim.RecordOneOf: record, claim.Group: record,
	}
	for _, id := range claim.IDs() {
		p, event, blind := mustParams(t, id, goodParams[id]), jcs(t, events[id]), claim.NewBlind()
		got, err := claim.Recommit(p, event, blind)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		want := wantCommitment(id, event, blind, protocol.Element{})
		if id != claim.Group {
			if want, _, err = claim.Commit(p, event, blind); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %v, want %v", id, got, want)
		}
		if again, _ := claim.Recommit(p, event, claim.NewBlind()); again == got {
			t.Errorf("%s: the commitment does not depend on the blind", id)
		}
	}
}

// TestCommitmentsDiffer commits one event under each claim with one blind.
func TestCommitmentsDiffer(t *testing.T) {
	blind, seen := claim.NewBlind(), make(map[protocol.Commitment]claim.ID)
	for _, id := range []claim.ID{claim.Open, claim.Group} { // F is 0 in both
		cm, err := claim.Recommit(mustParams(t, id, goodParams[id]), []byte("{}"), blind)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[cm]; ok {
			t.Errorf("%s and %s have the same commitment", id, other)
		}
		seen[cm] = id
	}
}

func TestNewBlindIsFresh(t *testing.T) {
	a, b := claim.NewBlind(), claim.NewBlind()
	if a == b || protocol.CheckElement(a[:]) != nil {
		t.Error("blinds repeat or are no field elements")
	}
}

func TestPackIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.SliceOfN(rapid.Uint32(), 7, 7)
		v := slots.Draw(t, "v")
		if got := claim.Pack(v); got != sideBySide(v...) || protocol.CheckElement(got[:]) != nil {
			t.Fatalf("%v packs to %x", v, got)
		}
		w := slices.Clone(v)
		w[rapid.IntRange(0, 6).Draw(t, "slot")] ^= rapid.Uint32Range(1, 1<<32-1).Draw(t, "flip")
		if claim.Pack(v) == claim.Pack(w) {
			t.Fatalf("%v and %v pack to the same", v, w)
		}
	})
}

func TestPrepare(t *testing.T) {
	event := jcs(t, `{"r":[1,2,3],"x":4,"m":[[5,6],[7]],"none":[],"many":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}`)
	for _, test := range []struct {
		id        claim.ID
		raw, want string // "" for malformed_request
	}{
		{claim.Open, ` { } `, `{}`},
		{
			claim.Range, `{"values":[{"at":"/r","lo":0,"hi":9},{"at":"/x","lo":1.0,"hi":5}],"scale":0,"offset":0}`,
			`{"offset":0,"scale":0,"values":[{"at":"/r/0","hi":9,"lo":0},{"at":"/r/1","hi":9,"lo":0},` +
				`{"at":"/r/2","hi":9,"lo":0},{"at":"/x","hi":5,"lo":1}]}`,
		},
		{claim.Range, `{"values":[{"at":"/nowhere","lo":0,"hi":9}],"scale":0,"offset":0}`, `{"offset":0,"scale":0,"values":[{"at":"/nowhere","hi":9,"lo":0}]}`},
		{claim.Range, `{"values":[{"at":"/many","lo":0,"hi":9}],"scale":0,"offset":0}`, ""},
		{claim.Range, `{"values":[{"at":"/none","lo":0,"hi":9}],"scale":0,"offset":0}`, ""},
		{claim.Range, `{"values":[{"at":"/r","lo":0,"hi":9},{"at":"/r/1","lo":0,"hi":9}],"scale":0,"offset":0}`, ""},
		{claim.Range, `{"values":[{"at":7,"lo":0,"hi":9}],"scale":0,"offset":0}`, ""},
		{claim.Range, `{"values":[7],"scale":0,"offset":0}`, ""},
		{claim.Range, `{"values":7,"scale":0,"offset":0}`, ""},
		{claim.Sum, `{"at":["/r","/m/0"],"lo":0,"hi":9,"scale":0}`, `{"at":["/r/0","/r/1","/r/2","/m/0/0","/m/0/1"],"hi":9,"lo":0,"scale":0}`},
		{claim.Sum, `{"at":["/m"],"lo":0,"hi":9,"scale":0}`, `{"at":["/m/0/0","/m/0/1","/m/1/0"],"hi":9,"lo":0,"scale":0}`},
		{claim.Sum, `{"at":["/many"],"lo":0,"hi":9,"scale":0}`, ""},
		{claim.Sum, `{"at":["/-"],"lo":0,"hi":9,"scale":0}`, ""},
		{claim.Sum, `{"at":[{}],"lo":0,"hi":9,"scale":0}`, ""},
		{claim.Sum, `{"at":["/r"],"lo":0,"hi":9}`, ""},
		{claim.Sum, `{"at":["/r"],"lo":0,"hi":9,"hi":9,"scale":0}`, ""},
		{claim.RecordEquals, `{"schema":["/r"],"field":0,"value":"x","scale":0,"offset":0}`, `{"field":0,"offset":0,"scale":0,"schema":["/r"],"value":"x"}`},
	} {
		var got []byte
		p, err := claim.Prepare(test.id, []byte(test.raw), event)
		if err == nil {
			got = p.Params().Bytes()
		}
		if string(got) != test.want || test.want == "" && protocol.CodeOf(err) != protocol.CodeMalformedRequest {
			t.Errorf("%s %s:\n got %s, %v\nwant %s", test.id, test.raw, got, err, test.want)
		}
	}
}

func TestPrepareRefusals(t *testing.T) {
	if _, err := claim.Prepare("open/2", []byte("{}"), []byte("{}")); protocol.CodeOf(err) != protocol.CodeUnknownClaim {
		t.Errorf("open/2: got %v", err)
	}
	if _, err := claim.Prepare(claim.Open, []byte("{}"), []byte("[]")); protocol.CodeOf(err) != protocol.CodeEventNotCanonicalisable {
		t.Errorf("an array as event: got %v", err)
	}
	raw := `{"at":["/r"],"lo":0,"hi":9,"scale":0}`
	got, err := claim.ReadParams(claim.Sum, []byte(raw))
	if want := `{"at":["/r"],"hi":9,"lo":0,"scale":0}`; err != nil || string(got.Bytes()) != want {
		t.Errorf("without an event: got %v, %v; want %s", got, err, want)
	}
}

// TestDeepEvents commits to an event at the limits of section 4, with every
// pointer at its far end.
func TestDeepEvents(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 31) + "7" + strings.Repeat("}", 31)
	var at []string
	for i := range 14 {
		at = append(at, fmt.Sprintf(`"/z/%d%s"`, i, strings.Repeat("/a", 29)))
	}
	inner := deep[len(`{"a":`)*2 : len(deep)-2]
	event := jcs(t, `{"pad":"`+strings.Repeat("x", 55<<10)+`","z":[`+strings.Repeat(inner+",", 13)+inner+`]}`)
	p := mustParams(t, claim.Sum, `{"at":[`+strings.Join(at, ",")+`],"hi":98,"lo":98,"scale":0}`)
	cm, a, err := claim.Commit(p, event, claim.NewBlind())
	if err != nil {
		t.Fatal(err)
	}
	checkHolds(t, p, cm, a, protocol.CodeNone)
}
