package claim

import (
	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// MaxParamsSize bounds the canonical form of parameters, in bytes (section 6).
const MaxParamsSize = rules.MaxParamsSize

// Params are the public parameters of a claim. They have been parsed and follow
// every native rule of section 6 that does not need the member list. They do
// not change.
type Params struct {
	native *rules.Params
	rule   rule
}

// rule turns what a native rule says into the field elements of sections 5 and 6.
type rule interface {
	// public returns the public values after cm.
	public() []protocol.Element

	// encode returns F for a canonical event and the private values that follow
	// h in the assignment. An event that has no encoding is refused with code
	// event_not_encodable.
	encode(event []byte, blind protocol.Element) (f protocol.Element, private []protocol.Element, err error)

	// holds reports whether the private values, of the right number, satisfy
	// the predicate that the circuit proves.
	holds(s *Statement, private []protocol.Element) bool
}

// ParseParams reads parameters, which must be their own canonical form. An
// unknown id is refused with code unknown_claim, any breach of a native rule
// with malformed_request. For group/1 the caller must also call
// [Params.CheckList] if it has the list.
func ParseParams(id ID, jcs []byte) (*Params, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	native, err := rules.Parse(id, jcs, func(text string) error {
		_, err := protocol.Parse[protocol.Nullifier](text)
		return err
	})
	if err != nil {
		return nil, err
	}
	r, err := newRule(id, native.Rule())
	if err != nil {
		return nil, err
	}
	return &Params{native, r}, nil
}

func newRule(id ID, native rules.Rule) (rule, error) {
	switch r := native.(type) {
	case rules.Anything:
		return openRule{}, nil
	case *rules.Ranges:
		return newRangeRule(r), nil
	case *rules.Total:
		return &sumRule{r}, nil
	case *rules.Record:
		return &recordRule{r, id, elementsOf(r.Values)}, nil
	case *rules.Membership:
		return newGroupRule(r)
	}
	panic("claim: internal error: claim without a rule")
}

// Claim is the claim the parameters are for.
func (p *Params) Claim() ID { return p.native.Claim() }

// Bytes are the exact canonical bytes, in a fresh slice.
func (p *Params) Bytes() []byte { return p.native.Bytes() }

// Numbers returns the JSON Pointers of the values that the claim reads as numbers. The
// field of record-equals/1 and record-oneof/1 is one if it is compared with a number.
func (p *Params) Numbers() []string { return p.native.Numbers() }

// List is the id of the member list that parameters of group/1 name.
func (p *Params) List() (protocol.ListID, bool) {
	g, ok := p.rule.(*groupRule)
	if !ok {
		return protocol.ListID{}, false
	}
	return g.List, true
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
	if !ok {
		return rules.Explained(rules.ErrOtherList(), func() string { return "params: they are not of " + string(Group) })
	}
	return g.CheckList(l.id, l.name)
}
