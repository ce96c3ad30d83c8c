package protocol

// The lifecycle of one request (sections 10 and 11) as a pure function:
//
//	(none) -> ISSUED -> CLAIMED -> ACCEPTED | REJECTED | INVALIDATED | EXPIRED
//	          ISSUED -> EXPIRED | INVALIDATED
//
// The caller holds one [State] per request behind a lock, tells [Step] what it
// has learnt as an [Event], keeps the state that comes back and carries out the
// effects, in their order, outside the lock. What an effect brings to light is
// the next event. Whoever is told to redeem is the winner of the request: it
// alone sends Redeemed, Verified, Committed and Aborted.

// Phase is where a request stands. The last four are terminal.
type Phase uint8

// The phases of section 11. PhaseNone is no request at all: the state of an id
// that nobody knows.
const (
	PhaseNone Phase = iota
	PhaseIssued
	PhaseClaimed
	PhaseAccepted
	PhaseRejected
	PhaseInvalidated
	PhaseExpired
	phaseEnd
)

var phaseText = [phaseEnd]string{"NONE", "ISSUED", "CLAIMED", "ACCEPTED", "REJECTED", "INVALIDATED", "EXPIRED"}

// String is the phase as section 11 writes it.
func (p Phase) String() string {
	if p < phaseEnd {
		return phaseText[p]
	}
	return "unknown"
}

// Stage is how far the winner of a CLAIMED request has come.
type Stage uint8

// The stages. A request in any other phase than CLAIMED has StageNone.
const (
	StageNone    Stage = iota
	StageRedeem        // the tagger is asked (section 10, step 8)
	StageVerify        // the proof is verified (step 9)
	StageCommit        // the journal transaction runs (step 10)
	StageUnknown       // nobody knows whether it committed; the row is read until somebody does
	stageEnd
)

var stageText = [stageEnd]string{"", "redeem", "verify", "commit", "unknown"}

// String names the stage, "" for none.
func (s Stage) String() string {
	if s < stageEnd {
		return stageText[s]
	}
	return "?"
}

// State is one request's whole lifecycle state. The zero value is PhaseNone.
type State struct {
	Phase  Phase
	Stage  Stage
	Reason Code   // why REJECTED or INVALIDATED; for metrics and the audit, see Outcome for what is told
	Index  uint64 // of the leaf, once ACCEPTED
}

// Terminal reports whether no event changes the state any more.
func (s State) Terminal() bool { return s.Phase >= PhaseAccepted }

// Outcome is what a client hears of a request that has ended: CodeNone for
// ACCEPTED. It is not done while the request is pending or unknown.
//
// INVALIDATED is told as invalidated, whatever the cause, so that a request
// that is over never carries a code that invites to send it again (section 10,
// step 10). The exceptions end a push whose client still waits for the outcome
// of a request it did not make itself: they are told as they are.
func (s State) Outcome() (code Code, done bool) {
	switch s.Phase {
	case PhaseAccepted:
		return CodeNone, true
	case PhaseRejected:
		return s.Reason, true
	case PhaseExpired:
		return CodeExpired, true
	case PhaseInvalidated:
		if isProverCode(s.Reason) {
			return s.Reason, true
		}
		return CodeInvalidated, true
	default:
		return CodeNone, false
	}
}

// isProverCode reports whether a push can end with the code before its proof
// is handed in.
func isProverCode(c Code) bool {
	switch c {
	case CodeStatementFalse, CodeProverTimeout, CodeProverBadResponse, CodeProverTagMismatch, CodeOverloaded:
		return true
	default:
		return false
	}
}

// Redemption is the tagger's verdict over a payload and its tag.
type Redemption uint8

// The verdicts of section 2. Every one but RedeemOK leaves the tag unusable or
// never was about it.
const (
	RedeemOK       Redemption = iota + 1 // the tag is right, in time, and used up now
	RedeemMismatch                       // the tag or payload is not what the tagger issued
	RedeemUnknown                        // the tagger has never issued this request
	RedeemUsed                           // the tag was used up or cancelled earlier
	RedeemExpired                        // the deadline has passed on the tagger's clock
	redemptionEnd
)

var redemptionText = [redemptionEnd]string{"", "ok", "mismatch", "unknown", "used", "expired"}

