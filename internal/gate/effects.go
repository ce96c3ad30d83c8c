package gate

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// run applies an event to a session and carries out the effect. What the effect
// finds out is the next event; run returns when there is none.
func (g *Gate) run(ctx context.Context, s *session.Session, event lifecycle.Event, a *attempt) (lifecycle.State, protocol.Code) {
	for {
		c := s.Step(event, a.digest)
		if c.Ended {
			g.ended(s, &c)
		}
		next := afterPanic[c.Effect]
		_ = g.guard(c.Effect.String(), func() error { next = g.carryOut(ctx, s, &c, a); return nil })
		if event = next; event == nil {
			return c.State, c.Code
		}
	}
}

// guard makes a call whose panic must neither end the process nor leave a request
// undecided. The panic is logged and returned as an error.
func (g *Gate) guard(call string, do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Log.Error("call panicked", "call", call, "panic", p, "stack", string(debug.Stack()))
			err = protocol.Fail(protocol.CodeInternal, "")
		}
	}()
	return do()
}

// ended counts the end of a session, for its payer and in its epoch.
func (g *Gate) ended(s *session.Session, c *session.Change) {
	decided := c.State.Phase == lifecycle.PhaseAccepted || c.State.Phase == lifecycle.PhaseRejected
	g.admission.pacer.Ended(g.cfg.Now(), s.Charge, decided)
	if epoch, live := g.cfg.Epochs.Find(c.Open.Epoch); live {
		_ = g.guard("ended", func() error { epoch.Ended(c.State.Phase); return nil })
	}
}

// find returns an epoch that is live, and that the gate has not destroyed.
func (g *Gate) find(id protocol.EpochID) (epoch Epoch, live bool) {
	if _, over := g.destroyed.Load(id); over {
		return nil, false
	}
	return g.cfg.Epochs.Find(id)
}

// step is [Gate.run] for an event that no client waits for.
func (g *Gate) step(ctx context.Context, s *session.Session, event lifecycle.Event) {
	_, _ = g.run(ctx, s, event, &attempt{})
}

// carryOut carries out the effect of one step and returns what it finds out, nil if
// no event follows. Only the wait for another answer ends with the client's context:
// what is claimed is decided, even if the client is gone.
func (g *Gate) carryOut(ctx context.Context, s *session.Session, c *session.Change, a *attempt) lifecycle.Event {
	switch c.Effect {
	case lifecycle.EffectRedeem:
		return g.redeem(context.WithoutCancel(ctx), c.Open, a)
	case lifecycle.EffectVerify:
		return g.verifyAnswer(context.WithoutCancel(ctx), s, c.Open, a)
	case lifecycle.EffectCommit:
		return g.commit(context.WithoutCancel(ctx), s, c.Open, a)
	case lifecycle.EffectResolve:
		g.resolve(s)
	case lifecycle.EffectAwait:
		a.room.leave()
		if s.AwaitChange(ctx, lifecycle.PhaseClaimed) == nil {
			return g.judge(s, a)
		}
	case lifecycle.EffectCancel:
		if epoch, live := g.find(c.Open.Epoch); live {
			g.cancel(ctx, epoch, s.ID)
		}
	case lifecycle.EffectDestroyEpoch:
		if epoch, live := g.find(c.Open.Epoch); live {
			g.cfg.Log.Error("core and tagger disagree; epoch destroyed", "epoch", c.Open.Epoch.String(), "request_id", s.ID.String())
			g.destroyed.Store(c.Open.Epoch, true) // first: the gate does not use it again if the call panics
			epoch.Destroy()
		}
	case lifecycle.EffectNone, lifecycle.EffectIssue, lifecycle.EffectReply: // for the caller of run
	}
	return nil
}

// afterPanic holds the event that follows a panic in an effect of the winner: before
// the transaction the request ends, from then on its outcome is unknown. After any other
// effect none follows.
var afterPanic = map[lifecycle.Effect]lifecycle.Event{
	lifecycle.EffectRedeem: lifecycle.EventAborted{},
	lifecycle.EffectVerify: lifecycle.EventAborted{},
	lifecycle.EffectCommit: lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown},
}

// cancel cancels the tag of a request that has ended.
func (g *Gate) cancel(ctx context.Context, epoch Epoch, id protocol.RequestID) {
	err := g.guard("cancel", func() error { return epoch.Cancel(context.WithoutCancel(ctx), id) })
	if err != nil {
		g.cfg.Log.Debug("tag not cancelled", "request_id", id.String(), "err", err)
	}
}

// redeem asks the tagger (step 8). If the tagger does not answer, it is not known
// whether the tag is used up, so the request ends.
func (g *Gate) redeem(ctx context.Context, open *session.Open, a *attempt) lifecycle.Event {
	var err error
	if a.statement, a.claim, err = g.statementOf(open); err != nil {
		g.cfg.Log.Error("statement of a session cannot be rebuilt", "request_id", a.RequestID.String(), "err", err)
		a.cause = telemetry.Fault
		return lifecycle.EventAborted{}
	}
	epoch, live := g.find(open.Epoch)
	if !live {
		a.cause = telemetry.ForeignEpoch
		return lifecycle.EventAborted{}
	}
	verdict, err := epoch.Redeem(ctx, &open.Payload, a.Tag)
	if err != nil {
		g.cfg.Log.Warn("tagger returned no verdict", "epoch", open.Epoch.String(), "err", err)
		a.cause = telemetry.Fault
		return lifecycle.EventAborted{}
	}
	if verdict != protocol.RedeemOK && verdict != protocol.RedeemExpired {
		a.cause = telemetry.Disagreement
	}
	return lifecycle.EventRedeemed{Verdict: verdict}
}

