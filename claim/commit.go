package claim

import (
	"bytes"
	"fmt"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// NewBlind draws a blind: a uniformly random field element, fresh for every
// request.
func NewBlind() protocol.Element {
	var r fr.Element
	if _, err := r.SetRandom(); err != nil {
		panic("claim: internal error: no randomness")
	}
	return protocol.Element(r.Bytes())
}

// Commit fixes an event, in canonical form, for parameters of any claim but
// group/1: it returns cm (section 5) and the private values of the proof. It
// does not check whether the event satisfies the claim; [Statement.Check] does.
// An event that is not canonical is refused with code
// event_not_canonicalisable, and one that has no encoding with
// event_not_encodable. A blind that is no field element, or a claim that needs
// a member secret, is refused with malformed_request.
func Commit(p *Params, event []byte, blind protocol.Element) (protocol.Commitment, *Assignment, error) {
	if p.Claim() == Group {
		return protocol.Commitment{}, nil, rules.Malformed("claim needs the secret of a member")
	}
	c, err := p.commit(event, blind)
	if err != nil {
		return protocol.Commitment{}, nil, err
	}
	values := append([]protocol.Element{c.h}, c.private...)
	if p.Claim() == Open {
		values = []protocol.Element{c.e, blind}
	}
	a := newAssignment(p.Claim(), values)
	a.falsity = func() string { return p.native.Rule().Falsity(c.event) }
	return c.cm, a, nil
}

// CommitMember is [Commit] for group/1. Parameters of another list are refused
// with code malformed_request. A secret whose member is not listed, or whose
// nullifier is another, is refused with statement_false.
func CommitMember(p *Params, event []byte, blind protocol.Element, l *List, secret MemberSecret) (protocol.Commitment, *Assignment, error) {
	if err := p.CheckList(l); err != nil {
		return protocol.Commitment{}, nil, err
	}
	if !l.has(secret.Member()) {
		return protocol.Commitment{}, nil, errNotListed(l, secret)
	}
	if scope, nullifier, _ := p.Nullifier(); secret.Nullifier(scope) != nullifier {
		public := protocol.Fail(protocol.CodeStatementFalse, "the nullifier is not of this secret")
		return protocol.Commitment{}, nil, rules.Explained(public, func() string {
			return fmt.Sprintf("params.nullifier: that of this secret in this scope, got %s…", nullifier.String()[:8])
		})
	}
	c, err := p.commit(event, blind)
	if err != nil {
		return protocol.Commitment{}, nil, err
	}
	return c.cm, newAssignment(Group, []protocol.Element{secret.element()}), nil
}

// Recommit computes cm again from an opening, for parameters of every claim.
// The errors are those of [Commit].
func Recommit(p *Params, event []byte, blind protocol.Element) (protocol.Commitment, error) {
	c, err := p.commit(event, blind)
	return c.cm, err
}

// committed is the chain of values from an event to its commitment.
type committed struct {
	event   []byte
	e, h    protocol.Element
	private []protocol.Element
	cm      protocol.Commitment
}

func (p *Params) commit(event []byte, blind protocol.Element) (committed, error) {
	if err := protocol.CheckElement(blind[:]); err != nil {
		return committed{}, rules.Malformed("blind is not a canonical field element")
	}
	if err := rules.CheckEvent(event); err != nil {
		return committed{}, err
	}
	v := bytes.Clone(event)
	f, private, err := p.rule.encode(v, blind)
	if err != nil {
		return committed{}, err
	}
	e := protocol.EventElement(v)
	h := Compress(e, blind)
	return committed{event: v, e: e, h: h, private: private, cm: commitment(p.Claim(), h, f)}, nil
}

// commitment is cm = C(h, F + T) of section 5.
func commitment(id ID, h, f protocol.Element) protocol.Commitment {
	return protocol.Commitment(Compress(h, add(f, protocol.ClaimElement(string(id)))))
}

func errNotListed(l *List, secret MemberSecret) error {
	public := protocol.Fail(protocol.CodeStatementFalse, "the member of this secret is not on the list")
	return rules.Explained(public, func() string {
		return fmt.Sprintf("the member of this secret, %s…, is not one of the %d of list %s… of %q", secret.Member().String()[:8], len(l.members), l.id.String()[:8], protocol.Escaped(rules.Cut(l.name)))
	})
}