// String names the verdict.
func (r Redemption) String() string {
	if r > 0 && r < redemptionEnd {
		return redemptionText[r]
	}
	return "invalid"
}

// CommitOutcome is what is known of a journal transaction.
type CommitOutcome uint8

// The outcomes of section 10, step 10.
const (
	CommitDone    CommitOutcome = iota + 1 // the row is there
	CommitRefused                          // the row is not there and never will be
	CommitUnknown                          // nobody knows yet
)

// Event is one thing the caller has learnt about a request.
type Event interface{ event() }

// EventOpen is the wish for a new request, before any key is used. Effects:
// EffectIssue. Codes: frozen, draining, ledger_unavailable.
type EventOpen struct {
	Frozen             bool // a hold covers issue of this claim, or its key is retired
	NoEpoch            bool // no epoch is ACTIVE
	JournalUnavailable bool // the journal is not writable
}

// EventIssued says that tagger and signer have answered and the session is
// about to be kept: the request is ISSUED, or INVALIDATED at once if its epoch
// has died in between.
type EventIssued struct {
	EpochLive bool // the epoch of the payload is still ACTIVE or DRAINING
}

// EventAnswer is a proof with its tag, after steps 1 and 2 of section 10: it
// decides steps 3 to 8 in one go. For an id that nobody knows the state is the
// zero State and the facts are computed against a dummy of the same shape.
type EventAnswer struct {
	ClientMatches      bool // step 4: the authenticated client is the one committed in the payload
	TagMatches         bool // step 5: H2F(tag) equals t, compared in constant time
	SameProof          bool // step 6: the SHA-256 of the proof equals the one of the accepted proof
	Frozen             bool // step 7: a hold covers acceptance of this claim, or its key is retired
	JournalUnavailable bool // step 7: the journal is not writable
	LagTooFar          bool // step 7: the projection is too far behind
}

// EventRedeemed is the tagger's verdict for the winner (step 8).
type EventRedeemed struct{ Verdict Redemption }

// EventVerified is the verdict over the proof (step 9). In push mode it may be
// the one that was found before the answer.
type EventVerified struct{ OK bool }

// EventCommitted is what is known of the journal transaction (step 10), from
// the transaction itself or, later, from reading the row by request id.
type EventCommitted struct {
	Outcome CommitOutcome
	Index   uint64 // of the leaf, if CommitDone
	Code    Code   // why, if CommitRefused
}

// EventAborted says that the winner cannot go on for a reason of its own before
// the transaction was begun: the tagger is gone, a deadline of the core, a bug.
type EventAborted struct{}

// EventProverFailed ends a push without an answer: the event does not satisfy
// the claim, or no prover gave a good proof in time. A failure that another
// prover may mend is no event.
type EventProverFailed struct{ Code Code }

// EventExpire says that the deadline has passed. A CLAIMED request ignores it:
// for the winner the tagger decides.
type EventExpire struct{}

// EventInvalidate ends a request from outside: the epoch is destroyed, an
// operator invalidates, the process ends. A CLAIMED request ignores it: its
// transaction meets the dead epoch or the freeze.
type EventInvalidate struct{ Reason Code }

func (EventOpen) event()         {}
func (EventIssued) event()       {}
func (EventAnswer) event()       {}
func (EventRedeemed) event()     {}
func (EventVerified) event()     {}
func (EventCommitted) event()    {}
func (EventAborted) event()      {}
func (EventProverFailed) event() {}
func (EventExpire) event()       {}
func (EventInvalidate) event()   {}

// Effect is one thing the caller has to do now.
type Effect uint8

// The effects.
const (
	EffectIssue        Effect = iota + 1 // number and tag the draft, anchor the payload; then EventIssued
	EffectRedeem                         // ask the tagger; then EventRedeemed
	EffectVerify                         // decode and verify the proof against the core's own x; then EventVerified
	EffectCommit                         // run the journal transaction; then EventCommitted
	EffectResolve                        // read the row by request id until known; then EventCommitted
	EffectReply                          // reply with State.Index and the receipt
	EffectAwait                          // wait for the outcome, then put the answer again; the code is for when time runs out
	EffectCancel                         // cancel the tag at the tagger
	EffectDestroyEpoch                   // core and tagger disagree: destroy the epoch
	effectEnd
)

