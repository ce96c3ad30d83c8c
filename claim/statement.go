package claim

import (
	"cmp"
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// Statement is what one proof asserts: a claim with its public values filled
// in. It is a function of claim id, parameters and commitment alone, and does
// not change.
type Statement struct {
	params *Params
	cm     protocol.Commitment
	public []protocol.Element
}

// NewStatement derives the public values of parameters and a commitment. A
// commitment that is not a canonical field element is malformed_request.
func NewStatement(p *Params, cm protocol.Commitment) (*Statement, error) {
	if err := protocol.CheckElement(cm[:]); err != nil {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "commitment is not a canonical field element")
	}
	public := append([]protocol.Element{protocol.Element(cm)}, p.rule.public()...)
	if len(public) != publicCount(p.Claim()) {
		panic("claim: internal error: wrong number of public values")
	}
	return &Statement{params: p, cm: cm, public: public}, nil
}

// Claim is the claim of the statement.
func (s *Statement) Claim() ID { return s.params.Claim() }

// Params are the parameters of the statement.
func (s *Statement) Params() *Params { return s.params }

// Commitment is cm.
func (s *Statement) Commitment() protocol.Commitment { return s.cm }

// Public returns the public values s1 .. sk, in a fresh slice.
func (s *Statement) Public() []protocol.Element { return slices.Clone(s.public) }

// Digest is the statement digest that the payload carries (section 7).
func (s *Statement) Digest() protocol.Digest {
	return protocol.StatementDigest(string(s.params.Claim()), s.params.native.Bytes(), s.cm)
}

// Inputs returns all public inputs of the circuit, x = [a, c, t, s1 .. sk].
func (s *Statement) Inputs(a protocol.Anchor, c, t protocol.Element) []protocol.Element {
	return append([]protocol.Element{protocol.Element(a), c, t}, s.public...)
}

// Check refuses with code statement_false private values that do not satisfy
// the statement. It applies the rule that the circuit proves, without a
// proof. For group/1 it does not check the list; [CommitMember] does.
func (s *Statement) Check(a *Assignment) error {
	if a == nil || a.id != s.params.Claim() || len(a.private()) != privateCount(a.id) {
		return rules.Malformed("assignment is not for this claim")
	}
	if !s.params.rule.holds(s, a.private()) {
		public := protocol.Fail(protocol.CodeStatementFalse, "the private values do not satisfy the claim")
		if a.falsity == nil {
			return public
		}
		return rules.Explained(public, func() string { return cmp.Or(a.falsity(), protocol.DetailOf(public)) })
	}
	return nil
}

// opens reports whether cm is the commitment to h and F (section 5).
func (s *Statement) opens(h, f protocol.Element) bool {
	return commitment(s.params.Claim(), h, f) == s.cm
}
