package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"math"
	"time"

	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Anomaly is a verdict that was stored.
type Anomaly struct {
	ID       uint64
	Verdict  anomaly.Verdict
	Agrees   string // sentence of a verdict of another detector that agrees, or ""
	Feedback string // one of [anomaly.FeedbackWords], or ""
}

// maxAnomalies bounds the verdicts that are stored. The oldest are deleted.
const maxAnomalies = 10_000

// maxSentence bounds a sentence that is stored, in bytes.
const maxSentence = 2048

// SaveAnomalies stores verdicts, and deletes those before a time.
func (j *Journal) SaveAnomalies(ctx context.Context, found []anomaly.Finding, before time.Time) error {
	_, err := j.submit(ctx, j.queue, &submission{apply: func(g *group) (Entry, error) {
		for i := range found {
			g.saveAnomaly(&found[i])
		}
		g.exec("DELETE FROM anomalies WHERE at < ? OR id <= (SELECT max(id) FROM anomalies) - ?", before.UnixMilli(), maxAnomalies)
		return Entry{}, nil
	}})
	return err
}

func (g *group) saveAnomaly(f *anomaly.Finding) {
	evidence, err := json.Marshal(f.Evidence)
	if err != nil || f.Evidence == nil {
		evidence = []byte("[]")
	}
	g.exec(`INSERT INTO anomalies (at, since, detector, kind, scope, cause, observed, expected, score, sentence, agrees, runbook, evidence)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		f.At.UnixMilli(), f.Since.UnixMilli(), f.Detector.String(), f.Kind, telemetry.Bounded(f.Scope), f.Cause.String(),
		finite(f.Observed), finite(f.Expected), finite(f.Score), sentence(f.Sentence), sentence(f.Agrees), f.Runbook, string(evidence))
}

// sentence returns a text that is not too long.
func sentence(s string) string { return s[:min(len(s), maxSentence)] }

// finite returns a number that JSON can have.
func finite(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return max(-math.MaxFloat32, min(v, math.MaxFloat32))
}

const selectAnomalies = `SELECT id, at, since, detector, kind, scope, cause, observed, expected, score, sentence, agrees, runbook, evidence, feedback FROM anomalies`

// Anomalies lists the verdicts with an id below a bound, 0 for all, the newest first, at most
// so many.
func (j *Journal) Anomalies(ctx context.Context, below uint64, most int) ([]Anomaly, error) {
	if below == 0 {
		below = math.MaxInt64
	}
	var all []Anomaly
	err := j.each(ctx, func(rows *sql.Rows) error {
		a, err := scanAnomaly(rows)
		all = append(all, a)
		return err
	}, selectAnomalies+" WHERE id < ? ORDER BY id DESC LIMIT ?", signed(below), min(most, maxRead))
	return all, err
}

// Anomaly returns a verdict by its id.
func (j *Journal) Anomaly(ctx context.Context, id uint64) (a Anomaly, found bool, err error) {
	err = j.each(ctx, func(rows *sql.Rows) (err error) {
		a, err = scanAnomaly(rows)
		found = true
		return err
	}, selectAnomalies+" WHERE id = ?", signed(id))
	return a, found, err
}

func scanAnomaly(rows *sql.Rows) (a Anomaly, err error) {
	v := &a.Verdict
	var at, since int64
	var detector, cause, evidence string
	err = rows.Scan(&a.ID, &at, &since, &detector, &v.Kind, &v.Scope, &cause, &v.Observed, &v.Expected, &v.Score, &v.Sentence, &a.Agrees, &v.Runbook, &evidence, &a.Feedback)
	if err != nil {
		return a, err
	}
	v.At, v.Since = time.UnixMilli(at).UTC(), time.UnixMilli(since).UTC()
	v.Detector, v.Cause = anomaly.DetectorOf(detector), telemetry.CauseNamed(cause)
	return a, json.Unmarshal([]byte(evidence), &v.Evidence)
}

// SetFeedback stores what an operator says of a verdict. It fails with not_found if there is
// none of this id.
func (j *Journal) SetFeedback(ctx context.Context, id uint64, word string) error {
	_, err := j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) {
		var known bool
		g.scan("SELECT EXISTS (SELECT 1 FROM anomalies WHERE id = ?)", []any{signed(id)}, &known)
		if !known {
			return Entry{}, protocol.Fail(protocol.CodeNotFound, "no verdict has this id; td admin anomalies lists them")
		}
		g.exec("UPDATE anomalies SET feedback = ? WHERE id = ?", word, signed(id))
		return Entry{}, nil
	}})
	return err
}
