package claim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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

// groupMembers are the members of the parameters, in canonical order.
var groupMembers = []string{"list", "name", "nullifier", "scope"}

// CheckGroupDraft refuses with code malformed_request a JSON text that is not part of
// the parameters of group/1: every member may be missing, and each is a text.
// [GroupParams] computes the missing ones.
func CheckGroupDraft(raw []byte) error {
	jcs, err := protocol.Canonicalize(raw)
	if err != nil {
		return err
	}
	for literal, m := range value(jcs).members() {
		name, _ := literal.text()
		if !slices.Contains(groupMembers, name) {
			return explained(errMembers(), func() string { return noMember("params", name, groupMembers) })
		}
		if m.kind() != '"' {
			return expected(errMembers(), "params."+name, "a text", m)
		}
	}
	return nil
}

func parseGroup(v value) (rule, error) {
	members, err := v.membersAt("params", groupMembers...)
	if err != nil {
		return nil, err
	}
	var texts [4]string
	for i, m := range members {
		var ok bool
		if texts[i], ok = m.text(); !ok {
			return nil, expected(errMembers(), "params."+groupMembers[i], "a text", m)
		}
	}
	r := &groupRule{name: texts[1]}
	if r.list, err = protocol.Parse[protocol.ListID](texts[0]); err != nil {
		return nil, expected(err, "params.list", "the id of a member list, 64 lower-case hexadecimal digits", members[0])
	}
	if err := checkName(r.name); err != nil {
		return nil, expected(err, "params.name", fmt.Sprintf("1 to %d bytes of printable text", maxNameSize), members[1])
	}
	if r.nullifier, err = protocol.Parse[protocol.Nullifier](texts[2]); err != nil {
		return nil, expected(err, "params.nullifier", "a field element, 64 lower-case hexadecimal digits", members[2])
	}
	r.scope, err = scopeElement(r.name, texts[3])
	return r, err
}

// scopeElement is the scope of a scope text in an electorate.
func scopeElement(name, scope string) (protocol.Element, error) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789._:/-"
	if len(scope) < 1 || len(scope) > maxScopeSize || strings.Trim(scope, alphabet) != "" {
		public := protocol.Failf(protocol.CodeMalformedRequest,
			"scope is not 1 to %d characters of a-z 0-9 . _ : / -", maxScopeSize)
		return protocol.Element{}, explained(public, func() string {
			return fmt.Sprintf("scope: 1 to %d characters of a-z 0-9 . _ : / -, got %d: %s", maxScopeSize, utf8.RuneCountInString(scope), strconv.QuoteToGraphic(cut(scope)))
		})
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

func (*groupRule) falsity(value, []protocol.Element) string { return "" }
