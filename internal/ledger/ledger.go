package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
)

// Refusals of [Open], and the fatal error of [Ledger.Run]. They are permanent.
var (
	// ErrDiverged: journal, announced leaves and projection are not the same sequence.
	// Acceptance must be frozen; reading continues.
	ErrDiverged = errors.New("ledger: journal and log disagree")
	// ErrAhead: the log holds more entries, published or not, than the journal has
	// rows, so the journal has lost rows or is another one.
	ErrAhead = errors.New("ledger: the log is ahead of the journal")
	// ErrOrigin: the directory holds the log of another origin.
	ErrOrigin = errors.New("ledger: the directory holds the log of another origin")
	// ErrMismatch: the log of the published checkpoint is not one of this journal, or is
	// damaged. It is rebuilt if the directory is deleted.
	ErrMismatch = errors.New("ledger: the log does not match the journal")

	// ErrSplit: the journal contradicts [Config.Known], so that a log of it would be a
	// second history.
	ErrSplit = errors.New("ledger: possible split view")
	// ErrLocked: another process projects into this directory.
	ErrLocked = errors.New("ledger: the directory is in use by another process")

	errStopped = errors.New("ledger: stopped")
)

// Source is the journal as the projection reads it.
type Source interface {
	// Size returns the number of committed rows; row numbers are below it. It never
	// decreases.
	Size(ctx context.Context) (uint64, error)
	// Leaves returns the leaf bytes of committed rows from, from+1, ... in
	// order and without a gap, at least one if the row exists and at most
	// max. The caller does not change them.
	Leaves(ctx context.Context, from uint64, max int) ([][]byte, error)
}

// Config are the settings of a log. Zero values of the last group mean the defaults.
type Config struct {
	Dir    string // of the log, made if absent
	Origin string // of the checkpoints: not empty, without spaces or plus signs
	Source Source
	Log    *slog.Logger // nil discards

	// ReadOnly opens a log that exists without a lock, writes nothing and projects
	// nothing; Run is not called. No other process may project into the directory.
	ReadOnly bool

	// Known is a tree that the log must begin with, because an earlier process
	// has published it. Nil if there is none.
	Known *Head

	MaxLag          uint64        // rows not yet projected at which Admit refuses; default 4,096
	BatchSize       int           // entries per batch; default 1,024
	Interval        time.Duration // least time between two checkpoints; default 100 ms
	SignTimeout     time.Duration // for one call of Signer.Checkpoint; default 2 s
	ShutdownTimeout time.Duration // for the batch in flight when Run ends; default 5 s
	SurveyEvery     time.Duration // how often the journal's size is compared with what was announced; default 1 s

	storage storage // replaces the files of Dir in tests; nil otherwise
}

// Head is a size of the log and the root of the tree over so many entries.
type Head struct {
	Size uint64
	Root [32]byte
}

func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	c.MaxLag = cmp.Or(c.MaxLag, 4096)
	c.BatchSize = cmp.Or(c.BatchSize, 1024)
	c.Interval = cmp.Or(c.Interval, 100*time.Millisecond)
	c.SignTimeout = cmp.Or(c.SignTimeout, 2*time.Second)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 5*time.Second)
	c.SurveyEvery = cmp.Or(c.SurveyEvery, time.Second)
	return c
}

