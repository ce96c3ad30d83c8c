package anomaly

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// causes is the number of causes, [telemetry.NoCause] included.
const causes = int(telemetry.RepeatedAnchor) + 1

// exposure is the group of requests among which a cause can occur.
type exposure uint8

const (
	everything exposure = iota // every request but those for the health of the server
	answers                    // answers to challenges
	pushes                     // events for the prover of this server
	exposures  int      = iota
)

// exposureOf returns the group of an operation that is narrower than everything.
func exposureOf(operation string) exposure {
	switch operation {
	case "sendProof":
		return answers
	case "pushEvent":
		return pushes
	}
	return everything
}

// amongText says which requests a group has.
var amongText = [exposures]string{everything: "requests", answers: "answers", pushes: "pushed events"}

// Runbooks that statistical verdicts refer to.
const (
	runbookTraffic = "abnormal-traffic.md"
	runbookProver  = "prover-compromise.md"
	runbookKeys    = "key-compromise.md"
	runbookMachine = "machine.md"
)

// causeTraits are what detectors know about a cause.
type causeTraits struct {
	plural  string   // what failed, for people
	among   exposure // the requests among which it occurs
	runbook string
	ceiling float64 // failures for each success that no baseline exceeds
}

// traits of every cause that is watched. Refusals that a hold or the end of an epoch explains
// are not, and neither are clients that leave.
var traits = [causes]causeTraits{
	telemetry.Malformed:       {"malformed requests", everything, runbookTraffic, 0.2},
	telemetry.Unauthenticated: {"requests without a valid key", everything, runbookTraffic, 0.2},
	telemetry.Forbidden:       {"forbidden requests", everything, runbookTraffic, 0.2},
	telemetry.NotFound:        {"requests for unknown records", everything, runbookTraffic, 1},
	telemetry.UnknownClaim:    {"requests for unknown claims", everything, runbookTraffic, 0.2},
	telemetry.WrongInputs:     {"requests with wrong inputs", everything, runbookTraffic, 0.2},
	telemetry.UnknownID:       {"answers with unknown ids", answers, runbookTraffic, 0.2},
	telemetry.WrongClient:     {"answers for other clients", answers, runbookTraffic, 0.05},
	telemetry.WrongTag:        {"wrong tags", answers, runbookTraffic, 0.05},
	telemetry.ForeignEpoch:    {"answers for other epochs", answers, runbookTraffic, 0.2},
	telemetry.Ended:           {"answers to ended requests", answers, runbookTraffic, 0.2},
	telemetry.Late:            {"late answers", answers, runbookTraffic, 0.5},
	telemetry.Replayed:        {"replayed answers", answers, runbookTraffic, 0.2},
	telemetry.NullifierUsed:   {"repeated nullifiers", answers, runbookTraffic, 0.2},
	telemetry.Undecided:       {"answers during a decision", answers, runbookTraffic, 0.2},
	telemetry.MalformedProof:  {"malformed proofs", answers, runbookTraffic, 0.05},
	telemetry.FalseProof:      {"false proofs", answers, runbookTraffic, 0.05},
	telemetry.Disagreement:    {"disagreements of the tagger", answers, runbookKeys, 0.001},
	telemetry.ProverLate:      {"late proofs of the prover", pushes, runbookProver, 0.2},
	telemetry.ProverWrong:     {"wrong proofs of the prover", pushes, runbookProver, 0.05},
	telemetry.ProverWrongTag:  {"wrong tags of the prover", pushes, runbookProver, 0.05},
	telemetry.Behind:          {"requests refused for a late log", everything, runbookMachine, 0.5},
	telemetry.Limited:         {"requests over a quota", everything, runbookTraffic, 1},
	telemetry.Overloaded:      {"requests without a free slot", everything, runbookTraffic, 0.5},
	telemetry.Slow:            {"requests that were too slow", everything, runbookTraffic, 0.2},
	telemetry.Fault:           {"faults of the server", everything, runbookMachine, 0.05},
	telemetry.ForeignTag:      {"right tags of other clients", answers, runbookTraffic, 0.05},
	telemetry.RepeatedAnchor:  {"repeated anchors", answers, runbookKeys, 0.001},
}

// watched reports whether detectors read a cause.
func watched(c telemetry.Cause) bool { return int(c) < causes && traits[c].plural != "" }

// ScopeServer is the scope of a verdict about the whole server.
const ScopeServer = "server"

// within returns where a verdict applies, for a sentence: " of client lab", or nothing for
// the whole server.
func within(dimension, name string) string {
	if dimension == "" {
		return ""
	}
	return " of " + dimension + " " + name
}

// span returns a duration in the unit that a person would choose.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "1 min"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Round(time.Minute)/time.Minute)) + " min"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Round(time.Hour)/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d.Round(24*time.Hour)/(24*time.Hour))) + " days"
}

// number returns a number with as many digits as a sentence needs.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 10, v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

// percent returns a share as a percentage.
func percent(share float64) string { return number(100*share) + " %" }

// clock returns a time of day for a sentence.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// accident says how often evidence of a strength occurs without a cause. The mean time
// between two such is at least the exponential of the evidence, in minutes.
func accident(evidence float64) string {
	years := math.Exp(min(evidence, 50)) / (365 * 24 * 60) / designs
	switch {
	case years < 1:
		return fmt.Sprintf("by accident about once in %.0f days", max(1, years*365))
	case years < 1000:
		return fmt.Sprintf("by accident about once in %.0f years", years)
	}
	return "by accident less than once in 1000 years"
}
