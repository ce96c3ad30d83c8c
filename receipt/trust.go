package receipt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	VouchOperator Vouch = "operator"        // by the operator, received outside of the log
	VouchNone     Vouch = "unauthenticated" // evidence of consistency only
)

// The rules of a [Standing].
const (
	RuleRecorded = "recorded"  // a vouched record has this size and root
	RulePrefix   = "prefix"    // it is a proved prefix of a vouched record
	RuleSameKey  = "same_key"  // the newest vouched record is a proved prefix, under the same key
	RuleHandOver = "hand_over" // the newest vouched record is a proved prefix, and hand-overs lead from its key to this one
	RuleLive     = "live"      // the newest vouched record is a proved prefix, and it was read live from the server bound to the log
	RuleFirstUse = "first_use" // nothing of the log was vouched for before
	RulePolicy   = "policy"    // the policy file is satisfied
)

// Source says where a checkpoint was read. The zero value is a file, a
// directory or a mirror.
type Source struct {
	Live    bool   // read by this process from the server itself, over a connection that was authenticated
	Server  string // its canonical URL, "" if not from a server
	NotLive error  // why the server was not read live; nil if it was, or if there was none
}

// Standing says why a checkpoint is pinned.
type Standing struct {
	Rule     string   `json:"rule"`   // one of the Rule constants, "" if it is not pinned
	How      Vouch    `json:"how"`    // of the record it rests on
	Server   string   `json:"server"` // the one the log is bound to, "" if none
	Warnings []string `json:"-"`      // sentences; set with an error too

	now   bool // it rests on the checkpoint that the log's own server shows now, not on a record
	later bool // the policy is satisfied by Options.Cosigned
}

// Refusals of a trust store: nothing shows whose log it is. The checkpoint may
// be genuine. Errors that wrap them add the reason in words.
var (
	// ErrUnknownLog: no vouched record of this log.
	ErrUnknownLog = errors.New("nothing on this machine vouches for a checkpoint of this log")
	// ErrNotShown: there are vouched records, but no log was given to show that
	// the checkpoint belongs with them, or the proof is bad.
	ErrNotShown = errors.New("nothing shows that the checkpoint and the recorded one belong to one history")
	// ErrNoLog is the ErrNotShown for a caller who supplied no log.
	ErrNoLog error = noLogError{}
	// ErrOtherKey: consistent, but nothing ties the key to the vouched record.
	ErrOtherKey = errors.New("the checkpoint is consistent with what is recorded, but nothing ties the key that signed it to this log")
	// ErrNoServer is the ErrOtherKey for a checkpoint that was read live from a
	// log that is bound to no server.
	ErrNoServer = fmt.Errorf("%w: no server is bound to this log on this machine", ErrOtherKey)
)

type noLogError struct{}

func (noLogError) Error() string { return "a log of this name is recorded, but not this checkpoint" }

func (noLogError) Is(target error) bool { return target == ErrNotShown }

// ShortError means that a log ends before the checkpoint that it should show.
// It is an [ErrNotShown]: it contradicts nothing.
type ShortError struct {
	Size uint64 // leaves in the log
	Want uint64 // leaves of the checkpoint
}

// Error returns a sentence with both sizes.
func (e *ShortError) Error() string {
	return fmt.Sprintf("the copy of the log is older than the checkpoint (%d of %d leaves)", e.Size, e.Want)
}

// Is makes errors.Is(err, [ErrNotShown]) true.
func (e *ShortError) Is(target error) bool { return target == ErrNotShown }

// SetBackError means that a server, read live, shows a smaller log than V. It
// is an [ErrNotShown].
type SetBackError struct {
	Server   string
	Size     uint64 // of the checkpoint that the server shows
	Recorded uint64 // of V
}

// Error returns both sizes and the two explanations.
func (e *SetBackError) Error() string {
	return fmt.Sprintf("the server shows %d leaves; this machine has recorded %d: the server runs on an older copy, or it is another server", e.Size, e.Recorded)
}

// Is makes errors.Is(err, [ErrNotShown]) true.
func (e *SetBackError) Is(target error) bool { return target == ErrNotShown }

