package server

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// problemDoc, receiptDoc and openingDoc stand for their types in descriptions.
var (
	problemDoc = api.Problem{}
	receiptDoc = describedReceipt()
	openingDoc = describedOpening()
)

// describedReceipt is a value of the receipt's JSON form (section 13), which
// package receipt does not export.
func describedReceipt() any {
	type ReceiptPair struct {
		Leaf api.Bytes `json:"leaf" doc:"The exact bytes of a leaf."`
		Log  string    `json:"log" doc:"C2SP tlog-proof text." maxLength:"65536"`
	}
	type Receipt struct {
		Version int           `json:"version" minimum:"1" maximum:"1"`
		Leaf    api.Bytes     `json:"leaf" doc:"The exact bytes of the accepted leaf."`
		Log     string        `json:"log" doc:"C2SP tlog-proof text." maxLength:"65536"`
		Claim   ReceiptPair   `json:"claim" doc:"The claim leaf."`
		Epoch   ReceiptPair   `json:"epoch" doc:"The epoch-open leaf that the payload names."`
		Signer  ReceiptPair   `json:"signer" doc:"The epoch-open leaf of the epoch whose key signed the checkpoint."`
		Last    ReceiptPair   `json:"last" doc:"The last leaf of the checkpoint's tree; its header counts the withdrawals."`
		Flags   []ReceiptPair `json:"flags" doc:"The withdrawals in that tree, in log order." maxItems:"256"`
	}
	return Receipt{}
}

// describedOpening is a value of the opening's JSON form (section 13).
func describedOpening() any {
	type Opening struct {
		Version    int                `json:"version" minimum:"1" maximum:"1"`
		RequestID  protocol.RequestID `json:"request_id" doc:"The request it belongs to."`
		Event      string             `json:"event" doc:"The event in RFC 8785 form, as text."`
		Blind      protocol.Element   `json:"blind" doc:"r, the random value that hides the event."`
		ClientSalt protocol.Salt      `json:"client_salt" doc:"Opens the client commitment."`
	}
	return Opening{}
}

// hexText describes a value whose text is lower-case hexadecimal.
func hexText(size int) *huma.Schema {
	n := 2 * size
	return &huma.Schema{Type: huma.TypeString, MinLength: &n, MaxLength: &n, Pattern: "^[0-9a-f]*$"}
}

// base64Text describes a value whose text is base64url without padding; size 0
// is any.
func base64Text(size int) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, ContentEncoding: "base64url", Pattern: "^[A-Za-z0-9_-]*$"}
	if size > 0 {
		n := (size*8 + 5) / 6
		s.MinLength, s.MaxLength = &n, &n
	}
	return s
}

// The described* types describe the texts of the protocol's types to huma.
type (
	describedID      struct{}
	describedLongID  struct{}
	describedValue   struct{}
	describedPayload struct{}
	describedBytes   struct{}
	describedCode    struct{}
)

// Schema is 16 bytes in hexadecimal.
func (describedID) Schema(huma.Registry) *huma.Schema { return hexText(protocol.IDSize) }

// Schema is 32 bytes in hexadecimal.
func (describedLongID) Schema(huma.Registry) *huma.Schema { return hexText(protocol.DigestSize) }

// Schema is 32 bytes in base64url.
func (describedValue) Schema(huma.Registry) *huma.Schema { return base64Text(protocol.DigestSize) }

// Schema is 256 bytes in base64url.
func (describedPayload) Schema(huma.Registry) *huma.Schema { return base64Text(protocol.PayloadSize) }

// Schema is any bytes in base64url.
func (describedBytes) Schema(huma.Registry) *huma.Schema { return base64Text(0) }

// Schema is the closed list of codes.
func (describedCode) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, c := range protocol.Codes() {
		s.Enum = append(s.Enum, c.String())
	}
	return s
}

// newTypes returns a registry with the protocol's text types.
func newTypes() huma.Registry {
	types := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	alias := func(described any, values ...any) {
		for _, v := range values {
			types.RegisterTypeAlias(reflect.TypeOf(v), reflect.TypeOf(described))
		}
	}
	alias(describedID{}, protocol.RequestID{}, protocol.EpochID{}, protocol.InstanceID{})
	alias(describedLongID{}, protocol.ListID{}, protocol.Member{}, protocol.Nullifier{})
	alias(describedValue{}, protocol.Digest{}, protocol.Tag{}, protocol.Salt{}, protocol.Element{}, protocol.Anchor{}, protocol.Commitment{})
	alias(describedPayload{}, api.Payload{})
	alias(describedBytes{}, api.Bytes{})
	alias(describedCode{}, protocol.CodeNone)
	return types
}

// finishTypes describes raw members and removes null everywhere.
func finishTypes(types huma.Registry) {
	raw := map[string]*huma.Schema{
		"params":  {Type: huma.TypeObject},
		"event":   {Type: huma.TypeObject},
		"receipt": types.Schema(reflect.TypeOf(receiptDoc), true, ""),
		"opening": types.Schema(reflect.TypeOf(openingDoc), true, ""),
	}
	for _, s := range types.Map() {
		for name, member := range s.Properties {
			member.Nullable = false
			if what, ok := raw[name]; ok && isAny(member) {
				member.Type, member.Ref = what.Type, what.Ref
			}
		}
	}
}

// isAny reports whether a schema accepts every value.
func isAny(s *huma.Schema) bool {
	bare := *s
	bare.Description = ""
	b, err := json.Marshal(&bare)
	return err == nil && string(b) == "{}"
}
