package claim

import (
	"encoding/json"
	"fmt"

	"github.com/terradourada/td/protocol"
)

// PrepareParams turns parameters as people write them into the canonical bytes
// that are committed to: any layout of the JSON text is allowed. For range/1
// and sum/1 a pointer to an array of the event stands for the pointers to its
// elements. The event is in canonical form; without one (nil) no pointer is
// expanded. without one (nil) nothing is written out. The result follows the
// rules of [ParseParams], whose errors it returns.
func PrepareParams(id ID, raw, event []byte) ([]byte, error) {
	if _, err := ParseID(string(id)); err != nil {
		return nil, err
	}
	jcs, err := protocol.Canonicalize(raw)
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeMalformedRequest, "parameters are not a JSON object by the strict rules", err)
	}
	if event != nil {
		doc, ok := canonical(event)
		if !ok {
			return nil, errEventForm()
		}
		jcs = writeOut(id, jcs, doc)
	}
	p, err := ParseParams(id, jcs)
	if err != nil {
		return nil, err
	}
	return p.raw, nil
}

// writeOut expands pointers to arrays. Parameters that do not have the
// claim's form stay as they are; [ParseParams] refuses them.
func writeOut(id ID, params, event value) value {
	switch id {
	case Range:
		if m, ok := params.object("offset", "scale", "values"); ok && m[2].kind() == '[' {
			return fmt.Appendf(nil, `{"offset":%s,"scale":%s,"values":%s}`, m[0], m[1], writeOutRange(m[2], event))
		}
	case Sum:
		if m, ok := params.object("at", "hi", "lo", "scale"); ok && m[0].kind() == '[' {
			return fmt.Appendf(nil, `{"at":%s,"hi":%s,"lo":%s,"scale":%s}`, writeOutSum(m[0], event), m[1], m[2], m[3])
		}
	}
	return params
}

func writeOutRange(entries, event value) value {
	var out []value
	for entry := range entries.items() {
		m, ok := entry.object("at", "hi", "lo")
		if !ok {
			return entries
		}
		for _, at := range elementPointers(m[0], event) {
			out = append(out, fmt.Appendf(nil, `{"at":%s,"hi":%s,"lo":%s}`, at, m[1], m[2]))
		}
		if len(out) > rangeSlots {
			break // more than the claim takes; ParseParams refuses it
		}
	}
	return list(out)
}

func writeOutSum(pointers, event value) value {
	var out []value
	for at := range pointers.items() {
		out = append(out, elementPointers(at, event)...)
		if len(out) > sumSlots {
			break // more than the claim takes; ParseParams refuses it
		}
	}
	return list(out)
}

// elementPointers returns the pointers to the elements of the array that a
// pointer names, or the pointer itself if it names none. It stops after one
// more than any claim takes.
func elementPointers(literal, event value) []value {
	array, ok := named(literal, event)
	if !ok || array.kind() != '[' {
		return []value{literal}
	}
	var out []value
	for range array.items() {
		out = append(out, fmt.Appendf(nil, `%s/%d"`, literal[:len(literal)-1], len(out)))
		if len(out) > sumSlots {
			break
		}
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
	return PrepareParams(Group, raw, nil)
}
