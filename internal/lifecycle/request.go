package lifecycle

import "github.com/terradourada/td/protocol"

// Phase is where a request stands. The last four are terminal.
type Phase uint8

// The phases of section 11. PhaseNone is the state of an id without a session.
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

// String returns the phase as section 11 writes it.
func (p Phase) String() string { return nameOf(phaseText[:], p, "unknown") }

// nameOf returns the name of a value out of a table, or otherwise if it has none.
func nameOf[T ~uint8](names []string, v T, otherwise string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return otherwise
}

// Stage is how far the winner of a CLAIMED request has come.
type Stage uint8

// The stages. A request in any other phase than CLAIMED has StageNone.
const (
	StageNone    Stage = iota
	StageRedeem        // the tagger is asked (section 10, step 8)
	StageVerify        // the proof is verified (step 9)
	StageCommit        // the journal transaction runs (step 10)
	StageUnknown       // the outcome of the transaction is unknown; the row is read until it is known
	stageEnd
)

var stageText = [stageEnd]string{"", "redeem", "verify", "commit", "unknown"}

// String returns the name of the stage, "" for none.
func (s Stage) String() string { return nameOf(stageText[:], s, "?") }

// State is the whole lifecycle state of one request. The zero value is PhaseNone.
type State struct {
	Phase  Phase
	Stage  Stage
	Reason protocol.Code // why REJECTED or INVALIDATED, for metrics and audits; clients get Outcome
	Index  uint64        // of the leaf, once ACCEPTED
}

// Terminal reports whether no event changes the state any more.
func (s State) Terminal() bool { return s.Phase >= PhaseAccepted }

// Outcome returns the code that a client gets for a request that has ended:
// CodeNone for ACCEPTED. It is not done while the request is pending or unknown.
//
// The code of an INVALIDATED request is invalidated, whatever the cause. A request
// that is over must not carry a code that asks for a retry (section 10, step 10).
// The codes of a failed prover are returned as they are, because the client of a
// push did not make the request itself.
func (s State) Outcome() (code protocol.Code, done bool) {
	switch s.Phase {
	case PhaseAccepted:
		return protocol.CodeNone, true
	case PhaseRejected:
		return s.Reason, true
	case PhaseExpired:
		return protocol.CodeExpired, true
	case PhaseInvalidated:
		if isProverCode(s.Reason) {
			return s.Reason, true
		}
		return protocol.CodeInvalidated, true
	default:
		return protocol.CodeNone, false
	}
}

// isProverCode reports whether a push can end with the code before its proof
// is handed in.
func isProverCode(c protocol.Code) bool {
	switch c {
	case protocol.CodeStatementFalse, protocol.CodeProverTimeout, protocol.CodeProverBadResponse, protocol.CodeProverTagMismatch, protocol.CodeOverloaded:
		return true
	default:
		return false
	}
}

// CommitOutcome says what is known about a journal transaction.
type CommitOutcome uint8

// The outcomes of section 10, step 10.
const (
	CommitDone    CommitOutcome = iota + 1 // the row is there
	CommitRefused                          // the row is not there and never will be
	CommitUnknown                          // not known yet
)

// Event is a fact that the caller has learnt about a request.
type Event interface{ event() }

// EventOpen asks for a new request, before any key is used. The effect is
// EffectIssue; the codes are frozen, draining and ledger_unavailable.
type EventOpen struct {
	Frozen             bool // a hold covers issue of this claim, or its key is retired
	NoEpoch            bool // no epoch is ACTIVE
	JournalUnavailable bool // the journal is not writable
}

// EventIssued says that tagger and signer have answered and the session is about
// to be stored. The request becomes ISSUED, or INVALIDATED if its epoch has ended
// in between.
type EventIssued struct {
	EpochLive bool // the epoch of the payload is still ACTIVE or DRAINING
}

// EventAnswer is a proof with its tag, after steps 1 and 2 of section 10. It holds
// the facts of steps 4 to 7, computed together. For an unknown id the state is the
// zero State, and the facts are computed against a decoy session.
type EventAnswer struct {
	ClientMatches      bool // step 4: the authenticated client is the one committed in the payload
	TagMatches         bool // step 5: H2F(tag) equals t, compared in constant time
	SameProof          bool // step 6: the SHA-256 of the proof equals the one of the accepted proof
	Frozen             bool // step 7: a hold covers acceptance of this claim, or its key is retired
	JournalUnavailable bool // step 7: the journal is not writable
	LagTooFar          bool // step 7: the projection is too far behind
}

// EventRedeemed is the tagger's verdict for the winner (step 8).
type EventRedeemed struct{ Verdict protocol.Redemption }

