package input

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// pointer is a JSON Pointer.
type pointer struct {
	text   string
	tokens []string
}

func parsePointers(texts []string) ([]pointer, error) {
	pointers := make([]pointer, len(texts))
	for i, text := range texts {
		if !strings.HasPrefix(text, "/") {
			return nil, fault.New(fault.Usage, fmt.Sprintf("--numbers-from-text: %.40q is no JSON Pointer", text), "one begins with /, as /asInt")
		}
		pointers[i] = pointer{text, strings.Split(text[1:], "/")}
		for j, token := range pointers[i].tokens {
			pointers[i].tokens[j] = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		}
	}
	return pointers, nil
}

// integer matches an integer as it is written in a text.
var integer = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// numbersFromText replaces the texts that pointers name by the numbers that they hold, and
// counts them. A pointer to an array means its elements. Numbers stay as they are. An event
// that is not JSON by the strict rules is returned as it is, for its own refusal.
func numbersFromText(event []byte, pointers []pointer) (changed []byte, n int, err error) {
	jcs, err := protocol.Canonicalize(event)
	if err != nil {
		return event, 0, nil //nolint:nilerr // the caller prepares the event, which reports the error
	}
	var doc any
	dec := json.NewDecoder(bytes.NewReader(jcs))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, 0, err
	}
	for _, p := range pointers {
		if doc, err = p.replace(doc, p.tokens, &n); err != nil {
			return nil, 0, err
		}
	}
	changed, err = json.Marshal(doc)
	return changed, n, err
}

// replace returns v with the texts replaced that the rest of the pointer names in it.
func (p pointer) replace(v any, rest []string, n *int) (_ any, err error) {
	if len(rest) == 0 {
		return p.number(v, n)
	}
	switch v := v.(type) {
	case map[string]any:
		if m, ok := v[rest[0]]; ok {
			v[rest[0]], err = p.replace(m, rest[1:], n)
			return v, err
		}
	case []any:
		if i, err := strconv.ParseUint(rest[0], 10, 31); err == nil && i < uint64(len(v)) && rest[0] == strconv.FormatUint(i, 10) {
			v[i], err = p.replace(v[i], rest[1:], n)
			return v, err
		}
	}
	return nil, protocol.Failf(protocol.CodeEventNotEncodable, "--numbers-from-text: there is nothing at %.80q", p.text)
}

// number returns the number that a text holds.
func (p pointer) number(v any, n *int) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		return v, nil
	case string:
		if integer.MatchString(v) {
			*n++
			return json.Number(v), nil
		}
		return nil, protocol.Failf(protocol.CodeEventNotEncodable, "--numbers-from-text: %.80q is %.40q, and no integer written as text", p.text, v)
	case []any:
		for i := range v {
			if v[i], err = p.number(v[i], n); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return nil, protocol.Failf(protocol.CodeEventNotEncodable, "--numbers-from-text: %.80q is no text", p.text)
}
