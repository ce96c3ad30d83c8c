package rules

import (
	"bytes"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// ID names a claim and its version.
type ID string

// The claims of section 6, and one that only suite 2 has.
const (
	Open         ID = "open/1"
	Range        ID = "range/1"
	Sum          ID = "sum/1"
	RecordRange  ID = "record-range/1"
	RecordEquals ID = "record-equals/1"
	RecordOneOf  ID = "record-oneof/1"
	Group        ID = "group/1"
	SeriesRange  ID = "series-range/1"
)

// String is the id itself.
func (id ID) String() string { return string(id) }

// Limits of the claims.
const (
	RangeSlots   = 7    // values of range/1
	SumSlots     = 14   // values of sum/1
	RecordFields = 8    // fields of a record
	OneOfValues  = 8    // public values of record-oneof/1
	SeriesSlots  = 1024 // readings of series-range/1

	RangeBits  = 32 // of the values and bounds of range/1 and of the values of sum/1
	SumBits    = 36 // of the bounds of sum/1
	RecordBits = 64 // of a numeric field of a record and its bounds
	SeriesBits = 30 // of the readings and bounds of series-range/1
)

// MaxParamsSize bounds the canonical form of parameters, in bytes.
const MaxParamsSize = 2 << 10

// Rule is the rule of one claim with its parameters.
type Rule interface {
	// Falsity says why an event that has an encoding does not satisfy the claim, or "".
	Falsity(event []byte) string

	encodes(event value) error
}

// Params are parameters that follow every rule which needs no member list.
type Params struct {
	id   ID
	raw  value
	rule Rule
}

// Parse reads parameters, which must be their own canonical form. Nullifier refuses a
// text that is no nullifier of the proof system. An unknown id is refused with code
// unknown_claim, anything else with malformed_request.
func Parse(id ID, jcs []byte, nullifier func(text string) error) (*Params, error) {
	if len(jcs) > MaxParamsSize {
		return nil, Explained(Malformed("parameters are longer than 2 KiB"), func() string {
			return fmt.Sprintf("params: at most %d bytes in canonical form, got %d; shorten texts and pointers", MaxParamsSize, len(jcs))
		})
	}
	v, ok := canonical(jcs)
	if !ok {
		return nil, Malformed("parameters are not in canonical form")
	}
	r, err := parseRule(id, v, nullifier)
	if err != nil {
		return nil, err
	}
	return &Params{id, v, r}, nil
}

func parseRule(id ID, v value, nullifier func(text string) error) (Rule, error) {
	switch id {
	case Open:
		return parseOpen(v)
	case Range:
		return parseRange(v)
	case Sum:
		return parseSum(v)
	case RecordRange, RecordEquals, RecordOneOf:
		return parseRecord(id, v)
	case Group:
		return parseGroup(v, nullifier)
	case SeriesRange:
		return parseSeries(v)
	}
	return nil, protocol.Fail(protocol.CodeUnknownClaim, "claim is not known here")
}

// Claim is the claim the parameters are for.
func (p *Params) Claim() ID { return p.id }

// Rule is the rule with these parameters.
func (p *Params) Rule() Rule { return p.rule }

// Bytes are the exact canonical bytes, in a fresh slice.
func (p *Params) Bytes() []byte { return bytes.Clone(p.raw) }

// Canonicalize returns the canonical form of parameters as people write them.
func Canonicalize(raw []byte) ([]byte, error) {
	jcs, err := protocol.Canonicalize(raw)
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeMalformedRequest, "parameters are not a JSON object by the strict rules", err)
	}
	return jcs, nil
}

// CheckEvent refuses with code event_not_canonicalisable an event that is not in
// canonical form.
func CheckEvent(event []byte) error {
	if _, ok := canonical(event); !ok {
		return protocol.Fail(protocol.CodeEventNotCanonicalisable, "event is not in canonical form")
	}
	return nil
}

// Numbers returns the JSON Pointers of the values that the claim reads as numbers. The
// field of record-equals/1 and record-oneof/1 is one if it is compared with a number. That
// of series-range/1 is one list of numbers.
func (p *Params) Numbers() []string {
	var at []pointer
	switch r := p.rule.(type) {
	case *Ranges:
		at = r.at
	case *Total:
		at = r.at
	case *Record:
		if r.numeric {
			at = r.schema[r.Field : r.Field+1]
		}
	case *Series:
		at = []pointer{r.at}
	}
	texts := make([]string, len(at))
	for i := range at {
		texts[i] = at[i].text()
	}
	return texts
}

// parsePointers reads a list of 1 to limit pointers, all different.
func parsePointers(place string, v value, limit int) ([]pointer, error) {
	items, ok := v.array(limit)
	if !ok {
		return nil, errList("pointers", place, limit, v)
	}
	pointers := make([]pointer, len(items))
	for i, item := range items {
		p, err := parsePointerValue(fmt.Sprintf("%s[%d]", place, i), item)
		if err != nil {
			return nil, err
		}
		pointers[i] = p
	}
	return pointers, checkDifferent(place, items)
}

// errList refuses a list that is none or of the wrong length.
func errList(what, place string, limit int, v value) error {
	public := protocol.Failf(protocol.CodeMalformedRequest, "%s are not a list of 1 to %d", what, limit)
	return Explained(public, func() string {
		if v.kind() != '[' {
			return fmt.Sprintf("%s: a list of 1 to %d, got %s", place, limit, v.show())
		}
		n := 0
		for range v.items() {
			n++
		}
		return fmt.Sprintf("%s: a list of 1 to %d, got %d; each element of an array counts", place, limit, n)
	})
}

func parsePointerValue(place string, v value) (pointer, error) {
	s, ok := v.text()
	if !ok {
		return nil, expected(errMembers(), place, "a JSON Pointer in a text", v)
	}
	p, ok := parsePointer(s)
	if !ok {
		return nil, expected(Malformed("a pointer is not a JSON Pointer in strict form"), place, pointerForm(s), v)
	}
	return p, nil
}

// pointerForm says for an explanation which rule of pointers a text breaks.
func pointerForm(s string) string {
	if s == "" || s[0] != '/' {
		return `a JSON Pointer, which begins with "/"`
	}
	return `a JSON Pointer in strict form: "~" only as ~0 or ~1, no "-", no number with a leading zero`
}

// checkDifferent refuses pointers that stand twice; they are canonical texts,
// so equal ones are equal bytes.
func checkDifferent(place string, texts []value) error {
	seen := make(map[string]bool, len(texts))
	for _, text := range texts {
		if seen[string(text)] {
			return Explained(Malformed("a pointer stands twice"), func() string {
				return fmt.Sprintf("%s: the pointer %s stands twice", place, text.show())
			})
		}
		seen[string(text)] = true
	}
	return nil
}