var effectText = [effectEnd]string{"", "issue", "redeem", "verify", "commit", "resolve", "reply", "await", "cancel", "destroy_epoch"}

// String names the effect.
func (e Effect) String() string {
	if e > 0 && e < effectEnd {
		return effectText[e]
	}
	return "invalid"
}

// Step is the lifecycle: the state after an event, what to do now, and what to
// tell whoever caused the event. CodeInternal with the state unchanged means
// that the event has no business in this state: a broken invariant of the
// caller.
func Step(s State, e Event) (State, []Effect, Code) { return step(allGuards, s, e) }

// guard is one condition that Step checks. A test takes them away one by one
// to see that its properties notice.
type guard uint32

const (
	guardHold guard = 1 << iota
	guardEpochAtIssue
	guardKnown
	guardClientAndTag
	guardClaimOnce
	guardSameProof
	guardHoldAtAnswer
	guardVerdict
	guardDisagreement
	guardProof
	guardRefusal
	guardUnknown
	guardExpireIssuedOnly
	guardInvalidateIssuedOnly
	guardCancel
	guardTold

	allGuards guard = 1<<iota - 1
)

func (g guard) has(one guard) bool { return g&one != 0 }

func step(g guard, s State, e Event) (State, []Effect, Code) {
	switch e := e.(type) {
	case EventOpen:
		return stepOpen(g, s, e)
	case EventIssued:
		return stepIssued(g, s, e)
	case EventAnswer:
		return stepAnswer(g, s, e)
	case EventRedeemed:
		return stepRedeemed(g, s, e)
	case EventVerified:
		return stepVerified(g, s, e)
	case EventCommitted:
		return stepCommitted(g, s, e)
	case EventAborted:
		return stepAborted(s)
	case EventProverFailed:
		return stepProverFailed(s, e)
	case EventExpire:
		return stepExpire(g, s)
	case EventInvalidate:
		return stepInvalidate(g, s, e)
	default:
		return s, nil, CodeInternal
	}
}

func stepOpen(g guard, s State, e EventOpen) (State, []Effect, Code) {
	switch {
	case s.Phase != PhaseNone:
		return s, nil, CodeInternal
	case e.Frozen && g.has(guardHold):
		return s, nil, CodeFrozen
	case e.NoEpoch:
		return s, nil, CodeDraining
	case e.JournalUnavailable:
		return s, nil, CodeLedgerUnavailable
	default:
		return s, []Effect{EffectIssue}, CodeNone
	}
}

func stepIssued(g guard, s State, e EventIssued) (State, []Effect, Code) {
	switch {
	case s.Phase != PhaseNone:
		return s, nil, CodeInternal
	case !e.EpochLive && g.has(guardEpochAtIssue):
		return State{Phase: PhaseInvalidated, Reason: CodeInvalidated}, nil, CodeInvalidated
	default:
		return State{Phase: PhaseIssued}, nil, CodeNone
	}
}

func stepAnswer(g guard, s State, e EventAnswer) (State, []Effect, Code) {
	if s.Phase == PhaseNone && g.has(guardKnown) {
		return s, nil, CodeSubmissionRejected
	}
	if (!e.ClientMatches || !e.TagMatches) && g.has(guardClientAndTag) {
		return s, nil, CodeSubmissionRejected
	}
	if s.Phase > PhaseIssued && g.has(guardClaimOnce) {
		return stepAnswerAgain(g, s, e)
	}
	if e.Frozen && g.has(guardHoldAtAnswer) {
		return s, nil, CodeFrozen
	}
	if e.JournalUnavailable || e.LagTooFar {
		return s, nil, CodeLedgerUnavailable
	}
	return State{Phase: PhaseClaimed, Stage: StageRedeem}, []Effect{EffectRedeem}, CodeNone
}

// stepAnswerAgain is step 6: an answer to a request that has had one, or that
// has ended without.
func stepAnswerAgain(g guard, s State, e EventAnswer) (State, []Effect, Code) {
	switch {
	case s.Phase == PhaseClaimed && s.Stage == StageUnknown:
		return s, []Effect{EffectAwait}, CodeLedgerUnavailable
	case s.Phase == PhaseClaimed:
		return s, []Effect{EffectAwait}, CodeConflict
	case s.Phase == PhaseAccepted && !e.SameProof && g.has(guardSameProof):
		return s, nil, CodeAlreadyConsumed
	case s.Phase == PhaseAccepted:
		return s, []Effect{EffectReply}, CodeNone
	default:
		code, _ := s.Outcome()
		return s, nil, code
	}
}

