package claim

import (
	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// groupRule is group/1: the prover holds the secret of a listed member, and the
// nullifier is that member's for this scope. cm is bound, not opened; F is 0.
type groupRule struct {
	*rules.Membership
	scope     protocol.Element
	nullifier protocol.Nullifier
}

// CheckGroupDraft refuses with code malformed_request a JSON text that is not part of
// the parameters of group/1: every member may be missing, and each is a text.
// [GroupParams] computes the missing ones.
func CheckGroupDraft(raw []byte) error { return rules.CheckGroupDraft(raw) }

func newGroupRule(native *rules.Membership) (rule, error) {
	nullifier, err := protocol.Parse[protocol.Nullifier](native.Nullifier)
	return &groupRule{native, protocol.ScopeElement(native.Name, native.Scope), nullifier}, err
}

func (r *groupRule) public() []protocol.Element {
	return []protocol.Element{r.scope, protocol.Element(r.nullifier)}
}

func (*groupRule) encode([]byte, protocol.Element) (protocol.Element, []protocol.Element, error) {
	return protocol.Element{}, nil, nil
}

// holds does not check whether the member is listed, because the statement
// does not hold the list. [CommitMember] and the circuit of the list do.
func (r *groupRule) holds(_ *Statement, private []protocol.Element) bool {
	return Compress(private[0], r.scope) == protocol.Element(r.nullifier)
}
