package metrics

import (
	"slices"

	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Prefix begins the name of every metric of this program, but for those of the Go runtime
// and of the process.
const Prefix = "terradourada_"

// Name names a metric, without [Prefix].
type Name string

// The metrics. Each has one row in the table below.
const (
	HTTPRequests        Name = "http_requests_total"
	HTTPDuration        Name = "http_request_duration_seconds"
	HTTPReceived        Name = "http_received_bytes_total"
	HTTPSent            Name = "http_sent_bytes_total"
	HTTPInFlight        Name = "http_requests_in_flight"
	HTTPConnections     Name = "http_connections"
	Refusals            Name = "refusals_total"
	Served              Name = "requests_served_total"
	ChallengesIssued    Name = "challenges_issued_total"
	ChallengesExpired   Name = "challenges_expired_total"
	ChallengesPending   Name = "challenges_outstanding"
	Submissions         Name = "proof_submissions_total"
	Rejections          Name = "proof_rejections_total"
	VerifyDuration      Name = "proof_verify_duration_seconds"
	ResponseTime        Name = "prover_response_seconds"
	ProverErrors        Name = "prover_errors_total"
	ChildUp             Name = "child_up"
	ChildStarts         Name = "child_starts_total"
	ChildDeaths         Name = "child_deaths_total"
	TaggerRequests      Name = "tagger_requests"
	TaggerRefusals      Name = "tagger_refusals_total"
	TaggerDisagreements Name = "tagger_disagreements_total"
	EpochNumber         Name = "epoch_number"
	EpochActive         Name = "epoch_active"
	EpochMissing        Name = "epoch_missing"
	EpochAge            Name = "epoch_age_seconds"
	EpochMaxAge         Name = "epoch_max_age_seconds"
	EpochFill           Name = "epoch_fill_ratio"
	EpochsOpened        Name = "epochs_opened_total"
	EpochsClosed        Name = "epochs_closed_total"
	Holds               Name = "holds"
	HoldChanges         Name = "hold_changes_total"
	JournalSize         Name = "journal_size_leaves"
	JournalFailing      Name = "journal_failing"
	LedgerLag           Name = "ledger_lag_leaves"
	LedgerMaxLag        Name = "ledger_max_lag_leaves"
	LedgerFailing       Name = "ledger_failing"
	LedgerDiverged      Name = "ledger_diverged"
	CheckpointAge       Name = "ledger_checkpoint_age_seconds"
	Cosignatures        Name = "cosignatures_total"
	CosignerFailing     Name = "cosigner_failing_seconds"
	DiskFree            Name = "disk_free_bytes"
	DiskFreeRatio       Name = "disk_free_ratio"
	CertificateExpiry   Name = "certificate_expiry_timestamp_seconds"
	CertificateFails    Name = "certificate_failing"
	ClockSteps          Name = "clock_steps_total"
	ClockMoved          Name = "clock_step_seconds_total"
	QueueDepth          Name = "queue_depth"
	QueueWait           Name = "queue_wait_seconds"
	ConcurrencyLimit    Name = "concurrency_limit"
	Shed                Name = "shed_total"
	IssuePace           Name = "issue_pace_per_second"
	LimitDecisions      Name = "ratelimit_decisions_total"
	LimitLive           Name = "ratelimit_table_live_ratio"
	LimitOverflow       Name = "ratelimit_overflow_total"
	AlertsActive        Name = "alerts_active"
	AlertsFired         Name = "alerts_fired_total"
	AlertsSilenced      Name = "alerts_silenced"
	AlertsDropped       Name = "alerts_dropped_total"
	AlertNotifications  Name = "alert_notifications_total"
	AlertsUndelivered   Name = "alerts_undelivered_seconds"
	AlertFeedback       Name = "alert_feedback_total"
	AnomalyVerdicts     Name = "anomaly_verdicts_total"
	AnomalySuppressed   Name = "anomaly_suppressed_total"
	AnomalyFindings     Name = "anomaly_findings"
	AnomalyFeedback     Name = "anomaly_feedback_total"
	AnomalyLearning     Name = "anomaly_learning"
	ResponsesActive     Name = "responses_active"
	Responses           Name = "responses_total"
	EventsLost          Name = "events_lost_total"
	LinesLost           Name = "log_lines_lost_total"
	Build               Name = "build_info"
)

// kind is the type of a metric.
type kind uint8

const (
	counter kind = iota
	gauge
	histogram
)

var kindText = [...]string{"counter", "gauge", "histogram"}

// metric is one row of the table. Every combination of the values of its labels is there
// from the start, and no other one ever is.
type metric struct {
	name    Name
	kind    kind
	help    string
	labels  []label
	buckets []float64 // upper bounds, of a histogram
}

// label is a label and all its values.
type label struct {
	name   string
	values []string
}

// Values of labels that stand for what has none, or whose name is not in the list.
const (
	none  = "none"
	other = "other"
)

// Latencies from a tile out of memory to a pushed event.
var (
	latencies  = []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}
	proofTimes = []float64{0.1, 0.5, 2, 10, 60, 300}
	verifyTime = []float64{0.001, 0.0025, 0.005, 0.01, 0.05, 0.25}
)

