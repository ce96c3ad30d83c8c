package claim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
)

// TestProposalsHold: for random samples a proposal is accepted with each of them, or
// refused with a reason.
func TestProposalsHold(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	r := rand.New(rand.NewPCG(3, 5))
	made := map[claim.ID]int{}
	for range 400 {
		var samples [][]byte
		var events []string
		for range 1 + r.IntN(4) {
			event := fmt.Sprintf(`{"a":%s,"b":[%s,%s],"c":%q,"d":{"e/f":%s,"g":null},"h":true}`, randomNumber(r), randomNumber(r), randomNumber(r),
				[]string{"x", "y", "\u2028"}[r.IntN(3)], randomNumber(r))
			events = append(events, event)
			samples = append(samples, jcs(t, event))
		}
		for _, id := range claim.IDs() {
			p, err := claim.Propose(t.Context(), id, samples, nil)
			if err != nil {
				if explain(err) == "" {
					t.Errorf("%s: refused without a reason: %v", id, err)
				}
				continue
			}
			made[id]++
			for _, event := range events {
				if err := refuse(id, string(p.Params), event); err != nil {
					t.Errorf("%s: %s does not hold for %s: %s", id, p.Params, event, explain(err))
				}
			}
		}
	}
	for _, id := range claim.IDs() {
		if n := made[id]; (n < 100) != (id == claim.Group) {
			t.Errorf("%s: %d proposals", id, n)
		}
	}
}

func TestProposeRecord(t *testing.T) {
	wide := `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":"last"}`
	for _, tt := range []struct {
		id     claim.ID
		at     []string
		event  string
		params string // or the refusal
		note   string
	}{
		{claim.RecordEquals, []string{"/i"}, wide, `{"schema":["/i","/a","/b","/c","/d","/e","/f","/g"],"field":0,"value":"last","scale":0,"offset":0}`, "8 of the 9 fields"},
		{claim.RecordOneOf, nil, wide, `{"schema":["/a","/b","/c","/d","/e","/f","/g","/h"],"field":0,"values":[1],"scale":0,"offset":0}`, "a guess"},
		{claim.RecordRange, []string{"/h", "/i"}, wide, `{"schema":["/h","/i"],"field":0,"lo":8,"hi":8,"scale":0,"offset":0}`, "chosen afterwards"},
		{claim.RecordRange, []string{"/i"}, wide, `nothing fits: /i is not a number in every sample`, ""},
		{claim.RecordRange, []string{"/a~b"}, wide, `/a~b is not a JSON Pointer in strict form: "~" only as ~0 or ~1, no "-", no number with a leading zero`, ""},
		{claim.RecordEquals, nil, `{"a":{"b":{}}}`, `nothing fits: no field is in every sample`, ""},
		{claim.RecordEquals, []string{"/a"}, `{"a":[1]}`, `nothing fits: /a is an array, and the claim is about a number, a text, true, false or null`, ""},
		{claim.Sum, nil, `{"a":-1}`, `nothing fits: -1 (/a) is negative, and this claim has no offset`, ""},
		{claim.Range, nil, `{"a":[],"b":"x"}`, `no pointer holds a number in every sample`, ""},
	} {
		p, err := claim.Propose(t.Context(), tt.id, [][]byte{jcs(t, tt.event)}, tt.at)
		if err != nil {
			if got := explain(err); got != tt.params {
				t.Errorf("%s %q: refused: %s", tt.id, tt.at, got)
			}
			continue
		}
		if string(p.Params) != tt.params || !strings.Contains(strings.Join(p.Notes, "\n"), tt.note) {
			t.Errorf("%s %q: %s %q", tt.id, tt.at, p.Params, p.Notes)
		}
	}
	if _, err := claim.Propose(t.Context(), claim.Open, nil, nil); explain(err) != "there is no sample event" {
		t.Errorf("no samples: %v", err)
	}
}
