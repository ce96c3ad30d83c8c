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
		var effect lifecycle.Effect
		s, effect, _ = lifecycle.Step(s, e)
		fmt.Printf("%v %q\n", s.Phase, effect)
	}
	// Output:
	// NONE "issue"
	// ISSUED ""
	// CLAIMED "redeem"
	// CLAIMED "verify"
	// CLAIMED "commit"
	// ACCEPTED "reply"
}