// Ledger is one open log. Its methods may be called from any goroutine; Run is
// called once.
type Ledger struct {
	cfg    Config
	log    *slog.Logger
	dir    *os.Root
	lock   *os.File
	files  storage
	tiles  tiles.Reader
	writer *writer
	close  func() error

	work     chan struct{} // holds a token when there may be rows to project
	grown    chan struct{} // holds a token when there may be a checkpoint to publish
	swapped  chan struct{} // holds a token when the signer was changed
	diverged chan struct{} // closed once, by diverge
	stopped  chan struct{} // closed when Run has ended

	// edge is the core's own tree over the projected entries, bundle the content
	// of the last entry bundle if that is a partial one. Owned, as partials is, by
	// the projecting goroutine (and by Open before that).
	edge     protocol.Range
	bundle   []byte
	partials partials

	placing sync.Mutex // held while the checkpoint file is replaced and the checkpoint shown

	mu sync.Mutex // guards all that follows; held for memory operations only
	// announced are the leaf hashes of rows base, base+1, ... that were
	// announced and are not projected yet; base starts at the journal's size
	// at Open and moves with the projection.
	base      uint64
	announced []protocol.Digest
	size      uint64    // of the projection, compared
	root      tlog.Hash // at size
	reason    error     // why diverged, or nil
	signer    *signing  // nil: none
	latest    Checkpoint
	cosigned  cosigned      // zero without one
	news      chan struct{} // closed and replaced with each new latest

	published     []byte // the checkpoint file, possibly of an earlier process
	publishedSize uint64
	settled       bool     // whether the published checkpoint is durable
	recent        []uint64 // sizes of the newest published checkpoints, oldest first
	signing       uint64   // the size of the latest checkpoint that was begun

	growing, publishing trouble
}

// Committed announces rows that the core has committed: leaves first, first+1, ... in
// journal order and without a gap. It must be called after each commit. It only computes
// hashes and does not wait for I/O.
func (l *Ledger) Committed(first uint64, leaves [][]byte) {
	hashes := make([]protocol.Digest, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = protocol.LeafHash(leaf)
	}
	l.mu.Lock()
	next := l.next()
	if first == next {
		l.announced = append(l.announced, hashes...)
	}
	l.mu.Unlock()
	if first != next {
		_ = l.diverge(fmt.Errorf("%w: row %d was announced where row %d was due", ErrDiverged, first, next))
		return
	}
	wake(l.work)
}

// next returns the number of the row to be announced next. Callers hold mu.
func (l *Ledger) next() uint64 { return l.base + uint64(len(l.announced)) }

// Size returns the number of entries in the log: integrated and compared, not necessarily
// published.
func (l *Ledger) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Lag returns the number of known rows that the log does not hold yet.
func (l *Ledger) Lag() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.next(), l.size) - l.size
}

// Admit returns nil if the log can follow further acceptances. The error is
// ledger_unavailable while the projection is too far behind, has diverged or has stopped.
func (l *Ledger) Admit() error {
	if err := l.halted(); err != nil {
		return err
	}
	if l.Lag() > l.cfg.MaxLag {
		return protocol.Fail(protocol.CodeLedgerUnavailable, "the log is catching up with the journal")
	}
	return nil
}

// halted returns why the projection does not run any more, or nil.
func (l *Ledger) halted() error {
	l.mu.Lock()
	reason := l.reason
	l.mu.Unlock()
	if reason != nil {
		return protocol.Wrap(protocol.CodeLedgerUnavailable, "the log has stopped on a disagreement with the journal", reason)
	}
	select {
	case <-l.stopped:
		return protocol.Wrap(protocol.CodeLedgerUnavailable, "the log has stopped", errStopped)
	default:
		return nil
	}
}

// Diverged returns a channel that is closed when the journal and the log disagree. Run
// then returns the reason; reading continues.
func (l *Ledger) Diverged() <-chan struct{} { return l.diverged }

// Diverge records that the caller has found a disagreement of journal and log: Admit
// refuses from then on, and Run ends.
func (l *Ledger) Diverge(why string) { _ = l.diverge(fmt.Errorf("%w: %s", ErrDiverged, why)) }

// diverge records the first reason and returns the reason on record.
func (l *Ledger) diverge(reason error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		l.reason = reason
		l.growing = trouble{time.Now(), kindOf(reason)}
		close(l.diverged)
		l.log.Error("journal and log disagree", "err", reason)
	}
	return l.reason
}

// Close releases the directory. Call it after Run has returned, or instead of
// Run. Reads fail afterwards.
func (l *Ledger) Close() error { return l.close() }

// wake puts a token into a channel of capacity one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
