package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/anomaly"
	"github.com/terradourada/td/internal/config"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/internal/server"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/internal/telemetry/metrics"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// reporting is what a node reports about itself: the hub of events, what reads them, and
// what is measured at intervals.
type reporting struct {
	private   *telemetry.Pseudonyms // nil: addresses are written
	events    *telemetry.Events
	metrics   *metrics.Metrics
	traffic   *telemetry.Traffic
	anomalies *anomaly.Set        // nil if the setting anomaly is off
	recorder  *telemetry.Recorder // nil without --record
	record    io.Closer           // its file
	tagger    atomic.Pointer[keyholder.Tagger]

	// Of the service alone.
	told      map[telemetry.Kind]telemetry.Change // that were reported last
	last      time.Time                           // of the last look
	published uint64                              // size of the checkpoint then
	changed   time.Time                           // when that changed
}

// openReporting opens the record and makes the hub. It starts nothing.
func (n *node) openReporting() error {
	cfg := n.Settings
	p := &n.reporting
	if cfg.LogAddresses == config.AddressesHashed {
		p.private = telemetry.NewPseudonyms()
	}
	n.tally = newTally(cfg)
	p.told = make(map[telemetry.Kind]telemetry.Change)
	p.metrics = metrics.New(metrics.Options{Labels: metricLabels(), Version: n.Version, Process: true})
	p.metrics.Set(metrics.LedgerMaxLag, float64(cfg.MaxLag))
	if cfg.Rotation == config.RotationAuto && cfg.RotationWindow == "" {
		p.metrics.Set(metrics.EpochMaxAge, cfg.MaxAge.Seconds())
	}
	p.traffic = telemetry.NewTraffic(n.Log, p.private)
	readers := []telemetry.Observer{p.metrics, p.traffic}
	inPath := []telemetry.Observer{n.tally}
	if p.anomalies = newSet(cfg); p.anomalies != nil {
		readers, inPath = append(readers, p.anomalies), append(inPath, p.anomalies.Exact())
	}
	if cfg.Record != "" {
		ended := func(err error) { n.Log.Warn("record ended before the server did", "err", err) }
		file, left, err := openRecord(cfg.Record, int64(cfg.RecordMiB)<<20)
		switch {
		case errors.Is(err, errNoRecord):
			ended(err)
		case err != nil:
			return fault.New(fault.Config, fmt.Sprintf("the record %s cannot be made: %v", cfg.Record, err), "name a file in a directory that the user of the server may write")
		default:
			p.record = file
			p.recorder = telemetry.NewRecorder(file, now(), left, p.private, p.lost, ended)
			readers = append(readers, p.recorder)
		}
	}
	p.events = telemetry.NewEvents(inPath, readers)
	return nil
}

// metricLabels returns the values of labels that this program has.
func metricLabels() metrics.Labels {
	claims := make([]string, 0, len(claim.IDs()))
	for _, id := range claim.IDs() {
		claims = append(claims, id.String())
	}
	return metrics.Labels{
		Operations: server.OperationIDs(), Claims: claims, Rules: watch.Names(), Sinks: []string{notify.KindAlertmanager, notify.KindWebhook},
		Scopes: words(limit.Scopes()), Tables: words(limit.Tabled()), Responses: words(limit.Steps()),
		Detectors: words(anomaly.Detectors()), Suppressions: anomaly.Suppressions(),
	}
}

func (p *reporting) lost() uint64 { return p.events.Lost() }

// change reports a change of state.
func (p *reporting) change(kind telemetry.Kind, subject string, value float64) {
	p.events.Change(telemetry.Change{At: now(), Kind: kind, Subject: subject, Value: value})
}

// measured reports a value at the first look, and when it has changed.
func (p *reporting) measured(kind telemetry.Kind, value float64) { p.ifNew(kind, "", value) }

// state is measured for a state, such as a failure, and its reason.
func (p *reporting) state(kind telemetry.Kind, subject string, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	p.ifNew(kind, subject, value)
}

func (p *reporting) ifNew(kind telemetry.Kind, subject string, value float64) {
	if was, known := p.told[kind]; !known || was.Value != value || was.Subject != subject {
		p.told[kind] = telemetry.Change{Subject: subject, Value: value}
		p.change(kind, subject, value)
	}
}

