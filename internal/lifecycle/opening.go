package lifecycle

import "github.com/terradourada/td/protocol"

// MaxDraining bounds the epochs of an instance that are DRAINING. A further rotation
// waits until one of them has ended.
const MaxDraining = 8

// OpeningStep is what the caller does next to open an epoch.
type OpeningStep uint8

// The steps in the order of a rotation. Without an epoch that can hand over, the four
// in the middle are left out.
const (
	OpeningIdle       OpeningStep = iota // nothing: the next epoch is ACTIVE, or the one before it stays so
	OpeningStart                         // start the keyholders of the next epoch and grade them
	OpeningDrain                         // apply EpochDrain to the epoch before, await its last anchor, wipe its ML-DSA key
	OpeningRoot                          // have it sign the root of its whole issued tree
	OpeningCheckpoint                    // have it sign the log
	OpeningHandover                      // have it sign the hand-over to the next epoch
	OpeningWrite                         // commit the open leaf
	OpeningFind                          // find out whether the open leaf is in the log
	OpeningActivate                      // apply EpochOpened to the next epoch; issue goes on
	OpeningDestroy                       // apply EpochFailed to the epoch before
	openingStepEnd
)

var openingStepText = [openingStepEnd]string{
	"", "start", "drain", "root", "checkpoint", "handover", "write", "find", "activate", "destroy",
}

// String returns the name of the step, "" for OpeningIdle.
func (s OpeningStep) String() string {
	if s < openingStepEnd {
		return openingStepText[s]
	}
	return "invalid"
}

// Giver is what the epoch before the next one can still do for it.
type Giver uint8

// The states of a giver. Each signs one hand-over at most, whatever became of it.
const (
	GiverNone    Giver = iota // nothing: there is none, its signer is gone, or it was asked for its hand-over
	GiverActive               // it is ACTIVE
	GiverWiped                // its ML-DSA key is wiped
	GiverRooted               // it has signed the root of its whole issued tree
	GiverChecked              // it was asked for its last checkpoint
	giverEnd
)

var giverText = [giverEnd]string{"none", "ACTIVE", "wiped", "rooted", "checked"}

// String returns the name of the state.
func (g Giver) String() string {
	if g < giverEnd {
		return giverText[g]
	}
	return "invalid"
}

// Opening is the state of the opening of one epoch: the first one, one that replaces
// an epoch that has failed, or the next one of a rotation.
type Opening struct {
	Step  OpeningStep // under way
	Giver Giver
	// Held says that issue waits for the next epoch: no epoch is ACTIVE, because the
	// one before it is DRAINING.
	Held bool
	// Handed says that the open leaf carries a hand-over to the present next epoch.
	Handed bool
}

// Outcome is what became of a step.
type Outcome uint8

// The outcomes. Of OpeningFind, OutcomeFailed says that the leaf is not in the log,
// and OutcomeUnknown that this is not known. Other steps do not tell the two apart.
const (
	OutcomeDone Outcome = iota + 1
	OutcomeFailed
	OutcomeUnknown
)

// OpeningLearnt is what the caller has learnt from a step.
type OpeningLearnt struct {
	Outcome Outcome
	Giver   bool // the signer of the epoch before is alive
	Next    bool // both keyholders of the next epoch are alive
}

// BeginOpening returns the first state of an opening. With an ACTIVE epoch it is a
// rotation; the code conflict means that too many epochs are DRAINING.
func BeginOpening(active bool, draining int) (Opening, protocol.Code) {
	switch {
	case !active:
		return Opening{Step: OpeningStart}, protocol.CodeNone
	case draining >= MaxDraining:
		return Opening{}, protocol.CodeConflict
	default:
		return Opening{Step: OpeningStart, Giver: GiverActive}, protocol.CodeNone
	}
}

// StepOpening applies the outcome of the step under way. It returns the state with the
// next step.
func StepOpening(s Opening, l OpeningLearnt) Opening {
	if s.Step == OpeningIdle || s.Step == OpeningActivate {
		return Opening{}
	}
	destroy := s.learn(l)
	switch {
	case destroy:
		s.Step = OpeningDestroy
	case s.Step == OpeningFind && l.Outcome == OutcomeUnknown,
		s.Step == OpeningWrite && l.Outcome != OutcomeDone:
		s.Step = OpeningFind // whether or not the next epoch lives: its leaf may be there
	case (s.Step == OpeningFind || s.Step == OpeningWrite) && l.Outcome == OutcomeDone:
		s.Step = OpeningActivate
	case s.Step == OpeningStart && l.Outcome != OutcomeDone || !l.Next:
		if s.Giver == GiverActive {
			return Opening{} // the epoch before stays ACTIVE
		}
		s.Step, s.Handed = OpeningStart, false
	default:
		s.Step = s.after()
	}
	return s
}

// learn records what a step has changed about the giver. It reports whether the giver
// must be destroyed: it lacks the root that it drains on, and will have none.
func (s *Opening) learn(l OpeningLearnt) (destroy bool) {
	done := l.Outcome == OutcomeDone
	switch s.Step {
	case OpeningDrain:
		s.Held, s.Giver = true, GiverWiped
		l.Giver = l.Giver && done
	case OpeningRoot:
		if done {
			s.Giver = GiverRooted
		}
		l.Giver = l.Giver && done
	case OpeningCheckpoint:
		s.Giver = GiverChecked // a key that has signed no checkpoint can hand over all the same
	case OpeningHandover:
		s.Giver, s.Handed = GiverNone, done
	default:
	}
	if l.Giver {
		return false
	}
	destroy = s.Giver == GiverActive || s.Giver == GiverWiped
	s.Giver = GiverNone
	return destroy
}

// after returns the step that follows when nothing has failed.
func (s *Opening) after() OpeningStep {
	switch s.Giver {
	case GiverActive:
		return OpeningDrain
	case GiverWiped:
		return OpeningRoot
	case GiverRooted:
		return OpeningCheckpoint
	case GiverChecked:
		return OpeningHandover
	default:
		return OpeningWrite
	}
}
