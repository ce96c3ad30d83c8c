package gate

import (
	"context"
	"errors"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// proveAttempts is how often a job is sent to a prover that returns bad proofs.
const proveAttempts = 2

// Push commits to an event, opens a request for it and has it proved. It returns once
// the request is queued. The second result waits for the outcome within its context;
// the request is decided even if no caller waits.
func (g *Gate) Push(ctx context.Context, req PushRequest) (p *Pushed, wait func(context.Context) (index uint64, err error), err error) {
	defer func() {
		d := telemetry.DetailsOf(ctx)
		d.Claim = known(req.Claim)
		if err != nil {
			g.observe("push", protocol.RequestID{}, req.Claim, err)
			return
		}
		d.ID = p.RequestID
	}()
	st, assignment, p, err := commit(req)
	if err != nil {
		return nil, nil, inputsError(err)
	}
	if g.cfg.Prover == nil {
		return nil, nil, protocol.Fail(protocol.CodeForbidden, "this server proves nothing; prove on your side")
	}
	if err := g.reserve(); err != nil {
		return nil, nil, err
	}
	queued := false
	defer func() { // also after a panic
		if !queued {
			<-g.push
		}
	}()
	is, err := g.issue(ctx, protocol.ModePush, st, req.TTL, client{req.Client, req.Index, req.By})
	if err != nil {
		return nil, nil, err
	}
	p.RequestID = is.session.ID
	p.Opening.RequestID, p.Opening.ClientSalt = is.session.ID, is.session.Salt
	job := &Job{Statement: st, Inputs: is.inputs, Assignment: assignment, Tag: is.tag, Deadline: is.deadline}
	o := &outcome{done: make(chan struct{})}
	queued = true
	g.work.Go(func() {
		defer func() { <-g.push; close(o.done) }()
		o.index, o.err = g.prove(is, job, client{req.Client, req.Index, req.By})
		g.observe("push", p.RequestID, req.Claim, o.err)
	})
	return p, o.wait, nil
}

// reserve takes one of the places for pushed events.
func (g *Gate) reserve() error {
	select {
	case g.push <- struct{}{}:
		return nil
	default:
	}
	if g.draining.Load() { // Drain takes all places
		return stopping()
	}
	return protocol.Fail(protocol.CodeOverloaded, "too many events wait to be proved")
}

// outcome is the end of a pushed event; index and err are set before done closes.
type outcome struct {
	done  chan struct{}
	index uint64
	err   error
}

func (o *outcome) wait(ctx context.Context) (index uint64, err error) {
	select {
	case <-o.done:
		return o.index, o.err
	case <-ctx.Done():
	}
	select {
	case <-o.done: // both were ready
		return o.index, o.err
	default:
		return 0, ctx.Err()
	}
}

// commit puts the event in canonical form, commits to it and checks that it satisfies
// the claim. It runs before any call to a keyholder.
func commit(req PushRequest) (*claim.Statement, *claim.Assignment, *Pushed, error) {
	params, err := claim.ParseParams(req.Claim, req.Params)
	if err != nil {
		return nil, nil, nil, err
	}
	if req.Claim == claim.Group {
		return nil, nil, nil, protocol.Fail(protocol.CodeMalformedRequest, "this claim is proved by its member only; open a challenge instead")
	}
	event, err := protocol.Canonicalize(req.Event)
	if err != nil {
		return nil, nil, nil, err
	}
	blind := claim.NewBlind()
	cm, assignment, err := claim.Commit(params, event, blind)
	if err != nil {
		return nil, nil, nil, err
	}
	st, err := claim.NewStatement(params, cm)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := st.Check(assignment); err != nil {
		return nil, nil, nil, err
	}
	return st, assignment, &Pushed{Opening: receipt.Opening{Event: string(event), Blind: blind}}, nil
}

// prove gets a valid proof from a prover and accepts it, or ends the request.
func (g *Gate) prove(is *issued, job *Job, by client) (index uint64, err error) {
	ctx, cancel := context.WithDeadline(g.ctx, job.Deadline)
	defer cancel()
	g.work.Go(func() { // a request that is invalidated needs no proof
		if is.session.AwaitChange(ctx, lifecycle.PhaseIssued) == nil {
			cancel()
		}
	})
	place := g.askPlace(g.ctx, is.open)
	proof, err := g.goodProof(ctx, job, by.payer)
	if err != nil && g.ctx.Err() != nil {
		g.step(ctx, is.session, lifecycle.EventInvalidate{Reason: protocol.CodeDraining})
		return 0, stopping()
	}
	if err != nil {
		_, code := g.run(ctx, is.session, lifecycle.EventProverFailed{Code: protocol.CodeOf(err)}, &attempt{})
		if code != protocol.CodeOf(err) { // it has ended otherwise
			return 0, refusal(code)
		}
		return 0, err
	}
	answer := Answer{RequestID: is.session.ID, Tag: job.Tag, Proof: proof, Client: by.id, By: by.payer}
	a := &attempt{Answer: answer, place: place, proved: true, details: new(telemetry.Details)}
	err = g.guard("accept", func() (err error) { index, err = g.accept(ctx, a); return err })
	if err == nil {
		return index, nil
	}
	switch phase := is.session.View().State.Phase; {
	case phase == lifecycle.PhaseIssued:
		// A hold that came in between refused the answer, and nothing was consumed.
		// No client has the proof, so the request ends.
		g.step(ctx, is.session, lifecycle.EventInvalidate{Reason: protocol.CodeOf(err)})
	case phase == lifecycle.PhaseClaimed, errors.Is(err, protocol.CodeLedgerUnavailable):
		// The outcome of the commit was not known then, and may be known now. With
		// this error the client would push again, and lose the opening of an event
		// that may be accepted.
		err = g.guard("accept", func() (err error) { index, err = g.accept(g.ctx, a); return err })
	}
	return index, err
}

// goodProof asks for a proof until one verifies. After a bad answer the job is sent
// once more while there is time.
func (g *Gate) goodProof(ctx context.Context, job *Job, by limit.Payer) ([]byte, error) {
	var last error
	for range proveAttempts {
		var proof []byte
		err := g.guard("prove", func() (err error) { proof, err = g.oneProof(ctx, job, by); return err })
		if err == nil {
			return proof, nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, err // the gate stops or the request has ended; the prover is not at fault
		}
		g.cfg.Log.Warn("prover returned no valid proof", "code", protocol.CodeOf(err).String(), "err", err)
		last = err
		if !errors.Is(err, protocol.CodeProverBadResponse) && !errors.Is(err, protocol.CodeProverTagMismatch) || ctx.Err() != nil {
			break
		}
	}
	return nil, last
}

func (g *Gate) oneProof(ctx context.Context, job *Job, by limit.Payer) ([]byte, error) {
	proof, tag, err := g.cfg.Prover.Prove(ctx, job)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, protocol.Wrap(protocol.CodeProverTimeout, "no proof was ready before the deadline", err)
	case err != nil:
		return nil, err
	case !tag.Equal(job.Tag):
		return nil, protocol.Fail(protocol.CodeProverTagMismatch, "the prover returned another tag")
	}
	c, err := g.claimOf(job.Statement.Params())
	if err != nil {
		return nil, err
	}
	place, err := g.admission.enter(ctx, work{by: by, units: verifyUnits, patient: true})
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeOverloaded, "the proof could not be verified in time", err)
	}
	defer place.leave()
	err = g.verify(c, job.Inputs, proof)
	place.done()
	if err != nil {
		return nil, protocol.Wrap(protocol.CodeProverBadResponse, "the prover returned a proof that does not verify", err)
	}
	return proof, nil
}
