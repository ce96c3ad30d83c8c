package rules

import (
	"fmt"
	"strings"
)

// Total is sum/1: the sum of up to fourteen values lies in [Lo, Hi].
type Total struct {
	scaling
	Count  int // of the values
	Lo, Hi uint64
	at     []pointer
	given  []given
}

func parseSum(v value) (Rule, error) {
	members, err := v.membersAt("params", "at", "hi", "lo", "scale")
	if err != nil {
		return nil, err
	}
	r := &Total{}
	if r.scaling, err = parseScaling(members[3], nil); err != nil {
		return nil, err
	}
	if r.at, err = parsePointers("params.at", members[0], SumSlots); err != nil {
		return nil, err
	}
	r.Count = len(r.at)
	r.given = []given{{"params", "lo", members[2], SumBits}, {"params", "hi", members[1], SumBits}}
	r.Lo, r.Hi, err = r.bounds(r.given, 0)
	return r, err
}

// Encode returns the values that are added.
func (r *Total) Encode(event []byte) ([]uint32, error) {
	v := make([]uint32, len(r.at))
	return v, r.numbers(event, r.at, v, r.given)
}

func (r *Total) encodes(event value) error {
	_, err := r.Encode(event)
	return err
}

// Falsity says on which side of the interval the sum is.
func (r *Total) Falsity(event []byte) string {
	values, err := r.Encode(event)
	if err != nil {
		return ""
	}
	var sum uint64
	names := make([]string, len(r.at))
	for i, p := range r.at {
		sum += uint64(values[i])
		names[i] = p.String()
	}
	return r.outside(fmt.Sprintf("the sum of %s = %s", Cut(strings.Join(names, ", ")), r.text(sum)), sum, r.Lo, r.Hi)
}
