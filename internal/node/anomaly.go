package node

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/datadir"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/protocol"
)

// anomalies feeds the detectors of this server, stores what they find, and keeps what is
// usual over a restart.
type anomalies struct {
	set     *anomaly.Set // nil if the setting anomaly is off
	cfg     *config.Config
	log     *slog.Logger
	private *telemetry.Pseudonyms // nil if addresses are logged as they are
	metrics *metrics.Metrics
	journal *journal.Journal

	wake chan struct{} // one element when there is something to store

	mu       sync.Mutex // guards what follows
	waiting  []anomaly.Finding
	restored time.Time
	foreign  bool // the file of what is usual cannot be read, and is left as it is
}

// Times and bounds of what is kept.
const (
	usualFile     = "usual" // in datadir.AnomalyDir
	detectEvery   = 15 * time.Second
	saveUsual     = 10 * time.Minute
	storeAgain    = 10 * time.Second
	firstPrune    = time.Hour // after the start
	pruneEvery    = 24 * time.Hour
	oldestUsual   = 30 * 24 * time.Hour
	maxUnstored   = 256
	maxUsualFile  = 32 << 20
	maxBundled    = 1000 // verdicts in the evidence of an incident, the newest
	storeDeadline = 5 * time.Second
)

// newSet returns the detectors, nil if they are off.
func newSet(cfg *config.Config) *anomaly.Set {
	if cfg.Anomaly == "off" || cfg.ReadOnly {
		return nil
	}
	return anomaly.NewSet()
}

// newAnomalies returns what feeds the detectors. What was usual before is restored; if that
// cannot be read, in full or in part, the detectors concerned begin anew.
func (n *node) newAnomalies() *anomalies {
	a := &anomalies{
		set: n.reporting.anomalies, cfg: n.Settings, log: n.Log, private: n.reporting.private,
		metrics: n.reporting.metrics, journal: n.records.journal, wake: make(chan struct{}, 1),
	}
	if a.set != nil {
		a.restore()
		a.set.Begin(now())
	}
	return a
}

func (a *anomalies) file() string { return filepath.Join(a.cfg.Data, datadir.AnomalyDir, usualFile) }

func (a *anomalies) restore() {
	b, err := readUsual(a.file())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var saved time.Time
	if err == nil {
		saved, err = a.set.Restore(b)
	}
	if err != nil {
		a.log.Warn("what is usual was not restored in full; detectors that lack it begin anew", "err", err)
	}
	a.restored = saved // zero if nothing was restored
	a.foreign = errors.Is(err, fs.ErrPermission)
}

var errUsualTooOld = errors.New("it was saved more than 30 days ago")

func readUsual(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if now().Sub(info.ModTime()) > oldestUsual {
		return nil, errUsualTooOld
	}
	return fsutil.ReadFile(name, maxUsualFile)
}

// save writes what is usual, whole or not at all.
func (a *anomalies) save(now time.Time) {
	if a.set == nil || a.foreign {
		return
	}
	err := os.MkdirAll(filepath.Dir(a.file()), 0o700)
	if err == nil {
		err = fsutil.WriteFile(a.file(), a.set.Save(now), 0o600)
	}
	if err != nil {
		a.log.Warn("what is usual was not saved", "err", err)
	}
}