// ContradictionError means that a checkpoint was proved to contradict a
// vouched record.
type ContradictionError struct {
	Origin  string
	Size    uint64 // of the vouched record
	File    string // holds the record with its signature
	Vouched bool   // the key of the checkpoint is tied to the log, so that the log showed two histories
	Live    bool   // the checkpoint was read live from the server that is bound to the log
	Note    string // of the vouched checkpoint, if it was read just now and is in no file
}

// Error names the log, the size and the file with the evidence.
func (e *ContradictionError) Error() string {
	switch {
	case !e.Vouched && e.Live:
		return fmt.Sprintf("the own server of log %s shows another history than the one recorded: its checkpoint contradicts the recorded one of size %d", e.Origin, e.Size)
	case !e.Vouched:
		return fmt.Sprintf("the checkpoint contradicts what is recorded of log %s at size %d, under a key that nothing ties to this log: anybody can sign anything under a public origin", e.Origin, e.Size)
	case e.Note != "":
		return fmt.Sprintf("possible split view: log %s contradicts the checkpoint of size %d that its own server shows now; keep both checkpoints as evidence: %q", e.Origin, e.Size, e.Note)
	}
	return fmt.Sprintf("possible split view: log %s contradicts the checkpoint of size %d recorded in %s; keep that file and this checkpoint as evidence",
		e.Origin, e.Size, e.File)
}

// BindingError means one of two things: a server shows another log than the
// one it is bound to, or a log is read from another server than the one it is
// bound to.
type BindingError struct {
	Server string // the server that was read
	Origin string // the log it showed
	Bound  string // the log or server that the records bind one of them to
}

// Error names the three.
func (e *BindingError) Error() string {
	return fmt.Sprintf("server %s shows log %s, but the records on this machine bind it to %s", e.Server, e.Origin, e.Bound)
}

// DamagedError means that a trust file is not in the form this package
// writes. The file is refused, never treated as empty.
type DamagedError struct {
	File   string
	Line   int // from 1
	Reason string
}

// Version1 reports whether the file is not damaged but of version 1, which
// [TrustStore.Import] reads.
func (e *DamagedError) Version1() bool { return e.Line == 1 && e.Reason == reasonV1 }

// Error names file, line and reason.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("trust file %s cannot be used: line %d %s", e.File, e.Line, e.Reason)
}

// Log returns parts of the tree of one log; tiles behind a URL or in a
// directory are enough. Callers verify everything it returns.
type Log interface {
	// Prefix returns the hashes of SUBPROOF(from, D[0:to], false) of RFC 6962
	// section 2.1.2, 0 < from < to. With false, the subtree's root is included
	// also where from is a power of two. It fails if the log does not reach that
	// far.
	Prefix(ctx context.Context, from, to uint64) ([][32]byte, error)
	// Entry returns leaf index < size and its inclusion path in the tree of
	// that size, from the leaf upwards.
	Entry(ctx context.Context, index, size uint64) (leaf []byte, path [][32]byte, err error)
}

// Scanner reads all leaves of a log.
type Scanner interface {
	// Leaves calls each with leaves 0 to size-1 in order. It returns the error
	// of each, or why a leaf could not be read.
	Leaves(ctx context.Context, size uint64, each func(index uint64, leaf []byte) error) error
}

// TrustStore holds the checkpoints that this machine has recorded, one file per
// log; the package comment has the format. Any number of processes may share a
// directory. Its methods may be called concurrently.
//
// Of each log, V is the vouched record of the greatest size.
type TrustStore struct {
	dir         string
	maxRecorded int

	mu    sync.Mutex
	files map[string]*knownLog // by path; a cache of the files
}

// OpenTrust uses the trust files in dir; the first record creates the
// directory.
func OpenTrust(dir string) (*TrustStore, error) {
	if info, err := os.Stat(dir); dir == "" || err == nil && !info.IsDir() {
		return nil, errors.New("the trust store is not a directory")
	}
	return &TrustStore{dir: dir, maxRecorded: MaxRecorded, files: map[string]*knownLog{}}, nil
}

