// Package audit checks whole logs of TD/1. A receipt shows one acceptance; an audit
// shows that the log around it keeps its rules (section 12 of docs/spec/td-1.md).
//
// [Run] reads a log from the first entry to the last one of its newest checkpoint
// and checks these rules:
//
//   - Tree: every tile holds the hashes of its entries. The checkpoint has their
//     root, and is signed by the key of an epoch in the log.
//   - Entries: each is a well-formed leaf with its own index, is not earlier than the
//     one before it, and counts the withdrawals before it.
//   - Epochs: each names the one before it, and its id is that of its keys. A
//     hand-over is signed by the previous epoch over a tree of this log. A closed
//     epoch states how many it accepted, and accounts for all that it issued.
//   - Acceptances: each belongs to an open epoch and to a verifying key that the log
//     has before it, under no freeze. Its anchor has its place in an issued tree that
//     the epoch signed. Its statement is that of its parameters. No request, anchor,
//     commitment, nullifier or number in an epoch is accepted twice.
//   - Proofs, if [Options].Proofs is set: every accepted proof verifies.
//   - Journal, if [Options].Rows is set: each entry is the row of its number. Rows that
//     the log does not hold yet are checked like entries.
//   - Known checkpoints, those in [Options].Known: the log holds the tree of each.
//
// A broken rule is a fault in the [Report], and the audit continues.
//
// # Whose log it is
//
// Anyone can make a log that keeps all rules. The trust store in [Options].Trust shows
// whose log it is, by the rules of package receipt; see [receipt.TrustStore].
// [Report].Verdict is the answer to both questions.
//
// # Mirrors
//
// A copy of a log can be audited at any moment, also while it is made and the log grows.
// If it has the tree of its checkpoint, the result is that of the log at that size. Else
// [Run] returns a [*client.IncompleteError], and nothing is said against the log.
//
// # Resources
//
// Entries are read and checked in order by one goroutine. Proofs are verified beside
// it, one for each processor. Memory grows with the number of entries, by some 500 bytes
// for an acceptance; see [Options].Indexed.
package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Source reads the public files of one log. A [client.Log] is a Source:
// [client.NewLog] reads the tiles of a server, [client.NewLogDir] the files in a
// directory.
//
// Its errors wrap [client.ErrLog] if a file is malformed; that is a fault of the log.
// Every other error ends the audit.
type Source interface {
	receipt.Log
	receipt.Scanner
	// Checkpoint returns the newest checkpoint, a signed note.
	Checkpoint(ctx context.Context) ([]byte, error)
	// VerifyCheckpoint verifies a checkpoint with the key of an epoch-open leaf that
	// the log proves to be in its tree.
	VerifyCheckpoint(ctx context.Context, note []byte) (*receipt.Checkpoint, error)
	// Tile returns the hashes of tile n of a level in the tree of a size.
	Tile(ctx context.Context, level int, n, size uint64) ([][32]byte, error)
	// Source returns where the log is read. It is called after everything was read.
	Source() receipt.Source
}

var _ Source = (*client.Log)(nil)

// Rows are the rows of the journal behind a log, which may be growing.
type Rows interface {
	// Origin returns the origin of the log.
	Origin() string
	// Size returns the number of rows.
	Size(ctx context.Context) (uint64, error)
	// Leaves returns the rows from, from+1, ... in order and without a gap: at least one
	// if the row exists, and at most most of them.
	Leaves(ctx context.Context, from uint64, most int) ([][]byte, error)
}

// Options are the settings of an audit. The zero value checks the rules without proofs,
// and vouches for no log.
type Options struct {
	// Proofs verifies every accepted proof, which takes milliseconds for each.
	Proofs bool
	// Lists are the member lists that the auditor holds. Acceptances of group/1 under
	// another list are checked with the key in the log, and counted as unknown.
	Lists []*claim.List
	// Trust says whose log it is. Without it no log is vouched for. Nothing is
	// recorded in it.
	Trust *receipt.TrustStore
	// AllowSelfAsserted accepts a log that nothing vouches for. It does not accept a
	// contradiction.
	AllowSelfAsserted bool
	// Rows is the journal behind the log, nil if the auditor has only the log.
	Rows Rows
	// Indexed skips the check that nothing is accepted twice. The caller has compared the
	// unique indexes of the journal in Rows with its rows, which shows the same. Two roots
	// of one size in an issued tree are then not found. Memory grows by 36 bytes an entry.
	Indexed bool
	// Known are signed checkpoints of the log from elsewhere. An epoch of the log must have
	// signed each, and the entries must begin with its tree.
	Known []string
	// Pace, if given, is called after each entry and may wait. Proofs are then verified by
	// the same goroutine.
	Pace func()
	// Progress, if given, is called after each bundle of 256 entries with the number
	// of bundles that were checked, and of all.
	Progress func(done, total int)
}

// MaxFaults bounds the faults that a [Report] lists.
const MaxFaults = 20

// Report is the result of an audit. Its JSON is what td log audit prints.
type Report struct {
	OK bool `json:"ok"` // the verdict is valid
	// Verdict is one of receipt.Valid, Invalid, Contradicted, Unvouched and
	// Unavailable. A log that contradicts what is recorded is contradicted, even if it
	// breaks rules too; one that breaks rules is invalid.
	Verdict string `json:"verdict"`
	// Reason says why Trust does not vouch for the log, or "".
	Reason string `json:"reason"`
	// Refusal is the error of Trust behind Reason. It may name files of this machine.
	Refusal error `json:"-"`

	Origin   string            `json:"origin"`           // as the checkpoint states it, in printable ASCII
	Size     uint64            `json:"size"`             // as the checkpoint states it
	Root     protocol.Digest   `json:"root"`             // of the entries
	Identity string            `json:"identity"`         // receipt.Pinned or SelfAsserted
	Vouched  *receipt.Standing `json:"vouched"`          // nil unless it is pinned
	Leaves   map[string]int    `json:"leaves"`           // number of leaves by type
	Rows     uint64            `json:"rows,omitempty"`   // of the journal, if there is one
	Known    int               `json:"known,omitempty"`  // number of known checkpoints that were compared
	Lost     uint64            `json:"lost,omitempty"`   // number of entries by which a known checkpoint exceeds all that is here
	Proofs   int               `json:"proofs"`           // number of proofs that verified
	Unknown  int               `json:"unknown"`          // number of acceptances under keys that only the log vouches for
	Warnings []string          `json:"warnings"`         // sentences for people
	Faults   []string          `json:"faults"`           // the first rules that are broken, in sentences
	Others   int               `json:"others,omitempty"` // number of faults that are not listed

	contradicted bool // by a known checkpoint
}

// Fault adds a fault that the caller has found, and makes the verdict negative.
func (r *Report) Fault(sentence string) {
	r.fault("%s", sentence)
	r.conclude(false)
}

func (r *Report) fault(format string, args ...any) {
	if len(r.Faults) == MaxFaults {
		r.Others++
		return
	}
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

// conclude sets the verdict from the faults and what the trust store said.
func (r *Report) conclude(allowSelfAsserted bool) {
	switch {
	case r.contradicted:
		r.Verdict = receipt.Contradicted
	case len(r.Faults) > 0 && r.Verdict != receipt.Contradicted:
		r.Verdict = receipt.Invalid
	}
	allowed := allowSelfAsserted && !errors.As(r.Refusal, new(*receipt.ContradictionError))
	if allowed && (r.Verdict == receipt.Unvouched || r.Verdict == receipt.Unavailable) {
		r.Verdict = receipt.Valid
	}
	r.OK = r.Verdict == receipt.Valid
}
