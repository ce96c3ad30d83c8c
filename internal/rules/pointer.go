package rules

import (
	"strconv"
	"strings"
)

// pointer is a JSON Pointer (RFC 6901), as its unescaped reference tokens.
//
// It is read strictly. The empty pointer, a "~" that does not begin "~0" or
// "~1", the token "-" and a token of digits with a leading zero are always
// refused. Only the event would show whether such a token meets an array. So
// two pointers are equal exactly if their texts are.
type pointer []string

func parsePointer(s string) (pointer, bool) {
	if s == "" || s[0] != '/' {
		return nil, false
	}
	tokens := strings.Split(s[1:], "/")
	for i, token := range tokens {
		if token == "-" || leadingZero(token) {
			return nil, false
		}
		var ok bool
		if tokens[i], ok = unescape(token); !ok {
			return nil, false
		}
	}
	return tokens, true
}

// text returns what [parsePointer] reads.
func (p pointer) text() string {
	var b strings.Builder
	for _, token := range p {
		b.WriteString("/" + pointerEscapes.Replace(token))
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// leadingZero reports a token of two or more digits that begins with 0.
func leadingZero(token string) bool {
	return len(token) > 1 && token[0] == '0' && strings.Trim(token, "0123456789") == ""
}

// unescape replaces ~1 by / and ~0 by ~ and refuses any other use of ~.
func unescape(token string) (string, bool) {
	for i := 0; i < len(token); i++ {
		if token[i] != '~' {
			continue
		}
		if i++; i == len(token) || token[i] != '0' && token[i] != '1' {
			return "", false
		}
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(token), true
}

// resolve finds the value that the pointer names in a canonical document.
func (p pointer) resolve(doc value) (value, bool) {
	for _, token := range p {
		var ok bool
		switch doc.kind() {
		case '{':
			doc, ok = doc.member(token)
		case '[':
			doc, ok = doc.item(token)
		}
		if !ok {
			return nil, false
		}
	}
	return doc, true
}

func (v value) member(token string) (value, bool) {
	for name, m := range v.members() {
		if name.is(token) {
			return m, true
		}
	}
	return nil, false
}

func (v value) item(token string) (value, bool) {
	n, err := strconv.ParseUint(token, 10, 31)
	if err != nil {
		return nil, false
	}
	for item := range v.items() {
		if n == 0 {
			return item, true
		}
		n--
	}
	return nil, false
}
