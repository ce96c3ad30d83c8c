package datadir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/tiles"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// PreviousDir holds the copy of the log before, in a data directory of a new log.
const PreviousDir = "previous"

// Restored describes a data directory that was restored.
type Restored struct {
	*audit.Report        // of the copy
	NewOrigin     string `json:"new_origin,omitempty"` // of the new log, if one was begun
}

// Restore makes a data directory from a copy, and the log continues in it. The copy must
// hold a checkpoint from outside, a signed note: the newest that clients, auditors or
// mirrors have. A copy cannot show by itself that it is the newest, and a log that
// continues from an older one has two histories. The checkpoint is recorded.
func Restore(ctx context.Context, from, to, checkpoint string, o audit.Options) (*Restored, error) {
	o.Known = append(o.Known, checkpoint)
	o.AllowSelfAsserted = true // the checkpoint from outside shows whose log it is
	report, err := write(ctx, from, to, "", o, func(dir string, report *audit.Report) error {
		if err := held(report, checkpoint); err != nil {
			return err
		}
		return record(ctx, dir, checkpoint)
	})
	return &Restored{Report: report}, err
}

// held refuses a copy that does not hold a checkpoint.
func held(r *audit.Report, checkpoint string) error {
	origin, size, err := tiles.Head([]byte(checkpoint))
	switch {
	case err != nil:
		return fault.New(fault.Usage, "the file is not a checkpoint", "td log checkpoint prints one")
	case protocol.Printable(origin) != r.Origin:
		return fault.New(fault.Usage, fmt.Sprintf("the checkpoint is of the log %s, and the copy of %s", protocol.Printable(origin), r.Origin), "")
	case r.Lost > 0:
		return fault.New(fault.Unavailable, fmt.Sprintf("the copy is older than the checkpoint: %d of %d entries would be lost", r.Lost, max(size, r.Rows+r.Lost)),
			"find a newer copy; without one, --new-log begins another log, and receipts of this one stay valid")
	case r.Verdict == receipt.Contradicted:
		return fault.New(fault.Contradicted, "the copy contradicts the checkpoint: "+r.Faults[len(r.Faults)-1], "keep both as evidence, and restore neither")
	}
	return accept("", r)
}

// record records a checkpoint from outside in a copy, so that every start compares it.
// One that covers rows which the log does not show yet cannot be recorded.
func record(ctx context.Context, dir, checkpoint string) error {
	log := client.NewLogDir(filepath.Join(dir, LedgerDir))
	cp, err := log.VerifyCheckpoint(ctx, []byte(checkpoint))
	if errors.As(err, new(*receipt.ShortError)) {
		return nil
	}
	if err != nil {
		return unreadable(dir, err)
	}
	trust, err := receipt.OpenTrust(filepath.Join(dir, PublishedDir))
	if err == nil {
		_, err = trust.Trust(ctx, cp, log, receipt.Source{}, receipt.VouchOperator, time.Now())
	}
	return unwritable(dir, err)
}

// RestoreAsNew makes a data directory with a new, empty log under another origin, and
// keeps the copy in [PreviousDir], where it can be read and audited. An origin of "" is
// drawn at random. Nothing of the old log goes on: neither keys, which are never stored,
// nor what was used up in it. Faults of the copy are in the report and do not end it.
func RestoreAsNew(ctx context.Context, from, to, origin string, o audit.Options) (*Restored, error) {
	o.AllowSelfAsserted = true
	r := &Restored{}
	report, err := write(ctx, from, to, PreviousDir, o, func(dir string, report *audit.Report) error {
		if origin != "" && protocol.Printable(origin) == report.Origin {
			return fault.New(fault.Usage, "a new log needs another origin than the copy has", "leave out --origin: one is drawn at random")
		}
		j, err := journal.Open(ctx, journal.Config{Path: filepath.Join(dir, JournalFile), Origin: origin})
		if err != nil {
			return unwritable(to, err)
		}
		r.NewOrigin = j.Origin()
		return unwritable(to, j.Close())
	})
	r.Report = report
	return r, err
}
