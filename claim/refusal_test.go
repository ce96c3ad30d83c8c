package claim_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// refuse commits to an event as a client does and returns the refusal.
func refuse(id claim.ID, params, event string) error {
	p, err := claim.Prepare(id, []byte(params), []byte(event))
	if err != nil {
		return err
	}
	cm, a, err := claim.Commit(p.Params(), p.Event(), claim.NewBlind())
	if err != nil {
		return err
	}
	s, err := claim.NewStatement(p.Params(), cm)
	if err != nil {
		return err
	}
	return s.Check(a)
}

// explain returns the explanation of a refusal, or "".
func explain(err error) string {
	var r *claim.Refusal
	if !errors.As(err, &r) {
		return ""
	}
	return r.Explain()
}

func rangeOf(scale, offset int64, lo, hi string) string {
	return fmt.Sprintf(`{"values":[{"at":"/celsius","lo":%s,"hi":%s}],"scale":%d,"offset":%d}`, lo, hi, scale, offset)
}

func recordOf(rest string) string {
	return `{"schema":["/name","/grade","/score"],"scale":0,"offset":0,` + rest + `}`
}

// TestExplainEvents: a refused event is explained by pointer, value and rule.
func TestExplainEvents(t *testing.T) {
	const sum = `{"at":["/a","/b"],"lo":10,"hi":100,"scale":0}`
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		id                  claim.ID
		params, event, want string
	}{
		{claim.Range, rangeOf(0, 25, "-25", "40"), `{"celsius":-3.25}`, `/celsius = -3.25 needs scale 2 and offset >= 2500 for values down to -25 (lo -25)`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":-3}`, `/celsius = -3 needs offset >= 3 for values down to -3 (/celsius)`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":3.5}`, `/celsius = 3.5 needs scale 1`},
		{claim.Range, rangeOf(2, 0, "0", "40"), `{"celsius":50000000}`, `/celsius = 50000000 needs scale 0`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":1e-20}`, `/celsius = 1e-20 does not fit: 1e-20 (/celsius) has 20 decimals, and the greatest scale is 18`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":1e300}`, `/celsius = 1e+300 does not fit: 1e+300 (/celsius) is too large at scale 0`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":"21.5"}`, `/celsius = "21.5" is a text, and the claim needs a number`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":"\u001b[2J\u202e` + long + `"}`, `/celsius = "\x1b[2J\u202e` + long[:59] + `…" is a text, and the claim needs a number`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"celsus":1,"humidity":2}`, `/celsius: the event has no such value; did you mean "/celsus"?`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{"t":1,"h":{"x":2}}`, `/celsius: the event has no such value; it has /h/x, /t`},
		{claim.Range, rangeOf(0, 0, "0", "40"), `{}`, `/celsius: the event has no such value; it has none`},
		{claim.Range, rangeOf(2, 2500, "-25", "40.5"), `{"celsius":40.51}`, `/celsius = 40.51 is above hi 40.5`},
		{claim.Range, rangeOf(2, 2500, "-2.05", "40.5"), `{"celsius":-2.06}`, `/celsius = -2.06 is below lo -2.05`},
		{claim.Sum, sum, `{"a":1,"b":2}`, `the sum of /a, /b = 3 is below lo 10`},
		{claim.Sum, sum, `{"a":1,"b":200}`, `the sum of /a, /b = 201 is above hi 100`},
		{claim.Sum, sum, `{"a":-1,"b":20}`, `/a = -1 does not fit: -1 (/a) is negative, and this claim has no offset`},
		{claim.Sum, sum, `{"a":1.05,"b":20}`, `/a = 1.05 needs scale 2`},
		{claim.Sum, sum, `{"a":5000000000,"b":20}`, `/a = 5000000000 does not fit: 5000000000 (/a) is not below 2^32 at scale 0`},
		{claim.RecordRange, recordOf(`"field":2,"lo":50,"hi":100`), `{"name":"A","grade":"B","score":7}`, `/score = 7 is below lo 50`},
		{claim.RecordRange, recordOf(`"field":2,"lo":50,"hi":100`), `{"name":"A","grade":"B","score":71.5}`, `/score = 71.5 needs scale 1`},
		{claim.RecordRange, recordOf(`"field":1,"lo":50,"hi":100`), `{"name":"A","grade":"B","score":7}`, `/grade = "B" is a text, and the claim needs a number from lo 50 to hi 100`},
		{claim.RecordRange, recordOf(`"field":2,"lo":50,"hi":100`), `{"name":"A","grade":"B","score":[7]}`, `/score = [7] is an array, and the claimed field is a number, a text, true, false or null`},
		{claim.RecordEquals, recordOf(`"field":1,"value":"A"`), `{"name":"A","grade":"B","score":7}`, `/grade = "B" differs from "A"`},
		{claim.RecordEquals, recordOf(`"field":2,"value":5`), `{"name":"A","grade":"B","score":-7}`, `/score = -7 needs offset >= 7 for values down to -7 (/score)`},
		{claim.RecordOneOf, recordOf(`"field":1,"values":["A",null,7]`), `{"name":"A","grade":"B","score":7}`, `/grade = "B" is none of "A", null, 7`},
		{claim.RecordOneOf, recordOf(`"field":0,"values":["A"]`), `{"grade":"B","score":7}`, `/name: the event has no such value; it has /grade, /score`},
	} {
		err := refuse(tt.id, tt.params, tt.event)
		if got := explain(err); got != tt.want {
			t.Errorf("%s %s %s:\n got %s\nwant %s", tt.id, tt.params, tt.event, got, tt.want)
		}
	}
}