// statementOf rebuilds the statement of a session from what the core stored at its
// issue, never from an answer.
func (g *Gate) statementOf(open *session.Open) (*claim.Statement, *Claim, error) {
	payload, err := protocol.ParsePayload(open.Payload[:])
	if err != nil {
		return nil, nil, err
	}
	params, err := claim.ParseParams(claim.ID(open.Claim), open.Params)
	if err != nil {
		return nil, nil, err
	}
	c, err := g.claimOf(params)
	if err != nil {
		return nil, nil, err
	}
	st, err := claim.NewStatement(params, payload.Commitment)
	return st, c, err
}

// verifyAnswer is step 9, against inputs that the core builds from its own state.
// Meanwhile the epoch is asked for the place of the anchor in the issued tree.
func (g *Gate) verifyAnswer(ctx context.Context, s *session.Session, open *session.Open, a *attempt) lifecycle.Event {
	if a.proved {
		return lifecycle.EventVerified{OK: true}
	}
	a.place = g.askPlace(ctx, open)
	inputs := a.statement.Inputs(open.Anchor, protocol.ContextElement(&open.Payload), s.TagHash)
	began := time.Now()
	err := g.verify(a.claim, inputs, a.Proof)
	a.details.Verified = time.Since(began)
	a.room.done()
	switch {
	case errors.Is(err, claim.ErrProofEncoding):
		a.cause = telemetry.MalformedProof
	case err != nil:
		a.cause = telemetry.FalseProof
	}
	return lifecycle.EventVerified{OK: err == nil}
}

// verify verifies a proof where long calculations are made.
func (g *Gate) verify(c *Claim, inputs []protocol.Element, proof []byte) (err error) {
	g.cfg.Calculate(func() { err = claim.Verify(c.Key, inputs, proof) })
	return err
}

// placeFunc waits for the place of an anchor in the issued tree and returns it.
type placeFunc func() (protocol.Issued, error)

// askPlace asks the epoch for the place of a session's anchor in the issued tree
// and returns at once, so that the signer signs a root while the proof is verified.
func (g *Gate) askPlace(ctx context.Context, open *session.Open) placeFunc {
	epoch, live := g.find(open.Epoch)
	if !live {
		return func() (protocol.Issued, error) { return protocol.Issued{}, protocol.CodeInvalidated }
	}
	ask := sync.OnceValues(func() (place protocol.Issued, err error) {
		err = g.guard("issued", func() (err error) {
			place, err = epoch.Issued(ctx, open.Position)
			return err
		})
		return place, err
	})
	go func() { _, _ = ask() }() // it ends with the call to the epoch; the result is kept for the caller
	return ask
}

// commit is step 10: one journal transaction, whose commit is the acceptance. If no
// signed root of the issued tree covers the anchor, because the signer has exited,
// the request is refused as invalidated.
func (g *Gate) commit(ctx context.Context, s *session.Session, open *session.Open, a *attempt) lifecycle.Event {
	if _, live := g.find(open.Epoch); !live {
		a.cause = telemetry.ForeignEpoch
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeInvalidated}
	}
	place, err := a.place()
	if err != nil {
		g.cfg.Log.Warn("no signed root of the issued tree covers the anchor", "epoch", open.Epoch.String(), "err", err)
		a.cause = telemetry.ForeignEpoch
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeInvalidated}
	}
	acc := &journal.Acceptance{
		Leaf: protocol.Accepted{
			Payload: open.Payload,
			Anchor:  open.Anchor,
			TagHash: s.TagHash,
			Issued:  place,
			Params:  open.Params,
			Proof:   a.Proof,
		},
		Claim:       open.Claim,
		ProofDigest: a.digest,
	}
	acc.Scope, acc.Nullifier, acc.HasNullifier = a.statement.Params().Nullifier()
	entry, err := g.cfg.Journal.Accept(ctx, g.cfg.Now(), acc)
	switch {
	case err == nil:
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: entry.Seq}
	case errors.Is(err, journal.ErrUnknown):
		g.cfg.Log.Warn("outcome of an acceptance is unknown", "err", err)
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}
	default:
		g.cfg.Log.Info("acceptance refused by the journal", "code", protocol.CodeOf(err).String(), "err", err)
		if a.cause = telemetry.CauseOf(err); errors.Is(err, journal.ErrRepeated) {
			a.cause = telemetry.RepeatedAnchor
		}
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeOf(err)}
	}
}

// resolveEvery is how often an unknown outcome is looked up.
const resolveEvery = 100 * time.Millisecond

// resolve reads the row of a session by request id until it is known whether it was
// committed, or the gate stops.
func (g *Gate) resolve(s *session.Session) {
	g.work.Go(func() {
		for {
			if event, known := g.lookUp(s.ID); known {
				g.step(g.ctx, s, event)
				return
			}
			select {
			case <-g.ctx.Done():
				return
			case <-time.After(resolveEvery):
			}
		}
	})
}

func (g *Gate) lookUp(id protocol.RequestID) (lifecycle.Event, bool) {
	var entry journal.Entry
	var found bool
	err := g.guard("accepted", func() (err error) {
		entry, found, err = g.cfg.Journal.Accepted(g.ctx, id)
		return err
	})
	switch {
	case err != nil:
		return nil, false
	case found:
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: entry.Seq}, true
	default:
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeLedgerUnavailable}, true
	}
}