// DefaultTrustDir returns terradourada/trust in $XDG_STATE_HOME, whose default
// is .local/state in the home directory.
func DefaultTrustDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "terradourada", "trust"), nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "state", "terradourada", "trust"), err
}

// Check returns the rule by which a checkpoint is pinned. It writes nothing,
// takes no lock and trusts nothing on first use. With a nil log nothing can be
// proved.
//
// The errors are, or wrap, [ErrUnknownLog], [ErrNotShown], [ErrOtherKey], a
// [*BindingError] or a [*ContradictionError]; a [*DamagedError] or any other
// error describes what could not be read.
func (t *TrustStore) Check(ctx context.Context, c *Checkpoint, log Log, from Source) (Standing, error) {
	w, err := t.look(c, from)
	if err != nil {
		return Standing{}, err
	}
	return w.check(ctx, c, log, from)
}

// Record checks a checkpoint as [TrustStore.Check] does and appends it in the
// same step. The first checkpoint of a log is believed if it was read live from
// a server that is bound to no other log. One that is refused is kept as
// unauthenticated, unless it contradicts a vouched record; the error is
// returned nevertheless.
func (t *TrustStore) Record(ctx context.Context, c *Checkpoint, log Log, from Source, now time.Time) (Standing, error) {
	return t.update(c, from, func(w *view) (Standing, *record, error) {
		s, err := w.check(ctx, c, log, from)
		live := newRecord(c, VouchLive, from.Server, now)
		switch {
		case errors.Is(err, ErrUnknownLog) && from.live():
			live.time = max(live.time, w.bound+1) // the server's newest record is this one
			s.Rule, s.How, s.Server = RuleFirstUse, VouchLive, from.Server
			return s, &live, nil
		case err != nil && (isContradiction(err) || w.kept || w.loose >= MaxUnauthenticated):
			return s, nil, err
		case err != nil:
			r := newRecord(c, VouchNone, from.Server, now)
			return s, &r, err
		case s.Rule == RuleRecorded:
			return s, nil, nil
		case w.readLive(c):
			return s, &live, nil
		}
		r := newRecord(c, VouchChain, from.Server, now)
		return s, &r, nil
	})
}

// Trust records a checkpoint that the user vouches for: how is [VouchLive] for
// one read live, which binds server and log to each other in place of earlier
// bindings, [VouchOperator] or [VouchPolicy]. It is refused if a vouched record
// contradicts it. It is refused with [ErrNotShown] if neither it nor V is shown
// to be a prefix of the other.
func (t *TrustStore) Trust(ctx context.Context, c *Checkpoint, log Log, from Source, how Vouch, now time.Time) (Standing, error) {
	switch {
	case how != VouchLive && how != VouchOperator && how != VouchPolicy:
		return Standing{}, fmt.Errorf("a user cannot vouch for a checkpoint as %s", how)
	case how == VouchLive && !from.live():
		return Standing{}, errors.New("the checkpoint was not read live from a server")
	}
	return t.update(c, from, func(w *view) (Standing, *record, error) {
		s := Standing{Rule: RuleRecorded, How: how, Server: w.server, Warnings: w.warnings(c)}
		rule, _, err := w.consistent(ctx, c, log)
		if err != nil && !errors.Is(err, ErrUnknownLog) {
			return Standing{Server: w.server, Warnings: s.Warnings}, nil, w.explain(c, from, err)
		}
		bound := how != VouchLive || w.readLive(c)
		if rule == RuleRecorded && bound {
			s.How = w.same.how
			return s, nil, nil
		}
		r := newRecord(c, how, from.Server, now)
		if how == VouchLive {
			s.Server = from.Server
		}
		if !bound {
			r.time = max(r.time, w.bound+1) // the newest record of log and server is this one
		}
		return s, &r, nil
	})
}

