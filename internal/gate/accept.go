package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

// Accept judges an answer in the order of section 10, the only order allowed.
// It may be called any number of times for one request; one call at most wins
// it.
func (g *Gate) Accept(ctx context.Context, a Answer) (acc Accepted, err error) {
	defer func() { g.observe("accept", a.RequestID, "", err) }()
	return g.accept(ctx, &a, nil)
}

// accept is Accept. For a pushed event, whose proof was found good already for
// this very session, pushed is what [Gate.askPlace] returned for it; nil for any
// other answer.
func (g *Gate) accept(ctx context.Context, a *Answer, pushed placeFunc) (Accepted, error) {
	if len(a.Proof) != protocol.ProofSize { // step 1; nothing is consumed
		return Accepted{}, protocol.Failf(protocol.CodeMalformedRequest, "a proof is exactly %d bytes", protocol.ProofSize)
	}
	s, known := g.cfg.Sessions.Get(a.RequestID) // step 3
	if !known {
		s = g.nobody
	}
	proof := protocol.Digest(sha256.Sum256(a.Proof))
	for {
		view := s.View()
		effects, code, state := g.step(ctx, s, g.judge(s, &view, a), proof)
		switch {
		case slices.Contains(effects, lifecycle.EffectRedeem):
			return g.settle(ctx, s, view.Open, a, pushed)
		case slices.Contains(effects, lifecycle.EffectReply):
			return Accepted{RequestID: s.ID, Index: state.Index}, nil
		case slices.Contains(effects, lifecycle.EffectAwait):
			if s.AwaitChange(ctx, lifecycle.PhaseClaimed) != nil {
				return Accepted{}, refusal(code)
			}
		default:
			return Accepted{}, refusal(code)
		}
	}
}

// judge computes the facts of steps 4 to 7, all of them whatever each one says,
// so that the steps cost the same for a known and an unknown request. SameProof
// is the session's to fill in: what it is compared with may change until then.
func (g *Gate) judge(s *session.Session, view *session.View, a *Answer) lifecycle.EventAnswer {
	e := lifecycle.EventAnswer{
		ClientMatches:      protocol.ClientCommitment(s.Salt, a.Client).Equal(s.Client),
		TagMatches:         protocol.TagElement(a.Tag).Equal(s.TagHash),
		JournalUnavailable: !g.cfg.Holds.Writable(),
		LagTooFar:          g.cfg.Ledger.Lag() > g.cfg.MaxLag,
	}
	var vk protocol.Digest
	if view.Open != nil {
		vk = view.Open.Payload.VK()
	}
	e.Frozen = g.cfg.Holds.AcceptHeld(vk)
	return e
}

// refusals are the sentences for the codes an answer can end in.
var refusals = map[protocol.Code]string{
	protocol.CodeSubmissionRejected: "the answer does not belong to a pending request of this client",
	protocol.CodeAlreadyConsumed:    "the request was answered with another proof",
	protocol.CodeConflict:           "the request is being decided, or its commitment was accepted before",
	protocol.CodeFrozen:             "acceptance is on hold; nothing was consumed",
	protocol.CodeLedgerUnavailable:  "the outcome is not known yet, or the journal does not take writes; ask for the receipt later",
	protocol.CodeExpired:            "the deadline has passed",
	protocol.CodeInvalidated:        "the request was ended; open a new one",
	protocol.CodeProofRejected:      "the proof is malformed or does not show the statement; the request is over",
	protocol.CodeNullifierUsed:      "this member has answered in this scope already",
}

func refusal(c protocol.Code) error { return protocol.Fail(c, refusals[c]) }

// settle takes a claimed session to its end. Only the winner is here. The work
// no longer hangs on the client: what is claimed is decided.
func (g *Gate) settle(ctx context.Context, s *session.Session, open *session.Open, a *Answer, pushed placeFunc) (acc Accepted, err error) {
	ctx = context.WithoutCancel(ctx)
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Log.Error("panic while an answer was decided", "request_id", s.ID.String(), "err", fmt.Sprint(p))
			acc, err = Accepted{}, g.abandon(ctx, s)
		}
	}()
	st, c, err := g.statementOf(open)
	if err != nil {
		g.cfg.Log.Error("statement of a session cannot be rebuilt", "request_id", s.ID.String(), "err", err)
		return Accepted{}, g.abandon(ctx, s)
	}
	event, issued := g.redeem(ctx, open, a.Tag), pushed
	for {
		effects, code, state := g.step(ctx, s, event, protocol.Digest{})
		switch {
		case slices.Contains(effects, lifecycle.EffectVerify):
			ok := true
			if pushed == nil {
				issued = g.askPlace(ctx, open)
				ok = g.verifyProof(c, st.Inputs(open.Anchor, protocol.ContextElement(&open.Payload), s.TagHash), a.Proof) == nil
			}
			event = lifecycle.EventVerified{OK: ok}
		case slices.Contains(effects, lifecycle.EffectCommit):
			event = g.commit(ctx, st, s.TagHash, open, issued, a.Proof)
		case slices.Contains(effects, lifecycle.EffectResolve):
			g.resolve(s)
			return Accepted{}, refusal(code)
		case slices.Contains(effects, lifecycle.EffectReply):
			return Accepted{RequestID: s.ID, Index: state.Index}, nil
		default:
			return Accepted{}, refusal(code)
		}
	}
}

