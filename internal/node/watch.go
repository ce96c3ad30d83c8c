package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/admin"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// watcher feeds the alert engine of this server and delivers what it notifies.
type watcher struct {
	cfg       *config.Config
	log       *slog.Logger
	reader    *reader
	cert      *certificate // nil without TLS
	tally     *watch.Tally // observes the requests and changes of the server
	report    func(kind telemetry.Kind, subject string, value float64)
	metrics   *metrics.Metrics
	private   *telemetry.Pseudonyms // of networks in the log; nil: they are written
	limits    *limits
	responses *responder
	anomalies *anomalies
	notifier  *notify.Notifier // nil if no destination is allowed
	submitter *submitter       // nil without cosigners
	base      string           // address of the server in what is delivered

	wake        chan struct{} // one element when there is something to deliver
	undelivered atomic.Uint64 // minutes for which a sink has failed, as the bits of a float

	mu      sync.Mutex // guards what follows
	engine  *watch.Engine
	waiting []outgoing // notices that the notifier has not taken

	seen watch.Stats // at the last tick; of the loop of ticks alone
}

// outgoing is a message that waits for the notifier.
type outgoing struct {
	id   string
	body []byte
}

// Times and bounds of the watcher.
const (
	maxWaiting   = 64
	repost       = time.Minute     // between two syncs without a change
	stateValid   = 4 * time.Minute // after which an alert that is not posted again ends by itself
	rotatingFor  = time.Minute     // after an epoch has opened
	maxTicks     = 20
	downIsFailed = time.Minute
)

// startWatch starts the ticks of the alert engine and, if a destination is allowed, the
// notifier.
func (n *node) startWatch(ctx context.Context) error {
	w, err := n.newWatcher(ctx)
	if err != nil {
		return err
	}
	n.watch = w
	if w.anomalies.set != nil {
		n.services.start("detectors", func(ctx context.Context) error { return w.anomalies.detect(ctx, w.state) })
	}
	n.services.start("alerts", w.run)
	if !n.Settings.ReadOnly {
		n.services.start("anomalies", w.anomalies.run)
	}
	if w.notifier != nil {
		n.services.start("notifier", w.notifier.Run)
		n.services.start("delivery of alerts", w.deliver)
	}
	if w.submitter != nil {
		n.services.start("cosignatures", w.submitter.run)
	}
	return nil
}

func (n *node) newWatcher(ctx context.Context) (*watcher, error) {
	rules, err := watch.Override(watch.Rules(), n.Settings.AlertRules)
	if err != nil {
		return nil, fault.New(fault.Config, "alert_rules: "+err.Error(), "")
	}
	reader, err := newReader(ctx, n.machine, n.Version)
	if err != nil {
		return nil, err
	}
	w := &watcher{
		cfg: n.Settings, log: n.Log, reader: reader, cert: n.cert, tally: n.tally, report: n.reporting.change, metrics: n.reporting.metrics, private: n.reporting.private, limits: n.limits, base: "http://" + n.listener.Addr().String(),
		wake: make(chan struct{}, 1), engine: watch.New(now(), watch.Options{Rules: rules, Keep: n.Settings.AlertKeep}),
	}
	w.anomalies = n.newAnomalies()
	w.responses = newResponder(n.limits.Limits, n.Log, n.reporting.change, w.cfg.AlertWindow)
	w.responses.private = w.private
	if n.cert != nil {
		w.base = "https://" + n.listener.Addr().String()
	}
	if n.notifies {
		w.notifier = notify.New(notify.Config{Starter: reportedStarter{Starter(n.children, n.Settings, n.store), &n.reporting}, Log: n.Log, Died: w.notifierDied})
	}
	if n.policy != nil {
		if origin := n.records.journal.Origin(); !n.policy.Names(origin) {
			return nil, fault.New(fault.Config, "cosigners: the policy file names another log", "this one is: origin "+origin)
		}
		w.submitter = newSubmitter(n.Log, n.reporting.metrics, n.policy, n.records.ledger, w.notifier.Forward)
	}
	return w, w.restore(ctx, n.records.journal)
}

