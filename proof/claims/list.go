package claims

import (
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/proof/poseidon"
	"github.com/terradourada/td/proof/transcript"
	"github.com/terradourada/td/protocol"
)

// Limits of a member list.
const (
	MaxMembers  = 1 << MaxDepth
	MaxListSize = 10 << 20 // of a list file in bytes
)

// List is one revision of the member list of an electorate: a name, which stays the same
// over revisions, and members, sorted by their bytes and all different. It does not change.
type List struct {
	id      protocol.ListID
	name    string
	members [][DigestSize]byte
	tree    *Tree
}

// NewList makes a list of members in any order. A bad name, no member, too many members or
// one that stands twice is refused with code malformed_request.
func NewList(name string, members []Digest) (*List, error) {
	sorted := make([][DigestSize]byte, len(members))
	for i, m := range members {
		sorted[i] = [DigestSize]byte(AppendDigest(nil, m))
	}
	slices.SortFunc(sorted, rules.CompareMembers[[DigestSize]byte])
	return newList(name, sorted)
}

// ParseList reads a list file: strict JSON with the members name and members, the latter
// 64 lower-case hexadecimal digits each, sorted and without duplicates; any layout. A file
// over [MaxListSize] is refused with code too_large, anything else with malformed_request.
func ParseList(file []byte) (*List, error) {
	name, members, err := rules.ReadList(file, MaxListSize, func(text string) ([DigestSize]byte, error) {
		d, err := parseText(text)
		return [DigestSize]byte(AppendDigest(nil, d)), err
	})
	if err != nil {
		return nil, err
	}
	return newList(name, members)
}

// newList checks a list whose members must be sorted.
func newList(name string, sorted [][DigestSize]byte) (*List, error) {
	members := make([]Digest, 0, len(sorted))
	parts := [][]byte{[]byte(name)}
	err := rules.CheckList(name, sorted, MaxMembers, func(member []byte) error {
		m, err := ParseDigest(member)
		members, parts = append(members, m), append(parts, member)
		return err
	})
	if err != nil {
		return nil, err
	}
	tree, err := NewTree(members)
	if err != nil {
		return nil, err
	}
	return &List{protocol.ListID(transcript.Digest("TD-V2-list", parts...)), name, sorted, tree}, nil
}

// Encode is the list file, with a newline at the end.
func (l *List) Encode() []byte {
	texts := make([]string, len(l.members))
	for i, m := range l.members {
		texts[i] = protocol.ListID(m).String() // the hexadecimal form of any 32 bytes
	}
	return rules.EncodeList(l.name, texts)
}

// ID is the id of this revision.
func (l *List) ID() protocol.ListID { return l.id }

// Name is the name of the electorate.
func (l *List) Name() string { return l.name }

// ScopeOf is the scope of a scope text in an electorate.
func ScopeOf(name, scope string) Digest {
	d := transcript.Digest("TD-V2-scope", []byte(name), []byte(scope))
	return HashToDigest("TD-V2-scope", d[:])
}

// memberStatement is the statement of parameters of group/1 about their list.
func memberStatement(r *rules.Membership, cm Digest, l *List) (Statement, error) {
	if l == nil {
		return nil, rules.ErrOtherList()
	}
	if err := r.CheckList(l.id, l.name); err != nil {
		return nil, err
	}
	nullifier, err := parseText(r.Nullifier)
	return Member{cm, l.tree.Root(), ScopeOf(r.Name, r.Scope), nullifier, l.tree.depth}, err
}

// GroupParams makes the canonical parameters of group/1 with which the holder of a secret
// answers under a scope text. A scope text that is not allowed is refused with code
// malformed_request, a secret whose member is not listed with statement_false.
func GroupParams(l *List, scope string, sk Digest) ([]byte, error) {
	if err := rules.CheckScope(scope); err != nil {
		return nil, err
	}
	member := [DigestSize]byte(AppendDigest(nil, MemberOf(sk)))
	if _, found := slices.BinarySearchFunc(l.members, member, rules.CompareMembers[[DigestSize]byte]); !found {
		return nil, errNotListed()
	}
	raw, err := protocol.EncodeJSON(struct {
		List      protocol.ListID `json:"list"`
		Name      string          `json:"name"`
		Nullifier string          `json:"nullifier"`
		Scope     string          `json:"scope"`
	}{l.id, l.name, textOf(poseidon.Compress(sk, ScopeOf(l.name, scope))), scope})
	if err != nil {
		return nil, err
	}
	return rules.Canonicalize(raw)
}
