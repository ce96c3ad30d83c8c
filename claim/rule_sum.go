package claim

import (
	"fmt"
	"math"
	"strings"

	"github.com/terradourada/td/protocol"
)

// sumRule is sum/1: the sum of up to fourteen values lies in [lo, hi]. F
// compresses the two packed halves; absent values are 0.
type sumRule struct {
	scaling
	at     []pointer
	lo, hi uint64
	given  []given
}

func parseSum(v value) (rule, error) {
	members, err := v.membersAt("params", "at", "hi", "lo", "scale")
	if err != nil {
		return nil, err
	}
	r := &sumRule{}
	if r.scaling, err = parseScaling(members[3], nil); err != nil {
		return nil, err
	}
	if r.at, err = parsePointers("params.at", members[0], sumSlots); err != nil {
		return nil, err
	}
	r.given = []given{{"params", "lo", members[2], sumBits}, {"params", "hi", members[1], sumBits}}
	r.lo, r.hi, err = r.bounds(r.given, 0)
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
	if err := r.numbers(event, r.at, v[:], r.given); err != nil {
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
	return side(sum, r.lo, r.hi) == 0 && s.opens(private[0], packSum(&v))
}

func (r *sumRule) falsity(_ value, private []protocol.Element) string {
	var sum uint64
	names := make([]string, len(r.at))
	for i, p := range r.at {
		n, _ := small(private[i])
		sum += n
		names[i] = p.String()
	}
	return r.outside(fmt.Sprintf("the sum of %s = %s", cut(strings.Join(names, ", ")), r.text(sum)), sum, r.lo, r.hi)
}
