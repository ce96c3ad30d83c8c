package claim

import (
	"math"

	"github.com/terradourada/td/protocol"
)

// sumRule is sum/1: the sum of up to fourteen values lies in [lo, hi]. F
// compresses the two packed halves; absent values are 0.
type sumRule struct {
	scaling
	at     []pointer
	lo, hi uint64
}

func parseSum(v value) (rule, error) {
	members, ok := v.object("at", "hi", "lo", "scale")
	if !ok {
		return nil, errMembers()
	}
	r := &sumRule{}
	if r.scaling, ok = parseScaling(members[3], nil); !ok {
		return nil, errScaling()
	}
	var err error
	if r.at, err = parsePointers(members[0], sumSlots); err != nil {
		return nil, err
	}
	r.lo, r.hi, err = r.bounds(members[2], members[1], sumBits)
	return r, err
}

func (r *sumRule) public() []protocol.Element {
	var present [sumSlots]uint32
	for i := range r.at {
		present[i] = 1
	}
	return append(smallElements(present[:]), smallElements([]uint64{r.lo, r.hi})...)
}

// packSum is F of the fourteen values.
func packSum(v *[sumSlots]uint32) protocol.Element {
	return Compress(pack(v[:sumSlots/2]), pack(v[sumSlots/2:]))
}

func (r *sumRule) encode(event value, _ protocol.Element) (protocol.Element, []protocol.Element, error) {
	var v [sumSlots]uint32
	if err := r.numbers(event, r.at, v[:]); err != nil {
		return protocol.Element{}, nil, err
	}
	return packSum(&v), smallElements(v[:]), nil
}

func (r *sumRule) holds(s *Statement, private []protocol.Element) bool {
	var v [sumSlots]uint32
	var sum uint64
	for i := range v {
		n, ok := small(private[1+i])
		if !ok || n > math.MaxUint32 || i >= len(r.at) && n != 0 {
			return false
		}
		v[i] = uint32(n)
		sum += n
	}
	return r.lo <= sum && sum <= r.hi && s.opens(private[0], packSum(&v))
}
