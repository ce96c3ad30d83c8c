package claim

import (
	"slices"

	"github.com/terradourada/td/protocol"
)

// List is one revision of the member list of an electorate (section 6,
// group/1): a name, which stays the same over revisions, and the commitments of
// its members, sorted and all different. It does not change.
type List struct {
	id      protocol.ListID
	name    string
	members []protocol.Member
}

// ID is the id of this revision.
func (l *List) ID() protocol.ListID { return l.id }

// Name is the name of the electorate.
func (l *List) Name() string { return l.name }

// Members gives the members in order, in a fresh slice.
func (l *List) Members() []protocol.Member { return slices.Clone(l.members) }
