package claim

import (
	"encoding/binary"

	"github.com/terradourada/td/protocol"
)

// add is the sum in the field.
func add(x, y protocol.Element) protocol.Element {
	a, b := fieldElement(x), fieldElement(y)
	a.Add(&a, &b)
	return protocol.Element(a.Bytes())
}

// pack is the sum of v_i·2^(32(i-1)) over at most seven values (section 6): the
// values one after the other, the first one lowest.
func pack(values []uint32) protocol.Element {
	var e protocol.Element
	for i, v := range values {
		binary.BigEndian.PutUint32(e[protocol.ElementSize-4*(i+1):], v)
	}
	return e
}

// small reads a field element that is an integer below 2^64.
func small(e protocol.Element) (uint64, bool) {
	x := fieldElement(e)
	return x.Uint64(), x.IsUint64()
}

// smallElements are the field elements of small integers.
func smallElements[T uint32 | uint64](values []T) []protocol.Element {
	elements := make([]protocol.Element, len(values))
	for i, v := range values {
		elements[i] = protocol.SmallElement(uint64(v))
	}
	return elements
}