// observeGate reports what a call of the gate has come to and no answer shows: the end of
// a pushed event and of a request that no client answered.
func (p *reporting) observeGate(o gate.Outcome) {
	switch cause := telemetry.CauseOf(o.Err); {
	case o.Operation == "expire":
		p.change(telemetry.ChallengeExpired, o.Claim, 1)
	case cause == telemetry.Disagreement:
		p.change(telemetry.TaggerDisagreed, o.Claim, 1)
	case o.Operation == "push" && o.RequestID != (protocol.RequestID{}):
		p.change(telemetry.PushDecided, o.Claim, float64(cause))
		if slices.Contains([]telemetry.Cause{telemetry.ProverLate, telemetry.ProverWrong, telemetry.ProverWrongTag}, cause) {
			p.change(telemetry.ProverFailed, cause.String(), 1)
		}
	}
}

// reportedStarter reports the children that it starts.
type reportedStarter struct {
	keyholder.Starter
	reporting *reporting
}

func (s reportedStarter) Start(kind string) (*process.Child, error) {
	c, err := s.Starter.Start(kind)
	if err == nil {
		s.reporting.change(telemetry.ChildStarted, kind, 1)
	}
	return c, err
}

// committed reports leaves that change the state of the server.
func (p *reporting) committed(entries []journal.Entry) {
	for _, e := range entries {
		if protocol.LeafTypeOf(e.Leaf) == protocol.LeafAccepted {
			continue // by far the most, and reported as requests
		}
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			continue // the ledger reports it
		}
		switch body := leaf.Body.(type) {
		case *protocol.EpochOpen:
			p.change(telemetry.EpochOpened, "", float64(body.Number))
		case *protocol.EpochClose:
			p.change(telemetry.EpochClosed, body.Reason.String(), float64(e.Seq))
		case *protocol.Control:
			p.controlled(body)
		}
	}
}

// controlled reports a freeze or a thaw.
func (p *reporting) controlled(c *protocol.Control) {
	by, _ := byWhom(c.Reason)
	switch c.Action {
	case protocol.ActionFreezeIssue:
		p.change(telemetry.HoldSet, "issue "+by, 1)
	case protocol.ActionFreezeAccept:
		p.change(telemetry.HoldSet, "accept "+by, 1)
	case protocol.ActionThawIssue:
		p.change(telemetry.HoldLifted, "issue "+by, 1)
	case protocol.ActionThawAccept:
		p.change(telemetry.HoldLifted, "accept "+by, 1)
	default: // no hold
	}
}

// lookEach is the time between two looks at what is measured, and slowEach that at what
// takes a call.
const (
	lookEach = time.Second
	slowEach = 10
)

// reportEvents distributes events, and measures the state of the node until ctx ends.
func (n *node) reportEvents(ctx context.Context) error {
	p := &n.reporting
	read := make(chan struct{})
	go func() { // ends with ctx; this service waits for it
		defer close(read)
		_ = p.events.Run(ctx) // never fails
	}()
	tick := time.NewTicker(lookEach)
	defer tick.Stop()
	for looks := 0; ; looks++ {
		select {
		case <-ctx.Done():
			<-read
			p.flush(now())
			return p.close()
		case <-tick.C:
			n.look(ctx, looks%slowEach == 0)
			p.flush(now())
		}
	}
}

// flush writes what readers have gathered.
func (p *reporting) flush(at time.Time) {
	p.traffic.Flush(at)
	if p.recorder != nil {
		p.recorder.Flush(at)
	}
}

// close closes the record.
func (p *reporting) close() error {
	if p.record == nil {
		return nil
	}
	file := p.record
	p.record = nil
	return file.Close()
}

// look measures the state of the node, from memory but for what is slow.
func (n *node) look(ctx context.Context, slow bool) {
	p, at := &n.reporting, now()
	p.lookAtClock(at)
	p.measured(telemetry.EventsLost, float64(p.events.Lost()))
	if n.LinesLost != nil {
		p.measured(telemetry.LogLinesLost, float64(n.LinesLost()))
	}
	if n.cert != nil {
		p.lookAtCertificate(n.cert, at)
	}
	r := n.health.serving.Load()
	if r == nil {
		return // it starts
	}
	p.state(telemetry.ServerStarted, fmt.Sprintf("%s build %x", n.Version, n.build[:4]), true)
	if n.health.stopping.Load() {
		p.state(telemetry.ServerStopping, "", true)
	}
	p.lookAtRecords(r, at)
	if slow {
		if free, ratio, ok := freeSpace(filepath.Clean(n.Settings.Data)); ok {
			p.measured(telemetry.DiskFree, free)
			p.measured(telemetry.DiskFreeRatio, ratio)
		}
	}
	if n.Settings.ReadOnly {
		return
	}
	p.lookAtMachine(n.machine, at)
	if slow {
		p.lookAtTagger(ctx)
	}
}

// leastStep is the least step of the system's clock that is reported.
const leastStep = time.Second

