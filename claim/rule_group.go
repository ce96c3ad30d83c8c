package claim

import (
	"strings"

	"github.com/terradourada/td/protocol"
)

// maxScopeSize bounds the scope text of group/1, in bytes.
const maxScopeSize = 128

// groupRule is group/1: the prover holds the secret of a listed member, and the
// nullifier is that member's for this scope. cm is bound, not opened; F is 0.
type groupRule struct {
	list      protocol.ListID
	name      string
	scope     protocol.Element
	nullifier protocol.Nullifier
}

func parseGroup(v value) (rule, error) {
	members, ok := v.object("list", "name", "nullifier", "scope")
	if !ok {
		return nil, errMembers()
	}
	var texts [4]string
	for i, m := range members {
		if texts[i], ok = m.text(); !ok {
			return nil, errMembers()
		}
	}
	r := &groupRule{name: texts[1]}
	var err error
	if r.list, err = protocol.Parse[protocol.ListID](texts[0]); err != nil {
		return nil, err
	}
	if err := checkName(r.name); err != nil {
		return nil, err
	}
	if r.nullifier, err = protocol.Parse[protocol.Nullifier](texts[2]); err != nil {
		return nil, err
	}
	r.scope, err = scopeElement(r.name, texts[3])
	return r, err
}

// scopeElement is the scope of a scope text in an electorate.
func scopeElement(name, scope string) (protocol.Element, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789._:/-"
	if len(scope) < 1 || len(scope) > maxScopeSize || strings.Trim(scope, alphabet) != "" {
		return protocol.Element{}, protocol.Failf(protocol.CodeMalformedRequest,
			"scope is not 1 to %d characters of a-z 0-9 . _ : / -", maxScopeSize)
	}
	return protocol.ScopeElement(name, scope), nil
}

func (r *groupRule) public() []protocol.Element {
	return []protocol.Element{r.scope, protocol.Element(r.nullifier)}
}

func (*groupRule) encode(value, protocol.Element) (protocol.Element, []protocol.Element, error) {
	return protocol.Element{}, nil, nil
}

// holds does not check whether the member is listed, because the statement
// does not hold the list. [CommitMember] and the circuit of the list do.
func (r *groupRule) holds(_ *Statement, private []protocol.Element) bool {
	return Compress(private[0], r.scope) == protocol.Element(r.nullifier)
}
