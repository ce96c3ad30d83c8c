package claim

import (
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// MaxListSize bounds a list file, in bytes.
const MaxListSize = 128 << 10

// List is one revision of the member list of an electorate (section 6,
// group/1): a name, which stays the same over revisions, and the commitments of
// its members, sorted and all different. It does not change.
type List struct {
	id      protocol.ListID
	name    string
	members []protocol.Member
}

// NewList makes a list of members, in any order. A bad name, no member, too many
// members or a member that stands twice is refused with code malformed_request.
func NewList(name string, members []protocol.Member) (*List, error) {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, rules.CompareMembers[protocol.Member])
	return newList(name, sorted)
}

// ParseList reads a list file: strict JSON with the members name and members,
// the latter sorted and without duplicates; any layout. A file over [MaxListSize]
// is refused with code too_large, anything else with malformed_request.
func ParseList(file []byte) (*List, error) {
	name, members, err := rules.ReadList(file, MaxListSize, protocol.Parse[protocol.Member])
	if err != nil {
		return nil, err
	}
	return newList(name, members)
}

// newList checks a list whose members must be sorted. It keeps the slice.
func newList(name string, members []protocol.Member) (*List, error) {
	if err := rules.CheckList(name, members, MaxMembers, protocol.CheckElement); err != nil {
		return nil, err
	}
	return &List{id: protocol.ListDigest(name, members), name: name, members: members}, nil
}

// Encode is the list file, with a newline at the end.
func (l *List) Encode() []byte { return rules.EncodeList(l.name, l.members) }

// ID is the id of this revision.
func (l *List) ID() protocol.ListID { return l.id }

// Name is the name of the electorate.
func (l *List) Name() string { return l.name }

// Members returns the members in order, in a fresh slice.
func (l *List) Members() []protocol.Member { return slices.Clone(l.members) }

func (l *List) has(m protocol.Member) bool {
	_, found := slices.BinarySearchFunc(l.members, m, rules.CompareMembers[protocol.Member])
	return found
}
