package claim

import (
	"fmt"
	"log/slog"

	"github.com/terradourada/td/protocol"
)

// Assignment holds the private values of one statement: the prover knows
// them, and they must not be disclosed. It never prints.
//
// The values stand in this order:
//
//	open/1      e, r
//	range/1     h, v1 .. v7
//	sum/1       h, v1 .. v14
//	record-*/1  h, value, salt, and the three siblings from the leaf upwards
//	group/1     sk
//
// The binary form, for the socket to a prover, is one byte with the length of
// the claim id, the id, and the values at 32 bytes each.
type Assignment struct {
	hidden
	id ID

	// The values are behind a function because fmt ignores the methods below for
	// an unexported field of another struct and would print them.
	values func() []protocol.Element

	// falsity says why the event does not satisfy the claim, or "". It is nil if
	// the event is not known here, as in a prover.
	falsity func() string
}

func newAssignment(id ID, values []protocol.Element) *Assignment {
	return &Assignment{id: id, values: func() []protocol.Element { return values }}
}

// private returns the values themselves, not a copy; the zero value has none.
func (a *Assignment) private() []protocol.Element {
	if a.values == nil {
		return nil
	}
	return a.values()
}

// MaxAssignmentSize bounds the binary form of an [Assignment], in bytes.
const MaxAssignmentSize = 1 + 32 + (1+sumSlots)*protocol.ElementSize

// Claim is the claim the assignment is for.
func (a *Assignment) Claim() ID { return a.id }

// Wipe overwrites the private values; the assignment cannot be used afterwards.
func (a *Assignment) Wipe() {
	clear(a.private())
	a.falsity = nil
}

// MarshalBinary is the binary form. It contains every private value and is
// sent to the prover only.
func (a *Assignment) MarshalBinary() ([]byte, error) {
	values := a.private()
	if n := privateCount(a.id); n == 0 || n != len(values) {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "assignment is incomplete")
	}
	b := make([]byte, 0, 1+len(a.id)+len(values)*protocol.ElementSize)
	b = append(b, byte(len(a.id)))
	b = append(b, a.id...)
	for i := range values {
		b = append(b, values[i][:]...)
	}
	return b, nil
}

// UnmarshalBinary reads the binary form. Anything but exactly the canonical
// values of a known claim is refused with code malformed_request, and a is then
// unchanged.
func (a *Assignment) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || len(b) > MaxAssignmentSize || len(b) < 1+int(b[0]) {
		return protocol.Fail(protocol.CodeMalformedRequest, "assignment has the wrong length")
	}
	id, err := ParseID(string(b[1 : 1+int(b[0])]))
	if err != nil {
		return err
	}
	rest := b[1+len(id):]
	if len(rest) != privateCount(id)*protocol.ElementSize {
		return protocol.Fail(protocol.CodeMalformedRequest, "assignment has the wrong length")
	}
	values := make([]protocol.Element, privateCount(id))
	for i := range values {
		copy(values[i][:], rest[i*protocol.ElementSize:])
		if err := protocol.CheckElement(values[i][:]); err != nil {
			return err
		}
	}
	*a = *newAssignment(id, values)
	return nil
}

const redacted = "redacted"

// hidden is embedded in private values: they print as "redacted" in every way.
type hidden struct{}

// String returns "redacted".
func (hidden) String() string { return redacted }

// GoString returns "redacted".
func (hidden) GoString() string { return redacted }

// Format writes "redacted" for every verb.
func (hidden) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue returns "redacted".
func (hidden) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "redacted".
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText returns "redacted".
func (hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }
