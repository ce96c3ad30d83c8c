package client

import (
	"cmp"
	"errors"
	"fmt"

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
// the error is [ErrChallenge] and names the part.
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
	if len(x) != len(ch.PublicInputs) {
		return nil, differs("it has %d public inputs and not %d", len(ch.PublicInputs), len(x))
	}
	for i := range x {
		if !x[i].Equal(ch.PublicInputs[i]) {
			return nil, differs("public input %d", i)
		}
	}
	return x, nil
}

func checkPayload(p *protocol.Payload, ch *api.Challenge, want Expected) error {
	client := cmp.Or(want.ClientID, protocol.LocalClient)
	for _, part := range []struct {
		same bool
		name string
	}{
		{p.Mode == protocol.ModePull, "mode"},
		{p.RequestID == ch.RequestID && p.RequestID != protocol.RequestID{}, "request id"},
		{p.Commitment == want.Statement.Commitment(), "commitment"},
		{p.VK.Equal(want.VK), "verifying key"},
		{p.Statement.Equal(want.Statement.Digest()), "statement digest"},
		{p.Client.Equal(protocol.ClientCommitment(ch.ClientSalt, client)), "client commitment"},
		{want.TTLMillis == 0 || p.TTL == want.TTLMillis, "lifetime"},
	} {
		if !part.same {
			return differs("the payload's %s", part.name)
		}
	}
	return nil
}

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrChallenge, fmt.Sprintf(format, args...))
}