// Labels are the names of things that other packages have.
type Labels struct {
	Operations []string // ids of operations
	Claims     []string // that this build has
	Scopes     []string // of quotas
	Tables     []string // of quotas
	Rules      []string // of alerts
	Sinks      []string // kinds of receivers of alerts
	Responses  []string // steps of the automatic response

	Detectors    []string // of anomalies
	Suppressions []string // reasons for which their verdicts are not reported
}

// table returns every metric.
func table(l Labels) []metric {
	operation := label{"operation", with(l.Operations, none)}
	claims := label{"claim", with(l.Claims, none)}
	class := label{"class", telemetry.Classes}
	causes := label{"cause", names(telemetry.Causes())}
	code := label{"code", append([]string{protocol.CodeNone.String()}, names(protocol.Codes())...)}
	child := label{"role", []string{"signer", "tagger", "prover", "notifier"}}
	return []metric{
		{HTTPRequests, counter, "Requests that were answered, by operation and code of the problem.", []label{operation, code}, nil},
		{HTTPDuration, histogram, "Time from the header of a request to the end of its answer.", []label{operation}, latencies},
		{HTTPReceived, counter, "Bytes of bodies that clients sent.", []label{operation}, nil},
		{HTTPSent, counter, "Bytes of bodies that clients received.", []label{operation}, nil},
		{HTTPInFlight, gauge, "Requests that hold a place.", []label{class}, nil},
		{HTTPConnections, gauge, "Open connections of the public listener.", nil, nil},
		{Refusals, counter, "Requests that were refused, by class of operation and cause.", []label{class, causes}, nil},
		{Served, counter, "Requests that took a place or found none, by class of operation: those that were not refused for what they are.", []label{class}, nil},

		{ChallengesIssued, counter, "Challenges that were issued, those of pushed events included.", []label{claims}, nil},
		{ChallengesExpired, counter, "Challenges whose deadline passed without an answer.", []label{claims}, nil},
		{ChallengesPending, gauge, "Places that pending requests take.", nil, nil},
		{Submissions, counter, "Answers to challenges and pushed events, by outcome.", []label{claims, {"outcome", []string{"accepted", "rejected", "error"}}}, nil},
		{Rejections, counter, "Answers to challenges that were refused, by cause.", []label{claims, {"cause", names(ofProofs)}}, nil},
		{VerifyDuration, histogram, "Time that the verification of a proof took.", []label{claims}, verifyTime},
		{ResponseTime, histogram, "Time from the issue of a challenge to its answer.", []label{claims}, proofTimes},
		{ProverErrors, counter, "Pushed events for which the prover returned no valid proof, by cause.", []label{{"cause", names(ofProver)}}, nil},

		{ChildUp, gauge, "Whether the newest child of the role runs.", []label{child}, nil},
		{ChildStarts, counter, "Children that were started.", []label{child}, nil},
		{ChildDeaths, counter, "Children that exited and were not told to.", []label{child}, nil},
		{TaggerRequests, gauge, "Requests that the newest tagger knows, by state.", []label{{"state", []string{"pending", "remembered"}}}, nil},
		{TaggerRefusals, counter, "Redemptions that the newest tagger refused since its start, by answer.", []label{{"answer", []string{"mismatched", "unknown", "reused", "late"}}}, nil},
		{TaggerDisagreements, counter, "Tags that the core holds for right and the tagger refused; each ends an epoch.", nil, nil},
		{EpochNumber, gauge, "Number of the newest epoch.", nil, nil},
		{EpochActive, gauge, "Whether an epoch is active.", nil, nil},
		{EpochMissing, gauge, "Whether no epoch is active although there should be one.", nil, nil},
		{EpochAge, gauge, "Age of the active epoch, 0 without one.", nil, nil},
		{EpochMaxAge, gauge, "Age at which an epoch is replaced, 0 if it is not replaced for its age.", nil, nil},
		{EpochFill, gauge, "Issued requests of the active epoch over max_issued.", nil, nil},
		{EpochsOpened, counter, "Epochs that were opened.", nil, nil},
		{EpochsClosed, counter, "Epochs that were closed, by reason.", []label{{"reason", closeReasons}}, nil},

		{Holds, gauge, "Holds in force, by operation.", []label{{"operation", []string{"issue", "accept"}}}, nil},
		{HoldChanges, counter, "Freezes and thaws, by who ordered them.", []label{{"change", []string{"set", "lifted"}}, {"actor", []string{"operator", "core"}}}, nil},
		{JournalSize, gauge, "Leaves of the journal.", nil, nil},
		{JournalFailing, gauge, "Whether the journal cannot be written.", nil, nil},
		{LedgerLag, gauge, "Leaves of the journal that the published log lacks.", nil, nil},
		{LedgerMaxLag, gauge, "Lag at which acceptance stops.", nil, nil},
		{LedgerFailing, gauge, "Whether the log cannot be published.", nil, nil},
		{LedgerDiverged, gauge, "Whether journal and log disagree.", nil, nil},
		{CheckpointAge, gauge, "Age of the published checkpoint, 0 if it covers every leaf.", nil, nil},

		{Cosignatures, counter, "Submissions of checkpoints to cosigners, by result: cosigned, failed, or answered without a signature that verifies.", []label{{"result", []string{"cosigned", "failed", "invalid"}}}, nil},
		{CosignerFailing, gauge, "Time for which a cosigner has cosigned no checkpoint, the longest of all cosigners.", nil, nil},

		{DiskFree, gauge, "Free bytes of the file system of the data directory, NaN until it is known.", nil, nil},
		{DiskFreeRatio, gauge, "Free part of the file system of the data directory, NaN until it is known.", nil, nil},
		{CertificateExpiry, gauge, "Time at which the TLS certificate in use expires, 0 without one.", nil, nil},
		{CertificateFails, gauge, "Whether a changed TLS certificate could not be loaded.", nil, nil},
		{ClockSteps, counter, "Steps of the system's clock by a second or more.", nil, nil},
		{ClockMoved, counter, "Time by which these steps moved the clock, forwards or back.", nil, nil},

		{QueueDepth, gauge, "Requests that wait for their turn.", []label{class}, nil},
		{QueueWait, histogram, "Time that requests waited for their turn.", []label{class}, latencies},
		{ConcurrencyLimit, gauge, "Requests that may be in work at once.", []label{class}, nil},
		{Shed, counter, "Requests that were refused for lack of a place or of time.", []label{class}, nil},
		{IssuePace, gauge, "Challenges that may be issued a second.", nil, nil},
		{LimitDecisions, counter, "Decisions of quotas, by scope.", []label{{"scope", with(l.Scopes, other)}, {"decision", []string{"admitted", "refused"}}}, nil},
		{LimitLive, gauge, "Live entries of a table of quotas over its places.", []label{{"table", with(l.Tables, other)}}, nil},
		{LimitOverflow, counter, "Charges to a wider quota, because a table had no place.", []label{{"table", with(l.Tables, other)}}, nil},

		{AlertsActive, gauge, "Alerts that fire, by severity.", []label{{"severity", []string{"info", "ticket", "page"}}}, nil},
		{AlertsFired, counter, "Alerts that fired, by rule.", []label{{"rule", with(l.Rules, other)}}, nil},
		{AlertsSilenced, gauge, "Silences in force.", nil, nil},
		{AlertsDropped, counter, "Alerts about clients or networks that found no place, counted at each reading.", nil, nil},
		{AlertNotifications, counter, "Notifications to receivers of alerts, by kind of receiver and result.", []label{{"sink", with(l.Sinks, other)}, {"result", []string{"sent", "failed", "dropped"}}}, nil},
		{AlertsUndelivered, gauge, "Time for which a receiver of alerts has taken none, the longest of all receivers.", nil, nil},
		{AlertFeedback, counter, "Verdicts of operators about alerts.", []label{{"verdict", []string{"useful", "useless", "false"}}}, nil},
		{AnomalyVerdicts, counter, "Verdicts of the detectors of anomalies.", []label{{"detector", l.Detectors}}, nil},
		{AnomalySuppressed, counter, "Verdicts that were not reported, by what explains them.", []label{{"reason", l.Suppressions}}, nil},
		{AnomalyFindings, gauge, "Verdicts in force.", []label{{"detector", l.Detectors}}, nil},
		{AnomalyFeedback, counter, "Feedback of operators about verdicts.", []label{{"verdict", []string{"true", "false", "expected"}}}, nil},
		{AnomalyLearning, gauge, "1 while detectors learn what is usual.", nil, nil},
		{ResponsesActive, gauge, "Automatic responses in force, by step; in a dry run those that would be.", []label{{"step", with(l.Responses, other)}}, nil},
		{Responses, counter, "Automatic responses, by step and whether they were only tried.", []label{{"step", with(l.Responses, other)}, {"mode", []string{"enforced", "dry_run"}}}, nil},

		{EventsLost, counter, "Events that metrics, logs and detectors have not seen.", nil, nil},
		{LinesLost, counter, "Lines of the log that were dropped.", nil, nil},
		{Build, gauge, "1, with the version of the program.", []label{{"version", nil}, {"go_version", nil}}, nil},
	}
}

