package claim

import (
	"context"

	"github.com/terradourada/td/internal/rules"
)

// Refusal is an error about an event or about parameters, in two texts that are
// kept apart. Error and the [protocol.Error] inside hold nothing of the input:
// servers send and log them. Explain names the pointer, the value and the rule.
// It is for the holder of the input, on whose machine the error was made.
type Refusal = rules.Refusal

// Proposal holds parameters that sample events satisfy.
type Proposal = rules.Proposal

// Propose proposes parameters of a claim other than group/1 from sample events
// in canonical form. At are the pointers to use: for the record claims first the
// one to the claimed field. Without any, Propose chooses. Every sample satisfies
// the result. An error with code malformed_request explains why nothing fits.
func Propose(ctx context.Context, id ID, samples [][]byte, at []string) (*Proposal, error) {
	return rules.Propose(ctx, id, samples, at)
}