// marker returns what marks requests, nil if there are neither detectors nor a record that
// would read the marks.
func (p *reporting) marker() *telemetry.Marker {
	if p.anomalies == nil && p.record == nil {
		return nil
	}
	return telemetry.NewMarker()
}

// lookAtClock compares the clock of the system with the monotonic one.
func (p *reporting) lookAtClock(at time.Time) {
	if !p.last.IsZero() {
		step := at.Round(0).Sub(p.last.Round(0)) - at.Sub(p.last)
		if step.Abs() >= leastStep {
			p.change(telemetry.ClockStepped, "", step.Seconds())
		}
	}
	p.last = at
}

func (p *reporting) lookAtCertificate(c *certificate, at time.Time) {
	expires := c.pair.Load().Leaf.NotAfter
	p.measured(telemetry.CertificateSet, float64(expires.Unix()))
	p.measured(telemetry.CertificateExpiry, expires.Sub(at).Round(time.Minute).Seconds())
	p.state(telemetry.CertificateFails, "", c.failing.Load())
}

// lookAtRecords measures journal and log.
func (p *reporting) lookAtRecords(r *reader, at time.Time) {
	ctx := context.Background()
	size, _ := r.journal.Size(ctx)   // from memory, without an error
	state, _ := r.journal.State(ctx) // the same
	cp, _ := r.ledger.Latest()
	if cp.Size != p.published || p.changed.IsZero() {
		p.published, p.changed = cp.Size, at
	}
	age := 0.0
	if cp.Size < size {
		age = at.Sub(p.changed).Round(lookEach).Seconds()
	}
	p.measured(telemetry.JournalSize, float64(size))
	p.measured(telemetry.LedgerLag, float64(r.ledger.Condition().Behind))
	p.measured(telemetry.CheckpointAge, age)
	holds := map[journal.Operation]float64{}
	for _, hold := range state.Holds {
		holds[hold.Operation]++
	}
	p.metrics.Set(metrics.Holds, holds[journal.Issue], "issue")
	p.metrics.Set(metrics.Holds, holds[journal.Accept], "accept")
	if r.cfg.ReadOnly {
		return
	}
	failing := r.journal.Condition()
	p.state(telemetry.JournalFailing, string(failing.Cause), !failing.Writable)
	subject := ledgerSubject(r.ledgerState())
	p.state(telemetry.LedgerFailing, subject, subject != "")
}

// ledgerSubject returns what fails about the log, or "". A log that has stopped in order
// does not fail.
func ledgerSubject(c api.Condition) string {
	switch {
	case c.Why == whyDiverged:
		return "diverged"
	case c.State == stateFailing:
		return stateFailing
	}
	return ""
}

// lookAtMachine measures epochs, pending requests and children.
func (p *reporting) lookAtMachine(m *machine, at time.Time) {
	var age, fill, up float64
	for _, e := range m.epochs.Status() {
		if e.Phase == lifecycle.EpochActive {
			age, fill, up = at.Sub(e.Since).Round(lookEach).Seconds(), float64(e.Issued)/float64(m.cfg.MaxIssued), 1
		}
	}
	p.measured(telemetry.EpochAge, age)
	p.measured(telemetry.EpochFill, fill)
	p.measured(telemetry.PendingRequests, float64(m.sessions.Pending()))
	trouble := m.epochs.Trouble()
	subject := ""
	if trouble != nil {
		subject = trouble.Why
	}
	p.state(telemetry.EpochFailed, subject, trouble != nil)
	p.metrics.Set(metrics.EpochActive, up)
	state, _ := m.journal.State(context.Background()) // from memory, without an error
	p.metrics.SetIs(metrics.EpochMissing, up == 0 && !state.Sealed && !m.epochs.Held())
	p.metrics.Set(metrics.ChildUp, up, "signer")
	p.metrics.Set(metrics.ChildUp, up, "tagger")
	p.metrics.SetIs(metrics.ChildUp, m.pool != nil && m.pool.Running(), "prover")
}

// lookAtTagger reads the figures of the newest tagger.
func (p *reporting) lookAtTagger(ctx context.Context) {
	tagger := p.tagger.Load()
	if tagger == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookEach)
	defer cancel()
	s, err := tagger.Stats(ctx)
	if err != nil {
		return // it has ended, and its epoch with it
	}
	p.metrics.Set(metrics.TaggerRequests, float64(s.Pending), "pending")
	p.metrics.Set(metrics.TaggerRequests, float64(s.Remembered), "remembered")
	for answer, n := range map[string]uint64{"mismatched": s.Mismatched, "unknown": s.Unknown, "reused": s.Reused, "late": s.Late} {
		p.metrics.Set(metrics.TaggerRefusals, float64(n), answer)
	}
}