// detect ticks the detectors until ctx ends. Series need a value each minute, so the ticks do
// not become rarer with those of the alerts.
func (a *anomalies) detect(ctx context.Context, state func() anomaly.State) error {
	tick := time.NewTicker(min(detectEvery, a.cfg.AlertEvery))
	defer tick.Stop()
	for {
		a.tick(now(), state())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// live returns the verdicts in force.
func (a *anomalies) live(now time.Time) []anomaly.Finding {
	if a.set == nil {
		return nil
	}
	return a.set.Live(now)
}

// tick logs and queues what was found.
func (a *anomalies) tick(now time.Time, state anomaly.State) {
	a.found(a.set.Tick(now, state))
	a.measure(a.set.Live(now))
}

// found logs and queues verdicts.
func (a *anomalies) found(found []anomaly.Finding) {
	for i := range found {
		a.announce(&found[i])
	}
	a.queue(found)
}

// announce logs a verdict. Networks are pseudonyms if addresses are.
func (a *anomalies) announce(f *anomaly.Finding) {
	log := a.log.With("detector", f.Detector.String(), "kind", f.Kind, "scope", a.private.Scope(f.Scope), "cause", f.Cause.String(), "score", f.Score,
		"sentence", a.private.Text(f.Sentence), "runbook", "docs/runbooks/"+f.Runbook)
	if f.Pages() {
		log.Warn("anomaly found")
	} else {
		log.Info("anomaly found")
	}
}

// queue keeps what was found until it is stored. The oldest makes room.
func (a *anomalies) queue(found []anomaly.Finding) {
	if len(found) == 0 {
		return
	}
	a.mu.Lock()
	a.waiting = append(a.waiting, found...)
	dropped := max(0, len(a.waiting)-maxUnstored)
	a.waiting = a.waiting[dropped:]
	a.mu.Unlock()
	if dropped > 0 {
		a.log.Warn("verdicts about anomalies not stored", "lines", dropped)
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// measure sets the metrics.
func (a *anomalies) measure(live []anomaly.Finding) {
	s := a.set.Stats()
	force := make(map[anomaly.Detector]float64)
	for i := range live {
		force[live[i].Detector]++
	}
	for _, d := range anomaly.Detectors() {
		a.metrics.Set(metrics.AnomalyVerdicts, float64(s.Verdicts[d]), d.String())
		a.metrics.Set(metrics.AnomalyFindings, force[d], d.String())
	}
	for _, why := range anomaly.Suppressions() {
		a.metrics.Set(metrics.AnomalySuppressed, float64(s.Suppressed[why]), why)
	}
	for _, word := range anomaly.FeedbackWords() {
		a.metrics.Set(metrics.AnomalyFeedback, float64(s.Feedback[word]), word)
	}
	a.metrics.SetIs(metrics.AnomalyLearning, s.Paused == "")
}

// run stores what was found, saves what is usual from time to time and at the end, and
// deletes old verdicts once a day, also if the detectors are off.
func (a *anomalies) run(ctx context.Context) error {
	tick := time.NewTicker(storeAgain)
	defer tick.Stop()
	started := now()
	for saved, pruned := started, started.Add(firstPrune-pruneEvery); ; {
		select {
		case <-ctx.Done():
			if a.set != nil {
				a.found(a.set.Last(now()))
			}
			a.store(context.WithoutCancel(ctx))
			a.save(now())
			return nil
		case <-a.wake:
		case <-tick.C:
		}
		a.store(ctx)
		t := now()
		if t.Sub(saved) >= saveUsual {
			saved = t
			a.save(t)
		}
		if t.Sub(pruned) >= pruneEvery {
			pruned = t
			_ = a.write(ctx, nil) // tried again a day later, or with the next verdict
		}
	}
}

// store writes what waits to the journal. What cannot be written now is tried again.
func (a *anomalies) store(ctx context.Context) {
	a.mu.Lock()
	batch := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if err := a.write(ctx, batch); err != nil {
		a.mu.Lock()
		a.waiting = append(batch, a.waiting...)
		a.waiting = a.waiting[max(0, len(a.waiting)-maxUnstored):]
		a.mu.Unlock()
	}
}

// write stores verdicts, none or more, and deletes those that are too old.
func (a *anomalies) write(ctx context.Context, batch []anomaly.Finding) error {
	ctx, cancel := context.WithTimeout(ctx, storeDeadline)
	defer cancel()
	return a.journal.SaveAnomalies(ctx, batch, now().Add(-a.cfg.AnomalyKeep))
}

// Anomalies implements [admin.Anomalies].
func (a *anomalies) Anomalies(ctx context.Context, _ time.Time, below uint64, most int) (*admin.AnomalyList, error) {
	rows, err := a.journal.Anomalies(ctx, below, most)
	if err != nil {
		return nil, err
	}
	list := &admin.AnomalyList{Detectors: a.state(), Anomalies: []admin.Anomaly{}}
	for i := range rows {
		one := describeAnomaly(&rows[i])
		one.Evidence = nil
		list.Anomalies = append(list.Anomalies, one)
	}
	return list, nil
}

// state describes the detectors.
func (a *anomalies) state() admin.AnomalyState {
	if a.set == nil {
		return admin.AnomalyState{Mode: "off"}
	}
	s := a.set.Stats()
	d := admin.AnomalyState{
		Mode: "on", Learning: s.Paused == "", Paused: s.Paused, Series: s.Series, SeriesWarm: s.SeriesWarm, Provers: s.Provers, ProverWarm: s.ProversWarm,
		InForce: len(a.set.Live(now())), Suppressed: s.Suppressed,
	}
	if !a.restored.IsZero() {
		d.Restored = &a.restored
	}
	return d
}

// Anomaly implements [admin.Anomalies].
func (a *anomalies) Anomaly(ctx context.Context, _ time.Time, id uint64) (*admin.Anomaly, error) {
	row, found, err := a.journal.Anomaly(ctx, id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, protocol.Fail(protocol.CodeNotFound, "no verdict has this id; td admin anomalies lists them")
	}
	one := describeAnomaly(&row)
	return &one, nil
}

func describeAnomaly(row *journal.Anomaly) admin.Anomaly {
	v := &row.Verdict
	return admin.Anomaly{
		ID: row.ID, At: v.At, Since: v.Since, Detector: v.Detector.String(), Kind: v.Kind, Scope: v.Scope, Cause: v.Cause.String(),
		Observed: v.Observed, Expected: v.Expected, Score: v.Score, Sentence: v.Sentence, Agrees: row.Agrees, Runbook: "docs/runbooks/" + v.Runbook,
		Feedback: row.Feedback, Evidence: v.Evidence,
	}
}

// AnomalyFeedback implements [admin.Anomalies].
func (a *anomalies) AnomalyFeedback(ctx context.Context, t time.Time, id uint64, word string) error {
	row, found, err := a.journal.Anomaly(ctx, id)
	if err != nil {
		return err
	}
	if !found {
		return protocol.Fail(protocol.CodeNotFound, "no verdict has this id; td admin anomalies lists them")
	}
	if a.set == nil {
		return protocol.Fail(protocol.CodeConflict, "the setting anomaly is off")
	}
	if err := anomaly.CheckFeedback(word); err != nil {
		return protocol.Wrap(protocol.CodeMalformedRequest, err.Error(), err)
	}
	if err := a.journal.SetFeedback(ctx, id, word); err != nil {
		return err
	}
	a.set.Feedback(t, &row.Verdict, word)
	return nil
}
