package claim

import (
	"bytes"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// MaxParamsSize bounds the canonical form of parameters, in bytes (section 6).
const MaxParamsSize = 2 << 10

// Params are the public parameters of a claim. They have been parsed and follow
// every native rule of section 6 that does not need the member list. They do
// not change.
type Params struct {
	id   ID
	raw  []byte
	rule rule
}

// rule is what a claim adds to the common frame of sections 5 and 6.
type rule interface {
	// public returns the public values after cm.
	public() []protocol.Element

	// encode returns F for a canonical event and the private values that follow
	// h in the assignment. An event that has no encoding is refused with code
	// event_not_encodable.
	encode(event value, blind protocol.Element) (f protocol.Element, private []protocol.Element, err error)

	// holds reports whether the private values, of the right number, satisfy
	// the predicate that the circuit proves.
	holds(s *Statement, private []protocol.Element) bool

	// falsity says for an explanation why an event with these private values,
	// as encode returns them, does not satisfy the predicate, or "".
	falsity(event value, private []protocol.Element) string
}

// ParseParams reads parameters, which must be their own canonical form. An
// unknown id is refused with code unknown_claim, any breach of a native rule
// with malformed_request. For group/1 the caller must also call
// [Params.CheckList] if it has the list.
func ParseParams(id ID, jcs []byte) (*Params, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	if len(jcs) > MaxParamsSize {
		return nil, explained(malformed("parameters are longer than 2 KiB"), func() string {
			return fmt.Sprintf("params: at most %d bytes in canonical form, got %d; shorten texts and pointers", MaxParamsSize, len(jcs))
		})
	}
	v, ok := canonical(jcs)
	if !ok {
		return nil, malformed("parameters are not in canonical form")
	}
	r, err := parseRule(id, v)
	if err != nil {
		return nil, err
	}
	return &Params{id: id, raw: v, rule: r}, nil
}

func parseRule(id ID, v value) (rule, error) {
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
		return parseGroup(v)
	}
	panic("claim: internal error: claim without a rule")
}

// Claim is the claim the parameters are for.
func (p *Params) Claim() ID { return p.id }

// Bytes are the exact canonical bytes, in a fresh slice.
func (p *Params) Bytes() []byte { return bytes.Clone(p.raw) }

// Numbers returns the JSON Pointers of the values that the claim reads as numbers. The
// field of record-equals/1 and record-oneof/1 is one if it is compared with a number.
func (p *Params) Numbers() []string {
	var at []pointer
	switch r := p.rule.(type) {
	case *rangeRule:
		at = r.at
	case *sumRule:
		at = r.at
	case *recordRule:
		if r.numeric {
			at = r.schema[r.field : r.field+1]
		}
	}
	texts := make([]string, len(at))
	for i := range at {
		texts[i] = at[i].text()
	}
	return texts
}

// List is the id of the member list that parameters of group/1 name.
func (p *Params) List() (protocol.ListID, bool) {
	g, ok := p.rule.(*groupRule)
	if !ok {
		return protocol.ListID{}, false
	}
	return g.list, true
}

// Nullifier returns the scope and the nullifier of parameters of group/1: the
// journal admits each pair once.
func (p *Params) Nullifier() (scope protocol.Element, n protocol.Nullifier, ok bool) {
	g, ok := p.rule.(*groupRule)
	if !ok {
		return protocol.Element{}, protocol.Nullifier{}, false
	}
	return g.scope, g.nullifier, true
}

// CheckList reports with code malformed_request parameters of group/1 that name
// another list or another electorate than l. Every party that has the list must
// call it: with a false name a member could get a second nullifier for the same
// scope text.
func (p *Params) CheckList(l *List) error {
	g, ok := p.rule.(*groupRule)
	if !ok || g.list != l.id || g.name != l.name {
		return explained(malformed("parameters do not name this member list"), func() string {
			if !ok {
				return "params: they are not of " + string(Group)
			}
			return fmt.Sprintf("params.list: %s… of %q, and the member list is %s… of %q", g.list.String()[:8], protocol.Escaped(cut(g.name)), l.id.String()[:8], protocol.Escaped(cut(l.name)))
		})
	}
	return nil
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
	return explained(public, func() string {
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
		return nil, expected(malformed("a pointer is not a JSON Pointer in strict form"), place, pointerForm(s), v)
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
			return explained(malformed("a pointer stands twice"), func() string {
				return fmt.Sprintf("%s: the pointer %s stands twice", place, text.show())
			})
		}
		seen[string(text)] = true
	}
	return nil
}
