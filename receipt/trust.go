package receipt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// MaxRecorded bounds the vouched checkpoints a [TrustStore] keeps per log; at
// the bound the smaller half is dropped.
const MaxRecorded = 1 << 18

// MaxUnauthenticated bounds the unauthenticated checkpoints kept per log;
// further ones are not recorded.
const MaxUnauthenticated = 1 << 10

// Vouch says how a recorded checkpoint was vouched for.
type Vouch string

// The ways of vouching. All but the last make a record vouched.
const (
	VouchLive     Vouch = "live"            // read by this machine from the log's own server
	VouchChain    Vouch = "chain"           // pinned by vouched records and the log's proofs
	VouchPolicy   Vouch = "policy"          // a policy file was satisfied
	VouchOperator Vouch = "operator"        // the operator's word, got by another way
	VouchNone     Vouch = "unauthenticated" // evidence of consistency, nothing more
)

// The rules of a [Standing].
const (
	RuleRecorded = "recorded"  // a vouched record has this size and root
	RulePrefix   = "prefix"    // it is a proved prefix of a vouched record
	RuleSameKey  = "same_key"  // the newest vouched record is a proved prefix, under the same key
	RuleHandOver = "hand_over" // the same, and hand-overs lead from its key to this one
	RuleLive     = "live"      // the same, and it was read live from the server bound to the log
	RuleFirstUse = "first_use" // nothing of the log was vouched for before
	RulePolicy   = "policy"    // the policy file is satisfied
)

// Source says where a checkpoint was read. The zero value is a file, a
// directory or a mirror.
type Source struct {
	Live   bool   // read by this process from the server itself, over a connection that was authenticated
	Server string // its canonical URL, "" if not from a server
}

// Standing says why a checkpoint is pinned.
type Standing struct {
	Rule     string   `json:"rule"`   // one of the Rule constants, "" if it is not pinned
	How      Vouch    `json:"how"`    // of the record it rests on
	Server   string   `json:"server"` // the one the log is bound to, "" if none
	Warnings []string `json:"-"`      // sentences; set beside an error too
}

// Refusals of a trust store: nothing shows whose log it is. The checkpoint may
// be genuine. Errors that wrap them add the reason in words.
var (
	// ErrUnknownLog: no vouched record of this log.
	ErrUnknownLog = errors.New("nothing on this machine vouches for a checkpoint of this log")
	// ErrNotShown: there are vouched records, but no log was given to show that
	// the checkpoint belongs with them, or its proof is bad.
	ErrNotShown = errors.New("nothing shows that the checkpoint and the recorded one belong to one history")
	// ErrOtherKey: consistent, but nothing ties the key to the vouched record.
	ErrOtherKey = errors.New("the checkpoint is consistent with what is recorded, but nothing ties the key that signed it to this log")
)

// ContradictionError says that a checkpoint contradicts a vouched record, with
// proof.
type ContradictionError struct {
	Origin  string
	Size    uint64 // of the vouched record
	File    string // holds the record with its signature
	Vouched bool   // the key of the checkpoint is tied to the log, so that the log showed two histories
}

// Error names the log, the size and the file with the evidence.
func (e *ContradictionError) Error() string {
	if !e.Vouched {
		return fmt.Sprintf("the checkpoint contradicts what is recorded of log %s at size %d, under a key that nothing ties to this log: anybody can sign anything under a public origin", e.Origin, e.Size)
	}
	return fmt.Sprintf("possible split view: log %s contradicts the checkpoint of size %d recorded in %s; keep that file and this checkpoint as evidence",
		e.Origin, e.Size, e.File)
}

// BindingError says that a server shows another log than it is bound to, or
// that a log is read from another server than it is bound to.
type BindingError struct {
	Server string // the server that was read
	Origin string // the log it showed
	Bound  string // what the records bind one of them to: the other log, or the other server
}

// Error names the three and the remedy.
func (e *BindingError) Error() string {
	return fmt.Sprintf("server %s shows log %s, but the records on this machine bind it to %s; if that is right, say so with td trust add", e.Server, e.Origin, e.Bound)
}

// DamagedError says that a trust file is not as this package writes it. It is
// refused, never read as empty.
type DamagedError struct {
	File   string
	Line   int // from 1
	Reason string
}

// Error names file, line and reason.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("trust file %s is damaged: line %d %s", e.File, e.Line, e.Reason)
}