// restore puts the silences in force that the audit records. An audit that cannot be read
// is an error; a row that does not parse is not, as without it an alert is notified.
func (w *watcher) restore(ctx context.Context, j *journal.Journal) error {
	const most = 4096
	for last := uint64(0); ; {
		rows, err := j.AuditRows(ctx, last, most)
		if err != nil {
			return err
		}
		for i := range rows {
			last = rows[i].ID
			w.replay(&rows[i])
		}
		if len(rows) < most {
			return nil
		}
	}
}

func (w *watcher) replay(row *journal.AuditRow) {
	if row.Outcome != journal.Done {
		return
	}
	words := strings.Fields(row.Target)
	switch {
	case row.Action == admin.ActionSilence && len(words) == 3:
		until, err := time.Parse(time.RFC3339, words[2])
		if err == nil && until.After(now()) {
			_, _ = w.engine.Silence(row.Time, watch.Silence{Rule: words[0], Scope: words[1], Author: row.Actor, Reason: row.Reason, Until: until})
		}
	case row.Action == admin.ActionUnsilence:
		_ = w.engine.Unsilence(row.Target)
	}
}

// run reads the counters and gauges at each tick until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.AlertEvery)
	defer tick.Stop()
	for {
		w.tick(now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// ticks returns how many ticks the window of the counters covers.
func (w *watcher) ticks() int {
	return int(min(max(1, w.cfg.AlertWindow/w.cfg.AlertEvery), maxTicks))
}

// tick reads one input, logs and queues what has to be notified, and punishes the sources
// of what fires.
func (w *watcher) tick(now time.Time) {
	w.tally.Total(watch.QuotaOverflow, w.limits.overflowed())
	w.tally.Total(watch.AlertsDropped, w.seen.Dropped)
	in := w.tally.Take(w.cfg.AlertEvery, w.ticks())
	w.measure(now, &in)
	in.Findings = watch.FindingsOf(w.anomalies.live(now))
	w.mu.Lock()
	notices := w.engine.Tick(now, &in)
	for i := range notices {
		w.queue(&notices[i])
	}
	stats := w.engine.Stats()
	silences := len(w.engine.Silences(now))
	alerts := w.engine.Alerts(now)
	w.mu.Unlock()
	w.measureAlerts(&stats, silences)
	for i := range notices {
		w.announce(&notices[i])
	}
	w.responses.respond(now, alerts)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// state returns what the detectors have to know of the server.
func (w *watcher) state() anomaly.State {
	state, _ := w.reader.journal.State(context.Background()) // from memory, without an error
	w.mu.Lock()
	defer w.mu.Unlock()
	return anomaly.State{Held: len(state.Holds) > 0 || state.Sealed, Alerted: !w.engine.Teaches()}
}

// measureAlerts sets the metrics of alerts, and reports which have begun and ended.
func (w *watcher) measureAlerts(s *watch.Stats, silences int) {
	for severity := watch.Info; severity <= watch.Page; severity++ {
		w.metrics.Set(metrics.AlertsActive, float64(s.Active[severity]), severity.String())
	}
	w.metrics.Set(metrics.AlertsSilenced, float64(silences))
	w.metrics.Set(metrics.AlertsDropped, float64(s.Dropped))
	w.metrics.Set(metrics.AlertsUndelivered, 60*math.Float64frombits(w.undelivered.Load()))
	for rule, n := range s.Fired {
		w.metrics.Set(metrics.AlertsFired, float64(n), rule)
		w.moved(telemetry.AlertFired, rule, n-w.seen.Fired[rule])
	}
	for rule, n := range s.Ended {
		w.moved(telemetry.AlertCleared, rule, n-w.seen.Ended[rule])
	}
	w.seen = *s
	verdicts := make(map[string]uint64)
	for verdict, n := range s.Feedback {
		verdicts[verdict.Word] += n
	}
	for word, n := range verdicts {
		w.metrics.Set(metrics.AlertFeedback, float64(n), word)
	}
}

// moved reports that alerts of a rule have begun, or ended.
func (w *watcher) moved(kind telemetry.Kind, rule string, n uint64) {
	if n > 0 {
		w.report(kind, rule, float64(n))
	}
}

// measureSinks sets the metrics of deliveries, which begin at 0 with each notifier.
func (w *watcher) measureSinks(sinks []notify.Sink) {
	sums := make(map[[2]string]uint64)
	for i := range sinks {
		s := &sinks[i]
		sums[[2]string{s.Kind, "sent"}] += s.Delivered
		sums[[2]string{s.Kind, "failed"}] += s.Failed
		sums[[2]string{s.Kind, "dropped"}] += s.Dropped
	}
	for of, n := range sums {
		w.metrics.Set(metrics.AlertNotifications, float64(n), of[0], of[1])
	}
}

// notifierDied reports that a notifier has exited.
func (w *watcher) notifierDied() {
	w.metrics.Set(metrics.ChildUp, 0, notify.Kind)
	w.report(telemetry.ChildDied, notify.Kind, 1)
}

// queue queues a notice for the notifier. The oldest makes room. The lock is held.
func (w *watcher) queue(n *watch.Notice) {
	if w.notifier == nil {
		return
	}
	if len(w.waiting) >= maxWaiting {
		w.log.Error("alert not stored for delivery", "id", w.waiting[0].id, "why", "the notifier has taken nothing for too long")
		w.waiting = w.waiting[1:]
	}
	w.waiting = append(w.waiting, outgoing{messageID(), notify.NoticeBody(*n)})
}

// messageID draws the webhook-id of a message.
func messageID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never returns an error, see crypto/rand
	return "msg_" + hex.EncodeToString(b[:])
}

// announce logs a notice, a line for each alert.
func (w *watcher) announce(n *watch.Notice) {
	for i := range n.Alerts {
		a := &n.Alerts[i]
		log := w.log.With("rule", a.Rule, "scope", w.private.Scope(a.Scope), "severity", a.Severity.String(), "incident", n.Incident, "value", a.Value, "threshold", a.Threshold)
		switch {
		case n.Event == watch.IncidentResolved:
			log.Info("alert ended")
		case n.Event == watch.IncidentUpdate:
			log.Warn("alert goes on", "runbook", a.Runbook)
		case n.Severity == watch.Info:
			log.Info("state changed", "runbook", a.Runbook)
		default:
			log.Warn("alert fires", "runbook", a.Runbook)
		}
	}
}

// measure adds the states of the server, from memory. What is measured as a number comes
// from the events.
func (w *watcher) measure(now time.Time, in *watch.Input) {
	r, g := w.reader, &in.Gauges
	state, _ := r.journal.State(context.Background()) // from memory, without an error
	in.Held = len(state.Holds) > 0 || state.Sealed
	in.Rotating = r.epochs.Held()
	active := false
	for _, e := range r.epochs.Status() {
		if e.Phase == lifecycle.EpochActive {
			active = true
			in.Rotating = in.Rotating || now.Sub(e.Since) < rotatingFor
		}
	}
	g[watch.NoEpoch] = watch.Is(!active && !state.Sealed && !in.Rotating)
	g[watch.Frozen] = watch.Is(len(state.Holds) > 0)
	g[watch.JournalFailing] = watch.Is(!r.journal.Condition().Writable)
	g[watch.LedgerStopped] = watch.Is(r.ledgerState().State == stateStopped)
	g[watch.UncosignedMinutes] = w.submitter.failing(now).Minutes()
	g[watch.UndeliveredMinutes] = math.Float64frombits(w.undelivered.Load())
}

// deliver passes to the notifier what it has not taken, until ctx ends. Nothing waits for
// it: a notifier that has exited or does not answer costs no tick.
func (w *watcher) deliver(ctx context.Context) error {
	var synced, beat, down time.Time
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		t := now()
		err := w.pass(ctx)
		if key := w.stateKey(t); err == nil && (key != said || t.Sub(synced) >= repost) {
			if err = w.sync(ctx, t); err == nil {
				said, synced = key, t
			}
		}
		if every := w.cfg.AlertHeartbeat; err == nil && every > 0 && t.Sub(beat) >= every {
			beat = t
			err = w.heartbeat(ctx, t)
		}
		if err == nil {
			err = w.look(ctx, t)
		}
		switch {
		case err == nil:
			down = time.Time{}
		case down.IsZero():
			down, said = t, "" // the next notifier knows no state
		case t.Sub(down) >= downIsFailed:
			w.undelivered.Store(math.Float64bits(t.Sub(down).Minutes()))
		}
	}
}

// pass passes the waiting notices in their order. One that the notifier refuses is
// logged and dropped.
func (w *watcher) pass(ctx context.Context) error {
	for {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.mu.Unlock()
			return nil
		}
		first := w.waiting[0]
		w.mu.Unlock()
		err := w.notifier.Notice(ctx, first.id, first.body)
		if err != nil && !errors.Is(err, notify.ErrRefused) {
			return err
		}
		if err != nil {
			w.log.Error("alert not stored for delivery", "id", first.id, "err", err)
		}
		w.mu.Lock()
		if len(w.waiting) > 0 && w.waiting[0].id == first.id {
			w.waiting = w.waiting[1:]
		}
		w.mu.Unlock()
	}
}

