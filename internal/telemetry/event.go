package telemetry

import (
	"net/netip"
	"time"

	"github.com/terradourada/td/protocol"
)

// Request is one HTTP request and its answer. The server reports each request once,
// when it has been answered. It holds no part of an event, no tag and no proof.
type Request struct {
	At        time.Time     // of the answer
	Operation string        // id of the operation in the OpenAPI document, "none" if there is none
	Claim     string        // of the claims that this server offers; "" if none is known
	Client    string        // name of the authenticated client, "" without a key
	Source    netip.Addr    // the resolved address of the client; the zero Addr if unknown
	Code      protocol.Code // of the problem, CodeNone for success
	Cause     Cause         // why it was refused; never part of the answer
	Status    int           // of the HTTP answer
	Waited    time.Duration // for a place or for another event
	Took      time.Duration // from the header to the end of the answer, the wait included
	Received  int64         // bytes of the body
	Sent      int64         // bytes of the answer's body
	ID        protocol.RequestID
	Answered  time.Duration // from the issue of a challenge to this answer, see [Details]
	Verified  time.Duration // that the verification of a proof took, see [Details]
	Mark      Mark          // of the proof or the anchor, see [Details]
	Place     Mark          // of the position of a challenge, see [Details]
}

// Classes are the groups of operations that logs and metrics tell apart, by the words that
// package limit has for them.
var Classes = []string{"health", "read", "issue", "submit", "verify"}

// ClassOf returns the class of an operation.
func ClassOf(operation string) string {
	switch operation {
	case "getStatus":
		return "health"
	case "openChallenge", "pushEvent":
		return "issue"
	case "sendProof":
		return "submit"
	case "verifyReceipt":
		return "verify"
	}
	return "read"
}

// Change is a change of the server's state, or a new value of something that is
// measured at intervals.
type Change struct {
	At      time.Time
	Kind    Kind
	Subject string  // what changed: a child, a hold, an epoch; [Bounded], and "" if the kind says it all
	Value   float64 // as the kind defines it
}

// Observer receives events. An observer that is called in the path of a request must
// neither block nor keep the caller for long.
type Observer interface {
	Request(r Request)
	Change(c Change)
}

// Kind is the kind of a [Change].
type Kind uint8

// The kinds of changes, with what Subject and Value hold. Those in the second group are
// measured, and reported when the value has changed.
const (
	noKind            Kind = iota
	ServerStarted          // subject: version and build of the program; value: 1; the server answers requests
	ServerStopping         // value: 1
	EpochOpened            // value: number of the epoch
	EpochClosed            // subject: reason; value: index of its close leaf
	EpochFailed            // subject: why no epoch opens; value: 1, or 0 once one has opened
	ChildStarted           // subject: role; value: 1
	ChildDied              // subject: role; value: 1
	HoldSet                // subject: operation and who ordered it, such as "issue operator"; value: 1
	HoldLifted             // the same of a thaw
	JournalFailing         // subject: cause; value: 1, or 0 once it takes writes again
	LedgerFailing          // subject: "failing" or "diverged"; value: 1, or 0 once it is published again
	ProverFailed           // subject: cause; value: 1
	PushDecided            // subject: claim; value: the [Cause] of the refusal, 0 if the event was accepted
	ChallengeExpired       // subject: claim; value: 1
	TaggerDisagreed        // subject: claim; value: 1; the epoch is destroyed
	CertificateSet         // value: seconds since 1970 at which the certificate in use expires
	CertificateFails       // value: 1 if changed files do not load, or 0 once they do
	ClockStepped           // value: seconds by which the clock of the system moved against the monotonic one
	AlertFired             // subject: rule; value: 1
	AlertCleared           // subject: rule; value: 1
	ResponseTaken          // subject: step of the response ladder; value: 1, or 0 in a dry run
	SettingsRead           // value: 1; settings were read again
	ProofReturned          // subject: claim; value: seconds in which the prover of this server has returned a proof
	KeyholderBreached      // subject: role; value: 1; it answered what was not asked, or contradicted the core
	RootsDiffer            // subject: "log" or "issued"; value: 1; a signer signed another tree than that of the core

	// Those that are measured.
	EpochAge          // value: seconds since the ACTIVE epoch opened, 0 without one
	EpochFill         // value: issued requests of the ACTIVE epoch over the greatest number
	PendingRequests   // value: places taken by pending requests
	JournalSize       // value: leaves
	LedgerLag         // value: leaves that the published log lacks
	CheckpointAge     // value: seconds since a checkpoint was published, 0 if it covers every leaf
	DiskFree          // value: free bytes of the file system of the data directory
	DiskFreeRatio     // value: free part of it, from 0 to 1
	CertificateExpiry // value: seconds until the certificate expires, negative afterwards
	LogLinesLost      // value: lines of the log that were dropped since the start
	EventsLost        // value: events that the ring dropped since the start
	kindEnd
)

var kindText = [kindEnd]string{
	ServerStarted: "server_started", ServerStopping: "server_stopping",
	EpochOpened: "epoch_opened", EpochClosed: "epoch_closed", EpochFailed: "epoch_failed",
	ChildStarted: "child_started", ChildDied: "child_died",
	HoldSet: "hold_set", HoldLifted: "hold_lifted",
	JournalFailing: "journal_failing", LedgerFailing: "ledger_failing",
	ProverFailed: "prover_failed", TaggerDisagreed: "tagger_disagreed", PushDecided: "push_decided", ChallengeExpired: "challenge_expired",
	CertificateSet: "certificate_set", CertificateFails: "certificate_fails", ClockStepped: "clock_stepped",
	AlertFired: "alert_fired", AlertCleared: "alert_cleared", ResponseTaken: "response_taken", SettingsRead: "settings_read",
	ProofReturned: "proof_returned", KeyholderBreached: "keyholder_breached", RootsDiffer: "roots_differ",
	EpochAge: "epoch_age", EpochFill: "epoch_fill", PendingRequests: "pending_requests",
	JournalSize: "journal_size", LedgerLag: "ledger_lag", CheckpointAge: "checkpoint_age",
	DiskFree: "disk_free", DiskFreeRatio: "disk_free_ratio", CertificateExpiry: "certificate_expiry",
	LogLinesLost: "log_lines_lost", EventsLost: "events_lost",
}

// Kinds lists every kind.
func Kinds() []Kind {
	all := make([]Kind, 0, kindEnd)
	for k := noKind + 1; k < kindEnd; k++ {
		all = append(all, k)
	}
	return all
}

// String returns the stable name of the kind.
func (k Kind) String() string {
	if k < kindEnd && kindText[k] != "" {
		return kindText[k]
	}
	return "unknown"
}
