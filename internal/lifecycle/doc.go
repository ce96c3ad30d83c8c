// Package lifecycle holds the state machines of TD/1: [Step] for one request,
// [StepEpoch] for one epoch and [StepOpening] for the opening of the next one. Section
// 11 of docs/spec/td-1.md is the normative text; section numbers in comments refer to
// it. docs/spec/lifecycle.md lists every step of a request and of an opening and is
// generated from [Step] and [StepOpening], and so are the transitions of the formal model
// in model/step.pml.
//
// Everything here is pure: no I/O, no clock, no goroutines.
//
// # How a machine is driven
//
// The caller holds one state behind a lock. It applies an event, which says what
// it has learnt, and stores the state that is returned. Outside the lock it
// carries out the effect, which says what to do next. What the effect finds out is
// the next event.
//
// # A request
//
//	(none) -> ISSUED -> CLAIMED -> ACCEPTED | REJECTED | INVALIDATED | EXPIRED
//	          ISSUED -> EXPIRED | INVALIDATED
//
// The caller that gets [EffectRedeem] is the winner of the request. Only the winner
// sends [EventRedeemed], [EventVerified], [EventCommitted] and [EventAborted].
//
// # An epoch
//
//	STARTING -> ACTIVE -> DRAINING -> DESTROYED
//	any of the first three -> DESTROYED on suspicion, a killed keyholder, a failed self-test
//
// The last epoch of a log drains without a successor: its close leaf is followed by the
// seal. One epoch of an instance is ACTIVE at most, and at most [MaxDraining] are DRAINING.
//
// # An opening
//
// The first epoch, the replacement of one that has failed and the next one of a
// rotation are opened by the same steps. In a rotation the epoch before is the giver:
//
//	start -> drain -> root -> checkpoint -> handover -> write -> activate
//
// From drain to activate issue is held. An opening that has drained the giver ends with
// an ACTIVE epoch or not at all. A giver signs one hand-over; what opens after one that
// was lost carries none.
package lifecycle