// current returns what is true now for those that are sent the whole state.
func (w *watcher) current(t time.Time) []watch.Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.engine.Current(t)
}

// stateKey changes when an alert begins or ends.
func (w *watcher) stateKey(t time.Time) string {
	var b strings.Builder
	for _, a := range w.current(t) {
		b.WriteString(a.Fingerprint + " ")
		if a.Ended != nil {
			b.WriteString("ended ")
		}
	}
	return b.String()
}

func (w *watcher) sync(ctx context.Context, t time.Time) error {
	return w.notifier.Sync(ctx, notify.StateBody(w.current(t), t, stateValid, w.reader.journal.Origin(), w.base))
}

// beat is the data of a heartbeat and of a test.
type beat struct {
	Origin string                 `json:"origin"`
	Active map[watch.Severity]int `json:"active"` // alerts
}

func (w *watcher) beat() beat {
	w.mu.Lock()
	defer w.mu.Unlock()
	return beat{w.reader.journal.Origin(), w.engine.Stats().Active}
}

func (w *watcher) heartbeat(ctx context.Context, t time.Time) error {
	return w.notifier.Heartbeat(ctx, messageID(), notify.Body(notify.TypeHeartbeat, t, w.beat()))
}

// look finds out for how long the worst sink has failed.
func (w *watcher) look(ctx context.Context, t time.Time) error {
	sinks, err := w.notifier.Sinks(ctx)
	if err != nil {
		return err
	}
	worst := 0.0
	for i := range sinks {
		if f := sinks[i].Failing; f != nil {
			worst = max(worst, t.Sub(*f).Minutes())
		}
	}
	w.undelivered.Store(math.Float64bits(worst))
	w.measureSinks(sinks)
	return nil
}