// EventVerified is the verdict over the proof (step 9). In push mode the proof may
// have been verified before the answer.
type EventVerified struct{ OK bool }

// EventCommitted says what is known about the journal transaction (step 10), from
// the transaction itself or, later, from reading the row by request id.
type EventCommitted struct {
	Outcome CommitOutcome
	Index   uint64        // of the leaf, if CommitDone
	Code    protocol.Code // why, if CommitRefused
}

// EventAborted says that the winner failed before the transaction began: the tagger
// exited, a deadline of the core passed, or the core has a bug.
type EventAborted struct{}

// EventProverFailed ends a push without an answer: the event does not satisfy the
// claim, or no prover returned a valid proof in time. A failure that is retried
// with another prover is not an event.
type EventProverFailed struct{ Code protocol.Code }

// EventExpire says that the deadline has passed. A CLAIMED request ignores it,
// because the tagger decides whether the winner was in time.
type EventExpire struct{}

// EventInvalidate ends a request from outside: the epoch is destroyed, an operator
// invalidates it, or the process exits. A CLAIMED request ignores it, because its
// transaction checks the epoch and the holds.
type EventInvalidate struct{ Reason protocol.Code }

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

// Effect is what the caller must do next. Each step has one at most.
type Effect uint8

// The effects.
const (
	EffectNone         Effect = iota
	EffectIssue               // number and tag the draft, anchor the payload; then EventIssued
	EffectRedeem              // ask the tagger; then EventRedeemed
	EffectVerify              // decode and verify the proof against the core's own x; then EventVerified
	EffectCommit              // run the journal transaction; then EventCommitted
	EffectResolve             // read the row by request id until known; then EventCommitted
	EffectReply               // reply with State.Index and the receipt
	EffectAwait               // wait for the outcome, then apply the answer again; the code is for a wait that times out
	EffectCancel              // cancel the tag at the tagger
	EffectDestroyEpoch        // core and tagger disagree: destroy the epoch
	effectEnd
)

var effectText = [effectEnd]string{"", "issue", "redeem", "verify", "commit", "resolve", "reply", "await", "cancel", "destroy_epoch"}

// String returns the name of the effect, "" for none.
func (e Effect) String() string { return nameOf(effectText[:], e, "invalid") }

// Step applies an event to a state. It returns the next state, the effect to carry
// out, and the code for the client that caused the event. CodeInternal with the
// state unchanged means that the event does not belong to this state: the caller
// has broken an invariant.
func Step(s State, e Event) (State, Effect, protocol.Code) {
	switch e := e.(type) {
	case EventOpen:
		return stepOpen(s, e)
	case EventIssued:
		return stepIssued(s, e)
	case EventAnswer:
		return stepAnswer(s, e)
	case EventRedeemed:
		return stepRedeemed(s, e)
	case EventVerified:
		return stepVerified(s, e)
	case EventCommitted:
		return stepCommitted(s, e)
	case EventAborted:
		return stepAborted(s)
	case EventProverFailed:
		return stepProverFailed(s, e)
	case EventExpire:
		return stepExpire(s)
	case EventInvalidate:
		return stepInvalidate(s, e)
	default:
		return s, EffectNone, protocol.CodeInternal
	}
}

func stepOpen(s State, e EventOpen) (State, Effect, protocol.Code) {
	switch {
	case s.Phase != PhaseNone:
		return s, EffectNone, protocol.CodeInternal
	case e.Frozen:
		return s, EffectNone, protocol.CodeFrozen
	case e.NoEpoch:
		return s, EffectNone, protocol.CodeDraining
	case e.JournalUnavailable:
		return s, EffectNone, protocol.CodeLedgerUnavailable
	default:
		return s, EffectIssue, protocol.CodeNone
	}
}

func stepIssued(s State, e EventIssued) (State, Effect, protocol.Code) {
	switch {
	case s.Phase != PhaseNone:
		return s, EffectNone, protocol.CodeInternal
	case !e.EpochLive:
		return State{Phase: PhaseInvalidated, Reason: protocol.CodeInvalidated}, EffectNone, protocol.CodeInvalidated
	default:
		return State{Phase: PhaseIssued}, EffectNone, protocol.CodeNone
	}
}

func stepAnswer(s State, e EventAnswer) (State, Effect, protocol.Code) {
	if s.Phase == PhaseNone {
		return s, EffectNone, protocol.CodeSubmissionRejected
	}
	if !e.ClientMatches || !e.TagMatches {
		return s, EffectNone, protocol.CodeSubmissionRejected
	}
	if s.Phase > PhaseIssued {
		return stepAnswerAgain(s, e)
	}
	if e.Frozen {
		return s, EffectNone, protocol.CodeFrozen
	}
	if e.JournalUnavailable || e.LagTooFar {
		return s, EffectNone, protocol.CodeLedgerUnavailable
	}
	return State{Phase: PhaseClaimed, Stage: StageRedeem}, EffectRedeem, protocol.CodeNone
}