// update appends the record that decide returns, if any. decide may wait for
// the network, so the lock is taken after it. decide is called again if the
// records have changed meanwhile.
func (t *TrustStore) update(c *Checkpoint, from Source, decide func(*view) (Standing, *record, error)) (Standing, error) {
	for range maxUpdates {
		w, err := t.look(c, from)
		if err != nil {
			return Standing{}, err
		}
		s, r, err := decide(&w)
		if r == nil {
			return s, err
		}
		done, failed := t.commit(w, c, from, *r)
		if failed != nil {
			return Standing{}, errors.Join(err, failed)
		}
		if done {
			return s, err
		}
	}
	return Standing{}, fmt.Errorf("the records in %s change faster than they can be checked", t.dir)
}

// maxUpdates bounds how often decide is called again because other processes
// have appended.
const maxUpdates = 100

// checkBeside checks a checkpoint as if another one, which the records pin,
// were recorded.
func (t *TrustStore) checkBeside(ctx context.Context, c *Checkpoint, log Log, other *Checkpoint, from Source) (Standing, error) {
	beside, err := t.look(other, from)
	if err != nil {
		return Standing{}, err
	}
	s, err := beside.check(ctx, other, log, from)
	switch {
	case err == nil:
	case isContradiction(err), errors.As(err, new(*SetBackError)), errors.As(err, new(*BindingError)):
		return s, err
	default:
		return s, fmt.Errorf("the newest checkpoint of the server does not help: %w", err)
	}
	w, err := t.look(c, Source{})
	if err != nil {
		return Standing{}, err
	}
	how := VouchChain
	if beside.readLive(other) {
		how = VouchLive
	}
	r := newRecord(other, how, from.Server, time.Time{})
	if r.size > w.newest.size {
		w.newest = r
	}
	if r.size == c.Size && w.same.size == 0 {
		w.same = r
	}
	s, err = w.check(ctx, c, log, Source{})
	s.now = how == VouchLive && beside.same.size == 0
	if contradiction := (*ContradictionError)(nil); errors.As(err, &contradiction) && contradiction.Size == r.size && beside.same.size == 0 {
		contradiction.Note = other.Note // no file holds the evidence
	}
	return s, err
}

// KnownLog describes what a trust store holds of one log.
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
	Vouched         int    // number of sizes with a vouched record
	Unauthenticated int    // number of unauthenticated records
}

// List returns all logs of the store by origin. Files that could not be read
// are left out; the error joins the reasons.
func (t *TrustStore) List() ([]KnownLog, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, errs := t.loadAll()
	var out []KnownLog
	for _, k := range all {
		v := k.vouched[k.newest]
		if err := k.use(v); err != nil {
			errs = append(errs, err)
			continue
		}
		l := KnownLog{
			Origin: k.origin, File: k.path, Size: v.size, Root: v.root, Key: v.key, How: cmp.Or(v.how, VouchNone),
			Vouched: len(k.vouched), Unauthenticated: len(k.loose),
		}
		if v.size > 0 {
			l.When = time.Unix(v.time, 0).UTC()
		}
		last := k.lastLive()
		if origin, _ := boundLog(all, last.server); origin == k.origin {
			l.Server = last.server
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b KnownLog) int { return cmp.Compare(a.Origin, b.Origin) })
	return out, errors.Join(errs...)
}

// Newest returns size and root of V; ok is false if nothing of the log is
// vouched for.
func (t *TrustStore) Newest(origin string) (size uint64, root [32]byte, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, err := t.load(t.path(origin))
	if err != nil {
		return 0, root, false, err
	}
	v := k.vouched[k.newest]
	if err := k.use(v); err != nil {
		return 0, root, false, err
	}
	return v.size, v.root, v.size > 0, nil
}

// Notes returns the vouched checkpoints of a log as signed notes, the smallest first.
// Their signatures are verified.
func (t *TrustStore) Notes(origin string) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k, err := t.load(t.path(origin))
	if err != nil {
		return nil, err
	}
	var notes []string
	for _, size := range slices.Sorted(maps.Keys(k.vouched)) {
		r := k.vouched[size]
		if err := k.use(r); err != nil {
			return nil, err
		}
		notes = append(notes, r.note(k.origin))
	}
	return notes, nil
}
