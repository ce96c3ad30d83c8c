package claim

import (
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// ID names a claim and its version: a circuit and the native rule that turns
// parameters and a commitment into its public values. A change to either is a
// new version; the meaning of a version never changes.
type ID = rules.ID

// The claims of section 6.
const (
	Open         = rules.Open
	Range        = rules.Range
	Sum          = rules.Sum
	RecordRange  = rules.RecordRange
	RecordEquals = rules.RecordEquals
	RecordOneOf  = rules.RecordOneOf
	Group        = rules.Group
)

// IDs lists every claim in the order of section 6.
func IDs() []ID {
	return []ID{Open, Range, Sum, RecordRange, RecordEquals, RecordOneOf, Group}
}

// ParseID reads a claim id; one that this build does not know is refused with
// code unknown_claim.
func ParseID(s string) (ID, error) {
	if id := ID(s); slices.Contains(IDs(), id) {
		return id, nil
	}
	return "", protocol.Fail(protocol.CodeUnknownClaim, "claim is not known here")
}

// Slots and limits of the claims (section 6).
const (
	rangeSlots   = rules.RangeSlots   // values of range/1
	sumSlots     = rules.SumSlots     // values of sum/1
	recordFields = rules.RecordFields // fields of a record
	recordDepth  = 3                  // depth of the tree over them
	oneOfValues  = rules.OneOfValues  // public values of record-oneof/1

	rangeBits  = rules.RangeBits  // of the values and bounds of range/1 and of the values of sum/1
	sumBits    = rules.SumBits    // of the bounds of sum/1
	recordBits = rules.RecordBits // of a numeric field of a record and its bounds
)

// counts holds the numbers of public values of each claim, those after a, c and t, and
// of private values, in the order that [Assignment] documents.
var counts = map[ID]struct{ public, private int }{
	Open:         {1, 2},
	Range:        {1 + 2*rangeSlots, 1 + rangeSlots},
	Sum:          {1 + sumSlots + 2, 1 + sumSlots},
	RecordRange:  {1 + recordDepth + 2, 3 + recordDepth},
	RecordEquals: {1 + recordDepth + 1, 3 + recordDepth},
	RecordOneOf:  {1 + recordDepth + oneOfValues, 3 + recordDepth},
	Group:        {3, 1},
}

// publicCount is k, the number of public values of a claim. It is 0 for an unknown one.
func publicCount(id ID) int { return counts[id].public }

// privateCount is the number of private values of a claim. It is 0 for an unknown one.
func privateCount(id ID) int { return counts[id].private }
