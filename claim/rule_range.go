package claim

import (
	"fmt"
	"slices"

	"github.com/terradourada/td/protocol"
)

// rangeRule is range/1: each of up to seven values lies in its own interval.
// F packs the seven values; unused slots have value and bounds 0.
type rangeRule struct {
	scaling
	at     []pointer
	lo, hi [rangeSlots]uint32
	given  []given
}

func parseRange(v value) (rule, error) {
	members, err := v.membersAt("params", "offset", "scale", "values")
	if err != nil {
		return nil, err
	}
	r := &rangeRule{}
	if r.scaling, err = parseScaling(members[1], members[0]); err != nil {
		return nil, err
	}
	entries, ok := members[2].array(rangeSlots)
	if !ok {
		return nil, errList("values", "params.values", rangeSlots, members[2])
	}
	texts := make([]value, len(entries))
	for i, entry := range entries {
		place := fmt.Sprintf("params.values[%d]", i)
		entry, err := entry.membersAt(place, "at", "hi", "lo")
		if err != nil {
			return nil, err
		}
		at, err := parsePointerValue(place+".at", entry[0])
		if err != nil {
			return nil, err
		}
		r.at = append(r.at, at)
		r.given = append(r.given, given{place, "lo", entry[2], rangeBits}, given{place, "hi", entry[1], rangeBits})
		texts[i] = entry[0]
	}
	for i := range r.at {
		lo, hi, err := r.bounds(r.given, 2*i)
		if err != nil {
			return nil, err
		}
		r.lo[i], r.hi[i] = uint32(lo), uint32(hi)
	}
	return r, checkDifferent("params.values", texts)
}

func (r *rangeRule) public() []protocol.Element {
	return slices.Concat(smallElements(r.lo[:]), smallElements(r.hi[:]))
}

func (r *rangeRule) encode(event value, _ protocol.Element) (protocol.Element, []protocol.Element, error) {
	var v [rangeSlots]uint32
	if err := r.numbers(event, r.at, v[:], r.given); err != nil {
		return protocol.Element{}, nil, err
	}
	return pack(v[:]), smallElements(v[:]), nil
}

func (r *rangeRule) holds(s *Statement, private []protocol.Element) bool {
	var v [rangeSlots]uint32
	for i := range v {
		n, ok := small(private[1+i])
		if !ok || side(n, uint64(r.lo[i]), uint64(r.hi[i])) != 0 {
			return false
		}
		v[i] = uint32(n)
	}
	return s.opens(private[0], pack(v[:]))
}

func (r *rangeRule) falsity(event value, private []protocol.Element) string {
	for i, p := range r.at {
		v, _ := p.resolve(event)
		n, _ := small(private[i])
		if text := r.outside(fmt.Sprintf("%s = %s", p, v.show()), n, uint64(r.lo[i]), uint64(r.hi[i])); text != "" {
			return text
		}
	}
	return ""
}