// TestExplainParams: wrong parameters are explained by member, rule and value.
func TestExplainParams(t *testing.T) {
	const zero = `"0000000000000000000000000000000000000000000000000000000000000000"`
	group := func(list, nullifier, scope string) string {
		return fmt.Sprintf(`{"list":%s,"name":"Board","nullifier":%s,"scope":%s}`, list, nullifier, scope)
	}
	for _, tt := range []struct {
		id           claim.ID
		params, want string
	}{
		{claim.Open, `{"at":1}`, `params.at: there is no such member; it has no members`},
		{claim.Range, `{"values":[],"scale":0,"ofset":0}`, `params.ofset: there is no such member; did you mean "offset"?`},
		{claim.Range, `{"values":[],"scale":0}`, `params.offset: the member is missing; its members are offset, scale, values`},
		{claim.Range, `{"values":[],"scale":"two","offset":0}`, `params.scale: a whole number 0..18, got "two"`},
		{claim.Range, `{"values":[],"scale":2,"offset":0.5}`, `params.offset: a whole number between -2^53 and 2^53, got 0.5`},
		{claim.Range, `{"values":[],"scale":2,"offset":0}`, `params.values: a list of 1 to 7, got 0; each element of an array counts`},
		{claim.Range, `{"values":{"at":"/a"},"scale":2,"offset":0}`, `params.values: a list of 1 to 7, got {"at":"/a"}`},
		{claim.Range, `{"values":[{"at":"/a","lo":1,"high":2}],"scale":2,"offset":0}`, `params.values[0].high: there is no such member; its members are at, hi, lo`},
		{claim.Range, `{"values":[{"at":"a","lo":1,"hi":2}],"scale":2,"offset":0}`, `params.values[0].at: a JSON Pointer, which begins with "/", got "a"`},
		{claim.Range, `{"values":[{"at":"/01","lo":1,"hi":2}],"scale":2,"offset":0}`, `params.values[0].at: a JSON Pointer in strict form: "~" only as ~0 or ~1, no "-", no number with a leading zero, got "/01"`},
		{claim.Range, `{"values":[{"at":7,"lo":1,"hi":2}],"scale":2,"offset":0}`, `params.values[0].at: a JSON Pointer in a text, got 7`},
		{claim.Range, `{"values":[{"at":"/a","lo":"1","hi":2}],"scale":2,"offset":0}`, `params.values[0].lo: a number, got "1"`},
		{claim.Range, `{"values":[{"at":"/a","lo":3,"hi":2}],"scale":2,"offset":0}`, `params.values[0]: lo 3 is above hi 2`},
		{claim.Range, `{"values":[{"at":"/a","lo":0,"hi":2},{"at":"/b","lo":-25.5,"hi":2.25}],"scale":0,"offset":0}`, `params.values[1].lo = -25.5 needs scale 2 and offset >= 2550 for values down to -25.5 (lo -25.5)`},
		{claim.Range, `{"values":[{"at":"/a","lo":0,"hi":1},{"at":"/a","lo":0,"hi":1}],"scale":0,"offset":0}`, `params.values: the pointer "/a" stands twice`},
		{claim.Range, `{"values":[{"at":"/t","lo":1700000000000,"hi":1700000100000}],"scale":0,"offset":0}`, `params.values[0].lo = 1700000000000 needs offset from -1700000000000 to -1695705132705 for values up to 1700000100000 (hi 1700000100000)`},
		{claim.Sum, `{"at":["/a"],"lo":-1,"hi":1,"scale":0}`, `params.lo = -1 does not fit: -1 (lo -1) is negative, and this claim has no offset`},
		{claim.Sum, `{"at":[],"lo":0,"hi":1,"scale":0}`, `params.at: a list of 1 to 14, got 0; each element of an array counts`},
		{claim.RecordRange, recordOf(`"field":3,"lo":0,"hi":1`), `params.field: a whole number 0..2, the place of a pointer in schema counted from 0, got 3`},
		{claim.RecordRange, recordOf(`"field":2,"lo":"x","hi":1`), `params.lo: a number, got "x"`},
		{claim.RecordRange, recordOf(`"field":2,"lo":0,"hi":"18446744073709551616"`), `params.hi = 18446744073709551616 does not fit: at scale 0 the numbers from 0 (lo 0) to 18446744073709551616 (hi 18446744073709551616) are too far apart for integers below 2^64`},
		{claim.RecordEquals, recordOf(`"field":0,"value":{}`), `params.value: a number, a text, true, false or null, got {}`},
		{claim.RecordOneOf, recordOf(`"field":0,"values":[1,1.5]`), `params.values[1] = 1.5 needs scale 1`},
		{claim.RecordOneOf, recordOf(`"field":0,"values":["` + strings.Repeat("x", 3000) + `"]`), `params: at most 2048 bytes in canonical form, got 3083; shorten texts and pointers`},
		{claim.Group, group(`"abc"`, zero, `"a"`), `params.list: the id of a member list, 64 lower-case hexadecimal digits, got "abc"`},
		{claim.Group, group(zero, `7`, `"a"`), `params.nullifier: a text, got 7`},
		{claim.Group, group(zero, zero, `"A b"`), `scope: 1 to 128 characters of a-z 0-9 . _ : / -, got 3: "A b"`},
	} {
		_, err := claim.ReadParams(tt.id, []byte(tt.params))
		if got := explain(err); got != tt.want {
			t.Errorf("%s %s:\n got %s\nwant %s", tt.id, tt.params, got, tt.want)
		}
	}
}

