package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/terradourada/td/protocol"
)

const selectAudit = `SELECT id, time, actor, role, action, target, reason, salt, outcome, code, seq, until FROM audit`

// AuditRows lists rows with an id greater than after, in order, at most max and at most
// 4,096.
func (j *Journal) AuditRows(ctx context.Context, after uint64, max int) ([]AuditRow, error) {
	var all []AuditRow
	err := j.each(ctx, func(rows *sql.Rows) error {
		r, err := scanAudit(rows)
		all = append(all, r)
		return err
	}, selectAudit+" WHERE id > ? ORDER BY id LIMIT ?", signed(after), min(max, maxRead))
	if err != nil {
		return nil, err
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
// a leaf has that leaf. It covers the rows and leaves that exist when it begins. They are
// read page by page, so that other reads and the writer do not wait for it.
func (j *Journal) VerifyAudit(ctx context.Context) (*AuditReport, error) {
	return j.verifyAudit(ctx, func() {})
}

// VerifyAudit is [Journal.VerifyAudit].
func (v *View) VerifyAudit(ctx context.Context) (*AuditReport, error) { return v.j.VerifyAudit(ctx) }

// verifyAudit calls pace after each page, with no lock held.
func (j *Journal) verifyAudit(ctx context.Context, pace func()) (*AuditReport, error) {
	var rows, leaves, from uint64
	_, err := j.row(ctx, `SELECT (SELECT coalesce(max(id), 0) FROM audit), (SELECT coalesce(max(seq) + 1, 0) FROM leaves),
		CAST((SELECT value FROM meta WHERE name = 'audited_from') AS INTEGER)`, nil, &rows, &leaves, &from)
	if err != nil {
		return nil, err
	}
	report := &AuditReport{}
	for report.Rows < rows {
		if err := j.verifyRows(ctx, report, rows); err != nil {
			return nil, err
		}
		pace()
	}
	for seq := uint64(0); seq < leaves; seq += leafPage {
		if err := j.verifyLeaves(ctx, report, seq, min(seq+leafPage, leaves), from); err != nil {
			return nil, err
		}
		pace()
	}
	return report, nil
}

// The number of rows, and of leaves, that VerifyAudit reads at a time.
const (
	rowPage  = 256
	leafPage = 4096
)

// opening is a row with the leaf that it names, if it names one.
type opening struct {
	row  AuditRow
	leaf []byte
}

// verifyRows compares the next page of rows, up to the id last, with their leaves.
func (j *Journal) verifyRows(ctx context.Context, r *AuditReport, last uint64) error {
	var page []opening
	err := j.each(ctx, func(rows *sql.Rows) (err error) {
		var o opening
		o.row, err = scanAudit(rows, &o.leaf)
		page = append(page, o)
		return err
	}, `SELECT audit.*, leaf FROM (`+selectAudit+` WHERE id > ? AND id <= ? ORDER BY id LIMIT ?) AS audit
		LEFT JOIN leaves USING (seq) ORDER BY id`, signed(r.Rows), signed(last), rowPage)
	if err == nil && len(page) == 0 {
		err = unreadable(errors.New("audit rows were removed while they were compared"))
	}
	for i := range page {
		r.verify(&page[i])
	}
	return err
}

// verify compares a row with the row before it and with its leaf.
func (r *AuditReport) verify(o *opening) {
	r.Rows++
	if o.row.ID != r.Rows {
		r.problem("row %d: the row before it is missing", o.row.ID)
		r.Rows = o.row.ID
	}
	if o.row.Seq == nil {
		return
	}
	r.Leaves++
	if problem := o.row.opens(o.leaf); problem != "" {
		r.problem("row %d: leaf %d %s", o.row.ID, *o.row.Seq, problem)
	}
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

// verifyLeaves looks for leaves from an index on and below end that have no row. Those
// below from were written by a version without rows.
func (j *Journal) verifyLeaves(ctx context.Context, r *AuditReport, begin, end, from uint64) error {
	return j.each(ctx, func(rows *sql.Rows) error {
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
	}, `SELECT seq FROM leaves WHERE seq >= ? AND seq < ? AND type IN (?, ?)
		AND NOT EXISTS (SELECT 1 FROM audit WHERE audit.seq = leaves.seq) ORDER BY seq`,
		signed(begin), signed(end), int(protocol.LeafControl), int(protocol.LeafIncident))
}