// stepAnswerAgain is step 6: an answer to a request that was answered before or has
// ended.
func stepAnswerAgain(s State, e EventAnswer) (State, Effect, protocol.Code) {
	switch {
	case s.Phase == PhaseClaimed && s.Stage == StageUnknown:
		return s, EffectAwait, protocol.CodeLedgerUnavailable
	case s.Phase == PhaseClaimed:
		return s, EffectAwait, protocol.CodeConflict
	case s.Phase == PhaseAccepted && !e.SameProof:
		return s, EffectNone, protocol.CodeAlreadyConsumed
	case s.Phase == PhaseAccepted:
		return s, EffectReply, protocol.CodeNone
	default:
		code, _ := s.Outcome()
		return s, EffectNone, code
	}
}

func stepRedeemed(s State, e EventRedeemed) (State, Effect, protocol.Code) {
	if s.Phase != PhaseClaimed || s.Stage != StageRedeem {
		return s, EffectNone, protocol.CodeInternal
	}
	switch e.Verdict {
	case protocol.RedeemOK:
		s.Stage = StageVerify
		return s, EffectVerify, protocol.CodeNone
	case protocol.RedeemExpired:
		return State{Phase: PhaseExpired}, EffectNone, protocol.CodeExpired
	default:
		return invalidated(protocol.CodeInvalidated), EffectDestroyEpoch, protocol.CodeInvalidated
	}
}

func stepVerified(s State, e EventVerified) (State, Effect, protocol.Code) {
	if s.Phase != PhaseClaimed || s.Stage != StageVerify {
		return s, EffectNone, protocol.CodeInternal
	}
	if !e.OK {
		return State{Phase: PhaseRejected, Reason: protocol.CodeProofRejected}, EffectNone, protocol.CodeProofRejected
	}
	s.Stage = StageCommit
	return s, EffectCommit, protocol.CodeNone
}

func stepCommitted(s State, e EventCommitted) (State, Effect, protocol.Code) {
	if s.Phase != PhaseClaimed || (s.Stage != StageCommit && s.Stage != StageUnknown) {
		return s, EffectNone, protocol.CodeInternal
	}
	switch e.Outcome {
	case CommitDone:
		return State{Phase: PhaseAccepted, Index: e.Index}, EffectReply, protocol.CodeNone
	case CommitRefused:
		s = refused(e.Code)
		code, _ := s.Outcome()
		return s, EffectNone, code
	default: // unknown, or a value that is not defined
		s.Stage = StageUnknown
		return s, EffectResolve, protocol.CodeLedgerUnavailable
	}
}

// refused returns the final state of a request that the journal refused.
func refused(c protocol.Code) State {
	switch c {
	case protocol.CodeConflict, protocol.CodeNullifierUsed:
		return State{Phase: PhaseRejected, Reason: c}
	case protocol.CodeNone:
		return invalidated(protocol.CodeInternal)
	default:
		return invalidated(c)
	}
}

func invalidated(c protocol.Code) State { return State{Phase: PhaseInvalidated, Reason: c} }

func stepAborted(s State) (State, Effect, protocol.Code) {
	if s.Phase != PhaseClaimed || (s.Stage != StageRedeem && s.Stage != StageVerify) {
		return s, EffectNone, protocol.CodeInternal
	}
	return invalidated(protocol.CodeInternal), EffectNone, protocol.CodeInvalidated
}

func stepProverFailed(s State, e EventProverFailed) (State, Effect, protocol.Code) {
	if s.Phase != PhaseIssued {
		code, _ := s.Outcome()
		return s, EffectNone, code // it ended, or was answered, in between
	}
	s = invalidated(protocol.CodeInternal)
	if isProverCode(e.Code) {
		s.Reason = e.Code
	}
	code, _ := s.Outcome()
	return s, EffectCancel, code
}

func stepExpire(s State) (State, Effect, protocol.Code) {
	if s.Phase == PhaseIssued {
		return State{Phase: PhaseExpired}, EffectCancel, protocol.CodeNone
	}
	return s, EffectNone, protocol.CodeNone
}

func stepInvalidate(s State, e EventInvalidate) (State, Effect, protocol.Code) {
	if s.Phase == PhaseIssued {
		return invalidated(e.Reason), EffectCancel, protocol.CodeNone
	}
	return s, EffectNone, protocol.CodeNone
}
