package gate

import (
	"fmt"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// OpenRequest asks for a challenge (pull, section 9).
type OpenRequest struct {
	Claim      claim.ID
	Params     []byte // exact RFC 8785 form, as claim.ParseParams wants it
	Commitment protocol.Commitment
	TTL        time.Duration // 0 = default
	Client     string        // authenticated client id, protocol.LocalClient without authentication
	Index      uint32        // of the client, 0 without authentication
	By         limit.Payer   // to whom the challenge is charged
}

// Challenge is what a client needs to make a proof and answer.
type Challenge struct {
	RequestID  protocol.RequestID
	Payload    protocol.EncodedPayload
	Anchor     protocol.Anchor
	Tag        protocol.Tag
	Inputs     []protocol.Element // x = [a, c, t, s1..sk]
	ClientSalt protocol.Salt
	ExpiresAt  time.Time // informative
}

// Format writes "redacted" for every verb and flag.
func (Challenge) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// Answer is what a client sends back: the proof and the tag of its challenge.
type Answer struct {
	RequestID protocol.RequestID
	Tag       protocol.Tag
	Proof     []byte // as sent, any size
	Client    string
	By        limit.Payer
}

// Format writes "redacted" for every verb and flag.
func (Answer) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// PushRequest asks the operator's provers to prove an event (push, section 9).
type PushRequest struct {
	Claim  claim.ID
	Params []byte        // exact RFC 8785 form
	Event  []byte        // JSON as sent; the gate puts it in canonical form
	TTL    time.Duration // 0 = default
	Client string
	Index  uint32 // of the client
	By     limit.Payer
}

// Pushed is a push that is queued. The opening is returned to the client at once and
// is not stored.
type Pushed struct {
	RequestID protocol.RequestID
	Opening   receipt.Opening
}

// Format writes "redacted" for every verb and flag.
func (Pushed) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }
