package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/protocol"
)

// Refusal is an error about an event or about parameters, in two texts that are
// kept apart. Error and the [protocol.Error] inside hold nothing of the input:
// servers send and log them. Explain names the pointer, the value and the rule.
// It is for the holder of the input, on whose machine the error was made.
type Refusal struct {
	public  error
	explain func() string // behind a function, so that no way to print the error shows it
}

// Error returns the public text.
func (r *Refusal) Error() string { return r.public.Error() }

// Unwrap returns the [protocol.Error] with the code and the public detail.
func (r *Refusal) Unwrap() error { return r.public }

// Explain returns the text with the values. Values are escaped and at most 64
// characters of each are shown. Servers must not call it.
func (r *Refusal) Explain() string { return r.explain() }

// Explained adds a text for the holder of the input to a public error.
func Explained(public error, explain func() string) error {
	return &Refusal{public: public, explain: explain}
}

// expected refuses a member of the parameters that is not what the claim takes.
func expected(public error, place, want string, got value) error {
	return Explained(public, func() string {
		return fmt.Sprintf("%s: %s, got %s", place, want, got.show())
	})
}

// maxShown bounds the characters of a value or pointer in an explanation.
const maxShown = 64

// show is the value for its holder, bounded and without characters that could
// control a terminal.
func (v value) show() string {
	if s, ok := v.text(); ok {
		return strconv.QuoteToGraphic(Cut(s))
	}
	return protocol.Escaped(Cut(string(v)))
}

// typeName is the JSON type of a value, with its article.
func (v value) typeName() string {
	switch v.kind() {
	case '"':
		return "a text"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// Cut shortens a text to maxShown characters.
func Cut(s string) string {
	n := 0
	for i := range s {
		if n == maxShown {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// String is the text of the pointer, bounded and escaped as a value is.
func (p pointer) String() string { return protocol.Escaped(Cut(p.text())) }

// literal is the pointer as a JSON string.
func (p pointer) literal() string {
	b, err := json.Marshal(p.text())
	if err != nil {
		panic("rules: internal error: pointer cannot be encoded")
	}
	return string(b)
}

// errNotThere refuses an event without a value at a pointer.
func errNotThere(p pointer, event value) error {
	return Explained(notEncodable("the event has no value at a place that the parameters name"), func() string {
		text := fmt.Sprintf("%s: the event has no such value", p)
		var there []string
		for q := range event.leaves(nil) {
			there = append(there, q.String())
			if len(there) == maxLeaves {
				break
			}
		}
		if hint := fault.DidYouMean(p.String(), there, ""); hint != "" {
			return text + "; " + hint
		}
		return text + "; it has " + cmp.Or(Cut(strings.Join(there, ", ")), "none")
	})
}

// maxLeaves bounds the pointers among which a similar one is looked for.
const maxLeaves = 256

// membersAt returns the values of an object that has exactly these names, which
// are in canonical order. Place is the object's name in an explanation.
func (v value) membersAt(place string, names ...string) ([]value, error) {
	values, ok := v.object(names...)
	if ok {
		return values, nil
	}
	return nil, Explained(errMembers(), func() string { return v.wrongMembers(place, names) })
}

// wrongMembers says how a value differs from an object with these names.
func (v value) wrongMembers(place string, names []string) string {
	if v.kind() != '{' {
		return fmt.Sprintf("%s: an object, got %s", place, v.show())
	}
	var there []string
	for literal := range v.members() {
		name, _ := literal.text()
		if !slices.Contains(names, name) {
			return noMember(place, name, names)
		}
		there = append(there, name)
	}
	for _, name := range names {
		if !slices.Contains(there, name) {
			return fmt.Sprintf("%s.%s: the member is missing; %s", place, name, membersText(names))
		}
	}
	return place + ": " + membersText(names)
}

// noMember says that an object has no member of this name.
func noMember(place, name string, names []string) string {
	text := fmt.Sprintf("%s.%s: there is no such member", place, protocol.Escaped(Cut(name)))
	return text + "; " + fault.DidYouMean(name, names, membersText(names))
}

// membersText lists the members of an object.
func membersText(names []string) string {
	if len(names) == 0 {
		return "it has no members"
	}
	return "its members are " + strings.Join(names, ", ")
}

// Malformed refuses with code malformed_request.
func Malformed(detail string) error {
	return protocol.Fail(protocol.CodeMalformedRequest, detail)
}

// errMembers refuses parameters whose members are not the claim's.
func errMembers() error {
	return Malformed("parameters do not have exactly the members of the claim, with their types")
}

func notEncodable(detail string) error {
	return protocol.Fail(protocol.CodeEventNotEncodable, detail)
}
