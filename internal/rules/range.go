package rules

import "fmt"

// Anything is open/1, which says nothing of the event.
type Anything struct{}

func parseOpen(v value) (Rule, error) {
	_, err := v.membersAt("params")
	return Anything{}, err
}

// Falsity returns "".
func (Anything) Falsity([]byte) string { return "" }

func (Anything) encodes(value) error { return nil }

// Ranges is range/1: each of up to seven values lies in its own interval.
type Ranges struct {
	scaling
	Lo, Hi []uint32 // of each value
	at     []pointer
	given  []given
}

func parseRange(v value) (Rule, error) {
	members, err := v.membersAt("params", "offset", "scale", "values")
	if err != nil {
		return nil, err
	}
	r := &Ranges{}
	if r.scaling, err = parseScaling(members[1], members[0]); err != nil {
		return nil, err
	}
	entries, ok := members[2].array(RangeSlots)
	if !ok {
		return nil, errList("values", "params.values", RangeSlots, members[2])
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
		r.given = append(r.given, given{place, "lo", entry[2], RangeBits}, given{place, "hi", entry[1], RangeBits})
		texts[i] = entry[0]
	}
	for i := range r.at {
		lo, hi, err := r.bounds(r.given, 2*i)
		if err != nil {
			return nil, err
		}
		r.Lo, r.Hi = append(r.Lo, uint32(lo)), append(r.Hi, uint32(hi))
	}
	return r, checkDifferent("params.values", texts)
}

// Encode returns the values, one for each interval.
func (r *Ranges) Encode(event []byte) ([]uint32, error) {
	v := make([]uint32, len(r.at))
	return v, r.numbers(event, r.at, v, r.given)
}

func (r *Ranges) encodes(event value) error {
	_, err := r.Encode(event)
	return err
}

// Falsity names the first value outside of its interval.
func (r *Ranges) Falsity(event []byte) string {
	values, err := r.Encode(event)
	if err != nil {
		return ""
	}
	for i, p := range r.at {
		v, _ := p.resolve(event)
		if text := r.outside(fmt.Sprintf("%s = %s", p, v.show()), uint64(values[i]), uint64(r.Lo[i]), uint64(r.Hi[i])); text != "" {
			return text
		}
	}
	return ""
}
