package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/terradourada/td/protocol"
)

// ChallengeRequest is the body of POST /v1/challenges: the start of the pull
// flow. The event stays with the client.
type ChallengeRequest struct {
	Claim      string              `json:"claim" doc:"Claim id, for example range/1." minLength:"1" maxLength:"64"`
	Params     json.RawMessage     `json:"params" doc:"Public parameters of the claim; at most 2048 bytes in RFC 8785 form."`
	Commitment protocol.Commitment `json:"commitment" doc:"cm, the commitment to the event."`
	TTLMillis  uint32              `json:"ttl_ms,omitempty" doc:"Lifetime in milliseconds, 1000 to 600000; 0 or absent means 120000." maximum:"600000"`
}

// Challenge is the answer to a [ChallengeRequest]. The tag is for this client
// alone and is accepted with one answer only.
type Challenge struct {
	RequestID    protocol.RequestID `json:"request_id" doc:"Names the request; random."`
	Payload      Payload            `json:"payload" doc:"The 256 bytes that were signed and tagged."`
	Anchor       protocol.Anchor    `json:"anchor" doc:"a, the first public input."`
	Tag          protocol.Tag       `json:"tag" doc:"tau, to be returned with the proof. Keep it secret until then."`
	PublicInputs []protocol.Element `json:"public_inputs" doc:"x = [a, c, t, s1..sk]; recompute before proving." minItems:"4" maxItems:"35"`
	ClientSalt   protocol.Salt      `json:"client_salt" doc:"Opens the client commitment inside the payload."`
	ExpiresAt    time.Time          `json:"expires_at" doc:"When the challenge ends; informative, the deadline is kept by the tagger."`
}

// Format writes "redacted" for every verb and flag.
func (Challenge) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// ProofRequest is the JSON body of POST /v1/challenges/{id}/proof.
type ProofRequest struct {
	Tag   protocol.Tag `json:"tag" doc:"The tag of the challenge."`
	Proof Bytes        `json:"proof" doc:"The proof, 664 bytes." minLength:"1" maxLength:"1024"`
}

// Format writes "redacted" for every verb and flag.
func (ProofRequest) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// Accepted is the answer to a proof that was accepted and is in the journal.
type Accepted struct {
	RequestID protocol.RequestID `json:"request_id" doc:"The request that was answered."`
	Index     uint64             `json:"index" doc:"Index of the leaf in the log."`
	Receipt   json.RawMessage    `json:"receipt,omitempty" doc:"Present if it was waited for and published in time."`
}

// EventRequest is the body of POST /v1/events: the push flow. A prover of the
// operator sees the event.
type EventRequest struct {
	Claim     string          `json:"claim" doc:"Claim id, for example range/1." minLength:"1" maxLength:"64"`
	Params    json.RawMessage `json:"params" doc:"Public parameters of the claim; at most 2048 bytes in RFC 8785 form."`
	Event     json.RawMessage `json:"event" doc:"The event; at most 65536 bytes, by the rules of section 4 of TD/1."`
	TTLMillis uint32          `json:"ttl_ms,omitempty" doc:"Lifetime in milliseconds, 1000 to 600000; 0 or absent means 120000." maximum:"600000"`
}

// EventAccepted is the answer to an [EventRequest] that was accepted in time.
type EventAccepted struct {
	RequestID protocol.RequestID `json:"request_id" doc:"Names the request; random."`
	Index     uint64             `json:"index" doc:"Index of the leaf in the log."`
	Receipt   json.RawMessage    `json:"receipt,omitempty" doc:"Present if it was waited for and published in time."`
	Opening   json.RawMessage    `json:"opening" doc:"Private: opens the commitment. It is stored nowhere else; keep it."`
}

// EventQueued is the answer to an [EventRequest] that is still being proved,
// because the client asked not to wait or the wait ended.
type EventQueued struct {
	RequestID protocol.RequestID `json:"request_id" doc:"Names the request; ask for its receipt."`
	Opening   json.RawMessage    `json:"opening" doc:"Private: opens the commitment. It is stored nowhere else; keep it."`
}
