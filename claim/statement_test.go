package claim_test

import (
	"slices"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// checkHolds checks whether an assignment satisfies the statement of p and cm.
func checkHolds(t *testing.T, p *claim.Params, cm protocol.Commitment, a *claim.Assignment, want protocol.Code) {
	t.Helper()
	s, err := claim.NewStatement(p, cm)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Check(a); protocol.CodeOf(got) != want {
		t.Errorf("%s %s: got %v, want %v", p.Claim(), p.Bytes(), got, want)
	}
}

// TestCheck checks events at both sides of every bound.
func TestCheck(t *testing.T) {
	const holds, fails = protocol.CodeNone, protocol.CodeStatementFalse
	equals := func(value string) string {
		return `{"field":1,"offset":0,"scale":1,"schema":["/a","/b"],"value":` + value + `}`
	}
	oneOf := func(values string) string {
		return `{"field":1,"offset":0,"scale":1,"schema":["/a","/b"],"values":` + values + `}`
	}
	between := `{"field":1,"hi":5,"lo":2,"offset":0,"scale":1,"schema":["/a","/b"]}`
	ranges := `{"offset":0,"scale":1,"values":[{"at":"/a","hi":5,"lo":2},{"at":"/b","hi":7,"lo":7}]}`
	sum := `{"at":["/a","/b"],"hi":9.5,"lo":9,"scale":1}`
	for _, test := range []struct {
		id            claim.ID
		params, event string
		want          protocol.Code
	}{
		{claim.Open, `{}`, `{}`, holds},
		{claim.Range, ranges, `{"a":2,"b":7}`, holds},
		{claim.Range, ranges, `{"a":5,"b":7}`, holds},
		{claim.Range, ranges, `{"a":1.9,"b":7}`, fails},
		{claim.Range, ranges, `{"a":5.1,"b":7}`, fails},
		{claim.Range, ranges, `{"a":5,"b":7.1}`, fails},
		{claim.Range, ranges, `{"a":5,"b":0}`, fails},
		{claim.Sum, sum, `{"a":4,"b":5}`, holds},
		{claim.Sum, sum, `{"a":9.5,"b":0}`, holds},
		{claim.Sum, sum, `{"a":4,"b":4.9}`, fails},
		{claim.Sum, sum, `{"a":9.5,"b":0.1}`, fails},
		{claim.Sum, sum, `{"a":429496729.5,"b":0}`, fails},
		{claim.RecordRange, between, `{"a":"x","b":2}`, holds},
		{claim.RecordRange, between, `{"a":"x","b":5}`, holds},
		{claim.RecordRange, between, `{"a":"x","b":1.9}`, fails},
		{claim.RecordRange, between, `{"a":"x","b":5.1}`, fails},
		{claim.RecordRange, between, `{"a":"x","b":"3"}`, fails},
		{claim.RecordEquals, equals("3"), `{"a":"x","b":3}`, holds},
		{claim.RecordEquals, equals("3"), `{"a":"x","b":3.1}`, fails},
		{claim.RecordEquals, equals("3"), `{"a":"x","b":"3"}`, fails},
		{claim.RecordEquals, equals(`"3"`), `{"a":"x","b":"3"}`, holds},
		{claim.RecordEquals, equals(`"3"`), `{"a":"3","b":3}`, fails},
		{claim.RecordEquals, equals(`"é"`), `{"a":0,"b":"e"}`, fails},
		{claim.RecordOneOf, oneOf(`["a","b",3]`), `{"a":0,"b":"a"}`, holds},
		{claim.RecordOneOf, oneOf(`["a","b",3]`), `{"a":0,"b":3}`, holds},
		{claim.RecordOneOf, oneOf(`["a","b",3]`), `{"a":0,"b":0}`, fails},
		{claim.RecordOneOf, oneOf(`["a","b",3]`), `{"a":"a","b":"c"}`, fails},
	} {
		p := mustParams(t, test.id, test.params)
		cm, a, err := claim.Commit(p, jcs(t, test.event), claim.NewBlind())
		if err != nil {
			t.Errorf("%s %s: %v", test.id, test.event, err)
			continue
		}
		checkHolds(t, p, cm, a, test.want)
	}
}

// TestCheckEveryValue changes each private value of a true assignment, and the
// commitment, one at a time.
func TestCheckEveryValue(t *testing.T) {
	events := map[claim.ID]string{
		claim.Open: `{}`, claim.Range: `{"readings":[70,60]}`, claim.Sum: `{"feb":1,"jan":400}`,
		claim.RecordRange: record, claim.RecordEquals: record, claim.RecordOneOf: `{"a":2}`,
	}
	for id, event := range events {
		p := mustParams(t, id, goodParams[id])
		cm, a, err := claim.Commit(p, jcs(t, event), claim.NewBlind())
		if err != nil {
			t.Fatal(err)
		}
		checkHolds(t, p, cm, a, protocol.CodeNone)
		checkHolds(t, p, protocol.Commitment(sumMod(protocol.Element(cm), protocol.SmallElement(1))), a, protocol.CodeStatementFalse)
		for i := range a.Values() {
			for _, step := range []uint64{1, 1 << 40} {
				values := slices.Clone(a.Values())
				values[i] = sumMod(values[i], protocol.SmallElement(step))
				checkHolds(t, p, cm, claim.NewAssignment(id, values...), protocol.CodeStatementFalse)
			}
		}
	}
}

// TestCheckDishonestSum commits directly to values that are not the encoding
// of any event.
func TestCheckDishonestSum(t *testing.T) {
	p := mustParams(t, claim.Sum, `{"at":["/a","/b"],"hi":68719476735,"lo":0,"scale":0}`)
	h := protocol.SmallElement(7)
	for _, test := range []struct {
		name   string
		packed []uint32 // the first seven slots of F
		values []uint64 // the values in the assignment
		want   protocol.Code
	}{
		{"two values", []uint32{5, 6}, []uint64{5, 6}, protocol.CodeNone},
		{"an absent value", []uint32{5, 6, 1}, []uint64{5, 6, 1}, protocol.CodeStatementFalse},
		{"a value of 33 bits", []uint32{5, 6}, []uint64{5, 6 + 1<<32}, protocol.CodeStatementFalse},
	} {
		f := claim.Compress(sideBySide(test.packed...), protocol.Element{})
		cm := claim.Compress(h, sumMod(f, protocol.ClaimElement("sum/1")))
		values := append([]protocol.Element{h}, smalls(append(test.values, make([]uint64, 14-len(test.values))...)...)...)
		t.Run(test.name, func(t *testing.T) {
			checkHolds(t, p, protocol.Commitment(cm), claim.NewAssignment(claim.Sum, values...), test.want)
		})
	}
}

// TestCheckForeignAssignment passes assignments of another shape.
func TestCheckForeignAssignment(t *testing.T) {
	p := mustParams(t, claim.Open, "{}")
	var blind protocol.Element
	cm, a, err := claim.Commit(p, []byte("{}"), blind)
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []*claim.Assignment{
		nil,
		{},
		claim.NewAssignment(claim.Open, a.Values()[0]),
		claim.NewAssignment(claim.Open, append(a.Values(), blind)...),
		claim.NewAssignment(claim.Group, a.Values()...),
	} {
		checkHolds(t, p, cm, foreign, protocol.CodeMalformedRequest)
	}
}
