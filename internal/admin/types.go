package admin

import (
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// Reason is what every request that changes something must say, in the words of the
// actor. It is at most 1,024 bytes of UTF-8 without control characters.
type Reason struct {
	Reason string `json:"reason"`
}

// Done is the answer to a request that changed something.
type Done struct {
	Outcome string  `json:"outcome"`         // one of the outcomes below
	Row     uint64  `json:"row,omitempty"`   // of the audit; 0 for what is not durable yet
	Leaves  []Leaf  `json:"leaves"`          // in the order in which they were written
	Until   *Moment `json:"until,omitempty"` // when a freeze with an end is over
	Epoch   *Epoch  `json:"epoch,omitempty"` // that a rotation opened
	Ended   uint64  `json:"ended,omitempty"` // pending requests that were invalidated
	Detail  string  `json:"detail,omitempty"`
}

// The outcomes of [Done].
const (
	OutcomeDone       = "done"
	OutcomeNotDurable = "held in memory, not durable"
	OutcomeApproval   = "waits for a second commander"
	OutcomeUnderWay   = "under way" // it goes on after the answer
)

// Leaf is a leaf of the log that an action has written.
type Leaf struct {
	Action string `json:"action"`
	Index  uint64 `json:"index"`
}

// Moment is a time with milliseconds in UTC.
type Moment = time.Time

// Scope is what a freeze or thaw covers. Without Claim and Fingerprint it covers all
// claims.
type Scope struct {
	Operation   string           `json:"operation"` // issue, accept, or both, in which case accept is held first
	Claim       string           `json:"claim,omitempty"`
	Fingerprint *protocol.Digest `json:"fingerprint,omitempty"`
}

// FreezeRequest holds issuing or acceptance.
type FreezeRequest struct {
	Reason
	Scope
	For int64 `json:"for_ms,omitempty"` // after which the core thaws by itself; 0 for never
}

// ThawRequest ends a hold with exactly this scope.
type ThawRequest struct {
	Reason
	Scope
}

// RotateRequest opens the next epoch. How is "drain" or "now".
type RotateRequest struct {
	Reason
	How string `json:"how"`
}

// RetireRequest retires a claim: one fingerprint, permanently.
type RetireRequest struct {
	Reason
	Fingerprint protocol.Digest `json:"fingerprint"`
}

// RevokeRequest revokes an epoch, permanently: its receipts are flagged.
type RevokeRequest struct {
	Reason
	Epoch protocol.EpochID `json:"epoch"`
}

// Filter selects pending requests; the fields that are set must all match.
type Filter struct {
	ID     *protocol.RequestID `json:"id,omitempty"`
	Client string              `json:"client,omitempty"`
	Claim  string              `json:"claim,omitempty"`
	Epoch  *protocol.EpochID   `json:"epoch,omitempty"`
	Prover string              `json:"prover,omitempty"` // client or server
	Older  int64               `json:"older_ms,omitempty"`
}

// InvalidateRequest ends pending requests. An empty filter is refused unless All is set.
type InvalidateRequest struct {
	Reason
	Filter
	All bool `json:"all,omitempty"`
}

// Session is a pending request. It holds no tag, anchor or content.
type Session struct {
	ID      protocol.RequestID `json:"id"`
	Client  string             `json:"client"`
	Claim   string             `json:"claim"`
	Epoch   protocol.EpochID   `json:"epoch"`
	Prover  string             `json:"prover"` // client or server
	Opened  Moment             `json:"opened"`
	Expires Moment             `json:"expires"`
}

// Sessions answers GET sessions: one page of pending requests in order of their ids.
type Sessions struct {
	Pending  uint64    `json:"pending"` // in all
	Sessions []Session `json:"sessions"`
	More     bool      `json:"more"`
}

// Epoch is one epoch that is open, or that the log names.
type Epoch struct {
	Number  uint64           `json:"number"`
	ID      protocol.EpochID `json:"id"`
	Phase   string           `json:"phase"`
	Since   Moment           `json:"since"`
	Index   uint64           `json:"index"` // of its leaf
	Pending uint64           `json:"pending"`
	Issued  uint64           `json:"issued"`
}

// Claim is a claim in force, or retired.
type Claim struct {
	ID          string          `json:"id"`
	Fingerprint protocol.Digest `json:"fingerprint"`
	Index       uint64          `json:"index"` // of its leaf
	Retired     bool            `json:"retired"`
	Holds       []string        `json:"holds"`
}

// Client is an API client with its keys.
type Client struct {
	ID       string  `json:"id"`
	Created  Moment  `json:"created"`
	Disabled *Moment `json:"disabled,omitempty"`
	Keys     []Key   `json:"keys"`
}

// Key is a key of a client, without the key.
type Key struct {
	ID      string  `json:"id"`
	Scopes  string  `json:"scopes"`
	Created Moment  `json:"created"`
	Expires *Moment `json:"expires,omitempty"`
	Revoked *Moment `json:"revoked,omitempty"`
}

// AddKeyRequest makes a client, or a further key of one.
type AddKeyRequest struct {
	Reason
	Client  string `json:"client"`
	Scopes  string `json:"scopes"`               // "" for all
	Expires int64  `json:"expires_ms,omitempty"` // from now; 0 for never
	Overlap int64  `json:"overlap_ms,omitempty"` // of the former keys, for a further key
}

// NewKey is the answer to AddKeyRequest. Token is the line of a token file. It is shown
// once and stored nowhere.
type NewKey struct {
	Done
	ID    string `json:"id"`
	Token string `json:"token"`
}

// RevokeKeyRequest ends a key at once.
type RevokeKeyRequest struct {
	Reason
	Key string `json:"key"`
}

// DisableClientRequest ends a client and its keys at once.
type DisableClientRequest struct {
	Reason
	Client string `json:"client"`
}

// IncidentRequest opens an incident of a kind, such as "key-compromise".
type IncidentRequest struct {
	Reason
	Kind  string            `json:"kind"`
	Epoch *protocol.EpochID `json:"epoch,omitempty"` // that is suspected; the active one without it
}

// IncidentOpened is the answer to IncidentRequest.
type IncidentOpened struct {
	Done
	Incident uint64  `json:"incident"` // index of the leaf that opened it
	Kind     string  `json:"kind"`
	Steps    []Step  `json:"steps"`            // that were taken, in order
	Left     []Check `json:"left"`             // for people, before it is closed
	Bundle   string  `json:"bundle,omitempty"` // directory of the evidence on the server
}

// Step is a step that the server took by itself.
type Step struct {
	Step   string `json:"step"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"` // why it failed; "" if it did not
	Leaves []Leaf `json:"leaves,omitempty"`
}

// Check is what a person has to do or to find out before an incident is closed.
type Check struct {
	ID   string `json:"id"` // for CloseRequest.Confirmed
	Text string `json:"text"`
}

// CloseRequest closes an incident. Confirmed lists the checks of its runbook that were
// done.
type CloseRequest struct {
	Reason
	Incident  uint64   `json:"incident"` // index of the leaf that opened it
	Confirmed []string `json:"confirmed"`
}

// Row is a row of the audit.
type Row struct {
	ID      uint64  `json:"id"`
	Time    Moment  `json:"time"`
	Actor   string  `json:"actor"`
	Role    string  `json:"role"`
	Action  string  `json:"action"`
	Target  string  `json:"target,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Until   *Moment `json:"until,omitempty"` // when a freeze with an end is over
	Outcome string  `json:"outcome"`
	Code    string  `json:"code,omitempty"`
	Index   *uint64 `json:"index,omitempty"`
}

// Audit answers GET audit: one page of rows, the oldest first.
type Audit struct {
	Rows []Row `json:"rows"`
	More bool  `json:"more"`
}

// Verified answers POST audit/verify: the rows were compared with the leaves.
type Verified struct {
	Rows     uint64   `json:"rows"`
	Leaves   uint64   `json:"leaves"`
	Problems []string `json:"problems"`
}

// Status answers GET status.
type Status struct {
	Server     api.Status `json:"server"`
	Time       Moment     `json:"time"`
	Started    Moment     `json:"started"`
	Actor      string     `json:"actor"` // who asks
	Role       string     `json:"role"`  // and in which role
	Pending    uint64     `json:"pending"`
	NotDurable int        `json:"not_durable"` // control actions in force that are not written yet
	Ends       []End      `json:"ends"`        // of freezes with an end
	TwoPeople  bool       `json:"two_people"`  // a thaw needs two commanders
	Waiting    []Waiting  `json:"waiting"`     // for a second commander
	Incidents  []Incident `json:"incidents"`   // that are open, the newest first
	Alerts     AlertState `json:"alerts"`
	Cosigners  []Cosigner `json:"cosigners"` // that checkpoints are submitted to
}

// Cosigner is the state of one cosigner of a server.
type Cosigner struct {
	URL     string  `json:"url"`
	Size    uint64  `json:"size"`              // of the newest checkpoint that it cosigned since the start, or 0
	Failing *Moment `json:"failing,omitempty"` // since when it cosigns nothing
	Why     string  `json:"why,omitempty"`     // it fails
}

// AlertState is how many alerts there are, and whether they can be delivered.
type AlertState struct {
	Firing  int    `json:"firing"`  // that are neither silenced nor explained by others
	Dropped uint64 `json:"dropped"` // that found no place since the start, counted at each reading

	Notifier string  `json:"notifier"`        // "none" if no destination is allowed, "running" or "down"
	Since    *Moment `json:"since,omitempty"` // of this state of the notifier
	Exits    uint64  `json:"exits"`           // of notifiers since the start of the server
	How      string  `json:"how,omitempty"`   // the last one exited
}

// The states of the notifier.
const (
	NotifierNone    = "none"
	NotifierRunning = "running"
	NotifierDown    = "down"
)

// End is when the core thaws a freeze by itself.
type End struct {
	Scope
	Until Moment `json:"until"`
}

// Waiting is an action that one commander asked for. It is done when another one asks for
// the same until then.
type Waiting struct {
	Action string `json:"action"`
	Target string `json:"target,omitempty"` // as in the audit
	Actor  string `json:"actor"`
	Until  Moment `json:"until"`
}

// Epochs answers GET epochs: those that have not ended, in order of their numbers.
type Epochs struct {
	Epochs []Epoch `json:"epochs"`
}

// Claims answers GET claims, in the order of the log.
type Claims struct {
	Claims []Claim `json:"claims"`
}

// Clients answers GET clients, in the order in which they were made.
type Clients struct {
	Clients []Client `json:"clients"`
}

// Incidents answers GET incidents, the newest first.
type Incidents struct {
	Incidents []Incident `json:"incidents"`
}

// Incident is an incident. Index is that of the leaf that opened it.
type Incident struct {
	Index  uint64  `json:"index"`
	Kind   string  `json:"kind"`
	Opened Moment  `json:"opened"`
	Actor  string  `json:"actor"`
	Reason string  `json:"reason"`
	Closed *uint64 `json:"closed,omitempty"` // index of the leaf that closed it
	Left   []Check `json:"left,omitempty"`   // what closing it asks for, while it is open
}

// SealRequest seals the log, permanently. Pending requests may be answered for as long as
// Drain; 0 means one minute.
type SealRequest struct {
	Reason
	Drain int64 `json:"drain_ms,omitempty"`
}

// VerifyRequest compares the audit with the log.
type VerifyRequest struct{ Reason }

// ReloadRequest reads the settings and the TLS certificate again.
type ReloadRequest struct{ Reason }

// BackupRequest writes a copy of the data directory into its backups, under a new name:
// the server can write nowhere else.
type BackupRequest struct {
	Reason
	Name string `json:"name"` // 1 to 64 of A-Z a-z 0-9 . _ -
}

// BackedUp is the answer to BackupRequest.
type BackedUp struct {
	Done
	Directory string          `json:"directory"` // on the server
	Size      uint64          `json:"size"`      // leaves in the copy
	Root      protocol.Digest `json:"root"`
}