// Log answers for the tree of one log; tiles behind a URL or in a directory are
// enough. Nothing it returns is believed without proof.
type Log interface {
	// Prefix returns the hashes of SUBPROOF(from, D[0:to], false) of RFC 6962
	// section 2.1.2, 0 < from < to, that is with the subtree's root also where
	// from is a power of two. It fails if the log does not reach that far.
	Prefix(ctx context.Context, from, to uint64) ([][32]byte, error)
	// Entry returns leaf index < size and its inclusion path in the tree of
	// that size, from the leaf upwards.
	Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error)
}

// Scanner reads all leaves of a log.
type Scanner interface {
	// Leaves calls each with leaves 0 to size-1 in order, and returns its
	// error or why a leaf could not be read.
	Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error
}

// TrustStore remembers the checkpoints that this machine has seen, one file per
// log; the package comment has the format. Any number of processes may share a
// directory. Its methods may be called concurrently.
//
// Of each log, V is the vouched record of the greatest size.
type TrustStore struct {
	dir         string
	maxRecorded int

	mu sync.Mutex
}

// OpenTrust uses the trust files in dir, which the first record makes.
func OpenTrust(dir string) (*TrustStore, error) {
	if info, err := os.Stat(dir); dir == "" || err == nil && !info.IsDir() {
		return nil, errors.New("the trust store is not a directory")
	}
	return &TrustStore{dir: dir, maxRecorded: MaxRecorded}, nil
}

// DefaultTrustDir is terradourada/trust in $XDG_STATE_HOME, which is by default
// .local/state in the home directory.
func DefaultTrustDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "terradourada", "trust"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "terradourada", "trust"), err
}

var errUnfinished = errors.New("not built yet")

// Check returns by which rule a checkpoint is pinned. It writes nothing, takes
// no lock and trusts nothing on first use. A nil log shows nothing.
//
// The errors are [ErrUnknownLog], [ErrNotShown], [ErrOtherKey], a
// [*BindingError] or a [*ContradictionError]; a [*DamagedError] or any other
// one says what could not be read.
func (t *TrustStore) Check(ctx context.Context, c *Checkpoint, log Log, from Source) (Standing, error) {
	return Standing{}, errUnfinished
}

// Record checks a checkpoint as [TrustStore.Check] does and appends it in the
// same step. The first checkpoint of a log is believed if it was read live from
// a server that is bound to no other log. One that is refused is kept as
// unauthenticated, unless it contradicts a vouched record; the error is
// returned all the same.
func (t *TrustStore) Record(ctx context.Context, c *Checkpoint, log Log, from Source, now time.Time) (Standing, error) {
	return Standing{}, errUnfinished
}

// Trust records a checkpoint on the user's word: how is [VouchLive] for one read
// live, which binds server and log to each other in place of earlier bindings,
// [VouchOperator] or [VouchPolicy]. It is refused if a vouched record contradicts
// it, and with [ErrNotShown] if neither it nor V is shown to be a prefix of the
// other.
func (t *TrustStore) Trust(ctx context.Context, c *Checkpoint, log Log, from Source, how Vouch, now time.Time) (Standing, error) {
	return Standing{}, errUnfinished
}

// Import takes the records of a trust file of version 1 over as unauthenticated
// and returns its origin and how many were taken. Every signature is verified. A
// file that stands in the store's own place is kept beside the new one, as
// NAME.trust.v1.
func (t *TrustStore) Import(path string, now time.Time) (origin string, n int, err error) {
	return "", 0, errUnfinished
}

// KnownLog is what a trust store holds of one log.
type KnownLog struct {
	Origin string
	File   string

	// V; Size is 0 if nothing of the log is vouched for.
	Size uint64
	Root [32]byte
	Key  [32]byte // the Ed25519 key that signed it
	When time.Time
	How  Vouch

	Server          string // the server bound to the log, "" if none
	Vouched         int    // number of vouched records
	Unauthenticated int    // number of the others
}

// List returns all logs of the store by origin. Files that could not be read
// are left out, and the error joins why.
func (t *TrustStore) List() ([]KnownLog, error) { return nil, errUnfinished }

// Newest returns size and root of V; ok is false if nothing of the log is
// vouched for.
func (t *TrustStore) Newest(origin string) (size uint64, root [32]byte, ok bool, err error) {
	return 0, root, false, errUnfinished
}

// write makes a file whole or not at all: put gives the finished file its name.
func (t *TrustStore) write(path, content string, put func(from, to string) error) error {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(t.dir, "new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already if it was renamed
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return put(f.Name(), path)
}
