package principal

import (
	"slices"
	"strings"

	"github.com/terradourada/td/protocol"
)

// Operation is one of the closed set of what an API key can allow. Everything else in
// the API reads the public log and needs no key.
type Operation uint8

// The operations. Public needs no key.
const (
	Public    Operation = iota
	Challenge           // open a challenge
	Proof               // answer a challenge
	Event               // push an event
	Verify              // have the server verify a receipt
	operationEnd
)

var operationText = [operationEnd]string{Challenge: "challenge", Proof: "proof", Event: "event", Verify: "verify"}

// String returns the word for the operation in a scope.
func (o Operation) String() string {
	if o < operationEnd {
		return operationText[o]
	}
	return ""
}

// perClaim reports whether a scope can limit the operation to a claim. An answer belongs
// to a challenge of the same client, whose claim was checked.
func (o Operation) perClaim() bool { return o == Challenge || o == Event }

// scope allows one operation, for one claim or, if that is "", for all.
type scope struct {
	op    Operation
	claim string
}

func (s scope) String() string {
	if s.claim == "" {
		return s.op.String()
	}
	return s.op.String() + ":" + s.claim
}

// Scopes is what a key allows; the zero value allows nothing.
type Scopes struct {
	all  []scope // in order of their texts
	text string
}

// AllScopes returns the scopes that allow everything.
func AllScopes() Scopes {
	s, err := ParseScopes(strings.Join(operationText[Challenge:], " "))
	if err != nil {
		panic("principal: internal error: " + err.Error())
	}
	return s
}

// maxScopes bounds the text of the scopes of a key, in bytes.
const maxScopes = 1024

// ParseScopes parses words such as "challenge" or "event:range/1", with one space
// between two of them, in any order. A word that is there twice, or beside one that
// allows the same for all claims, is refused.
func ParseScopes(text string) (Scopes, error) {
	if len(text) > maxScopes {
		return Scopes{}, protocol.Failf(protocol.CodeMalformedRequest, "the scopes are longer than %d bytes", maxScopes)
	}
	var s Scopes
	for _, word := range strings.Split(text, " ") {
		one, err := parseScope(word)
		if err != nil {
			return Scopes{}, err
		}
		if s.allow(one.op, one.claim) || one.claim == "" && s.allow(one.op, "") {
			return Scopes{}, protocol.Fail(protocol.CodeMalformedRequest, "one scope includes another one")
		}
		s.all = append(s.all, one)
	}
	slices.SortFunc(s.all, func(a, b scope) int { return strings.Compare(a.String(), b.String()) })
	words := make([]string, len(s.all))
	for i, one := range s.all {
		words[i] = one.String()
	}
	s.text = strings.Join(words, " ")
	return s, nil
}

func parseScope(word string) (scope, error) {
	name, claim, limited := strings.Cut(word, ":")
	op := Operation(max(0, slices.Index(operationText[:], name)))
	if op == Public {
		return scope{}, protocol.Failf(protocol.CodeMalformedRequest, "a scope is one of %s, or challenge:CLAIM, or event:CLAIM",
			strings.Join(operationText[Challenge:], ", "))
	}
	if limited && (!op.perClaim() || !claimID(claim)) {
		return scope{}, protocol.Fail(protocol.CodeMalformedRequest, "only challenge and event are limited to a claim, such as challenge:range/1")
	}
	return scope{op, claim}, nil
}

// claimID reports whether a text has the form of a claim id, such as "record-range/1".
func claimID(s string) bool {
	name, version, ok := strings.Cut(s, "/")
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c == '-')
	}
	for _, c := range []byte(version) {
		ok = ok && c >= '0' && c <= '9'
	}
	return ok && name != "" && version != "" && len(s) <= 64
}

// allow reports whether the operation is allowed for a claim, or, if that is "", for any.
func (s *Scopes) allow(op Operation, claim string) bool {
	return slices.ContainsFunc(s.all, func(one scope) bool {
		return one.op == op && (claim == "" || one.claim == "" || one.claim == claim)
	})
}

// String returns the words in order, with one space between two of them.
func (s Scopes) String() string { return s.text }
