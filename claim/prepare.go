package claim

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// ReadParams parses parameters as people write them: any layout of the JSON text is
// allowed. The result follows the rules of [ParseParams], whose errors it returns.
func ReadParams(id ID, raw []byte) (*Params, error) {
	return readParams(id, raw, func(params value) value { return params })
}

func readParams(id ID, raw []byte, change func(value) value) (*Params, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	jcs, err := protocol.Canonicalize(raw)
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeMalformedRequest, "parameters are not a JSON object by the strict rules", err)
	}
	return ParseParams(id, change(jcs))
}

// Prepared is an event in canonical form with the parameters of a claim about it, in
// which every pointer to an array of the event is replaced. Only [Prepare] makes one.
// Who commits to the event, sends the parameters or compares them takes this value, so
// all of them have the same bytes.
type Prepared struct {
	params *Params
	event  value
	once   value
}

// Prepare brings an event into canonical form and reads the parameters of a claim about
// it, both in any layout of the JSON text. For range/1 and sum/1 a pointer to an array
// stands for the pointers to its elements, and so does one of these that names an array
// again. So no pointer of the result names an array, and preparing the result changes
// nothing.
func Prepare(id ID, raw, event []byte) (*Prepared, error) {
	doc, err := protocol.Canonicalize(event)
	if err != nil {
		return nil, err
	}
	p := &Prepared{event: doc}
	p.params, err = readParams(id, raw, func(params value) value {
		p.once = writeOut(id, params, doc, 1)
		return writeOut(id, params, doc, protocol.MaxJSONDepth)
	})
	return p, err
}

// Params returns the parameters.
func (p *Prepared) Params() *Params { return p.params }

// Event returns the canonical bytes of the event, in a fresh slice.
func (p *Prepared) Event() []byte { return bytes.Clone(p.event) }

// Once returns the parameters with arrays inside of arrays left alone. An earlier "td
// submit" recorded the digest of these; nothing is committed to them.
func (p *Prepared) Once() []byte { return bytes.Clone(p.once) }

// writeOut expands pointers to arrays, and to arrays in them up to a depth. Parameters
// that do not have the claim's form stay as they are; [ParseParams] refuses them.
func writeOut(id ID, params, event value, depth int) value {
	switch id {
	case Range:
		if m, ok := params.object("offset", "scale", "values"); ok && m[2].kind() == '[' {
			return fmt.Appendf(nil, `{"offset":%s,"scale":%s,"values":%s}`, m[0], m[1], writeOutRange(m[2], event, depth))
		}
	case Sum:
		if m, ok := params.object("at", "hi", "lo", "scale"); ok && m[0].kind() == '[' {
			return fmt.Appendf(nil, `{"at":%s,"hi":%s,"lo":%s,"scale":%s}`, writeOutSum(m[0], event, depth), m[1], m[2], m[3])
		}
	}
	return params
}

func writeOutRange(entries, event value, depth int) value {
	var out []value
	for entry := range entries.items() {
		m, ok := entry.object("at", "hi", "lo")
		if !ok {
			return entries
		}
		for _, at := range elementPointers(m[0], event, depth) {
			out = append(out, fmt.Appendf(nil, `{"at":%s,"hi":%s,"lo":%s}`, at, m[1], m[2]))
		}
		if len(out) > rangeSlots {
			break // more than the claim takes; ParseParams refuses it
		}
	}
	return list(out)
}

func writeOutSum(pointers, event value, depth int) value {
	var out []value
	for at := range pointers.items() {
		out = append(out, elementPointers(at, event, depth)...)
		if len(out) > sumSlots {
			break // more than the claim takes; ParseParams refuses it
		}
	}
	return list(out)
}

// elementPointers returns the pointers to the elements of the array that a
// pointer names, or the pointer itself if it names none. It stops after one
// more than any claim takes.
func elementPointers(literal, event value, depth int) []value {
	array, ok := named(literal, event)
	if !ok {
		return []value{literal}
	}
	return appendElements(nil, literal, array, depth)
}

func appendElements(out []value, literal, v value, depth int) []value {
	if v.kind() != '[' || depth == 0 {
		return append(out, literal)
	}
	n := 0
	for item := range v.items() {
		if len(out) > sumSlots {
			break
		}
		out = appendElements(out, fmt.Appendf(nil, `%s/%d"`, literal[:len(literal)-1], n), item, depth-1)
		n++
	}
	return out
}

// named is the value that a pointer, as a JSON string, names in the event.
func named(literal, event value) (value, bool) {
	s, ok := literal.text()
	if !ok {
		return nil, false
	}
	p, ok := parsePointer(s)
	if !ok {
		return nil, false
	}
	return p.resolve(event)
}

func list(items []value) value {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}

// GroupParams makes the canonical parameters of group/1: what a member answers
// under a scope text, with the nullifier that belongs to both. A scope text that
// is not allowed is refused with code malformed_request, a secret whose member is
// not listed with statement_false.
func GroupParams(l *List, scope string, secret MemberSecret) ([]byte, error) {
	s, err := scopeElement(l.name, scope)
	if err != nil {
		return nil, err
	}
	if !l.has(secret.Member()) {
		return nil, errNotListed(l, secret)
	}
	raw, err := json.Marshal(struct {
		List      protocol.ListID    `json:"list"`
		Name      string             `json:"name"`
		Nullifier protocol.Nullifier `json:"nullifier"`
		Scope     string             `json:"scope"`
	}{l.id, l.name, secret.Nullifier(s), scope})
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeInternal, "parameters cannot be encoded", err)
	}
	p, err := ReadParams(Group, raw)
	if err != nil {
		return nil, err
	}
	return p.Bytes(), nil
}
