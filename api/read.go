package api

import (
	"time"

	"github.com/terradourada/td/protocol"
)

// Claims is the answer to GET /v1/claims.
type Claims struct {
	Claims []Claim `json:"claims" doc:"Every verifying key in the log, in log order."`
}

// Claim is one claim with its verifying key, as it stands in the log.
type Claim struct {
	Fingerprint protocol.Digest  `json:"fingerprint" doc:"Fingerprint of the verifying key."`
	Claim       string           `json:"claim" doc:"Claim id, for example range/1."`
	List        *protocol.ListID `json:"list,omitempty" doc:"Id of the member list, for group/1."`
	Gates       int              `json:"gates,omitempty" doc:"Constraints of the circuit, where known."`
	Index       uint64           `json:"index" doc:"Index of the claim leaf in the log."`
	Retired     bool             `json:"retired" doc:"True if the verifying key was withdrawn."`
}

// Epochs is the answer to GET /v1/epochs.
type Epochs struct {
	Epochs []Epoch `json:"epochs" doc:"The newest epochs, newest first, without their ML-DSA keys; at most 100. Older ones by number."`
}

// MaxEpochs bounds the list of [Epochs].
const MaxEpochs = 100

// Epoch holds the public values of one epoch.
type Epoch struct {
	Number        uint64              `json:"number" doc:"Monotone per deployment."`
	ID            protocol.EpochID    `json:"id" doc:"Drawn by the signer."`
	Instance      protocol.InstanceID `json:"instance" doc:"The run of the core the epoch belonged to."`
	Index         uint64              `json:"index" doc:"Index of the epoch-open leaf in the log."`
	OpenedAt      time.Time           `json:"opened_at" doc:"Time of the epoch-open leaf."`
	PublicKey     Bytes               `json:"public_key,omitempty" doc:"The ML-DSA-65 public key, 1952 bytes."`
	CheckpointKey protocol.Digest     `json:"checkpoint_key" doc:"The Ed25519 key that signs checkpoints."`
	Build         protocol.Digest     `json:"build" doc:"SHA-256 of the executable."`
	SignerGrade   uint8               `json:"signer_grade" doc:"How well the signer is confined."`
	TaggerGrade   uint8               `json:"tagger_grade" doc:"How well the tagger is confined."`
	Posture       protocol.Digest     `json:"posture" doc:"Digest of the posture report."`
	Previous      *protocol.EpochID   `json:"previous,omitempty" doc:"The epoch before; absent in a log's first."`
	PreviousIndex *uint64             `json:"previous_index,omitempty" doc:"Index of the leaf that opened the epoch before."`
	Handover      bool                `json:"handover" doc:"True if the key of the epoch before named this one."`
	Evidence      bool                `json:"evidence" doc:"True if there is evidence of hardware at GET /v1/epochs/{n}/attestation; it proves nothing until it is verified."`
	Close         *EpochClose         `json:"close,omitempty" doc:"Present once the epoch is over."`
}

// MaxEvidence bounds the answer to GET /v1/epochs/{n}/attestation, in bytes.
const MaxEvidence = 64 << 10

// EpochClose is how an epoch ended.
type EpochClose struct {
	Reason      string          `json:"reason" doc:"shutdown, rotated, died, suspect or lost."`
	Index       uint64          `json:"index" doc:"Index of the epoch-close leaf in the log."`
	ClosedAt    time.Time       `json:"closed_at" doc:"Time of the epoch-close leaf."`
	Issued      uint64          `json:"issued" doc:"Size of the issued tree: all requests that got an anchor, after a shutdown or a rotation; else as many as an accepted leaf shows."`
	Accepted    uint64          `json:"accepted" doc:"Requests accepted."`
	Rejected    uint64          `json:"rejected" doc:"Requests ended by a refused answer."`
	Expired     uint64          `json:"expired" doc:"Requests that ended unanswered."`
	Invalidated uint64          `json:"invalidated" doc:"Requests ended by the operator, a freeze or a failure."`
	Root        protocol.Digest `json:"root" doc:"Root of the issued tree at that size, signed in the epoch-close leaf; zero if there is none."`
}

// Status is the answer to GET /v1/status.
type Status struct {
	Origin  string    `json:"origin" doc:"Origin of the log."`
	Size    uint64    `json:"size" doc:"Leaves in the journal."`
	Epoch   *EpochRef `json:"epoch,omitempty" doc:"The active epoch; absent if there is none."`
	Claims  int       `json:"claims" doc:"Claims in the log that are not retired."`
	Sealed  bool      `json:"sealed" doc:"True if everything is held permanently."`
	Holds   []Hold    `json:"holds" doc:"What is frozen; empty means open."`
	Version string    `json:"version" doc:"Version of the software."`

	Published uint64    `json:"published" doc:"Leaves that the newest published checkpoint covers."`
	Journal   Condition `json:"journal" doc:"Whether acceptances can be written."`
	Ledger    Condition `json:"ledger" doc:"Whether the log follows the journal."`
	Epochs    Condition `json:"epochs" doc:"Whether there are keys to issue under."`
	Audit     *Audit    `json:"audit,omitempty" doc:"Result of the newest audit of the data directory by the server itself; absent before the first one has ended."`
}

// Audit is the result of an audit that a server made of its own data directory.
type Audit struct {
	State   string    `json:"state" doc:"ok; failing: something could not be read or is not recorded, and the audit is made again; stopped: a difference was found, and acceptance is frozen." enum:"ok,failing,stopped"`
	At      time.Time `json:"at" doc:"When it ended."`
	Entries uint64    `json:"entries,omitempty" doc:"Rows of the journal that were audited."`
	Why     string    `json:"why,omitempty" doc:"Why it is not ok, in a few words; the server's log has details."`
}

// Condition is the state of one part of the server.
type Condition struct {
	State string     `json:"state" doc:"State of the part: ok; failing, and retried; behind, and catching up; stopped, and not retried." enum:"ok,failing,behind,stopped"`
	Since *time.Time `json:"since,omitempty" doc:"Since when it is not ok, where that is known."`
	Why   string     `json:"why,omitempty" doc:"Why it is not ok, in a few words; the server's log has details."`
}

// EpochRef names an epoch.
type EpochRef struct {
	Number uint64           `json:"number" doc:"Number of the epoch."`
	ID     protocol.EpochID `json:"id" doc:"Id of the epoch."`
}

// Hold is one freeze in force.
type Hold struct {
	Kind  string           `json:"kind" doc:"What is held." enum:"issue,accept"`
	Claim *protocol.Digest `json:"claim,omitempty" doc:"Fingerprint of the one claim it concerns; absent means all."`
	By    string           `json:"by,omitempty" doc:"Who froze it: an operator, or the core itself." enum:"operator,core"`
	Why   string           `json:"why,omitempty" doc:"Why the core did."`
	Index *uint64          `json:"index,omitempty" doc:"Index of the control leaf."`
	Since *time.Time       `json:"since,omitempty" doc:"Time of the control leaf."`
	Until *time.Time       `json:"until,omitempty" doc:"When it ends by itself; absent means never."`
}
