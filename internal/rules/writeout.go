package rules

import "fmt"

// WriteOut returns canonical parameters in which, for range/1 and sum/1, a pointer to an
// array of the canonical event is replaced by the pointers to its elements, and so on in
// arrays of arrays, up to a depth. Parameters that do not have the claim's form stay as
// they are; [Parse] refuses them.
func WriteOut(id ID, params, event []byte, depth int) []byte {
	return writeOut(id, params, event, depth)
}

// writeOut is [WriteOut] for values.
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
		if len(out) > RangeSlots {
			break // more than the claim takes; Parse refuses it
		}
	}
	return list(out)
}

func writeOutSum(pointers, event value, depth int) value {
	var out []value
	for at := range pointers.items() {
		out = append(out, elementPointers(at, event, depth)...)
		if len(out) > SumSlots {
			break // more than the claim takes; Parse refuses it
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
		if len(out) > SumSlots {
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
