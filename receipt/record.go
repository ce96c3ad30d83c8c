package receipt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NegativeError says that a receipt, or the checkpoint of a log that it would rest on,
// should not be relied on.
type NegativeError struct {
	Verdict string // Contradicted, Unvouched, or the verdict of a [Report]
	Reason  error
}

// Error names the verdict and the reason.
func (e *NegativeError) Error() string {
	return fmt.Sprintf("the receipt is %s: %v", e.Verdict, e.Reason)
}

// Unwrap returns the reason.
func (e *NegativeError) Unwrap() error { return e.Reason }

// RecordCheckpoint records a checkpoint in the trust store of the options, as
// [TrustStore.Record] does. A [*NegativeError] refuses the checkpoint. If
// nothing vouches for it, it passes if the options allow that; a contradiction
// never passes.
func RecordCheckpoint(ctx context.Context, c *Checkpoint, o Options, log Log, from Source, now time.Time) error {
	_, err := o.Trust.Record(ctx, c, log, from, now)
	verdict := VerdictOf(err)
	switch {
	case err == nil, verdict == Unvouched && !isContradiction(err) && o.AllowSelfAsserted:
		return nil
	case verdict == Contradicted, verdict == Unvouched:
		return &NegativeError{verdict, err}
	}
	return err
}

// RecordAndVerify records the checkpoint of a receipt that was just issued, as
// [RecordCheckpoint] does, and verifies the receipt. A [*NegativeError] means
// that it should not be relied on; any other error means that the log or the
// trust store could not be read.
func RecordAndVerify(ctx context.Context, r *Receipt, o Options, log Log, from Source, now time.Time) (*Report, error) {
	c, err := r.Checkpoint()
	if err != nil {
		return nil, &NegativeError{Invalid, errors.New(sentence(err))}
	}
	if err := RecordCheckpoint(ctx, c, o, log, from, now); err != nil {
		return nil, err
	}
	report := Verify(ctx, r, o)
	if !report.OK {
		return nil, &NegativeError{report.Verdict, errors.New(report.failure())}
	}
	return report, nil
}

// failure returns the step that led to a negative verdict, and why it failed.
func (p *Report) failure() string {
	detail := "the verdict is " + p.Verdict
	for _, s := range p.Steps {
		if s.Step == p.FailedStep {
			detail = s.Detail
		}
	}
	return fmt.Sprintf("step %s: %s", p.FailedStep, detail)
}
