package journal

import "context"

// WithFault breaks the writer of the journal opened with the result. For each
// operation ("begin", "exec", "commit", "rollback") fault returns whether it
// takes place and what is reported.
func WithFault(cfg Config, fault func(op string) (apply bool, err error)) Config {
	cfg.fault = fault
	return cfg
}

// WithSynchronous opens the journal with another level than FULL, for the
// control run of the power-cut test.
func WithSynchronous(cfg Config, level string) Config {
	cfg.synchronous = level
	return cfg
}

// QueueSize is the number of submissions that can wait.
const QueueSize = queueSize

// Waiting is the number of waiting submissions that are not control actions.
func (j *Journal) Waiting() int { return len(j.queue) }

// Urgent is the number of control actions waiting.
func (j *Journal) Urgent() int { return len(j.urgent) }

// WriterExec runs a statement on the writer's connection, from within a fault.
func (j *Journal) WriterExec(query string) error {
	_, err := j.conn.conn.ExecContext(background, query)
	return err
}

// VerifyAuditPaced is VerifyAudit that calls pace after each page.
func (j *Journal) VerifyAuditPaced(ctx context.Context, pace func()) (*AuditReport, error) {
	return j.verifyAudit(ctx, pace)
}

// MayReplace reports whether no read keeps the writer from replacing the files.
func (j *Journal) MayReplace() bool {
	if !j.reads.TryLock() {
		return false
	}
	j.reads.Unlock()
	return true
}

// MaxHeld is the number of stops from which on only those are held that add an effect.
const MaxHeld = maxHeld

// RowPage is the number of rows that VerifyAudit reads at a time.
const RowPage = rowPage

// Identity returns what a start compares of a file that was remembered.
func Identity(path string) (string, error) { return identity(path) }
