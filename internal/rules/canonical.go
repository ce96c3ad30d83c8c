package rules

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"

	"github.com/terradourada/td/protocol"
)

// value is one JSON value in canonical form (RFC 8785). That form has been
// checked before, so the reader here only has to locate values: no white
// space, no duplicate names, names sorted, one text for each value. A part of
// a canonical text is the canonical text of the part.
type value []byte

// canonical checks that b equals its canonical form.
func canonical(b []byte) (value, bool) {
	c, err := protocol.Canonicalize(b)
	if err != nil || string(b) != string(c) {
		return nil, false
	}
	return value(c), true
}

// skip returns the length of the value at the start of b.
func skip(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += skipText(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(b)
}

// skipText returns the length of the string literal at the start of b.
func skipText(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// kind returns the first byte of a value, which determines its JSON type.
func (v value) kind() byte { return v[0] }

func (v value) isNumber() bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// isLiteral reports whether v is true, false or null.
func (v value) isLiteral() bool { return v[0] == 't' || v[0] == 'f' || v[0] == 'n' }

// members iterates over the names (as string literals) and values of an object.
func (v value) members() iter.Seq2[value, value] {
	return func(yield func(value, value) bool) {
		for rest := v[1:]; rest[0] != '}'; {
			n := skipText(rest)
			name := rest[:n]
			rest = rest[n+1:]
			m := skip(rest)
			if !yield(name, rest[:m]) {
				return
			}
			rest = rest[m:]
			if rest[0] == ',' {
				rest = rest[1:]
			}
		}
	}
}

// items iterates over the elements of an array.
func (v value) items() iter.Seq[value] {
	return func(yield func(value) bool) {
		for rest := v[1:]; rest[0] != ']'; {
			n := skip(rest)
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
			if rest[0] == ',' {
				rest = rest[1:]
			}
		}
	}
}

// object returns the values of an object that has exactly these names, which
// must be in canonical order.
func (v value) object(names ...string) ([]value, bool) {
	if v.kind() != '{' {
		return nil, false
	}
	values := make([]value, 0, len(names))
	for name, m := range v.members() {
		if len(values) == len(names) || string(name) != `"`+names[len(values)]+`"` {
			return nil, false
		}
		values = append(values, m)
	}
	return values, len(values) == len(names)
}

// array returns the elements of an array of 1 to limit elements.
func (v value) array(limit int) ([]value, bool) {
	if v.kind() != '[' {
		return nil, false
	}
	var values []value
	for item := range v.items() {
		if len(values) == limit {
			return nil, false
		}
		values = append(values, item)
	}
	return values, len(values) > 0
}

// text returns the content of a string.
func (v value) text() (string, bool) {
	if v.kind() != '"' {
		return "", false
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return "", false
	}
	return s, true
}

// is reports whether v is the string s.
func (v value) is(s string) bool {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1:len(v)-1]) == s
	}
	t, ok := v.text()
	return ok && t == s
}

// leaves iterates over the texts, numbers and literals in a value with the
// pointers to them, in order. The pointer is valid until the next one.
func (v value) leaves(at pointer) iter.Seq2[pointer, value] {
	return func(yield func(pointer, value) bool) { v.walk(at, yield) }
}

func (v value) walk(at pointer, yield func(pointer, value) bool) bool {
	switch v.kind() {
	case '{':
		for literal, m := range v.members() {
			name, _ := literal.text()
			if !m.walk(append(at, name), yield) {
				return false
			}
		}
		return true
	case '[':
		i := 0
		for item := range v.items() {
			if !item.walk(append(at, strconv.Itoa(i)), yield) {
				return false
			}
			i++
		}
		return true
	}
	return yield(at, v)
}
