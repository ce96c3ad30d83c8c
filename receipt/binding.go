package receipt

import (
	"errors"
	"fmt"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// binding is step 5: it reports who shows that the encoding behind cm is that
// of an event.
func (v *verification) binding() (string, error) {
	field, err := v.openField()
	if err != nil {
		return "", err
	}
	if v.o.Opening != nil {
		client, err := v.open()
		return "opened: the opening matches this commitment; " + client + field, err
	}
	if v.payload.Mode == protocol.ModePush {
		return "operator: the core made the commitment from the event it was sent" + field, nil
	}
	return "client: only the client has seen an event behind the commitment; an opening would show it" + field, nil
}

// open checks the opening of the whole event and describes what is known of
// the client.
func (v *verification) open() (string, error) {
	o := v.o.Opening
	if o.RequestID != v.payload.RequestID {
		return "", errors.New("the opening is of another request")
	}
	cm, err := claim.Recommit(v.fact.Params(), []byte(o.Event), o.Blind)
	if err != nil {
		return "", err
	}
	if cm != v.payload.Commitment {
		return "", errors.New("the opening does not match the commitment of the payload: event or blind is another")
	}
	shown := func(client string) bool {
		return protocol.ClientCommitment(o.ClientSalt, client).Equal(v.payload.Client)
	}
	switch {
	case v.o.Client != "" && !shown(v.o.Client):
		return "", errors.New("the opening does not match the client commitment of the payload: client id or salt is another")
	case v.o.Client != "":
		return "the client is the one given", nil
	case shown(protocol.LocalClient):
		return "the client was not authenticated", nil
	}
	return "the client is not shown, since no client id was given", nil
}

// openField checks the opening of one field of a record, if given.
func (v *verification) openField() (string, error) {
	f := v.o.Field
	if f == nil {
		return "", nil
	}
	id := v.fact.Claim()
	if id != claim.RecordRange && id != claim.RecordEquals && id != claim.RecordOneOf {
		return "", errors.New("the claim is not about a record, so that no field can be opened")
	}
	if err := f.check(); err != nil {
		return "", err
	}
	if claim.RecordCommitment(id, f.H, f.I, f.Value, f.Salt, f.Siblings[:]) != v.payload.Commitment {
		return "", errors.New("the opening of the field does not match the commitment of the payload")
	}
	return fmt.Sprintf("; field %d has the value given, whatever the event", f.I), nil
}
