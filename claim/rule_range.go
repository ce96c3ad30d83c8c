package claim

import (
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// rangeRule is range/1: each of up to seven values lies in its own interval.
// F packs the seven values; unused slots have value and bounds 0.
type rangeRule struct {
	*rules.Ranges
	lo, hi [rangeSlots]uint32
}

func newRangeRule(native *rules.Ranges) *rangeRule {
	r := &rangeRule{Ranges: native}
	copy(r.lo[:], native.Lo)
	copy(r.hi[:], native.Hi)
	return r
}

func (r *rangeRule) public() []protocol.Element {
	return slices.Concat(smallElements(r.lo[:]), smallElements(r.hi[:]))
}

func (r *rangeRule) encode(event []byte, _ protocol.Element) (protocol.Element, []protocol.Element, error) {
	values, err := r.Encode(event)
	if err != nil {
		return protocol.Element{}, nil, err
	}
	var v [rangeSlots]uint32
	copy(v[:], values)
	return pack(v[:]), smallElements(v[:]), nil
}

func (r *rangeRule) holds(s *Statement, private []protocol.Element) bool {
	var v [rangeSlots]uint32
	for i := range v {
		n, ok := small(private[1+i])
		if !ok || n < uint64(r.lo[i]) || n > uint64(r.hi[i]) {
			return false
		}
		v[i] = uint32(n)
	}
	return s.opens(private[0], pack(v[:]))
}