// ofProofs are the causes for which an answer to a challenge is refused.
var ofProofs = []telemetry.Cause{
	telemetry.Malformed, telemetry.Unauthenticated, telemetry.Forbidden, telemetry.UnknownID, telemetry.WrongClient, telemetry.ForeignTag, telemetry.WrongTag,
	telemetry.ForeignEpoch, telemetry.Ended, telemetry.Late, telemetry.Replayed, telemetry.RepeatedAnchor, telemetry.NullifierUsed, telemetry.Undecided,
	telemetry.MalformedProof, telemetry.FalseProof, telemetry.WrongInputs, telemetry.Disagreement, telemetry.Held, telemetry.NoEpoch, telemetry.Behind,
	telemetry.Limited, telemetry.Overloaded, telemetry.Slow, telemetry.Gone, telemetry.Fault,
}

// ofProver are the causes for which a pushed event has no proof.
var ofProver = []telemetry.Cause{telemetry.ProverLate, telemetry.ProverWrong, telemetry.ProverWrongTag, telemetry.Overloaded, telemetry.Fault}

// closeReasons are the reasons of close leaves.
var closeReasons = []string{"shutdown", "rotated", "died", "suspect", "lost", other}

// with returns values and one more at the end, in a new slice, without duplicates.
func with(values []string, last string) []string {
	values = slices.Clone(values)
	if !slices.Contains(values, last) {
		values = append(values, last)
	}
	return values
}

// names returns the names of a closed set.
func names[T interface{ String() string }](of []T) []string {
	all := make([]string, len(of))
	for i, v := range of {
		all[i] = v.String()
	}
	return all
}
