package receipt

import (
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/terradourada/td/protocol"
)

// MaxOpeningSize bounds an opening file, in bytes: an event of 64 KiB written
// as a JSON string.
const MaxOpeningSize = 512 << 10

const redacted = "redacted"

// Opening is the private half of a receipt (section 13), with which its holder
// can disclose the event. It does not print; [Opening.Encode] writes it.
type Opening struct {
	RequestID  protocol.RequestID
	Event      string // in RFC 8785 form
	Blind      protocol.Element
	ClientSalt protocol.Salt
}

type wireOpening struct {
	Version    int                `json:"version"`
	RequestID  protocol.RequestID `json:"request_id"`
	Event      string             `json:"event"`
	Blind      *protocol.Element  `json:"blind"`
	ClientSalt *protocol.Salt     `json:"client_salt"`
}

// ParseOpening reads an opening file. It is as strict as [Parse] and refuses an
// event that is not in RFC 8785 form.
func ParseOpening(b []byte) (*Opening, error) {
	var w wireOpening
	if err := protocol.DecodeStrict(b, protocol.JSONLimits{Size: MaxOpeningSize}, &w); err != nil {
		return nil, err
	}
	if w.Version != Version {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "opening has an unknown version")
	}
	if w.RequestID == (protocol.RequestID{}) || w.Blind == nil || w.ClientSalt == nil {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "opening lacks a member")
	}
	o := &Opening{RequestID: w.RequestID, Event: w.Event, Blind: *w.Blind, ClientSalt: *w.ClientSalt}
	return o, o.check()
}

// Encode writes the one compact JSON text of the opening, without a line end.
func (o *Opening) Encode() ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return protocol.EncodeJSON(wireOpening{Version, o.RequestID, o.Event, &o.Blind, &o.ClientSalt})
}

func (o *Opening) check() error {
	canonical, err := protocol.Canonicalize([]byte(o.Event))
	if err != nil {
		return err
	}
	if string(canonical) != o.Event {
		return protocol.Fail(protocol.CodeMalformedRequest, "the event of the opening is not in canonical form")
	}
	return nil
}

// Format writes "redacted" for every verb.
func (Opening) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "redacted".
func (Opening) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns "redacted"; the file is written by [Opening.Encode].
func (Opening) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// FieldOpening discloses a single field of a record and keeps the other seven
// hidden (section 13). It shows that the field is part of the commitment, not
// that an event is.
type FieldOpening struct {
	I        int                 `json:"i"`        // number of the field, 0..7
	Value    protocol.Element    `json:"value"`    // as section 6 encodes it
	Salt     protocol.Element    `json:"salt"`     // salt_i
	Siblings [3]protocol.Element `json:"siblings"` // from the leaf upwards
	H        protocol.Element    `json:"h"`        // C(e, r)
}

// ParseFieldOpening reads the opening of a single field.
func ParseFieldOpening(b []byte) (*FieldOpening, error) {
	var w struct {
		I        *int                `json:"i"`
		Value    *protocol.Element   `json:"value"`
		Salt     *protocol.Element   `json:"salt"`
		Siblings []*protocol.Element `json:"siblings"`
		H        *protocol.Element   `json:"h"`
	}
	if err := protocol.DecodeStrict(b, protocol.JSONLimits{Size: 4 << 10}, &w); err != nil {
		return nil, err
	}
	if w.I == nil || w.Value == nil || w.Salt == nil || w.H == nil || len(w.Siblings) != 3 || slices.Contains(w.Siblings, nil) {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "opening of a field lacks a member")
	}
	f := &FieldOpening{*w.I, *w.Value, *w.Salt, [3]protocol.Element{*w.Siblings[0], *w.Siblings[1], *w.Siblings[2]}, *w.H}
	return f, f.check()
}

func (f *FieldOpening) check() error {
	if f.I < 0 || f.I > 7 {
		return protocol.Fail(protocol.CodeMalformedRequest, "a record has the fields 0 to 7")
	}
	for _, e := range append(f.Siblings[:3:3], f.Value, f.Salt, f.H) {
		if err := protocol.CheckElement(e[:]); err != nil {
			return err
		}
	}
	return nil
}

// Encode writes the one compact JSON text of the opening, without a line end.
func (f *FieldOpening) Encode() ([]byte, error) { return protocol.EncodeJSON(f) }
