package claim

import (
	"slices"

	"github.com/terradourada/td/protocol"
)

// rangeRule is range/1: each of up to seven values lies in its own interval.
// F packs the seven values; unused slots have value and bounds 0.
type rangeRule struct {
	scaling
	at     []pointer
	lo, hi [rangeSlots]uint32
}

func parseRange(v value) (rule, error) {
	members, ok := v.object("offset", "scale", "values")
	if !ok {
		return nil, errMembers()
	}
	r := &rangeRule{}
	if r.scaling, ok = parseScaling(members[1], members[0]); !ok {
		return nil, errScaling()
	}
	entries, ok := members[2].array(rangeSlots)
	if !ok {
		return nil, protocol.Failf(protocol.CodeMalformedRequest, "values are not a list of 1 to %d", rangeSlots)
	}
	texts := make([]value, len(entries))
	for i, entry := range entries {
		entry, ok := entry.object("at", "hi", "lo")
		if !ok {
			return nil, errMembers()
		}
		at, err := parsePointerValue(entry[0])
		if err != nil {
			return nil, err
		}
		lo, hi, err := r.bounds(entry[2], entry[1], rangeBits)
		if err != nil {
			return nil, err
		}
		r.at = append(r.at, at)
		r.lo[i], r.hi[i] = uint32(lo), uint32(hi)
		texts[i] = entry[0]
	}
	return r, checkDifferent(texts)
}

func (r *rangeRule) public() []protocol.Element {
	return slices.Concat(smallElements(r.lo[:]), smallElements(r.hi[:]))
}

func (r *rangeRule) encode(event value, _ protocol.Element) (protocol.Element, []protocol.Element, error) {
	var v [rangeSlots]uint32
	if err := r.numbers(event, r.at, v[:]); err != nil {
		return protocol.Element{}, nil, err
	}
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