// TestExplainLists: a list is named by the beginning of its id.
func TestExplainLists(t *testing.T) {
	member, stranger := claim.NewMemberSecret(), claim.NewMemberSecret()
	list, err := claim.NewList("board", []protocol.Member{member.Member()})
	if err != nil {
		t.Fatal(err)
	}
	other, err := claim.NewList("other", []protocol.Member{stranger.Member()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = claim.GroupParams(list, "a", stranger)
	want := fmt.Sprintf(`the member of this secret, %s…, is not one of the 1 of list %s… of "board"`, stranger.Member().String()[:8], list.ID().String()[:8])
	if got := explain(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	raw, err := claim.GroupParams(list, "a", member)
	if err != nil {
		t.Fatal(err)
	}
	p, err := claim.ParseParams(claim.Group, raw)
	if err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf(`params.list: %s… of "board", and the member list is %s… of "other"`, list.ID().String()[:8], other.ID().String()[:8])
	if got := explain(p.CheckList(other)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRefusalsAreSilent: no way to print or log a refusal shows the input.
func TestRefusalsAreSilent(t *testing.T) {
	for _, err := range []error{
		refuse(claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":"SECRET"}`),
		refuse(claim.Range, rangeOf(0, 0, "0", "40"), `{"celsius":90909}`),
		refuse(claim.RecordEquals, recordOf(`"field":1,"value":"A"`), `{"name":"A","grade":"SECRET","score":7}`),
		refuse(claim.Range, rangeOf(0, 0, `"SECRET"`, "40"), `{"celsius":1}`),
	} {
		var logged bytes.Buffer
		slog.New(slog.NewJSONHandler(&logged, nil)).Error("refused", "err", err)
		slog.New(slog.NewTextHandler(&logged, nil)).Error("refused", "err", err)
		type wrapper struct{ err error }
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&logged, verb+verb, err, wrapper{err})
		}
		logged.WriteString(protocol.DetailOf(err))
		if text := logged.String(); strings.Contains(text, "SECRET") || strings.Contains(text, "90909") || strings.Contains(text, fmt.Sprintf("%x", "SECRET")) {
			t.Errorf("the value is shown: %s", text)
		}
		if text := explain(err); !strings.Contains(text, "SECRET") && !strings.Contains(text, "90909") {
			t.Errorf("the explanation does not show the value: %s", text)
		}
	}
}

var (
	needsScale  = regexp.MustCompile(` needs (?:.* and )?scale (\d+)`)
	needsOffset = regexp.MustCompile(` offset (?:>= |from )(-?\d+)`)
)

// TestRemediesHelp: for random numbers, the scale and offset that a refusal names
// end it.
func TestRemediesHelp(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and without concurrency")
	}
	r := rand.New(rand.NewPCG(7, 11))
	helped := 0
	for range 4000 {
		id := []claim.ID{claim.Range, claim.RecordRange, claim.Sum}[r.IntN(3)]
		scale, offset := r.Int64N(4), r.Int64N(40)-20
		first, second := randomNumber(r), randomNumber(r)
		event := fmt.Sprintf(`{"a":%s,"b":%s}`, first, second)
		err := refuse(id, twoNumbers(id, scale, offset), event)
		text := explain(err)
		if err == nil {
			continue
		}
		if !strings.HasPrefix(text, "/a") && !strings.HasPrefix(text, "/b") && !strings.HasPrefix(text, "params.") && !strings.HasPrefix(text, "the sum of /a, /b") {
			t.Fatalf("%s %s: no pointer is named: %q (%v)", id, event, text, err)
		}
		if !strings.Contains(text, " needs ") {
			continue
		}
		if m := needsScale.FindStringSubmatch(text); m != nil {
			scale, _ = strconv.ParseInt(m[1], 10, 64)
		}
		if m := needsOffset.FindStringSubmatch(text); m != nil {
			offset, _ = strconv.ParseInt(m[1], 10, 64)
		}
		err = refuse(id, twoNumbers(id, scale, offset), event)
		if code := protocol.CodeOf(err); err != nil && code != protocol.CodeStatementFalse {
			// A refusal of the parameters comes before that of the event and knows no event.
			if again := explain(err); strings.HasPrefix(text, "params.") && strings.HasPrefix(again, "/") {
				continue
			}
			t.Fatalf("%s %s: %q does not help with scale %d, offset %d: %q", id, event, text, scale, offset, explain(err))
		}
		helped++
	}
	if helped < 500 {
		t.Errorf("only %d remedies were followed", helped)
	}
}

func twoNumbers(id claim.ID, scale, offset int64) string {
	switch id {
	case claim.Range:
		return fmt.Sprintf(`{"values":[{"at":"/a","lo":0,"hi":90},{"at":"/b","lo":0.5,"hi":1000}],"scale":%d,"offset":%d}`, scale, offset)
	case claim.Sum:
		return fmt.Sprintf(`{"at":["/a","/b"],"lo":0,"hi":100.5,"scale":%d}`, scale)
	}
	return fmt.Sprintf(`{"schema":["/b","/a"],"field":1,"lo":0,"hi":90,"scale":%d,"offset":%d}`, scale, offset)
}

func randomNumber(r *rand.Rand) string {
	n := r.Int64N(1 << (1 + r.IntN(40)))
	if r.IntN(3) == 0 {
		n = -n
	}
	return strconv.FormatFloat(float64(n)/[]float64{1, 1, 10, 100, 1000}[r.IntN(5)], 'f', -1, 64)
}
