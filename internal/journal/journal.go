package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// ErrUnknown marks an error after which the caller does not know whether the
// entry was written. Every other error of a write means that it was not.
var ErrUnknown = errors.New("the outcome of the write is not known")

// ErrDamaged marks the refusal of a journal whose content is not what a journal
// has written. Files that cannot be read or written are not damaged: see
// [CauseOf].
var ErrDamaged = errors.New("the file is damaged")

// Entry is one leaf of the log.
type Entry struct {
	Seq  uint64 // log index
	Leaf []byte // exact bytes
	Row  uint64 // of the audit, which was committed with it; 0 without one, or if it was read
}

// LeavesOf returns the leaves of entries, in their order.
func LeavesOf(entries []Entry) [][]byte {
	leaves := make([][]byte, len(entries))
	for i, e := range entries {
		leaves[i] = e.Leaf
	}
	return leaves
}

// Config says which journal to open.
type Config struct {
	// Path of the database file. It is created, readable by its owner only,
	// when it does not exist; its directory must exist.
	Path string
	// MustExist refuses to create a journal, for a log that already has entries.
	MustExist bool
	// ReadOnly opens an existing journal for reading only: no lock is taken, Run is
	// not called, nothing is recovered, and every write is refused. No other process
	// may write to the file.
	ReadOnly bool
	// Origin of the log, or empty: the origin stored in the journal, drawn at
	// random when the journal is new. A name that differs from the stored one
	// is refused.
	Origin string
	// Log receives messages for the operator; nil discards it.
	Log *slog.Logger
	// Committed, if set, is called by the writer after each commit with the new
	// entries in order, before any caller is answered. By then they can be read,
	// and [Journal.State] has their effect. It must not call the journal's
	// writing methods.
	Committed func([]Entry)
	// BeforeUpgrade, if set, is called before a journal of an older schema is converted,
	// which cannot be undone. An error of it ends the start, and nothing is converted.
	BeforeUpgrade func(ctx context.Context, from, to int64) error

	// CheckLater is the number of leaves above which Open leaves the comparison of the
	// tables with the leaves to [Journal.Compare]. 0 leaves nothing to it.
	CheckLater uint64

	synchronous string // FULL; another level in tests only
	fault       faultFunc
}

// Journal is an open journal. Its methods may be called from any goroutine;
// those that write need [Journal.Run] to be running.
type Journal struct {
	cfg    Config
	log    *slog.Logger
	origin string
	path   string // of the database, absolute and without links
	lock   *os.File

	reads sync.RWMutex // held for each query of the read pool; for writing while pools are swapped
	pools

	queue   chan *submission // waiting, in order of arrival
	urgent  chan *submission // control actions
	ping    chan struct{}    // see Answers
	flight  flight           // acceptances not decided yet
	running atomic.Bool
	stopped chan struct{} // closed when Run has returned

	told  atomic.Uint64         // entries committed by this process or before it
	state atomic.Pointer[State] // as of the last commit; never changed in place
	stops stops                 // in force, and not committed yet

	clients atomic.Pointer[principal.Registry] // as of the last commit

	condition atomic.Pointer[Condition] // nil while the journal can be written
	waits     atomic.Bool               // acceptances wait for Compare
	bad       atomic.Bool               // Compare has found a difference

	// Of the writer's goroutine (and of Open, before there is one).
	conn      *writeConn
	commits   uint64        // transactions this journal is known to hold
	sum       chain         // over the entries that were committed, if summed
	summed    bool          // the sum is known
	since     [][]byte      // leaves that were committed while it is not
	began     uint64        // number of leaves at the start
	owed      bool          // the comparison of the start is left to Compare
	known     bool          // an earlier process made one, and the file had not changed since
	before    *checked      // the comparison that an earlier process made; nil if the file has changed since
	tidy      bool          // everything was flushed at the end
	rows      uint64        // audit rows that were committed
	pages     int           // written to the write-ahead log since the last checkpoint
	unsettled *group        // the group whose COMMIT failed, until its outcome is known
	copied    bool          // the complete copy beside the database was made by this process
	placed    bool          // it is also in the place of the database, and open
	logged    bool          // the write-ahead log was written
	held      os.FileInfo   // the database, as it was opened
	broken    bool          // a write or a flush failed: the files are not written again
	foreign   bool          // another program has written
	pause     time.Duration // between two attempts to recover
	due       time.Time     // of the next attempt
	tried     bool          // an attempt has failed
}

