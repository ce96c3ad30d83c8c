package claim

import (
	"slices"

	"github.com/terradourada/td/internal/rules"
	"github.com/terradourada/td/protocol"
)

// recordRule is the three claims about one field of a record of eight. F is the
// root of a tree of depth three over the salted fields.
type recordRule struct {
	*rules.Record
	id     ID
	values []protocol.Element // record-equals/1 one, record-oneof/1 eight
}

func (r *recordRule) public() []protocol.Element {
	var bits [recordDepth]uint32
	for i := range bits {
		bits[i] = uint32(r.Field) >> i & 1
	}
	if r.id == RecordRange {
		return append(smallElements(bits[:]), smallElements([]uint64{r.Lo, r.Hi})...)
	}
	return append(smallElements(bits[:]), r.values...)
}

func (r *recordRule) encode(event []byte, blind protocol.Element) (protocol.Element, []protocol.Element, error) {
	native, err := r.Encode(event)
	if err != nil {
		return protocol.Element{}, nil, err
	}
	values := elementsOf(native[:])
	var level [recordFields]protocol.Element
	for i := range level {
		level[i] = Compress(values[i], protocol.SaltElement(blind, uint8(i)))
	}
	private := []protocol.Element{values[r.Field], protocol.SaltElement(blind, uint8(r.Field))}
	root, path := climb(level[:], r.Field)
	return root, append(private, path...), nil
}

// climb returns the root over the leaves and the siblings of leaf i from the
// bottom up. It overwrites the leaves.
func climb(level []protocol.Element, i int) (root protocol.Element, path []protocol.Element) {
	for len(level) > 1 {
		path = append(path, level[i^1])
		for j := range len(level) / 2 {
			level[j] = Compress(level[2*j], level[2*j+1])
		}
		level, i = level[:len(level)/2], i/2
	}
	return level[0], path
}

// labelLiteral is the label of the values true, false and null. With a label of
// their own, none of them equals the value of a text or of a number.
const labelLiteral = "TD-V1-literal"

// elementsOf returns the elements of the values of a record.
func elementsOf(values []rules.Value) []protocol.Element {
	elements := make([]protocol.Element, len(values))
	for i, v := range values {
		switch v.Kind {
		case rules.Absent:
		case rules.Number:
			elements[i] = protocol.SmallElement(v.Number)
		case rules.Text:
			elements[i] = protocol.TextElement([]byte(v.Bytes))
		case rules.Literal:
			elements[i] = protocol.H2F(labelLiteral, []byte(v.Bytes))
		case rules.JSON:
			elements[i] = protocol.ValueElement([]byte(v.Bytes))
		}
	}
	return elements
}

func (r *recordRule) holds(s *Statement, private []protocol.Element) bool {
	h, v, salt, path := private[0], private[1], private[2], private[3:]
	return r.satisfies(v) && RecordCommitment(r.id, h, r.Field, v, salt, path) == s.cm
}

// RecordCommitment computes cm from the opening of one field of a record: h = C(e, r),
// the number of the field, its value and salt, and the siblings from the leaf upwards.
func RecordCommitment(id ID, h protocol.Element, field int, value, salt protocol.Element, siblings []protocol.Element) protocol.Commitment {
	node := Compress(value, salt)
	for i, sibling := range siblings {
		if field>>i&1 == 0 {
			node = Compress(node, sibling)
		} else {
			node = Compress(sibling, node)
		}
	}
	return commitment(id, h, node)
}

// satisfies compares the claimed field with the public values.
func (r *recordRule) satisfies(v protocol.Element) bool {
	if r.id == RecordRange {
		n, ok := small(v)
		return ok && r.Lo <= n && n <= r.Hi
	}
	return slices.Contains(r.values, v)
}