// abandon ends a claimed session after a panic: before the transaction it is
// invalidated, during it the outcome is unknown.
func (g *Gate) abandon(ctx context.Context, s *session.Session) error {
	if _, code, _ := g.step(ctx, s, lifecycle.EventAborted{}, protocol.Digest{}); code != protocol.CodeInternal {
		return refusal(code)
	}
	effects, code, _ := g.step(ctx, s, lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}, protocol.Digest{})
	if slices.Contains(effects, lifecycle.EffectResolve) {
		g.resolve(s)
	}
	return refusal(code)
}

// redeem asks the tagger (step 8). A tagger that does not answer has consumed
// or not consumed the tag, nobody knows: the request is over either way.
func (g *Gate) redeem(ctx context.Context, open *session.Open, tag protocol.Tag) lifecycle.Event {
	epoch, live := g.cfg.Epochs.Find(open.Epoch)
	if !live {
		return lifecycle.EventAborted{}
	}
	verdict, err := epoch.Redeem(ctx, &open.Payload, tag)
	if err != nil {
		g.cfg.Log.Warn("tagger gave no verdict", "epoch", open.Epoch.String(), "err", err)
		return lifecycle.EventAborted{}
	}
	return lifecycle.EventRedeemed{Verdict: verdict}
}

// verifyProof is step 9 against inputs the core has built from its own state,
// under the limit of verifications at a time.
func (g *Gate) verifyProof(c *Claim, inputs []protocol.Element, proof []byte) error {
	g.verify <- struct{}{}
	defer func() { <-g.verify }()
	return claim.Verify(c.Key, inputs, proof)
}

// placeFunc waits for the place of an anchor in the issued tree and returns it.
type placeFunc func() (protocol.Issued, error)

// askPlace asks the epoch for the place of a session's anchor in the issued tree
// and returns at once, so that the signer signs a root while the proof is verified.
func (g *Gate) askPlace(ctx context.Context, open *session.Open) placeFunc {
	epoch, live := g.cfg.Epochs.Find(open.Epoch)
	if !live {
		return func() (protocol.Issued, error) { return protocol.Issued{}, protocol.CodeInvalidated }
	}
	ask := sync.OnceValues(func() (protocol.Issued, error) { return epoch.Issued(ctx, open.Position) })
	go func() { _, _ = ask() }() // it ends with the call to the epoch; the result is kept for the caller
	return ask
}

// statementOf rebuilds the statement of a session from what the core kept of
// its issue, never from an answer.
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

// commit is step 10: one journal transaction, whose commit is the acceptance; t
// is the session's. If there is no place in the issued tree any more, because the
// signer is gone, the request is refused as invalidated.
func (g *Gate) commit(ctx context.Context, st *claim.Statement, t protocol.Element, open *session.Open, issued placeFunc, proof []byte) lifecycle.Event {
	if _, live := g.cfg.Epochs.Find(open.Epoch); !live {
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeInvalidated}
	}
	place, err := issued()
	if err != nil {
		g.cfg.Log.Warn("no signed root of the issued tree covers the anchor", "epoch", open.Epoch.String(), "err", err)
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeInvalidated}
	}
	acc := &Acceptance{
		Leaf: protocol.Accepted{
			Payload: open.Payload,
			Anchor:  open.Anchor,
			TagHash: t,
			Issued:  place,
			Params:  open.Params,
			Proof:   proof,
		},
		Claim:       open.Claim,
		ProofDigest: protocol.Digest(sha256.Sum256(proof)),
	}
	acc.Scope, acc.Nullifier, acc.HasNullifier = st.Params().Nullifier()
	seq, err := g.cfg.Journal.Accept(ctx, time.Now(), acc)
	switch {
	case err == nil:
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: seq}
	case errors.Is(err, ErrUnknown):
		g.cfg.Log.Warn("outcome of an acceptance is unknown", "err", err)
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitUnknown}
	default:
		g.cfg.Log.Info("acceptance refused by the journal", "code", protocol.CodeOf(err).String(), "err", err)
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeOf(err)}
	}
}

// resolveEvery is how often an unknown outcome is looked up.
const resolveEvery = 100 * time.Millisecond

// resolve reads the row of a session by request id until it is known whether
// it was committed, or the gate stops.
func (g *Gate) resolve(s *session.Session) {
	g.work.Go(func() {
		for {
			if event, known := g.lookUp(s.ID); known {
				_, _, _ = g.step(g.ctx, s, event, protocol.Digest{})
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
	row, err := g.cfg.Journal.Accepted(g.ctx, id)
	switch {
	case err == nil:
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: row.Seq}, true
	case errors.Is(err, protocol.CodeNotFound):
		return lifecycle.EventCommitted{Outcome: lifecycle.CommitRefused, Code: protocol.CodeLedgerUnavailable}, true
	default:
		return nil, false
	}
}
