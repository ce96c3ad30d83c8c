package datadir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/ledger"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/receipt"
)

// Rows are the rows of a journal that another process may be writing. They are those of
// audit.Rows and ledger.Source.
type Rows struct{ *journal.View }

// Leaves returns the bytes of leaves in order, up to the first that is missing.
func (r Rows) Leaves(ctx context.Context, from uint64, most int) ([][]byte, error) {
	entries, err := r.View.Leaves(ctx, from, most)
	for i, e := range entries {
		if e.Seq != from+uint64(i) {
			entries = entries[:i]
			break
		}
	}
	return journal.LeavesOf(entries), err
}

// Audit audits a data directory: that of a server, which may be running, or a copy. The
// options are those of audit.Run. The rows of the journal and the recorded checkpoints
// are added to them; without a trust store the directory's own record is used.
//
// Differences are faults in the report. The error is about what cannot be read. With a
// pace SQLite's own check of the file is left out.
func Audit(ctx context.Context, dir string, o audit.Options) (report *audit.Report, err error) {
	file := filepath.Join(dir, JournalFile)
	opened, _ := os.Stat(file) // openView reports what is wrong
	view, err := openView(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = view.Close() }() // nothing was written
	defer func() {
		if now, serr := os.Stat(file); serr != nil || !os.SameFile(opened, now) {
			report, err = nil, fault.New(fault.Unavailable, "the journal was replaced or removed while it was read", "a server replaces it after a failed write, and at a start after a kill: run it again")
		}
	}()
	own, err := receipt.OpenTrust(filepath.Join(dir, PublishedDir))
	if err != nil {
		return nil, unreadable(dir, err)
	}
	damage := &damage{}
	notes, err := own.Notes(view.Origin())
	if o.Trust == nil && err == nil {
		o.Trust = own
	}
	if err = damage.take(err); err != nil {
		return nil, unreadable(dir, err)
	}
	o.Known = append(notes, o.Known...)
	if err := look(ctx, dir, view, o.Pace, damage); err != nil {
		return nil, unreadable(dir, err)
	}
	o.Rows = Rows{view}
	report, err = audit.Run(ctx, client.NewLogDir(filepath.Join(dir, LedgerDir)), o)
	switch {
	case err != nil && len(damage.found) > 0 && ctx.Err() == nil:
		return nil, fault.New(fault.Negative, damage.found[0], journal.CauseDamaged.Remedy())
	case err != nil:
		return nil, err
	}
	for _, sentence := range damage.found {
		report.Fault(sentence)
	}
	return report, nil
}

// look checks the journal by itself, and the files of the log that no checkpoint covers.
func look(ctx context.Context, dir string, view *journal.View, pace func(), damage *damage) error {
	check := view.Check
	if pace != nil {
		check = func(ctx context.Context) error { return view.Compare(ctx, pace) }
	}
	if err := damage.take(check(ctx)); err != nil {
		return err
	}
	_, err := ledger.Look(ctx, filepath.Join(dir, LedgerDir), view.Origin(), Rows{view})
	if errors.Is(err, fs.ErrNotExist) {
		damage.add("the directory of the log is missing; a server makes it again from the journal")
		return nil
	}
	return damage.take(err)
}

// damage collects what contradicts something else. Other errors end an audit.
type damage struct{ found []string }

func (d *damage) add(sentence string) { d.found = append(d.found, sentence) }

// take adds an error that is a difference, and returns any other one.
func (d *damage) take(err error) error {
	switch {
	case errors.Is(err, journal.ErrDamaged):
		d.add("journal: " + strings.TrimPrefix(err.Error(), "journal: "))
	case errors.Is(err, ledger.ErrOrigin), errors.Is(err, ledger.ErrAhead), errors.Is(err, ledger.ErrMismatch):
		d.add("log: " + strings.TrimPrefix(err.Error(), "ledger: "))
	case errors.As(err, new(*receipt.DamagedError)):
		d.add("record of the published checkpoints: " + err.Error())
	default:
		return err
	}
	return nil
}

// openView opens the journal in a data directory.
func openView(ctx context.Context, dir string) (*journal.View, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fault.New(fault.NotFound, fmt.Sprintf("%s is not a directory", dir), "a server keeps its data in the directory that --data names")
	}
	view, err := journal.OpenView(ctx, filepath.Join(dir, JournalFile))
	switch {
	case err == nil:
		return view, nil
	case errors.Is(err, fs.ErrNotExist) && HasLog(dir):
		return nil, fault.New(fault.Negative, string(journal.CauseMissing)+": "+dir, journal.CauseMissing.Remedy())
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, fmt.Sprintf("%s holds no journal", dir), "a server keeps its data in the directory that --data names")
	case errors.Is(err, journal.ErrDamaged):
		return nil, fault.New(fault.Negative, strings.TrimPrefix(err.Error(), "journal: "), journal.CauseDamaged.Remedy())
	}
	return nil, unreadable(dir, err)
}

// HasLog reports whether a data directory holds a log that has entries, or may hold one
// that cannot be looked at.
func HasLog(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, LedgerDir, tiles.Checkpoint))
	return !errors.Is(err, fs.ErrNotExist)
}

// unreadable returns the fault for what cannot be read. The end of a context stays what
// it is.
func unreadable(dir string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*fault.Fault)) {
		return err
	}
	return fault.New(fault.Unavailable, fmt.Sprintf("%s cannot be read: %v", dir, err),
		cmp.Or(journal.CauseOf(err).Remedy(), "run it as a user who may read the directory"))
}

// Pace returns the Pace of an audit that uses no more than a share of one processor, and
// ends its waits with ctx.
func Pace(ctx context.Context, share float64) func() {
	const turn = 10 * time.Millisecond
	begun := time.Now()
	return func() {
		worked := time.Since(begun)
		if worked < turn {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(float64(worked) * (1/share - 1))):
		}
		begun = time.Now()
	}
}
