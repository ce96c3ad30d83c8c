package claim

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/terradourada/td/protocol"
)

// Limits of a member list.
const (
	MaxListSize = 128 << 10 // of a list file, in bytes
	maxNameSize = 128       // of the name of an electorate, in bytes
)

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
	slices.SortFunc(sorted, compareMembers)
	return newList(name, sorted)
}

// ParseList reads a list file: strict JSON with the members name and members,
// the latter sorted and without duplicates; any layout. A file over [MaxListSize]
// is refused with code too_large, anything else with malformed_request.
func ParseList(file []byte) (*List, error) {
	var f struct {
		Name    string   `json:"name"`
		Members []string `json:"members"`
	}
	if err := protocol.DecodeStrict(file, protocol.JSONLimits{Size: MaxListSize}, &f); err != nil {
		return nil, err
	}
	members := make([]protocol.Member, len(f.Members))
	for i, text := range f.Members {
		var err error
		if members[i], err = protocol.Parse[protocol.Member](text); err != nil {
			return nil, err
		}
	}
	return newList(f.Name, members)
}

// newList checks a list whose members must be sorted. It keeps the slice.
func newList(name string, members []protocol.Member) (*List, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if len(members) < 1 || len(members) > MaxMembers {
		return nil, protocol.Failf(protocol.CodeMalformedRequest, "list does not have 1 to %d members", MaxMembers)
	}
	for i := range members {
		if err := protocol.CheckElement(members[i][:]); err != nil {
			return nil, err
		}
		if i > 0 && compareMembers(members[i-1], members[i]) >= 0 {
			return nil, malformed("members are not sorted or not all different")
		}
	}
	return &List{id: protocol.ListDigest(name, members), name: name, members: members}, nil
}

func compareMembers(a, b protocol.Member) int { return bytes.Compare(a[:], b[:]) }

// checkName refuses a name that is empty, longer than 128 bytes, not UTF-8 or
// not printable.
func checkName(name string) error {
	if name == "" || len(name) > maxNameSize || !utf8.ValidString(name) || !printable(name) {
		return protocol.Failf(protocol.CodeMalformedRequest, "name is not 1 to %d bytes of printable text", maxNameSize)
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// Encode is the list file, with a newline at the end.
func (l *List) Encode() []byte {
	b, err := json.Marshal(struct {
		Name    string            `json:"name"`
		Members []protocol.Member `json:"members"`
	}{l.name, l.members})
	if err != nil {
		panic("claim: internal error: list cannot be encoded")
	}
	return append(b, '\n')
}

// ID is the id of this revision.
func (l *List) ID() protocol.ListID { return l.id }

// Name is the name of the electorate.
func (l *List) Name() string { return l.name }

// Members returns the members in order, in a fresh slice.
func (l *List) Members() []protocol.Member { return slices.Clone(l.members) }

func (l *List) has(m protocol.Member) bool {
	_, found := slices.BinarySearchFunc(l.members, m, compareMembers)
	return found
}
