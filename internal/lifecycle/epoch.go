package lifecycle

import "github.com/terradourada/td/protocol"

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

// String returns the phase as section 11 writes it.
func (p EpochPhase) String() string { return nameOf(epochPhaseText[:], p, "unknown") }

// Live reports whether requests of the epoch may be accepted.
func (p EpochPhase) Live() bool { return p == EpochActive || p == EpochDraining }

// EpochState is the whole lifecycle state of one epoch. The zero value is STARTING.
type EpochState struct {
	Phase  EpochPhase
	Reason protocol.CloseReason // why it ends; 0 while STARTING or ACTIVE
	Last   bool                 // the log is sealed when it has drained, and no epoch follows
}

// EpochEvent is a fact that the caller has learnt about an epoch.
type EpochEvent interface{ epochEvent() }

// EpochOpened says that the open leaf is committed. In a rotation the epoch before is
// DRAINING by then.
type EpochOpened struct {
	OtherActive bool // another epoch of the instance is ACTIVE: it must drain first
}

// EpochDrain ends the issue of an ACTIVE epoch, for rotation, shutdown or the seal.
type EpochDrain struct {
	Reason   protocol.CloseReason // protocol.CloseRotated or protocol.CloseShutdown
	Draining int                  // other epochs of the instance that are DRAINING
	Last     bool                 // a shutdown before the seal
}

// EpochIdle says that no session of the epoch is ISSUED or CLAIMED any more.
type EpochIdle struct{}

// EpochFailed ends the epoch at once: a keyholder exited, core and tagger
// disagreed, or a self-test failed.
type EpochFailed struct{ Reason protocol.CloseReason }

func (EpochOpened) epochEvent() {}
func (EpochDrain) epochEvent()  {}
func (EpochIdle) epochEvent()   {}
func (EpochFailed) epochEvent() {}

// EpochEffect is one thing that the caller must do next.
type EpochEffect uint8

// The effects on an epoch, in the order in which they are returned.
const (
	EpochEffectWipe       EpochEffect = iota + 1 // wipe the ML-DSA key in the signer
	EpochEffectInvalidate                        // end every ISSUED session of the epoch
	EpochEffectStop                              // end tagger and signer; after a shutdown the signer first signs a checkpoint that covers the close leaf, or the seal leaf
	EpochEffectKill                              // end tagger and signer now
	EpochEffectClose                             // append the close leaf with EpochState.Reason, if the open leaf is in the log
	EpochEffectSeal                              // once a checkpoint covers the close leaf, append the seal leaf
	epochEffectEnd
)

var epochEffectText = [epochEffectEnd]string{"invalid", "wipe", "invalidate", "stop", "kill", "close", "seal"}

// String returns the name of the effect.
func (e EpochEffect) String() string { return nameOf(epochEffectText[:], e, "invalid") }

// StepEpoch applies an event to the state of an epoch. It returns the next state and
// the effects to carry out, in order. The code conflict means that another epoch of
// the instance must end first; internal means that the event does not belong to
// this state. Both leave the state unchanged.
func StepEpoch(s EpochState, e EpochEvent) (EpochState, []EpochEffect, protocol.Code) {
	switch e := e.(type) {
	case EpochOpened:
		return epochOpened(s, e)
	case EpochDrain:
		return epochDrain(s, e)
	case EpochIdle:
		if s.Phase != EpochDraining {
			return s, nil, protocol.CodeNone // an ACTIVE epoch may be idle
		}
		s.Phase = EpochDestroyed
		if s.Last {
			return s, []EpochEffect{EpochEffectClose, EpochEffectSeal, EpochEffectStop}, protocol.CodeNone
		}
		return s, []EpochEffect{EpochEffectClose, EpochEffectStop}, protocol.CodeNone
	case EpochFailed:
		return epochFailed(s, e)
	default:
		return s, nil, protocol.CodeInternal
	}
}

func epochOpened(s EpochState, e EpochOpened) (EpochState, []EpochEffect, protocol.Code) {
	switch {
	case s.Phase != EpochStarting:
		return s, nil, protocol.CodeInternal
	case e.OtherActive:
		return s, nil, protocol.CodeConflict
	default:
		return EpochState{Phase: EpochActive}, nil, protocol.CodeNone
	}
}

func epochDrain(s EpochState, e EpochDrain) (EpochState, []EpochEffect, protocol.Code) {
	switch {
	case s.Phase != EpochActive || e.Reason != protocol.CloseShutdown && (e.Reason != protocol.CloseRotated || e.Last):
		return s, nil, protocol.CodeInternal
	case e.Reason == protocol.CloseRotated && e.Draining >= MaxDraining:
		return s, nil, protocol.CodeConflict
	default:
		return EpochState{Phase: EpochDraining, Reason: e.Reason, Last: e.Last}, []EpochEffect{EpochEffectWipe}, protocol.CodeNone
	}
}

func epochFailed(s EpochState, e EpochFailed) (EpochState, []EpochEffect, protocol.Code) {
	if s.Phase == EpochDestroyed {
		return s, nil, protocol.CodeNone
	}
	return EpochState{Phase: EpochDestroyed, Reason: e.Reason},
		[]EpochEffect{EpochEffectKill, EpochEffectInvalidate, EpochEffectClose}, protocol.CodeNone
}
