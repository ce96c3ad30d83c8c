package metrics

import (
	"math"
	"slices"
	"strings"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Request counts a request.
func (m *Metrics) Request(r telemetry.Request) {
	class := telemetry.ClassOf(r.Operation)
	m.Add(HTTPRequests, 1, r.Operation, r.Code.String())
	m.observe(HTTPDuration, r.Took.Seconds(), r.Operation)
	m.Add(HTTPReceived, float64(r.Received), r.Operation)
	m.Add(HTTPSent, float64(r.Sent), r.Operation)
	if r.Waited > 0 {
		m.observe(QueueWait, r.Waited.Seconds(), class)
	}
	if r.Code != protocol.CodeNone {
		m.Add(Refusals, 1, class, r.Cause.String())
	}
	if r.Cause.Served() {
		m.Add(Served, 1, class)
	}
	if r.Cause == telemetry.Overloaded {
		m.Add(Shed, 1, class)
	}
	switch r.Operation {
	case "openChallenge":
		m.issued(&r)
	case "pushEvent":
		if r.ID != (protocol.RequestID{}) {
			m.issued(&r)
		}
	case "sendProof":
		m.answered(&r)
	}
}

// issued counts a challenge, if one was issued.
func (m *Metrics) issued(r *telemetry.Request) {
	if r.ID != (protocol.RequestID{}) {
		m.Add(ChallengesIssued, 1, r.Claim)
	}
}

// answered counts the answer to a challenge.
func (m *Metrics) answered(r *telemetry.Request) {
	m.Add(Submissions, 1, r.Claim, outcomeOf(r.Code, r.Cause))
	if r.Code != protocol.CodeNone {
		m.Add(Rejections, 1, r.Claim, r.Cause.String())
	}
	if r.Answered > 0 {
		m.observe(ResponseTime, r.Answered.Seconds(), r.Claim)
	}
	if r.Verified > 0 {
		m.observe(VerifyDuration, r.Verified.Seconds(), r.Claim)
	}
}

// outcomeOf returns whether an answer was accepted, was rejected for what it is, or met an
// error of the server.
func outcomeOf(code protocol.Code, cause telemetry.Cause) string {
	switch {
	case code == protocol.CodeNone:
		return "accepted"
	case slices.Contains(ofServer, cause):
		return "error"
	}
	return "rejected"
}

// ofServer are the causes that the server answers for, not the client.
var ofServer = []telemetry.Cause{
	telemetry.Disagreement, telemetry.ProverLate, telemetry.ProverWrong, telemetry.ProverWrongTag,
	telemetry.Held, telemetry.NoEpoch, telemetry.Behind, telemetry.Overloaded, telemetry.Undecided, telemetry.Fault,
}

// measured maps a kind of change to the gauge that holds its value.
var measured = map[telemetry.Kind]Name{
	telemetry.EpochAge: EpochAge, telemetry.EpochFill: EpochFill, telemetry.PendingRequests: ChallengesPending,
	telemetry.JournalSize: JournalSize, telemetry.LedgerLag: LedgerLag, telemetry.CheckpointAge: CheckpointAge,
	telemetry.DiskFree: DiskFree, telemetry.DiskFreeRatio: DiskFreeRatio,
	telemetry.CertificateSet: CertificateExpiry, telemetry.CertificateFails: CertificateFails,
	telemetry.LogLinesLost: LinesLost, telemetry.EventsLost: EventsLost,
}

// Change counts a change of state.
func (m *Metrics) Change(c telemetry.Change) {
	if name, ok := measured[c.Kind]; ok {
		m.Set(name, c.Value)
		return
	}
	switch c.Kind {
	case telemetry.EpochOpened:
		m.Set(EpochNumber, c.Value)
		m.Set(EpochActive, 1)
		m.Add(EpochsOpened, 1)
	case telemetry.EpochClosed:
		m.Add(EpochsClosed, 1, c.Subject)
	case telemetry.ChildStarted:
		m.Set(ChildUp, 1, c.Subject)
		m.Add(ChildStarts, 1, c.Subject)
	case telemetry.ChildDied:
		m.Add(ChildDeaths, 1, c.Subject)
	case telemetry.HoldSet, telemetry.HoldLifted:
		m.hold(c)
	case telemetry.JournalFailing:
		m.SetIs(JournalFailing, c.Value != 0)
	case telemetry.LedgerFailing:
		m.SetIs(LedgerFailing, c.Value != 0)
		if c.Subject == "diverged" {
			m.SetIs(LedgerDiverged, c.Value != 0)
		}
	case telemetry.TaggerDisagreed:
		m.Add(TaggerDisagreements, 1)
	case telemetry.ProverFailed:
		m.Add(ProverErrors, 1, c.Subject)
	case telemetry.ChallengeExpired:
		m.Add(ChallengesExpired, 1, c.Subject)
	case telemetry.PushDecided:
		m.pushed(c)
	case telemetry.ClockStepped:
		m.Add(ClockSteps, 1)
		m.Add(ClockMoved, math.Abs(c.Value))
	case telemetry.ResponseTaken:
		mode := "dry_run"
		if c.Value != 0 {
			mode = "enforced"
		}
		m.Add(Responses, 1, c.Subject, mode)
	default: // alerts are set by those who have them
	}
}

// hold counts a freeze or a thaw. The subject is the operation and who ordered it.
func (m *Metrics) hold(c telemetry.Change) {
	_, actor, _ := strings.Cut(c.Subject, " ")
	change := "set"
	if c.Kind == telemetry.HoldLifted {
		change = "lifted"
	}
	m.Add(HoldChanges, 1, change, actor)
}

// pushed counts a pushed event that was decided. The subject is its claim, the value the
// cause of its refusal.
func (m *Metrics) pushed(c telemetry.Change) {
	cause := telemetry.Cause(c.Value)
	code := protocol.CodeNone
	if cause != telemetry.NoCause {
		code = protocol.CodeInternal
	}
	m.Add(Submissions, 1, c.Subject, outcomeOf(code, cause))
}
