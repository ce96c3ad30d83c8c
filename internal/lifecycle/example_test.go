package lifecycle_test

import (
	"fmt"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// A request that is answered, redeemed, verified and committed.
func ExampleStep() {
	var s lifecycle.State
	for _, e := range []lifecycle.Event{
		lifecycle.EventOpen{},
		lifecycle.EventIssued{EpochLive: true},
		lifecycle.EventAnswer{ClientMatches: true, TagMatches: true},
		lifecycle.EventRedeemed{Verdict: protocol.RedeemOK},
		lifecycle.EventVerified{OK: true},
		lifecycle.EventCommitted{Outcome: lifecycle.CommitDone, Index: 41},
	} {
		var effects []lifecycle.Effect
		s, effects, _ = lifecycle.Step(s, e)
		fmt.Printf("%v: %v\n", s.Phase, effects)
	}
	// Output:
	// NONE: [issue]
	// ISSUED: []
	// CLAIMED: [redeem]
	// CLAIMED: [verify]
	// CLAIMED: [commit]
	// ACCEPTED: [reply]
}
