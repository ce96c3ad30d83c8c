package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/protocol"
)

// openChallenge begins the pull flow.
func (s *Server) openChallenge(e *exchange) error {
	raw, _, err := e.body()
	if err != nil {
		return err
	}
	var req api.ChallengeRequest
	if err := decode(raw, protocol.JSONLimits{Size: api.MaxChallengeBody}, &req); err != nil {
		return err
	}
	id, params, ttl, err := terms(req.Claim, req.Params, req.TTLMillis)
	if err != nil {
		return err
	}
	if err := e.mayUse(id); err != nil {
		return err
	}
	c, err := s.cfg.Gate.Open(e.ctx, gate.OpenRequest{
		Claim: id, Params: params, Commitment: req.Commitment, TTL: ttl, Client: e.who.ClientID(), Index: e.who.Index, By: e.payer(),
	})
	if err != nil {
		return err
	}
	return e.json(http.StatusCreated, &api.Challenge{
		RequestID:    c.RequestID,
		Payload:      api.Payload(c.Payload),
		Anchor:       c.Anchor,
		Tag:          c.Tag,
		PublicInputs: c.Inputs,
		ClientSalt:   c.ClientSalt,
		ExpiresAt:    c.ExpiresAt.UTC().Truncate(time.Millisecond),
	})
}

// mayUse checks that the client may use the claim, now that it is known.
func (e *exchange) mayUse(id claim.ID) error {
	if err := e.who.Allow(e.op.needs, string(id)); err != nil {
		return err
	}
	return e.admitClaim(string(id))
}

// sendProof ends the pull flow.
func (s *Server) sendProof(e *exchange) error {
	answer, err := e.answer()
	if err != nil {
		return err
	}
	index, err := s.cfg.Gate.Accept(e.ctx, answer)
	if err != nil {
		return err
	}
	return e.json(http.StatusCreated, &api.Accepted{
		RequestID: answer.RequestID,
		Index:     index,
		Receipt:   e.receiptWithin(answer.RequestID, e.pref.wait),
	})
}

// answer reads tag and proof in either form.
func (e *exchange) answer() (gate.Answer, error) {
	a := gate.Answer{Client: e.who.ClientID(), By: e.payer()}
	var err error
	if a.RequestID, err = e.requestID(); err != nil {
		return a, err
	}
	raw, media, err := e.body()
	if err != nil {
		return a, err
	}
	if media == api.MediaOctets {
		a.Proof = raw
		a.Tag, err = e.tagHeader()
		return a, err
	}
	var req api.ProofRequest
	err = decode(raw, protocol.JSONLimits{Size: api.MaxProofBody}, &req)
	a.Tag, a.Proof = req.Tag, req.Proof
	return a, err
}

func (e *exchange) tagHeader() (protocol.Tag, error) {
	values := e.r.Header.Values(api.TagHeader)
	if len(values) != 1 {
		return protocol.Tag{}, protocol.Fail(protocol.CodeMalformedRequest, "header "+api.TagHeader+" must be given once")
	}
	return protocol.Parse[protocol.Tag](values[0])
}

// receiptWithin returns the receipt as JSON if it exists within d, and
// nothing otherwise: the acceptance stands without it.
func (e *exchange) receiptWithin(id protocol.RequestID, d time.Duration) (raw json.RawMessage) {
	if d <= 0 {
		return nil
	}
	e.waiting(d, func(ctx context.Context) {
		r, err := e.s.cfg.Gate.Receipt(ctx, id)
		if err == nil {
			raw, err = r.Encode()
		}
		if err != nil {
			e.s.cfg.Log.Debug("no receipt within the wait", "operation", e.op.id, "code", codeOf(err).String())
		}
	})
	return raw
}

// pushEvent is the whole push flow. Once the request is issued, every answer
// but a final refusal contains its opening, because it is stored nowhere else.
func (s *Server) pushEvent(e *exchange) error {
	raw, _, err := e.body()
	if err != nil {
		return err
	}
	var req api.EventRequest
	if err := decodeEvent(raw, &req); err != nil {
		return err
	}
	id, params, ttl, err := terms(req.Claim, req.Params, req.TTLMillis)
	if err != nil {
		return err
	}
	if err := e.mayUse(id); err != nil {
		return err
	}
	pushed, outcome, err := s.cfg.Gate.Push(e.ctx, gate.PushRequest{
		Claim: id, Params: params, Event: req.Event, TTL: ttl, Client: e.who.ClientID(), Index: e.who.Index, By: e.payer(),
	})
	if err != nil {
		return err
	}
	e.issued = &pushed.RequestID
	opening, err := pushed.Opening.Encode()
	if err != nil {
		return err
	}
	return e.pushed(opening, outcome)
}

func (e *exchange) pushed(opening []byte, outcome func(context.Context) (uint64, error)) error {
	end := time.Now().Add(e.pushWait())
	index, err := e.outcome(outcome)
	if errors.Is(err, errNotYet) {
		e.w.Header().Set("Location", "/v1/receipts/"+e.issued.String())
		return e.json(http.StatusAccepted, &api.EventQueued{RequestID: *e.issued, Opening: opening})
	}
	if err != nil {
		return err
	}
	done := &api.EventAccepted{RequestID: *e.issued, Index: index, Opening: opening}
	if e.pref.waits {
		done.Receipt = e.receiptWithin(*e.issued, time.Until(end))
	}
	return e.json(http.StatusCreated, done)
}

// pushWait returns how long a push waits for its outcome: what the client asked
// for, else nothing for respond-async, else the default.
func (e *exchange) pushWait() time.Duration {
	switch {
	case e.pref.waits:
		return e.pref.wait
	case e.pref.async:
		return 0
	default:
		return e.s.cfg.PushWait
	}
}

// errNotYet means that the wait for the outcome of a push ended first. It is no
// context error, because an outcome may have one among its causes.
var errNotYet = errors.New("server: no outcome yet")

// outcome waits for the end of a push; the error is errNotYet if the wait ended
// first.
func (e *exchange) outcome(wait func(context.Context) (uint64, error)) (index uint64, err error) {
	d := e.pushWait()
	if d <= 0 {
		return 0, errNotYet
	}
	e.waiting(d, func(ctx context.Context) {
		index, err = wait(ctx)
		if err != nil && ctx.Err() != nil && protocol.CodeOf(err) == protocol.CodeInternal {
			err = errNotYet
		}
	})
	return index, err
}
