package claim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/terradourada/td/protocol"
)

// recordRule is the three claims about one field of a record of eight. F is the
// root of a tree of depth three over the salted fields.
type recordRule struct {
	scaling
	id      ID
	schema  []pointer
	field   int
	lo, hi  uint64             // record-range/1
	values  []protocol.Element // record-equals/1 one, record-oneof/1 eight
	given   []given            // what the claimed field is compared with
	numeric bool               // the claimed field is compared with a number
}

func parseRecord(id ID, v value) (rule, error) {
	names := map[ID][]string{
		RecordRange:  {"field", "hi", "lo", "offset", "scale", "schema"},
		RecordEquals: {"field", "offset", "scale", "schema", "value"},
		RecordOneOf:  {"field", "offset", "scale", "schema", "values"},
	}[id]
	members, err := v.membersAt("params", names...)
	if err != nil {
		return nil, err
	}
	m := make(map[string]value, len(names))
	for i, name := range names {
		m[name] = members[i]
	}
	r := &recordRule{id: id}
	if r.scaling, err = parseScaling(m["scale"], m["offset"]); err != nil {
		return nil, err
	}
	if r.schema, err = parsePointers("params.schema", m["schema"], recordFields); err != nil {
		return nil, err
	}
	field, ok := m["field"].integer(int64(len(r.schema)) - 1)
	if !ok || field < 0 {
		want := fmt.Sprintf("a whole number 0..%d, the place of a pointer in schema counted from 0", len(r.schema)-1)
		return nil, expected(malformed("field is not the number of a pointer of the schema"), "params.field", want, m["field"])
	}
	r.field = int(field)
	return r, r.parseValues(m)
}

// parseValues reads what the claimed field is compared with.
func (r *recordRule) parseValues(m map[string]value) (err error) {
	switch r.id {
	case RecordRange:
		r.numeric = true
		r.given = []given{{"params", "lo", wideBound(m["lo"]), recordBits}, {"params", "hi", wideBound(m["hi"]), recordBits}}
		r.lo, r.hi, err = r.bounds(r.given, 0)
	case RecordEquals:
		r.given = []given{{"params", "value", m["value"], recordBits}}
		err = r.publicValues()
	case RecordOneOf:
		items, ok := m["values"].array(oneOfValues)
		if !ok {
			return errList("values", "params.values", oneOfValues, m["values"])
		}
		for i, item := range items {
			r.given = append(r.given, given{fmt.Sprintf("params.values[%d]", i), "", item, recordBits})
		}
		err = r.publicValues()
		for err == nil && len(r.values) < oneOfValues {
			r.values = append(r.values, r.values[len(r.values)-1])
		}
	}
	return err
}

// publicValues computes the elements of texts, literals and numbers of the
// parameters.
func (r *recordRule) publicValues() error {
	for i, g := range r.given {
		e, ok := hashed(g.v)
		switch {
		case !ok && !g.v.isNumber():
			return expected(errMembers(), strings.TrimSuffix(g.place+"."+g.name, "."), "a number, a text, true, false or null", g.v)
		case !ok:
			n, err := r.bound(r.given, i)
			if err != nil {
				return err
			}
			e, r.numeric = protocol.SmallElement(n), true
		}
		r.values = append(r.values, e)
	}
	return nil
}

func (r *recordRule) public() []protocol.Element {
	var bits [recordDepth]uint32
	for i := range bits {
		bits[i] = uint32(r.field) >> i & 1
	}
	if r.id == RecordRange {
		return append(smallElements(bits[:]), smallElements([]uint64{r.lo, r.hi})...)
	}
	return append(smallElements(bits[:]), r.values...)
}

func (r *recordRule) encode(event value, blind protocol.Element) (protocol.Element, []protocol.Element, error) {
	values, err := r.fields(event)
	if err != nil {
		return protocol.Element{}, nil, err
	}
	var level [recordFields]protocol.Element
	for i := range level {
		level[i] = Compress(values[i], protocol.SaltElement(blind, uint8(i)))
	}
	private := []protocol.Element{values[r.field], protocol.SaltElement(blind, uint8(r.field))}
	root, path := climb(level[:], r.field)
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

// fields returns the eight values of the record; unlisted ones are 0.
func (r *recordRule) fields(event value) (*[recordFields]protocol.Element, error) {
	var values [recordFields]protocol.Element
	for i, p := range r.schema {
		v, ok := p.resolve(event)
		if !ok {
			return nil, errNotThere(p, event)
		}
		if i != r.field {
			values[i] = protocol.ValueElement(v)
			continue
		}
		var err error
		if values[i], err = r.claimed(p, v); err != nil {
			return nil, err
		}
	}
	return &values, nil
}

// claimed is the value of the claimed field: a text, a literal or a number.
func (r *recordRule) claimed(p pointer, v value) (protocol.Element, error) {
	if e, ok := hashed(v); ok {
		return e, nil
	}
	if !v.isNumber() {
		return protocol.Element{}, explained(notEncodable("the claimed field is an object or an array"), func() string {
			return fmt.Sprintf("%s = %s is %s, and the claimed field is a number, a text, true, false or null", p, v.show(), v.typeName())
		})
	}
	n, err := r.number(p, v, recordBits, func() []numeral { return numbersOf(r.given) })
	return protocol.SmallElement(n), err
}

// labelLiteral is the label of the values true, false and null. With a label of
// their own, none of them equals the value of a text or of a number.
const labelLiteral = "TD-V1-literal"

// hashed returns the element of a text, of true, false or null: the values of a
// claimed field that are not numbers.
func hashed(v value) (protocol.Element, bool) {
	if s, ok := v.text(); ok {
		return protocol.TextElement([]byte(s)), true
	}
	if v.isLiteral() {
		return protocol.H2F(labelLiteral, v), true
	}
	return protocol.Element{}, false
}

func (r *recordRule) holds(s *Statement, private []protocol.Element) bool {
	h, v, salt, path := private[0], private[1], private[2], private[3:]
	return r.satisfies(v) && RecordCommitment(r.id, h, r.field, v, salt, path) == s.cm
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
		return ok && side(n, r.lo, r.hi) == 0
	}
	return slices.Contains(r.values, v)
}

func (r *recordRule) falsity(event value, private []protocol.Element) string {
	if r.satisfies(private[0]) {
		return ""
	}
	p := r.schema[r.field]
	v, _ := p.resolve(event)
	what := fmt.Sprintf("%s = %s", p, v.show())
	if r.id == RecordRange {
		if n, ok := small(private[0]); ok {
			return r.outside(what, n, r.lo, r.hi)
		}
		return fmt.Sprintf("%s is %s, and the claim needs a number from lo %s to hi %s", what, v.typeName(), r.text(r.lo), r.text(r.hi))
	}
	var values []string
	for _, g := range r.given {
		values = append(values, g.v.show())
	}
	if len(values) == 1 {
		return what + " differs from " + values[0]
	}
	return what + " is none of " + strings.Join(values, ", ")
}
