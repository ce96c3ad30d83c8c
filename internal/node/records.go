package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// records are the journal, the log that is projected from it, and the record of the
// checkpoints that this server has published. They need no keyholder.
type records struct {
	cfg      *config.Config
	log      *slog.Logger
	journal  *journal.Journal
	ledger   *ledger.Ledger
	trust    *receipt.TrustStore
	audited  atomic.Pointer[api.Audit] // the newest; nil before the first has ended
	recorded atomic.Pointer[[32]byte]  // key of the newest checkpoint in trust; nil before the start has recorded one
	observe  func([]journal.Entry)     // is called with committed entries; set before anything is appended
}

// newRecords opens what is on disk and starts nothing. Both are compared with each
// other and with what was published before: a damaged journal must not grow, nor be
// published. On an error nothing is left open.
func newRecords(ctx context.Context, cfg *config.Config, log *slog.Logger) (*records, error) {
	r := &records{cfg: cfg, log: log, observe: func([]journal.Entry) {}}
	err := r.openJournal(ctx)
	if err == nil {
		err = r.openLedger(ctx)
	}
	if err == nil {
		err = r.resume(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *records) openJournal(ctx context.Context) (err error) {
	later := uint64(compareLater)
	if r.cfg.ReadOnly {
		later = 0 // there is no writer that a comparison could end in
	}
	r.journal, err = journal.Open(ctx, journal.Config{
		Path:      filepath.Join(r.cfg.Data, datadir.JournalFile),
		Origin:    r.cfg.Origin,
		Log:       r.log,
		MustExist: datadir.HasLog(r.cfg.Data),
		ReadOnly:  r.cfg.ReadOnly,
		Committed: func(entries []journal.Entry) {
			// Nothing is appended before the ledger is open: see registerClaims.
			r.ledger.Committed(entries[0].Seq, journal.LeavesOf(entries))
			r.observe(entries)
		},
		BeforeUpgrade: r.beforeUpgrade,
		CheckLater:    later,
	})
	if err == nil && r.cfg.ReadOnly {
		return nil
	}
	if err == nil {
		if err := datadir.RemovePartial(r.cfg.Data); err != nil { // the lock is ours: no backup is being made
			r.log.Warn("an unfinished backup cannot be removed", "err", err)
		}
		return nil
	}
	told := &fault.Fault{}
	_ = errors.As(err, &told) // of the backup before a conversion
	hint := cmp.Or(journal.CauseOf(err).Remedy(), told.Hint, "td doctor looks at the data directory, and whether a server runs on it; --data names another one")
	return fault.New(fault.Config, fmt.Sprintf("the journal does not open: %s", strings.TrimPrefix(err.Error(), "journal: ")), hint)
}

// beforeUpgrade makes a backup of the data directory: the conversion of a journal cannot
// be undone.
func (r *records) beforeUpgrade(ctx context.Context, from, to int64) error {
	begun := time.Now()
	path, err := datadir.BackupBeforeUpgrade(ctx, r.cfg.Data, from, begun)
	if err == nil {
		r.log.Info("journal is converted; a backup was made before", "from", from, "to", to, "backup", path, "took_ms", time.Since(begun).Milliseconds())
	}
	return err
}

func (r *records) openLedger(ctx context.Context) error {
	known, err := r.known()
	if err != nil {
		return r.trustFailure(err)
	}
	r.ledger, err = ledger.Open(ctx, ledger.Config{
		Dir:    filepath.Join(r.cfg.Data, datadir.LedgerDir),
		Origin: r.journal.Origin(),
		Source: ledgerSource{r.journal},
		Known:  known,
		MaxLag: r.cfg.MaxLag,
		Log:    r.log,

		ReadOnly: r.cfg.ReadOnly,
	})
	if err != nil {
		return fault.New(fault.Config, fmt.Sprintf("the ledger does not open: %s", strings.TrimPrefix(err.Error(), "ledger: ")), "it is a projection of the journal: see docs/operate.md before you move anything")
	}
	return nil
}

// known opens the record of the published checkpoints and returns the greatest one, nil
// if there is none.
func (r *records) known() (*ledger.Head, error) {
	var err error
	if r.trust, err = receipt.OpenTrust(r.trustDir()); err != nil {
		return nil, err
	}
	size, root, ok, err := r.trust.Newest(r.journal.Origin())
	if err != nil || !ok {
		return nil, err
	}
	return &ledger.Head{Size: size, Root: root}, nil
}

// resume finds the epoch whose key signed the checkpoint that an earlier process
// has published. The log can then be read and receipts can be derived before an
// epoch opens, or without one.
func (r *records) resume(ctx context.Context) error {
	if r.ledger.Condition().Size == 0 {
		return nil // nothing is published
	}
	const most = 256
	for before := uint64(math.MaxInt64); ; {
		entries, err := r.journal.EpochLeaves(ctx, before, most)
		if err != nil {
			return err
		}
		for _, e := range entries {
			_, open, err := bodyOf[*protocol.EpochOpen](e)
			if err != nil {
				return err
			}
			if before = open.Number; r.ledger.Resume(open.CheckpointKey, e.Seq) {
				return nil
			}
		}
		if len(entries) < most {
			return nil // the next epoch signs what was published
		}
	}
}

// close closes what is on disk. Stop the services that use it before.
func (r *records) close() error {
	var errs []error
	if r.ledger != nil {
		errs = append(errs, r.ledger.Close())
	}
	if r.journal != nil {
		errs = append(errs, r.journal.Close())
	}
	return errors.Join(errs...)
}

func (r *records) trustDir() string { return filepath.Join(r.cfg.Data, datadir.PublishedDir) }

// trustFailure explains the record of the checkpoints, so that it is not removed as
// if it were a cache.
func (r *records) trustFailure(err error) error {
	if split := new(receipt.ContradictionError); errors.As(err, &split) {
		return fault.New(fault.Config, fmt.Sprintf("possible split view: the log contradicts the checkpoint of size %d that this server recorded in %s", split.Size, split.File),
			"keep journal, ledger and that file as they are, and see docs/operate.md")
	}
	return fault.New(fault.Config, fmt.Sprintf("the record of what this server has published, %s, cannot be used: %v", r.trustDir(), err),
		"it is what notices a second history of this log: keep it as it is, and see docs/operate.md before you move anything")
}

// verifyOptions returns the options by which the server verifies receipts of its
// own log, under the rules of every verifier. It reads the log live from itself.
func (r *records) verifyOptions(ctx context.Context, lists []*claim.List) (receipt.Options, error) {
	o := receipt.Options{Trust: r.trust, Log: r.ledger, Live: r.latest, Lists: receipt.NewLists(lists...)}
	ctx, cancel := context.WithTimeout(ctx, firstCheckpoint)
	defer cancel()
	first, from, err := r.latest(ctx)
	if err != nil {
		return o, fmt.Errorf("first checkpoint: %w", err)
	}
	if r.cfg.ReadOnly {
		return o, nil // what was recorded decides
	}
	// The server's own word binds its log to itself again, should a client have
	// used this store for its own.
	if _, err := r.trust.Trust(ctx, first, r.ledger, from, receipt.VouchLive, now()); err != nil {
		return o, r.trustFailure(err)
	}
	r.recorded.Store(&first.Key)
	return o, nil
}

// recordEvery is how soon the first checkpoint of a further epoch is recorded.
const recordEvery = 5 * time.Second

// recordEpochs records a checkpoint of every further epoch that signs one. An epoch that
// opened without a hand-over is vouched for by nothing else.
func (r *records) recordEpochs(ctx context.Context) error {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		last := r.recorded.Load()
		if cp, ok := r.ledger.Latest(); !ok || last == nil || cp.Key == *last {
			continue // nil: the start records the first one
		}
		cp, from, err := r.latest(ctx)
		if err == nil {
			_, err = r.trust.Trust(ctx, cp, r.ledger, from, receipt.VouchLive, now())
		}
		if err == nil {
			r.recorded.Store(&cp.Key)
		} else if !failing && ctx.Err() == nil {
			r.log.Warn("published checkpoint not recorded", "err", err)
		}
		failing = err != nil
	}
}

// firstCheckpoint bounds the wait for the first checkpoint of a log.
const firstCheckpoint = 10 * time.Second

// ownServer is the name by which a server's trust store binds its own log.
const ownServer = "self"

// latest returns the newest published checkpoint.
func (r *records) latest(ctx context.Context) (*receipt.Checkpoint, receipt.Source, error) {
	from := receipt.Source{Live: true, Server: ownServer}
	if _, err := r.ledger.Await(ctx, 0); err != nil {
		return nil, from, err
	}
	cp, _ := r.ledger.Latest() // there is one
	open, ok, err := r.journal.EpochLeafByKey(ctx, cp.Key)
	if err != nil || !ok {
		return nil, from, errors.Join(errors.New("the key of the checkpoint has no epoch"), err)
	}
	leaf, path, err := r.ledger.Entry(ctx, open.Seq, cp.Size)
	if err != nil {
		return nil, from, err
	}
	published, err := receipt.VerifyCheckpoint(string(cp.Note), leaf, path)
	return published, from, err
}

// Reason codes of a freeze by the core itself.
const (
	reasonDivergence = 1 // journal and log disagree
	reasonDeaths     = 2 // signer or tagger died too often
)

// freeze halts acceptance, even while the server stops. A freeze that the journal
// cannot write yet is in force in memory, and the journal retries.
func (r *records) freeze(ctx context.Context, reason uint16) error {
	_, why := byWhom(reason)
	request := journal.Request{
		Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "freeze", Target: "accept", Reason: why,
	}
	_, err := r.journal.Stop(ctx, now(), request, protocol.Control{Action: protocol.ActionFreezeAccept, Reason: reason})
	if errors.Is(err, journal.ErrNotDurable) {
		return nil
	}
	return err
}

// freezeOnDivergence freezes acceptance when journal and log disagree. Reading goes
// on; only the operator thaws.
func (r *records) freezeOnDivergence(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.ledger.Diverged():
	}
	r.log.Error("journal and log disagree; acceptance is frozen")
	for {
		err := r.freeze(ctx, reasonDivergence)
		if err == nil {
			<-ctx.Done()
			return nil
		}
		r.log.Error("freeze not committed", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(freezeAgain):
		}
	}
}

// freezeAgain is the pause before a freeze that was not committed is tried again.
// Until then nothing is accepted in this process, see
// [ledger.Ledger.Admit].
const freezeAgain = time.Minute
