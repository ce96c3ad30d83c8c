package gate

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Accept judges an answer in the order of section 10, the only order allowed, and
// returns the index of the accepted leaf. It may be called any number of times for
// one request; at most one call claims the request.
func (g *Gate) Accept(ctx context.Context, a Answer) (index uint64, err error) {
	at := &attempt{Answer: a, details: telemetry.DetailsOf(ctx)}
	at.details.ID = a.RequestID
	defer func() { g.observe("accept", a.RequestID, claim.ID(at.details.Claim), err) }()
	return g.accept(ctx, at)
}

// attempt is one answer with what the steps of its session find out.
type attempt struct {
	Answer
	digest    protocol.Digest  // SHA-256 of the proof
	place     placeFunc        // of the anchor in the issued tree; a push sets it from the start
	proved    bool             // the proof was verified before, by the push that asked for it
	room      *place           // for redemption and verification
	statement *claim.Statement // rebuilt once the answer has claimed its session
	claim     *Claim           // of the statement

	facts   lifecycle.EventAnswer // as judged last
	cause   telemetry.Cause       // why a step of this answer failed; NoCause if none did
	details *telemetry.Details    // for the report of the request
}

// accept is [Gate.Accept] for any attempt.
func (g *Gate) accept(ctx context.Context, a *attempt) (index uint64, err error) {
	if len(a.Proof) != protocol.ProofSize { // step 1; nothing is consumed
		return 0, telemetry.Because(telemetry.MalformedProof, protocol.Failf(protocol.CodeMalformedRequest, "a proof is exactly %d bytes", protocol.ProofSize))
	}
	s, known := g.cfg.Sessions.Get(a.RequestID) // step 3
	if !known {
		s = g.decoy
	}
	a.digest = sha256.Sum256(a.Proof)
	open := s.View().Open
	event := g.judge(s, a)
	if g.costs(s, &event, a) {
		if a.room, err = g.admission.enter(ctx, work{by: a.By, units: verifyUnits}); err != nil {
			return 0, err
		}
		defer a.room.leave()
		event = g.judge(s, a) // a hold may have come meanwhile
	}
	state, code := g.run(ctx, s, event, a)
	g.describe(a, open, code)
	if code != protocol.CodeSubmissionRejected {
		a.details.Mark = g.cfg.Marks.Of(markProof, a.digest[:])
	}
	switch code {
	case protocol.CodeNone:
		return state.Index, nil
	case protocol.CodeFrozen:
		return 0, g.onHold(journal.Accept, vkOf(s), refusals[code])
	}
	return 0, telemetry.Because(a.causeOf(state, code, known), refusal(code))
}

// causeOf returns why an answer was refused with a code. What failed in a step of this
// answer counts first. Without such a step the request had ended before, or the answer
// did not belong to it.
func (a *attempt) causeOf(state lifecycle.State, code protocol.Code, known bool) telemetry.Cause {
	switch {
	case a.cause != telemetry.NoCause:
		return a.cause
	case code == protocol.CodeSubmissionRejected && !known:
		return telemetry.UnknownID
	case code == protocol.CodeSubmissionRejected && !a.facts.ClientMatches && a.facts.TagMatches:
		return telemetry.ForeignTag
	case code == protocol.CodeSubmissionRejected && !a.facts.ClientMatches:
		return telemetry.WrongClient
	case code == protocol.CodeSubmissionRejected:
		return telemetry.WrongTag
	case state.Phase == lifecycle.PhaseClaimed:
		return telemetry.Undecided
	case state.Phase == lifecycle.PhaseRejected:
		return telemetry.Replayed
	case state.Phase == lifecycle.PhaseInvalidated && state.Reason == protocol.CodeDraining:
		return telemetry.ForeignEpoch
	}
	return telemetry.CauseOf(code)
}

// judge computes the facts of steps 4 to 7. It computes all of them in every case, so
// that an unknown request costs as much as a known one. [session.Session.Step] fills
// in SameProof, under the lock that guards the stored digest.
func (g *Gate) judge(s *session.Session, a *attempt) lifecycle.EventAnswer {
	e := lifecycle.EventAnswer{
		ClientMatches:      protocol.ClientCommitment(s.Salt, a.Client).Equal(s.Client),
		TagMatches:         protocol.TagElement(a.Tag).Equal(s.TagHash),
		JournalUnavailable: !g.cfg.Holds.Writable(),
		LagTooFar:          g.cfg.Ledger.Admit() != nil,
	}
	e.Frozen = g.cfg.Holds.Check(journal.Accept, vkOf(s)) != nil
	a.facts = e
	return e
}

// describe fills in the details of an answer. They take no time if the answer does not
// belong to its request, so that an unknown request looks like a known one.
func (g *Gate) describe(a *attempt, open *session.Open, code protocol.Code) {
	if open == nil {
		return
	}
	a.details.Claim = open.Claim
	if code == protocol.CodeSubmissionRejected {
		return
	}
	if p, err := protocol.ParsePayload(open.Payload[:]); err == nil {
		a.details.Answered = g.cfg.Now().Sub(time.UnixMilli(int64(p.IssuedAt)))
	}
}

// costs reports whether an answer would claim its session, and so be redeemed and
// verified. It then needs a place, which it must have before anything is consumed.
func (g *Gate) costs(s *session.Session, e *lifecycle.EventAnswer, a *attempt) bool {
	state, effect, _ := lifecycle.Step(s.View().State, *e)
	return effect == lifecycle.EffectRedeem && state.Phase == lifecycle.PhaseClaimed && !a.proved
}

// vkOf returns the fingerprint of the claim of a session, zero if it has ended.
func vkOf(s *session.Session) (vk protocol.Digest) {
	if open := s.View().Open; open != nil {
		vk = open.Payload.VK()
	}
	return vk
}

// refusals are the details for the codes that an answer can end with.
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