func stepRedeemed(g guard, s State, e EventRedeemed) (State, []Effect, Code) {
	if s.Phase != PhaseClaimed || s.Stage != StageRedeem {
		return s, nil, CodeInternal
	}
	switch {
	case e.Verdict == RedeemOK || !g.has(guardVerdict):
		s.Stage = StageVerify
		return s, []Effect{EffectVerify}, CodeNone
	case e.Verdict == RedeemExpired:
		return State{Phase: PhaseExpired}, nil, CodeExpired
	case !g.has(guardDisagreement):
		return invalidated(CodeInvalidated), nil, CodeInvalidated
	default:
		return invalidated(CodeInvalidated), []Effect{EffectDestroyEpoch}, CodeInvalidated
	}
}

func stepVerified(g guard, s State, e EventVerified) (State, []Effect, Code) {
	if s.Phase != PhaseClaimed || s.Stage != StageVerify {
		return s, nil, CodeInternal
	}
	if !e.OK && g.has(guardProof) {
		return State{Phase: PhaseRejected, Reason: CodeProofRejected}, nil, CodeProofRejected
	}
	s.Stage = StageCommit
	return s, []Effect{EffectCommit}, CodeNone
}

func stepCommitted(g guard, s State, e EventCommitted) (State, []Effect, Code) {
	if s.Phase != PhaseClaimed || (s.Stage != StageCommit && s.Stage != StageUnknown) {
		return s, nil, CodeInternal
	}
	switch {
	case e.Outcome == CommitDone, e.Outcome == CommitRefused && !g.has(guardRefusal):
		return State{Phase: PhaseAccepted, Index: e.Index}, []Effect{EffectReply}, CodeNone
	case e.Outcome == CommitRefused:
		s = refused(e.Code)
		code, _ := s.Outcome()
		if !g.has(guardTold) {
			code = e.Code
		}
		return s, nil, code
	case !g.has(guardUnknown):
		return invalidated(CodeLedgerUnavailable), nil, CodeInvalidated
	default: // unknown, or an outcome nobody has heard of
		s.Stage = StageUnknown
		return s, []Effect{EffectResolve}, CodeLedgerUnavailable
	}
}

// refused is the end of a request that the journal refused.
func refused(c Code) State {
	switch c {
	case CodeConflict, CodeNullifierUsed:
		return State{Phase: PhaseRejected, Reason: c}
	case CodeNone:
		return invalidated(CodeInternal)
	default:
		return invalidated(c)
	}
}

func invalidated(c Code) State { return State{Phase: PhaseInvalidated, Reason: c} }

func stepAborted(s State) (State, []Effect, Code) {
	if s.Phase != PhaseClaimed || (s.Stage != StageRedeem && s.Stage != StageVerify) {
		return s, nil, CodeInternal
	}
	return invalidated(CodeInternal), nil, CodeInvalidated
}

func stepProverFailed(s State, e EventProverFailed) (State, []Effect, Code) {
	if s.Phase != PhaseIssued {
		code, _ := s.Outcome()
		return s, nil, code // it ended, or was answered, in between
	}
	s = invalidated(CodeInternal)
	if isProverCode(e.Code) {
		s.Reason = e.Code
	}
	code, _ := s.Outcome()
	return s, []Effect{EffectCancel}, code
}

func stepExpire(g guard, s State) (State, []Effect, Code) {
	if s.Phase == PhaseIssued || s.Phase == PhaseClaimed && !g.has(guardExpireIssuedOnly) {
		return State{Phase: PhaseExpired}, cancel(g), CodeNone
	}
	return s, nil, CodeNone
}

func stepInvalidate(g guard, s State, e EventInvalidate) (State, []Effect, Code) {
	if s.Phase == PhaseIssued || s.Phase == PhaseClaimed && !g.has(guardInvalidateIssuedOnly) {
		return invalidated(e.Reason), cancel(g), CodeNone
	}
	return s, nil, CodeNone
}

func cancel(g guard) []Effect {
	if !g.has(guardCancel) {
		return nil
	}
	return []Effect{EffectCancel}
}
