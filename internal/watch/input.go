package watch

import (
	"math"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Input is what one tick reads.
type Input struct {
	Window   time.Duration // that the counters cover
	Global   Counts
	Classes  Classes  // of operations
	Clients  []Source // the busiest ones, see [Tally]
	Networks []Source
	Gauges   Gauges
	Findings []Finding // of package anomaly that are in force

	Held     bool // a freeze or a seal is in force
	Rotating bool // an epoch is opening or has just opened
}

// Source is one client or network with what it has caused.
type Source struct {
	Name string
	Counts
}

// Counter is one kind of event that is counted.
type Counter uint8

// The counters.
const (
	Requests        Counter = iota // answered requests
	Answers                        // answers to challenges, right or wrong
	WrongTags                      // for a pending request of the client
	UnknownRequests                // answers that name no pending request of the client
	FalseProofs                    // with the right tag
	MalformedProofs                // that do not decode
	Malformed                      // requests that are not of the protocol
	WrongKeys                      // requests whose API key is not valid
	Pushes                         // events that the prover of this server was given
	ProverErrors                   // of which no proof was there in time, or none that verifies
	Limited                        // refused by a quota
	Overloaded                     // refused for lack of a place
	Slow                           // clients that sent or read too slowly
	Faults                         // failures of the server
	KeyholderDeaths                // signer or tagger exited
	ProverDeaths                   // the prover exited
	NotifierDeaths                 // the notifier exited
	Disagreements                  // the tagger refused a tag that the core holds for right
	QuotaOverflow                  // charges to a parent's quota, as a table was full
	EventsLost                     // events that readers have not seen
	LinesLost                      // lines of the log that were dropped
	AlertsDropped                  // readings of alerts that found no place
	counterEnd
)

// Counts are counted events.
type Counts [counterEnd]uint32

// add adds counts; a sum does not wrap.
func (c *Counts) add(o *Counts) {
	for i, n := range o {
		c[i] = sum(c[i], n)
	}
}

func sum(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}

// Class is what the requests of one class of operations have come to. The parts that rules
// read are of one class: what is free to send in another one does not dilute them.
type Class struct {
	Served     uint32 // requests that were not refused for what they are
	Overloaded uint32 // of these, refused for lack of a place
	Faults     uint32 // and failed in the server
}

// Classes are in the order of [telemetry.Classes].
type Classes [5]Class

func (c *Class) count(cause telemetry.Cause) {
	if cause.Served() {
		c.Served = sum(c.Served, 1)
	}
	switch cause {
	case telemetry.Overloaded:
		c.Overloaded = sum(c.Overloaded, 1)
	case telemetry.Fault:
		c.Faults = sum(c.Faults, 1)
	default:
	}
}

func (c *Classes) add(o *Classes) {
	for i := range c {
		c[i] = Class{sum(c[i].Served, o[i].Served), sum(c[i].Overloaded, o[i].Overloaded), sum(c[i].Faults, o[i].Faults)}
	}
}

// Gauge is one measured value.
type Gauge uint8

// The gauges. Those that are states are 1 or 0.
const (
	LedgerLag          Gauge = iota // unpublished leaves over the number at which acceptance stops
	LedgerStopped                   // journal and log disagree, or the projection has ended
	JournalFailing                  // the journal takes no writes
	CheckpointAge                   // seconds since the last checkpoint, 0 if it covers every leaf
	EpochAge                        // of the active epoch over max_age
	EpochFill                       // requests issued over max_issued
	NoEpoch                         // none is active
	Frozen                          // a hold is in force
	DiskFree                        // free part of the file system of the data directory
	CertificateDays                 // until the certificate expires
	ClockStep                       // seconds by which the clock moved against the monotonic one
	UndeliveredMinutes              // for which a sink has taken nothing
	UncosignedMinutes               // for which a cosigner has failed to cosign
	gaugeEnd
)

// Gauges are measured values; NaN is not known.
type Gauges [gaugeEnd]float64

// NoGauges returns gauges of which none is known.
func NoGauges() (g Gauges) {
	for i := range g {
		g[i] = math.NaN()
	}
	return g
}

// Is returns the value of a state.
func Is(state bool) float64 {
	if state {
		return 1
	}
	return 0
}
