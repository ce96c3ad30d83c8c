package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// openChallenge starts the pull flow.
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
	c, err := s.cfg.Gate.Open(e.ctx, gate.OpenRequest{
		Claim: id, Params: params, Commitment: req.Commitment, TTL: ttl, Client: e.client,
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

// sendProof ends the pull flow.
func (s *Server) sendProof(e *exchange) error {
	answer, err := e.answer()
	if err != nil {
		return err
	}
	accepted, err := s.cfg.Gate.Accept(e.ctx, answer)
	if err != nil {
		return err
	}
	return e.json(http.StatusCreated, &api.Accepted{
		RequestID: accepted.RequestID,
		Index:     accepted.Index,
		Receipt:   e.receiptWithin(accepted.RequestID, e.pref.wait),
	})
}

// answer reads tag and proof in either form.
func (e *exchange) answer() (gate.Answer, error) {
	a := gate.Answer{Client: e.client}
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
	return protocol.ParseTag(values[0])
}

// receiptWithin is the receipt as JSON if it is there within d, and nothing
// otherwise: the acceptance stands without it.
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

// pushEvent is the whole push flow. Once the request is issued its opening
// reaches the client with every answer but a final refusal: nobody else has it.
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
	pushed, outcome, err := s.cfg.Gate.Push(e.ctx, gate.PushRequest{
		Claim: id, Params: params, Event: req.Event, TTL: ttl, Client: e.client,
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

func (e *exchange) pushed(opening []byte, outcome func(context.Context) (gate.Accepted, error)) error {
	end := time.Now().Add(e.pushWait())
	accepted, err := e.outcome(outcome)
	if errors.Is(err, context.DeadlineExceeded) {
		e.w.Header().Set("Location", "/v1/receipts/"+e.issued.String())
		return e.json(http.StatusAccepted, &api.EventQueued{RequestID: *e.issued, Opening: opening})
	}
	if err != nil {
		return err
	}
	done := &api.EventAccepted{RequestID: *e.issued, Index: accepted.Index, Opening: opening}
	if e.pref.waits {
		done.Receipt = e.receiptWithin(*e.issued, time.Until(end))
	}
	return e.json(http.StatusCreated, done)
}

// pushWait is how long a push waits for its outcome: what the client said, else
// nothing for respond-async, else the default.
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

// outcome waits for the end of a push; the error is the context's if the wait
// ended first.
func (e *exchange) outcome(wait func(context.Context) (gate.Accepted, error)) (a gate.Accepted, err error) {
	d := e.pushWait()
	if d <= 0 {
		return a, context.DeadlineExceeded
	}
	e.waiting(d, func(ctx context.Context) {
		a, err = wait(ctx)
		if err != nil && ctx.Err() != nil && protocol.CodeOf(err) == protocol.CodeInternal {
			err = context.DeadlineExceeded
		}
	})
	return a, err
}

// glance is how long a receipt is looked for when the client does not want to
// wait: about what a leaf needs to be published.
const glance = 500 * time.Millisecond

// getReceipt answers with the receipt of a request.
func (s *Server) getReceipt(e *exchange) error {
	id, err := e.requestID()
	if err != nil {
		return err
	}
	var r *receipt.Receipt
	e.waiting(max(e.pref.wait, glance), func(ctx context.Context) {
		r, err = s.cfg.Gate.Receipt(ctx, id)
	})
	if err != nil {
		return noReceipt(err)
	}
	body, err := r.Encode()
	if err != nil {
		return err
	}
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.bytes(http.StatusOK, api.MediaReceipt, body)
}

// noReceipt says that there may be a receipt later where the wait just ended.
func noReceipt(err error) error {
	if codeOf(err) == protocol.CodeOverloaded && protocol.CodeOf(err) == protocol.CodeInternal {
		return protocol.Wrap(protocol.CodeNotFound, "no receipt yet", err)
	}
	return err
}

// verifyWait bounds how long a receipt waits for its turn to be verified.
const verifyWait = 2 * time.Second

// verifyReceipt runs the offline verifier.
func (s *Server) verifyReceipt(e *exchange) error {
	self, err := allowSelfAsserted(e.r)
	if err != nil {
		return err
	}
	raw, _, err := e.body()
	if err != nil {
		return err
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		return err
	}
	turn := time.NewTimer(verifyWait)
	defer turn.Stop()
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-turn.C:
		return protocol.Fail(protocol.CodeOverloaded, "too many receipts at once")
	case <-e.ctx.Done():
		return e.ctx.Err()
	}
	options := s.cfg.Verify
	options.AllowSelfAsserted = self
	return e.json(http.StatusOK, receipt.Verify(e.ctx, r, options))
}

func allowSelfAsserted(r *http.Request) (bool, error) {
	switch r.URL.RawQuery {
	case "", "allow_self_asserted=false":
		return false, nil
	case "allow_self_asserted=true":
		return true, nil
	default:
		return false, protocol.Fail(protocol.CodeMalformedRequest, "the only query is allow_self_asserted=true or false")
	}
}

// listClaims answers with every verifying key of the log.
func (s *Server) listClaims(e *exchange) error {
	all, err := s.cfg.Records.Claims(e.ctx)
	if err != nil {
		return err
	}
	return e.read(&api.Claims{Claims: orEmpty(all)})
}

// getClaim answers with one verifying key.
func (s *Server) getClaim(e *exchange) error {
	fp, err := protocol.ParseDigest(e.r.PathValue("fingerprint"))
	if err != nil {
		return err
	}
	all, err := s.cfg.Records.Claims(e.ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Fingerprint.Equal(fp) {
			return e.read(&all[i])
		}
	}
	return protocol.Fail(protocol.CodeNotFound, "no claim in the log has this fingerprint")
}

// listEpochs answers with the newest epochs.
func (s *Server) listEpochs(e *exchange) error {
	newest, err := s.cfg.Records.Epochs(e.ctx, api.MaxEpochs)
	if err != nil {
		return err
	}
	return e.read(&api.Epochs{Epochs: orEmpty(newest)})
}

// getEpoch answers with one epoch.
func (s *Server) getEpoch(e *exchange) error {
	n, err := e.epochNumber()
	if err != nil {
		return err
	}
	epoch, err := s.cfg.Records.Epoch(e.ctx, n)
	if err != nil {
		return err
	}
	return e.read(&epoch)
}

// getIssued answers with the digests of everything a closed epoch issued.
func (s *Server) getIssued(e *exchange) error {
	n, err := e.epochNumber()
	if err != nil {
		return err
	}
	digests, err := s.cfg.Records.Issued(e.ctx, n)
	if err != nil {
		return err
	}
	body := make([]byte, 0, len(digests)*protocol.DigestSize)
	for i := range digests {
		body = append(body, digests[i][:]...)
	}
	e.w.Header().Set("Cache-Control", immutable)
	return e.bytes(http.StatusOK, api.MediaOctets, body)
}

// epochNumber reads the number in the path: decimal, without leading zeros.
func (e *exchange) epochNumber() (uint64, error) {
	text := e.r.PathValue("n")
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, protocol.Fail(protocol.CodeMalformedRequest, "an epoch is named by its number")
	}
	return n, nil
}

// getStatus answers with the state of the whole.
func (s *Server) getStatus(e *exchange) error {
	status, err := s.cfg.Records.Status(e.ctx)
	if err != nil {
		return err
	}
	status.Holds = orEmpty(status.Holds)
	return e.read(&status)
}

// read answers with something that may change and must be asked again.
func (e *exchange) read(v any) error {
	e.w.Header().Set("Cache-Control", "no-cache")
	return e.json(http.StatusOK, v)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