// What follows is the watcher as the administration sees it.

// newTally returns what counts the events of this server for alerts. An epoch that is not
// rotated by its age alone has no age that is too great.
func newTally(cfg *config.Config) *watch.Tally {
	age := cfg.MaxAge
	if cfg.Rotation != config.RotationAuto || cfg.RotationWindow != "" {
		age = 0
	}
	return watch.NewTally(cfg.MaxLag, age)
}

// Alerts lists the alerts and silences.
func (w *watcher) Alerts(t time.Time) admin.AlertList {
	w.mu.Lock()
	defer w.mu.Unlock()
	return admin.AlertList{Alerts: append([]watch.Alert{}, w.engine.Alerts(t)...), Silences: append([]watch.Silence{}, w.engine.Silences(t)...), Dropped: w.engine.Stats().Dropped}
}

// AlertState returns how many alerts fire, and whether the notifier runs.
func (w *watcher) AlertState() admin.AlertState {
	w.mu.Lock()
	stats := w.engine.Stats()
	w.mu.Unlock()
	a := admin.AlertState{Dropped: stats.Dropped, Notifier: admin.NotifierNone}
	for _, n := range stats.Active {
		a.Firing += n
	}
	if w.notifier == nil {
		return a
	}
	n := w.notifier.State()
	a.Notifier, a.Exits, a.How = admin.NotifierDown, n.Exits, n.How
	if n.Runs {
		a.Notifier = admin.NotifierRunning
	}
	if !n.Since.IsZero() {
		a.Since = sinceOf(n.Since)
	}
	return a
}

