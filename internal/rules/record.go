package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what a value of a record is.
type Kind int

// The kinds of values. Values of two kinds are never equal.
const (
	Absent  Kind = iota // a field that is not listed
	Number              // an integer, after scale and offset
	Text                // a text
	Literal             // true, false or null
	JSON                // any value of a field that is not the claimed one
)

// Value is the value of one field of a record.
type Value struct {
	Kind   Kind
	Number uint64
	Bytes  string // the characters of a text, the canonical form of a literal or of JSON
}

// Record is the three claims about one field of a record of eight.
type Record struct {
	scaling
	Field   int
	Lo, Hi  uint64  // record-range/1
	Values  []Value // record-equals/1 one, record-oneof/1 eight: the last one is repeated
	id      ID
	schema  []pointer
	given   []given // what the claimed field is compared with
	numeric bool    // the claimed field is compared with a number
}

func parseRecord(id ID, v value) (Rule, error) {
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
	r := &Record{id: id}
	if r.scaling, err = parseScaling(m["scale"], m["offset"]); err != nil {
		return nil, err
	}
	if r.schema, err = parsePointers("params.schema", m["schema"], RecordFields); err != nil {
		return nil, err
	}
	field, ok := m["field"].integer(int64(len(r.schema)) - 1)
	if !ok || field < 0 {
		want := fmt.Sprintf("a whole number 0..%d, the place of a pointer in schema counted from 0", len(r.schema)-1)
		return nil, expected(Malformed("field is not the number of a pointer of the schema"), "params.field", want, m["field"])
	}
	r.Field = int(field)
	return r, r.parseValues(m)
}

// parseValues reads what the claimed field is compared with.
func (r *Record) parseValues(m map[string]value) (err error) {
	switch r.id {
	case RecordRange:
		r.numeric = true
		r.given = []given{{"params", "lo", wideBound(m["lo"]), RecordBits}, {"params", "hi", wideBound(m["hi"]), RecordBits}}
		r.Lo, r.Hi, err = r.bounds(r.given, 0)
	case RecordEquals:
		r.given = []given{{"params", "value", m["value"], RecordBits}}
		err = r.publicValues()
	case RecordOneOf:
		items, ok := m["values"].array(OneOfValues)
		if !ok {
			return errList("values", "params.values", OneOfValues, m["values"])
		}
		for i, item := range items {
			r.given = append(r.given, given{fmt.Sprintf("params.values[%d]", i), "", item, RecordBits})
		}
		err = r.publicValues()
		for err == nil && len(r.Values) < OneOfValues {
			r.Values = append(r.Values, r.Values[len(r.Values)-1])
		}
	}
	return err
}

// publicValues reads the texts, literals and numbers of the parameters.
func (r *Record) publicValues() error {
	for i, g := range r.given {
		v, ok := scalar(g.v)
		switch {
		case !ok && !g.v.isNumber():
			return expected(errMembers(), strings.TrimSuffix(g.place+"."+g.name, "."), "a number, a text, true, false or null", g.v)
		case !ok:
			n, err := r.bound(r.given, i)
			if err != nil {
				return err
			}
			v, r.numeric = Value{Kind: Number, Number: n}, true
		}
		r.Values = append(r.Values, v)
	}
	return nil
}

// Encode returns the eight values of the record.
func (r *Record) Encode(event []byte) (*[RecordFields]Value, error) {
	var values [RecordFields]Value
	for i, p := range r.schema {
		v, ok := p.resolve(event)
		if !ok {
			return nil, errNotThere(p, event)
		}
		if i != r.Field {
			values[i] = Value{Kind: JSON, Bytes: string(v)}
			continue
		}
		var err error
		if values[i], err = r.claimed(p, v); err != nil {
			return nil, err
		}
	}
	return &values, nil
}

func (r *Record) encodes(event value) error {
	_, err := r.Encode(event)
	return err
}

// claimed is the value of the claimed field: a text, a literal or a number.
func (r *Record) claimed(p pointer, v value) (Value, error) {
	if s, ok := scalar(v); ok {
		return s, nil
	}
	if !v.isNumber() {
		return Value{}, Explained(notEncodable("the claimed field is an object or an array"), func() string {
			return fmt.Sprintf("%s = %s is %s, and the claimed field is a number, a text, true, false or null", p, v.show(), v.typeName())
		})
	}
	n, err := r.number(p, v, RecordBits, func() []numeral { return numbersOf(r.given) })
	return Value{Kind: Number, Number: n}, err
}

// scalar reads a text, or true, false or null: the values of a claimed field that are
// not numbers.
func scalar(v value) (Value, bool) {
	if s, ok := v.text(); ok {
		return Value{Kind: Text, Bytes: s}, true
	}
	if v.isLiteral() {
		return Value{Kind: Literal, Bytes: string(v)}, true
	}
	return Value{}, false
}

// Falsity compares the claimed field with the parameters.
func (r *Record) Falsity(event []byte) string {
	values, err := r.Encode(event)
	if err != nil {
		return ""
	}
	got, p := values[r.Field], r.schema[r.Field]
	v, _ := p.resolve(event)
	what := fmt.Sprintf("%s = %s", p, v.show())
	switch {
	case r.id == RecordRange && got.Kind == Number:
		return r.outside(what, got.Number, r.Lo, r.Hi)
	case r.id == RecordRange:
		return fmt.Sprintf("%s is %s, and the claim needs a number from lo %s to hi %s", what, v.typeName(), r.text(r.Lo), r.text(r.Hi))
	case slices.Contains(r.Values, got):
		return ""
	}
	texts := make([]string, len(r.given))
	for i, g := range r.given {
		texts[i] = g.v.show()
	}
	if len(texts) == 1 {
		return what + " differs from " + texts[0]
	}
	return what + " is none of " + strings.Join(texts, ", ")
}
