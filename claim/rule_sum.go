package claim

import (
	"math"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// sumRule is sum/1: the sum of up to fourteen values lies in [lo, hi]. F
// compresses the two packed halves; absent values are 0.
type sumRule struct{ *rules.Total }

func (r *sumRule) public() []protocol.Element {
	var present [sumSlots]uint32
	for i := range r.Count {
		present[i] = 1
	}
	return append(smallElements(present[:]), smallElements([]uint64{r.Lo, r.Hi})...)
}

// packSum is F of the fourteen values.
func packSum(v *[sumSlots]uint32) protocol.Element {
	return Compress(pack(v[:sumSlots/2]), pack(v[sumSlots/2:]))
}

func (r *sumRule) encode(event []byte, _ protocol.Element) (protocol.Element, []protocol.Element, error) {
	values, err := r.Encode(event)
	if err != nil {
		return protocol.Element{}, nil, err
	}
	var v [sumSlots]uint32
	copy(v[:], values)
	return packSum(&v), smallElements(v[:]), nil
}

func (r *sumRule) holds(s *Statement, private []protocol.Element) bool {
	var v [sumSlots]uint32
	var sum uint64
	for i := range v {
		n, ok := small(private[1+i])
		if !ok || n > math.MaxUint32 || i >= r.Count && n != 0 {
			return false
		}
		v[i] = uint32(n)
		sum += n
	}
	return r.Lo <= sum && sum <= r.Hi && s.opens(private[0], packSum(&v))
}
