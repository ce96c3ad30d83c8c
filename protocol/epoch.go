package protocol

// The lifecycle of one epoch (section 11) as a pure function:
//
//	STARTING -> ACTIVE -> DRAINING -> DESTROYED
//	any of the first three -> DESTROYED on suspicion, child death, failed self-test
//
// It is driven like [Step]: state behind a lock, effects outside it.

// EpochPhase is where an epoch stands.
type EpochPhase uint8

// The phases of section 11.
const (
	EpochStarting EpochPhase = iota
	EpochActive
	EpochDraining
	EpochDestroyed
	epochPhaseEnd
)

var epochPhaseText = [epochPhaseEnd]string{"STARTING", "ACTIVE", "DRAINING", "DESTROYED"}

// String is the phase as section 11 writes it.
func (p EpochPhase) String() string {
	if p < epochPhaseEnd {
		return epochPhaseText[p]
	}
	return "unknown"
}

// Live reports whether requests of the epoch may be accepted.
func (p EpochPhase) Live() bool { return p == EpochActive || p == EpochDraining }

// EpochState is one epoch's whole lifecycle state. The zero value is STARTING.
type EpochState struct {
	Phase  EpochPhase
	Reason CloseReason // why it ends; 0 while STARTING or ACTIVE
}

// EpochEvent is one thing the caller has learnt about an epoch.
type EpochEvent interface{ epochEvent() }

// EpochOpened says that leaf 2 is committed. In a rotation it is committed while
// the old epoch is ACTIVE; the old one drains before this event.
type EpochOpened struct {
	OtherActive bool // another epoch of the instance is ACTIVE: it must drain first
}

// EpochDrain ends the issue of an ACTIVE epoch, for rotation or shutdown.
type EpochDrain struct {
	Reason        CloseReason // CloseRotated or CloseShutdown
	OtherDraining bool        // another epoch of the instance is still DRAINING
}

// EpochIdle says that no session of the epoch is ISSUED or CLAIMED any more.
type EpochIdle struct{}

// EpochFailed ends the epoch at once: a keyholder died, core and tagger
// disagreed, a self-test failed.
type EpochFailed struct{ Reason CloseReason }

func (EpochOpened) epochEvent() {}
func (EpochDrain) epochEvent()  {}
func (EpochIdle) epochEvent()   {}
func (EpochFailed) epochEvent() {}

// EpochEffect is one thing the caller has to do now.
type EpochEffect uint8

// The effects on an epoch, in the order they are given.
const (
	EpochEffectWipe       EpochEffect = iota + 1 // wipe the ML-DSA key in the signer
	EpochEffectInvalidate                        // end every ISSUED session of the epoch
	EpochEffectStop                              // end tagger and signer once their last duties (hand-over, checkpoint of the close leaf) are done
	EpochEffectKill                              // end tagger and signer now
	EpochEffectClose                             // append leaf 3 with EpochState.Reason, if leaf 2 is in the log
	epochEffectEnd
)

var epochEffectText = [epochEffectEnd]string{"", "wipe", "invalidate", "stop", "kill", "close"}

// String names the effect.
func (e EpochEffect) String() string {
	if e > 0 && e < epochEffectEnd {
		return epochEffectText[e]
	}
	return "invalid"
}

// StepEpoch is the lifecycle of an epoch. The code conflict means that another
// epoch of the instance stands in the way; internal, that the event has no
// business in this state. Both leave the state as it is.
func StepEpoch(s EpochState, e EpochEvent) (EpochState, []EpochEffect, Code) {
	switch e := e.(type) {
	case EpochOpened:
		return epochOpened(s, e)
	case EpochDrain:
		return epochDrain(s, e)
	case EpochIdle:
		if s.Phase != EpochDraining {
			return s, nil, CodeNone // an ACTIVE epoch may well be idle
		}
		s.Phase = EpochDestroyed
		return s, []EpochEffect{EpochEffectClose, EpochEffectStop}, CodeNone
	case EpochFailed:
		return epochFailed(s, e)
	default:
		return s, nil, CodeInternal
	}
}

func epochOpened(s EpochState, e EpochOpened) (EpochState, []EpochEffect, Code) {
	switch {
	case s.Phase != EpochStarting:
		return s, nil, CodeInternal
	case e.OtherActive:
		return s, nil, CodeConflict
	default:
		return EpochState{Phase: EpochActive}, nil, CodeNone
	}
}

func epochDrain(s EpochState, e EpochDrain) (EpochState, []EpochEffect, Code) {
	switch {
	case s.Phase != EpochActive || (e.Reason != CloseRotated && e.Reason != CloseShutdown):
		return s, nil, CodeInternal
	case e.OtherDraining:
		return s, nil, CodeConflict
	default:
		return EpochState{Phase: EpochDraining, Reason: e.Reason}, []EpochEffect{EpochEffectWipe}, CodeNone
	}
}

func epochFailed(s EpochState, e EpochFailed) (EpochState, []EpochEffect, Code) {
	if s.Phase == EpochDestroyed {
		return s, nil, CodeNone
	}
	return EpochState{EpochDestroyed, e.Reason},
		[]EpochEffect{EpochEffectKill, EpochEffectInvalidate, EpochEffectClose}, CodeNone
}
