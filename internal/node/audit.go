package node

import (
	"context"
	"errors"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/audit"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/receipt"
)

const (
	// compareLater is the number of leaves above which the journal is compared with its
	// tables after the start: a second's work.
	compareLater = 100_000

	auditShare   = 0.1              // of one processor
	auditFirst   = time.Minute      // after the start
	compareAgain = 10 * time.Second // after a comparison that could not read something

	auditAgain = time.Hour // after an audit that could not read something
)

// The causes that an audit of the data directory shows in public.
const (
	auditUnread     = "the data directory cannot be read"
	auditUnrecorded = "the record of the published checkpoints does not vouch for the log"
	auditDiffers    = "journal, log and recorded checkpoints differ"
)

// compareJournal makes the comparison that the start has deferred. Acceptances may wait
// for it.
func (r *records) compareJournal(ctx context.Context) error {
	for begun := time.Now(); ; {
		err := r.journal.Compare(ctx)
		switch {
		case ctx.Err() != nil: // what was not compared is compared by the next start
		case errors.Is(err, journal.ErrDamaged):
			r.ledger.Diverge(err.Error())
			r.log.Error("journal is damaged; acceptance is frozen", "err", err)
		case err != nil:
			r.log.Error("journal not compared with its leaves; acceptances may wait for it, and it is tried again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(compareAgain):
			}
			continue
		default:
			r.log.Debug("journal compared with its leaves", "took_ms", time.Since(begun).Milliseconds())
		}
		<-ctx.Done()
		return nil //nolint:nilerr // it was stopped, or has logged why
	}
}

// auditRecords audits the data directory from time to time.
func (r *records) auditRecords(ctx context.Context) error {
	every := r.cfg.AuditEvery
	for wait := min(auditFirst, every); every > 0; {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		result := r.auditOnce(ctx)
		if ctx.Err() != nil {
			break
		}
		r.audited.Store(&result)
		switch wait = every; result.State {
		case stateStopped:
			every = 0 // acceptance is frozen, and what there is to say was said
		case stateFailing:
			wait = min(auditAgain, every)
		}
	}
	<-ctx.Done()
	return nil //nolint:nilerr // it was stopped
}

// auditOnce makes an audit and logs its result. A difference freezes acceptance.
func (r *records) auditOnce(ctx context.Context) api.Audit {
	begun := time.Now()
	report, err := datadir.Audit(ctx, r.cfg.Data, audit.Options{Proofs: true, Indexed: true, Pace: datadir.Pace(ctx, auditShare)})
	result := api.Audit{State: stateOK, At: now().UTC().Truncate(time.Millisecond)}
	if ctx.Err() != nil {
		return result
	}
	if err != nil {
		r.log.Warn("data directory not audited", "err", err)
		result.State, result.Why = stateFailing, auditUnread
		return result
	}
	result.Entries = report.Rows
	switch {
	case report.OK:
		r.log.Info("data directory audited", "rows", report.Rows, "proofs", report.Proofs, "took_ms", time.Since(begun).Milliseconds())
	case report.Verdict == receipt.Invalid || report.Verdict == receipt.Contradicted:
		r.ledger.Diverge(report.Faults[0])
		r.journal.Distrust()
		r.log.Error("data directory has differences; acceptance is frozen", "first", report.Faults[0], "others", len(report.Faults)-1+report.Others)
		result.State, result.Why = stateStopped, auditDiffers
	default:
		r.log.Warn("data directory not vouched for by its own record", "verdict", report.Verdict, "err", report.Reason)
		result.State, result.Why = stateFailing, auditUnrecorded
	}
	return result
}
