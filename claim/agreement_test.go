package claim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// drawStatement draws parameters and an event of a claim, so that about half of
// the statements hold.
func drawStatement(t *rapid.T, id claim.ID) (params, event string) {
	pick := func(name string, choices ...string) string { return rapid.SampledFrom(choices).Draw(t, name) }
	texts := []string{"0", "1", "2.5", "7", "9", "9.5", "15", `"a"`, `"b"`, "true", "null"}
	if id == claim.Range || id == claim.Sum {
		texts = texts[:7]
	}
	var fields, entries, pointers []string
	for i := range 14 {
		fields = append(fields, pick("value", texts...))
		lo, hi := pick("lo", "0", "0", "0", "0", "0", "0", "2.5"), pick("hi", "15", "15", "15", "15", "15", "15", "9")
		entries = append(entries, fmt.Sprintf(`{"at":"/v/%d","hi":%s,"lo":%s}`, i, hi, lo))
		pointers = append(pointers, fmt.Sprintf(`"/v/%d"`, i))
	}
	event = `{"v":[` + strings.Join(fields, ",") + `]}`
	schema := `"offset":3,"scale":1,"schema":[` + strings.Join(pointers[:8], ",") + `]`
	field := rapid.IntRange(0, 7).Draw(t, "field")
	switch id {
	case claim.Range:
		n := rapid.IntRange(1, 7).Draw(t, "n")
		return `{"offset":0,"scale":1,"values":[` + strings.Join(entries[:n], ",") + `]}`, event
	case claim.Sum:
		n := rapid.IntRange(1, 14).Draw(t, "n")
		return fmt.Sprintf(`{"at":[%s],"hi":%s,"lo":%s,"scale":1}`, strings.Join(pointers[:n], ","),
			pick("hi", "25", "60", "210"), pick("lo", "0", "0.5", "20")), event
	case claim.RecordRange:
		return fmt.Sprintf(`{"field":%d,"hi":%s,"lo":%s,%s}`, field, pick("hi", "9", "15", `"1844674407370955161.2"`), pick("lo", "0", "1"), schema), event
	case claim.RecordEquals:
		return fmt.Sprintf(`{"field":%d,%s,"value":%s}`, field, schema, pick("same", fields[field], texts[1], texts[8], texts[9])), event
	case claim.RecordOneOf:
		choices := fields[:rapid.IntRange(1, 8).Draw(t, "choices")]
		return fmt.Sprintf(`{"field":%d,%s,"values":[%s]}`, field, schema, strings.Join(choices, ",")), event
	}
	return "{}", event
}

// TestNativeCheckAgreesWithCircuit compares the native check with the circuit
// on random statements, with honest assignments and with one private value
// changed.
func TestNativeCheckAgreesWithCircuit(t *testing.T) {
	x := [3]protocol.Element{protocol.SmallElement(1), protocol.SmallElement(2), protocol.SmallElement(3)}
	for _, id := range claim.FixedIDs() {
		t.Run(id.String(), func(t *testing.T) { checkAgreement(t, id, x) })
	}
}

// enoughDraws is the number of draws in a full run; fewer say little about
// whether the draw is one-sided.
const enoughDraws = 100

func checkAgreement(t *testing.T, id claim.ID, x [3]protocol.Element) {
	t.Helper()
	circuit, err := claim.NewCircuit(id, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, failed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		params, event := drawStatement(t, id)
		p, err := claim.ParseParams(id, []byte(params))
		if err != nil {
			t.Fatalf("%s: %v", params, err)
		}
		cm, a, err := claim.Commit(p, []byte(event), protocol.SmallElement(rapid.Uint64().Draw(t, "blind")))
		if err != nil {
			t.Fatalf("%s %s: %v", params, event, err)
		}
		s, err := claim.NewStatement(p, cm)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
			values := slices.Clone(a.Values())
			i := rapid.IntRange(0, len(values)-1).Draw(t, "which")
			values[i] = drawElement(t, values)
			a = claim.NewAssignment(id, values...)
		}
		native := s.Check(a)
		circuitSays := circuit.Solve(s.Inputs(protocol.Anchor(x[0]), x[1], x[2]), a.Values())
		if (native == nil) != (circuitSays == nil) {
			t.Fatalf("%s %s: natively %v, the circuit %v", params, event, native, circuitSays)
		}
		if native == nil {
			held++
		} else {
			failed++
		}
	})
	if held+failed >= enoughDraws && (held < 3 || failed < 3) {
		t.Errorf("%s: %d statements held and %d did not; the draw is one-sided", id, held, failed)
	}
}

// drawElement draws a value near the edges of what the circuits decompose.
func drawElement(t *rapid.T, values []protocol.Element) protocol.Element {
	v := rapid.SampledFrom(values).Draw(t, "other")
	step := rapid.SampledFrom([]uint64{0, 1, 1<<32 - 1, 1 << 32, 1<<64 - 1}).Draw(t, "step")
	return sumMod(v, protocol.SmallElement(step))
}

// TestNativeCheckAgreesWithGroupCircuit does the same for group/1. Only the
// circuit checks membership.
func TestNativeCheckAgreesWithGroupCircuit(t *testing.T) {
	l, err := claim.NewList("Board", testMembers(5))
	if err != nil {
		t.Fatal(err)
	}
	circuit, err := claim.NewCircuit(claim.Group, l.Members())
	if err != nil {
		t.Fatal(err)
	}
	for listed := uint64(1); listed <= 5; listed++ {
		raw, err := claim.GroupParams(l, "vote:1", secretOf(t, listed))
		if err != nil {
			t.Fatal(err)
		}
		p, err := claim.ParseParams(claim.Group, raw)
		if err != nil {
			t.Fatal(err)
		}
		s, err := claim.NewStatement(p, protocol.Commitment(protocol.SmallElement(9)))
		if err != nil {
			t.Fatal(err)
		}
		for held := uint64(1); held <= 7; held++ {
			a := claim.NewAssignment(claim.Group, protocol.SmallElement(held))
			native := s.Check(a) == nil
			circuitSays := circuit.Solve(s.Inputs(protocol.Anchor{}, protocol.Element{}, protocol.Element{}), a.Values()) == nil
			if want := held == listed; native != want || circuitSays != want {
				t.Errorf("secret %d for the nullifier of %d: natively %v, the circuit %v", held, listed, native, circuitSays)
			}
		}
	}
}