// Cosigners returns the state of each cosigner.
func (w *watcher) Cosigners() []admin.Cosigner { return w.submitter.Cosigners() }

// Rules lists the rules in force.
func (w *watcher) Rules() []watch.Rule {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.engine.Rules()
}

// CheckSilence refuses a silence that [watcher.Silence] would refuse.
func (w *watcher) CheckSilence(t time.Time, s watch.Silence) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return asRefusal(w.engine.Check(t, &s))
}

// Silence adds a silence.
func (w *watcher) Silence(t time.Time, s watch.Silence) (watch.Silence, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.engine.Silence(t, s)
	return s, asRefusal(err)
}

// Unsilence ends a silence.
func (w *watcher) Unsilence(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return asRefusal(w.engine.Unsilence(id))
}

// Feedback counts a verdict on an alert.
func (w *watcher) Feedback(fingerprint, word string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.engine.Feedback(fingerprint, word)
	return asRefusal(err)
}

// errNoNotifier is the answer where no destination is allowed.
var errNoNotifier = protocol.Fail(protocol.CodeConflict, "no destination is allowed: set notify_allow and start the server again")

// Sinks lists the sinks.
func (w *watcher) Sinks(ctx context.Context) ([]notify.Sink, error) {
	if w.notifier == nil {
		return []notify.Sink{}, nil
	}
	sinks, err := w.notifier.Sinks(ctx)
	return sinks, asRefusal(err)
}

// AddSink adds a sink and returns the secret of a webhook.
func (w *watcher) AddSink(ctx context.Context, kind, url string) (id, secret string, err error) {
	if w.notifier == nil {
		return "", "", errNoNotifier
	}
	id, secret, err = w.notifier.Add(ctx, kind, url)
	return id, secret, asRefusal(err)
}

// RemoveSink removes a sink.
func (w *watcher) RemoveSink(ctx context.Context, id string) error {
	if w.notifier == nil {
		return errNoNotifier
	}
	return asRefusal(w.notifier.Remove(ctx, id))
}

// TestSink delivers a test to a sink and returns what its receiver answered. What an
// Alertmanager receives is its ordinary state.
func (w *watcher) TestSink(ctx context.Context, t time.Time, id string) error {
	if w.notifier == nil {
		return errNoNotifier
	}
	sinks, err := w.notifier.Sinks(ctx)
	if err != nil {
		return asRefusal(err)
	}
	body := notify.Body(notify.TypeTest, t, w.beat())
	for i := range sinks {
		if sinks[i].ID == id && sinks[i].Kind == notify.KindAlertmanager {
			body = notify.StateBody(w.current(t), t, stateValid, w.reader.journal.Origin(), w.base)
		}
	}
	return asRefusal(w.notifier.Test(ctx, id, messageID(), body))
}

// asRefusal returns the public form of an error of the engine or of the notifier.
func asRefusal(err error) error {
	var known *protocol.Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, watch.ErrNotFound):
		return protocol.Wrap(protocol.CodeNotFound, err.Error(), err)
	case errors.Is(err, notify.ErrRefused):
		return protocol.Wrap(protocol.CodeConflict, strings.TrimPrefix(err.Error(), notify.ErrRefused.Error()+": "), err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return protocol.Wrap(protocol.CodeOverloaded, "the notifier did not answer in time", err)
	}
	return protocol.Wrap(protocol.CodeMalformedRequest, err.Error(), err)
}