// Open opens or creates the journal at cfg.Path, takes its lock, brings its
// schema up to date and checks it. It refuses a file that another process has
// open for writing, that is damaged, that is no journal, or that a newer
// version wrote. It also refuses an origin that is not the configured one.
func Open(ctx context.Context, cfg Config) (*Journal, error) {
	j := &Journal{
		cfg:     cfg,
		log:     cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
		queue:   make(chan *submission, queueSize),
		urgent:  make(chan *submission, urgentSize),
		ping:    make(chan struct{}),
		flight:  flight{requests: make(map[protocol.RequestID]int)},
		stopped: make(chan struct{}),
		pause:   recoverEvery,
	}
	open := j.open
	if cfg.ReadOnly {
		open = j.openReadOnly
	}
	if err := open(ctx); err != nil {
		return nil, fmt.Errorf("journal: %w", errors.Join(explain(j.path, err), j.release()))
	}
	return j, nil
}

func (j *Journal) open(ctx context.Context) error {
	if err := j.openSQLite(ctx); err != nil {
		return err
	}
	if err := j.readOrigin(ctx); err != nil {
		return err
	}
	return j.start(ctx)
}

// Close releases the journal. Call it after [Journal.Run] has returned. If every
// write and flush succeeded, the write-ahead log is emptied and removed. If that
// file exists at the next start, the journal was not closed in order.
func (j *Journal) Close() error {
	if j.running.Load() {
		<-j.stopped
	}
	if j.cfg.ReadOnly {
		return j.release()
	}
	err := j.finish()
	if err != nil {
		j.log.Warn("journal closed with its write-ahead log; the next start makes it durable", "err", err)
	}
	j.tidy = err == nil
	return j.release()
}

func (j *Journal) release() error {
	j.reset()
	err := j.close()
	if j.lock != nil {
		err = errors.Join(err, removeEmptyLog(j.path))
		if j.tidy && err == nil && j.mayRely() {
			j.remember()
		}
		err = errors.Join(err, j.lock.Close())
	}
	return err
}

// Origin is the name of the log, constant for the life of the journal.
func (j *Journal) Origin() string { return j.origin }

// Writable returns false while the journal takes no acceptances: a write
// failed and none has succeeded since, too many wait, it is [Journal.Unchecked],
// or the writer has stopped. It costs no query.
func (j *Journal) Writable() bool {
	select {
	case <-j.stopped:
		return false
	default:
		return !j.failing() && !j.waits.Load() && len(j.queue) < cap(j.queue)
	}
}

// Size is the number of entries that this process has committed or found when
// it opened the journal; entries 0 to Size-1 can be read.
func (j *Journal) Size(context.Context) (uint64, error) { return j.told.Load(), nil }

// Rows returns the number of entries in the file. It is Size, or more if
// another process writes. While a failed COMMIT is unsettled it is Size.
func (j *Journal) Rows(ctx context.Context) (uint64, error) {
	var n uint64
	_, err := j.row(ctx, "SELECT coalesce(max(seq) + 1, 0) FROM leaves", nil, &n)
	if err == nil && j.failing() {
		n = j.told.Load()
	}
	return n, err
}

const selectOrigin = "SELECT value FROM meta WHERE name = 'origin'"

// readOrigin loads the origin, or stores one in a new journal.
func (j *Journal) readOrigin(ctx context.Context) error {
	if err := checkOrigin(j.cfg.Origin); err != nil {
		return err
	}
	err := j.write.QueryRowContext(ctx, selectOrigin).Scan(&j.origin)
	if errors.Is(err, sql.ErrNoRows) {
		return j.storeOrigin(ctx)
	}
	if err != nil {
		return fmt.Errorf("reading the origin: %w", err)
	}
	if j.cfg.Origin != "" && j.cfg.Origin != j.origin {
		return fmt.Errorf("the configured origin %q is not the origin of this journal, %q", j.cfg.Origin, j.origin)
	}
	return nil
}

func (j *Journal) storeOrigin(ctx context.Context) error {
	j.origin = j.cfg.Origin
	if j.origin == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		j.origin = "terradourada/" + hex.EncodeToString(b[:])
	}
	if _, err := j.write.ExecContext(ctx, "INSERT INTO meta (name, value) VALUES ('origin', ?)", j.origin); err != nil {
		return fmt.Errorf("storing the origin: %w", err)
	}
	return nil
}

// checkOrigin refuses an origin that a checkpoint or a key name cannot hold:
// it must be one line of printable ASCII without spaces and plus signs.
func checkOrigin(s string) error {
	if len(s) > 128 {
		return errors.New("the origin is longer than 128 bytes")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' {
			return errors.New("the origin may hold only printable ASCII without spaces and plus signs")
		}
	}
	return nil
}
