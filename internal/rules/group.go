package rules

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

// Membership is group/1: the prover holds the secret of a listed member, and the nullifier
// is that member's for this scope. It says nothing of the event.
type Membership struct {
	List      protocol.ListID
	Name      string // of the electorate
	Scope     string // the text
	Nullifier string // as the proof system writes it
}

// groupMembers are the members of the parameters, in canonical order.
var groupMembers = []string{"list", "name", "nullifier", "scope"}

// CheckGroupDraft refuses with code malformed_request a JSON text that is not part of
// the parameters of group/1: every member may be missing, and each is a text.
func CheckGroupDraft(raw []byte) error {
	jcs, err := protocol.Canonicalize(raw)
	if err != nil {
		return err
	}
	for literal, m := range value(jcs).members() {
		name, _ := literal.text()
		if !slices.Contains(groupMembers, name) {
			return Explained(errMembers(), func() string { return noMember("params", name, groupMembers) })
		}
		if m.kind() != '"' {
			return expected(errMembers(), "params."+name, "a text", m)
		}
	}
	return nil
}

func parseGroup(v value, nullifier func(text string) error) (Rule, error) {
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
	r := &Membership{Name: texts[1], Nullifier: texts[2], Scope: texts[3]}
	if r.List, err = protocol.Parse[protocol.ListID](texts[0]); err != nil {
		return nil, expected(err, "params.list", "the id of a member list, 64 lower-case hexadecimal digits", members[0])
	}
	if err := checkName(r.Name); err != nil {
		return nil, expected(err, "params.name", fmt.Sprintf("1 to %d bytes of printable text", maxNameSize), members[1])
	}
	if err := nullifier(r.Nullifier); err != nil {
		return nil, expected(err, "params.nullifier", "a field element, 64 lower-case hexadecimal digits", members[2])
	}
	return r, CheckScope(r.Scope)
}

// CheckScope refuses with code malformed_request a scope text that is not allowed.
func CheckScope(scope string) error {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789._:/-"
	if len(scope) >= 1 && len(scope) <= maxScopeSize && strings.Trim(scope, alphabet) == "" {
		return nil
	}
	public := protocol.Failf(protocol.CodeMalformedRequest,
		"scope is not 1 to %d characters of a-z 0-9 . _ : / -", maxScopeSize)
	return Explained(public, func() string {
		return fmt.Sprintf("scope: 1 to %d characters of a-z 0-9 . _ : / -, got %d: %s", maxScopeSize, utf8.RuneCountInString(scope), strconv.QuoteToGraphic(Cut(scope)))
	})
}

// CheckList refuses with code malformed_request parameters that name another list or
// another electorate.
func (r *Membership) CheckList(list protocol.ListID, name string) error {
	if r.List == list && r.Name == name {
		return nil
	}
	return Explained(ErrOtherList(), func() string {
		return fmt.Sprintf("params.list: %s… of %q, and the member list is %s… of %q", r.List.String()[:8], protocol.Escaped(Cut(r.Name)), list.String()[:8], protocol.Escaped(Cut(name)))
	})
}

// ErrOtherList refuses parameters that are not about a member list.
func ErrOtherList() error { return Malformed("parameters do not name this member list") }

func (*Membership) encodes(value) error { return nil }

// Falsity returns "".
func (*Membership) Falsity([]byte) string { return "" }
