package lifecycle

import "github.com/terradourada/td/protocol"

// GuardNames names the conditions of Step that a test can remove.
var GuardNames = map[string]guard{
	"hold at open":           guardHold,
	"epoch at issue":         guardEpochAtIssue,
	"known request":          guardKnown,
	"client and tag":         guardClientAndTag,
	"claim once":             guardClaimOnce,
	"same proof":             guardSameProof,
	"hold at answer":         guardHoldAtAnswer,
	"redeem verdict":         guardVerdict,
	"disagreement":           guardDisagreement,
	"proof verdict":          guardProof,
	"journal refusal":        guardRefusal,
	"unknown commit":         guardUnknown,
	"expire issued only":     guardExpireIssuedOnly,
	"invalidate issued only": guardInvalidateIssuedOnly,
	"cancel":                 guardCancel,
	"outcome code":           guardOutcome,
}

// StepWithout is Step without the named guards.
func StepWithout(names []string, s State, e Event) (State, Effect, protocol.Code) {
	g := allGuards
	for _, name := range names {
		g &^= GuardNames[name]
	}
	return step(g, s, e)
}

// GuardCount returns the number of guards.
func GuardCount() (n int) {
	for g := allGuards; g != 0; g &= g - 1 {
		n++
	}
	return n
}
