package protocol

// CanonicalForm is RFC 8785 without the additional rules of section 4.
var CanonicalForm = canonicalForm

// ExactNumber is the number rule alone.
var ExactNumber = exactNumber

// ReduceUniform is the last step of H2F.
var ReduceUniform = reduceUniform

// GuardNames are the conditions of Step that a test can remove.
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
	"told code":              guardTold,
}

// StepWithout is Step without the named guards.
func StepWithout(names []string, s State, e Event) (State, []Effect, Code) {
	g := allGuards
	for _, name := range names {
		g &^= GuardNames[name]
	}
	return step(g, s, e)
}

// GuardCount is the number of guards.
func GuardCount() (n int) {
	for g := allGuards; g != 0; g &= g - 1 {
		n++
	}
	return n
}
