package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/protocol"
)

const selectAudit = `SELECT id, time, actor, role, action, target, reason, salt, outcome, code, seq, until FROM audit`

// AuditRows lists rows with an id greater than after, in order, at most max and at most
// 4,096.
func (j *Journal) AuditRows(ctx context.Context, after uint64, max int) ([]AuditRow, error) {
	j.reads.RLock()
	defer j.reads.RUnlock()
	var all []AuditRow
	query := func(text string) (*sql.Rows, error) {
		return j.read.QueryContext(ctx, text, signed(after), min(max, maxRead))
	}
	err := eachRow(query, selectAudit+" WHERE id > ? ORDER BY id LIMIT ?", func(rows *sql.Rows) error {
		r, err := scanAudit(rows)
		all = append(all, r)
		return err
	})
	if err != nil {
		return nil, unreadable(err)
	}
	return all, nil
}

// AuditRows is [Journal.AuditRows].
func (v *View) AuditRows(ctx context.Context, after uint64, max int) ([]AuditRow, error) {
	return v.j.AuditRows(ctx, after, max)
}

// scanAudit scans a row, and further columns behind it.
func scanAudit(rows *sql.Rows, further ...any) (AuditRow, error) {
	var r AuditRow
	var ms, until int64
	var salt []byte
	var outcome string
	columns := []any{&r.ID, &ms, &r.Actor, &r.Role, &r.Action, &r.Target, &r.Reason, &salt, &outcome, &r.Code, &r.Seq, &until}
	if err := rows.Scan(append(columns, further...)...); err != nil {
		return r, err
	}
	r.Time, r.Salt, r.Outcome = time.UnixMilli(ms), protocol.Salt(salt), Outcome(outcome)
	r.Until = moment(until)
	return r, nil
}

// AuditReport is the result of [Journal.VerifyAudit].
type AuditReport struct {
	Rows     uint64
	Leaves   uint64   // control actions and incidents that have a row
	Before   uint64   // of those that an earlier version wrote, without rows
	Problems []string // at most 100
}

// maxProblems bounds a report.
const maxProblems = 100

func (r *AuditReport) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// VerifyAudit compares the audit rows with the leaves: rows are numbered without gaps,
// each control leaf and each incident has the row that opens it, and each row that names
// a leaf has that leaf.
func (j *Journal) VerifyAudit(ctx context.Context) (*AuditReport, error) {
	j.reads.RLock()
	defer j.reads.RUnlock()
	tx, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, unreadable(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	report := &AuditReport{}
	if err := errors.Join(report.verifyRows(ctx, tx), report.verifyLeaves(ctx, tx)); err != nil {
		return nil, unreadable(err)
	}
	return report, nil
}

// VerifyAudit is [Journal.VerifyAudit].
func (v *View) VerifyAudit(ctx context.Context) (*AuditReport, error) { return v.j.VerifyAudit(ctx) }

func (r *AuditReport) verifyRows(ctx context.Context, tx *sql.Tx) error {
	query := func(text string) (*sql.Rows, error) { return tx.QueryContext(ctx, text) }
	return eachRow(query, `SELECT audit.*, leaf FROM (`+selectAudit+`) AS audit LEFT JOIN leaves USING (seq) ORDER BY id`, func(rows *sql.Rows) error {
		var leaf []byte
		row, err := scanAudit(rows, &leaf)
		if err != nil {
			return err
		}
		r.Rows++
		if row.ID != r.Rows {
			r.problem("row %d: the row before it is missing", row.ID)
			r.Rows = row.ID
		}
		if row.Seq == nil {
			return nil
		}
		r.Leaves++
		if problem := row.opens(leaf); problem != "" {
			r.problem("row %d: leaf %d %s", row.ID, *row.Seq, problem)
		}
		return nil
	})
}

// opens compares a row with its leaf and returns what is wrong, "" for nothing.
func (r *AuditRow) opens(leaf []byte) string {
	l, err := protocol.ParseLeaf(leaf)
	if err != nil {
		return "cannot be read"
	}
	if r.Outcome != Done && r.Outcome != NotDurable {
		return "belongs to a request that was not done"
	}
	switch body := l.Body.(type) {
	case *protocol.Control:
		if !strings.HasPrefix(body.Action.String(), r.Action) { // "freeze" for "freeze-accept"
			return "is another action"
		}
		if !body.Actor.Equal(protocol.ActorCommitment(r.Salt, r.Actor)) {
			return "commits to another actor"
		}
		if !body.Text.Equal(protocol.ReasonDigest(r.Salt, committed(r.Reason, r.Until))) {
			return "commits to another reason"
		}
	case *protocol.Incident:
		if !body.Digest.Equal(protocol.IncidentDigest(r.Salt, r.Actor, r.Target, r.Reason)) {
			return "commits to another incident"
		}
	default:
		return "is no control action and no incident"
	}
	return ""
}

func (r *AuditReport) verifyLeaves(ctx context.Context, tx *sql.Tx) error {
	var text string
	if err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'audited_from'").Scan(&text); err != nil {
		return err
	}
	from, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return err
	}
	query := func(text string) (*sql.Rows, error) {
		return tx.QueryContext(ctx, text, int(protocol.LeafControl), int(protocol.LeafIncident))
	}
	return eachRow(query, `SELECT seq FROM leaves WHERE type IN (?, ?) AND NOT EXISTS (SELECT 1 FROM audit WHERE audit.seq = leaves.seq) ORDER BY seq`,
		func(rows *sql.Rows) error {
			var seq uint64
			if err := rows.Scan(&seq); err != nil {
				return err
			}
			if seq < from {
				r.Before++
			} else {
				r.problem("leaf %d: it has no audit row", seq)
			}
			return nil
		})
}
