package client

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// ErrChallenge is a challenge that differs from what was asked for. Nothing must
// be proved with it.
var ErrChallenge = errors.New("the challenge differs from what was asked for")

// Expected is everything about a challenge that the client knows before it asks.
type Expected struct {
	Statement *claim.Statement // of the own parameters and commitment
	VK        protocol.Digest  // fingerprint of the verifying key that the proof is for
	ClientID  string           // "": protocol.LocalClient
	TTLMillis uint32           // as asked for; 0: any
}

// CheckChallenge recomputes a challenge and returns the public inputs x of the proof
// (section 9, pull). It compares every field of the payload that the client knows, the
// context c, the tag element t and the public values of the statement. The client
// commitment must open to this client, and the anchor must be the first input. Else
// the error is [ErrChallenge], and a [*DiffersError] shows the part.
//
// The server chooses the anchor, nonce, epoch, sequence number and times.
func CheckChallenge(ch *api.Challenge, want Expected) ([]protocol.Element, error) {
	encoded := protocol.EncodedPayload(ch.Payload)
	p, err := protocol.ParsePayload(encoded[:])
	if err != nil {
		return nil, differs("its payload is malformed")
	}
	if err := checkPayload(&p, ch, want); err != nil {
		return nil, err
	}
	x := want.Statement.Inputs(ch.Anchor, protocol.ContextElement(&encoded), protocol.TagElement(ch.Tag))
	err = Compare("number of public inputs", strconv.Itoa(len(x)), strconv.Itoa(len(ch.PublicInputs)))
	for i := 0; err == nil && i < len(x); i++ {
		err = Compare(fmt.Sprintf("public input %d", i), x[i].String(), ch.PublicInputs[i].String())
	}
	if err != nil {
		return nil, differs("%w", err)
	}
	return x, nil
}

func checkPayload(p *protocol.Payload, ch *api.Challenge, want Expected) error {
	client := cmp.Or(want.ClientID, protocol.LocalClient)
	for _, part := range []struct {
		name      string
		want, got fmt.Stringer
	}{
		{"mode", protocol.ModePull, p.Mode},
		{"request id", ch.RequestID, p.RequestID},
		{"commitment", want.Statement.Commitment(), p.Commitment},
		{"verifying key", want.VK, p.VK},
		{"statement digest", want.Statement.Digest(), p.Statement},
		{"client commitment", protocol.ClientCommitment(ch.ClientSalt, client), p.Client},
		{"lifetime", time.Duration(cmp.Or(want.TTLMillis, p.TTL)) * time.Millisecond, time.Duration(p.TTL) * time.Millisecond},
	} {
		if err := Compare(part.name, part.want.String(), part.got.String()); err != nil {
			return differs("%w", err)
		}
	}
	if p.RequestID == (protocol.RequestID{}) {
		return differs("its request id is zero")
	}
	return nil
}

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrChallenge, fmt.Errorf(format, args...))
}
