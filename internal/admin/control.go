package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/terradourada/td/internal/approval"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// holds returns what a scope holds, acceptance first: one hold for each operation and
// claim, of which an id may name several.
func (s *Server) holds(sc *Scope) (all []journal.Hold, err error) {
	vks := []protocol.Digest{{}}
	switch {
	case sc.Claim != "" && sc.Fingerprint != nil:
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "claim and fingerprint exclude each other")
	case sc.Claim != "":
		if _, err := s.known(sc.Claim); err != nil {
			return nil, err
		}
		vks = s.fingerprints(sc.Claim)
	case sc.Fingerprint != nil:
		if !slices.ContainsFunc(s.claims, func(c Claim) bool { return c.Fingerprint == *sc.Fingerprint }) {
			return nil, protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
		}
		vks[0] = *sc.Fingerprint
	}
	operations := []journal.Operation{journal.Accept, journal.Issue}
	switch sc.Operation {
	case opAccept:
		operations = operations[:1]
	case opIssue:
		operations = operations[1:]
	case opBoth:
	default:
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "operation is issue, accept or both")
	}
	for _, op := range operations {
		for _, vk := range vks {
			all = append(all, journal.Hold{Operation: op, VK: vk})
		}
	}
	return all, nil
}

// The bounds of times in requests.
const (
	minFor     = time.Second
	maxFor     = 366 * 24 * time.Hour
	maxExpiry  = 10 * maxFor
	maxDrain   = 10 * time.Minute
	usualDrain = time.Minute
)

// span returns a time of a request, in milliseconds, that is 0 or within bounds.
func span(name string, ms int64, least, most time.Duration) (time.Duration, error) {
	if ms != 0 && (ms < least.Milliseconds() || ms > most.Milliseconds()) {
		return 0, protocol.Failf(protocol.CodeMalformedRequest, "%s is 0, or from %d to %d", name, least.Milliseconds(), most.Milliseconds())
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (q *request) freeze(b *FreezeRequest) (*Done, error) {
	holds, err := q.s.holds(&b.Scope)
	if err != nil {
		return nil, err
	}
	lasts, err := span("for_ms", b.For, minFor, maxFor)
	if err != nil {
		return nil, err
	}
	done, until := newDone(), time.Time{}
	if lasts > 0 {
		until = q.now.Add(lasts)
		done.Until = &until
	}
	return done, q.hold(done, holds, until)
}

// hold freezes, each hold with a row and a leaf of its own.
func (q *request) hold(done *Done, holds []journal.Hold, until time.Time) error {
	q.s.holding.Lock()
	defer q.s.holding.Unlock()
	for _, h := range holds {
		if err := q.stop(done, "freeze", targetOf(h, until), protocol.Control{Action: freezeOf(h), Target: h.VK}); err != nil {
			return err
		}
	}
	return nil
}

func (q *request) thaw(b *ThawRequest) (*Done, error) {
	holds, err := q.s.holds(&b.Scope)
	if err != nil {
		return nil, err
	}
	if err := q.s.cfg.Host.MayThaw(); err != nil {
		return nil, err
	}
	done := newDone()
	if !q.s.cfg.TwoPeople {
		return done, q.release(done, holds)
	}
	q.s.thawing.Lock()
	defer q.s.thawing.Unlock()
	var targets []string
	for _, h := range holds {
		targets = append(targets, targetOf(h, time.Time{}))
	}
	action := approval.Action{Name: "thaw", Target: strings.Join(targets, ", ")}
	first, second, err := q.s.approvals.Ask(q.now, action, q.who.Actor())
	switch {
	case err != nil:
		return nil, err
	case !second:
		done.Outcome = OutcomeApproval
		done.Until = &first.Until
		err := q.ask(&b.Scope)
		if err != nil {
			q.s.approvals.Withdraw(q.now, action, q.who.Actor())
		}
		return done, err
	}
	if err := q.release(done, holds); err != nil {
		_, _, _ = q.s.approvals.Ask(q.now, action, first.Actor) // it was not used
		return nil, err
	}
	return done, nil
}

// ask writes the row of the first of two people.
func (q *request) ask(sc *Scope) error {
	q.recorded = true
	target := sc.Operation + " " + targetAll
	switch {
	case sc.Claim != "":
		target = sc.Operation + " " + sc.Claim
	case sc.Fingerprint != nil:
		target = sc.Operation + " " + sc.Fingerprint.String()
	}
	return q.s.cfg.Journal.Audited(q.ctx, q.now, q.row("thaw/ask", target), func(context.Context) error { return nil })
}

// release thaws, each hold with a row and a leaf of its own.
func (q *request) release(done *Done, holds []journal.Hold) error {
	for _, h := range holds {
		if err := q.control(done, "thaw", targetOf(h, time.Time{}), protocol.Control{Action: thawOf(h), Target: h.VK}); err != nil {
			return err
		}
	}
	return nil
}

// seal holds issuing, lets what is pending be answered, and ends the log.
func (q *request) seal(b *SealRequest) (*Done, error) {
	drain, err := span("drain_ms", b.Drain, time.Millisecond, maxDrain)
	if err != nil {
		return nil, err
	}
	if drain == 0 {
		drain = usualDrain
	}
	state, err := q.s.cfg.Journal.State(q.ctx)
	if err != nil {
		return nil, err
	}
	if state.Sealed {
		return nil, protocol.Fail(protocol.CodeFrozen, "the log is sealed for good")
	}
	done := newDone()
	if err := q.hold(done, []journal.Hold{{Operation: journal.Issue}}, time.Time{}); err != nil {
		return nil, err
	}
	held, sealed := newDone(), newDone()
	index, err := q.s.cfg.Epochs.Seal(q.ctx, epochs.Seal{
		Drain: drain,
		Stop: func() {
			if err := q.later().hold(held, []journal.Hold{{Operation: journal.Accept}}, time.Time{}); err != nil {
				q.s.cfg.Log.Error("acceptance not held before the seal", "err", err)
			}
			q.s.cfg.Gate.Invalidate(gate.Filter{})
		},
		Commit: func(ctx context.Context) (uint64, error) { return q.later().commitSeal(ctx, sealed) },
	})
	switch {
	case index > 0 || err == nil:
		done.Row = sealed.Row
		done.Leaves = append(append(done.Leaves, held.Leaves...), Leaf{Action: protocol.ActionSeal.String(), Index: index})
		if err != nil {
			done.Detail = "the last checkpoint is missing: " + protocol.DetailOf(err)
		}
	case protocol.CodeOf(err) == protocol.CodeDraining:
		if done.Outcome == OutcomeDone {
			done.Outcome = OutcomeUnderWay
		}
		done.Detail = "the seal goes on"
	default:
		return nil, err
	}
	return done, nil
}

// later returns the request as one that goes on after its answer.
func (q *request) later() *request {
	again := *q
	again.ctx, again.now = context.WithoutCancel(q.ctx), q.s.now()
	return &again
}

// commitSeal commits the seal leaf. An attempt whose outcome was not known may have been
// committed.
func (q *request) commitSeal(ctx context.Context, done *Done) (uint64, error) {
	defer q.s.changed.Store(true)
	q.ctx = ctx
	err := q.control(done, "seal", "", protocol.Control{Action: protocol.ActionSeal})
	if err == nil {
		return done.Leaves[0].Index, nil
	}
	if q.s.record.catchUp(ctx, q.s.cfg.Journal) == nil {
		if index, ok := q.s.record.sealedAt(); ok {
			return index, nil
		}
	}
	return 0, err
}

func (q *request) rotate(b *RotateRequest) (*Done, error) {
	done := newDone()
	switch b.How {
	case "drain":
		if err := q.control(done, "rotate", b.How, protocol.Control{Action: protocol.ActionRotate}); err != nil {
			return nil, err
		}
		opened, err := q.s.cfg.Epochs.Rotate(q.ctx, epochs.Drain)
		if err != nil {
			return nil, err
		}
		done.Epoch = q.s.epoch(opened)
	case "now":
		return done, q.force(done)
	default:
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "how is drain or now")
	}
	return done, nil
}

// force ends every epoch at once. The keys are destroyed also if the next epoch is not
// active in time.
func (q *request) force(done *Done) error {
	if err := q.stop(done, "rotate", "now", protocol.Control{Action: protocol.ActionRotate}); err != nil {
		return err
	}
	for _, e := range q.s.cfg.Epochs.Status() {
		done.Ended += uint64(max(0, e.Pending))
	}
	opened, err := q.s.cfg.Epochs.Rotate(q.ctx, epochs.Now)
	if err == nil {
		done.Epoch = q.s.epoch(opened)
		return nil
	}
	done.Detail = "the keys are destroyed; the next epoch is not active yet"
	if done.Outcome == OutcomeDone {
		done.Outcome = OutcomeUnderWay
	}
	return nil
}

// epoch describes the epoch that a rotation opened.
func (s *Server) epoch(r epochs.Rotated) *Epoch {
	for _, e := range s.cfg.Epochs.Status() {
		if e.ID == r.ID {
			return describeEpoch(&e)
		}
	}
	return &Epoch{Number: r.Number, ID: r.ID, Index: r.Index}
}

func (q *request) retire(b *RetireRequest) (*Done, error) {
	done := newDone()
	if err := q.control(done, "retire", b.Fingerprint.String(), protocol.Control{Action: protocol.ActionRetireVK, Target: b.Fingerprint}); err != nil {
		return nil, err
	}
	done.Ended = uint64(q.s.cfg.Gate.Invalidate(gate.Filter{VK: b.Fingerprint}).Ended)
	return done, nil
}

// revoke revokes an epoch. From the leaf on the journal accepts nothing of it. If it is
// ACTIVE it ends at once, since what it issues could never be accepted.
func (q *request) revoke(b *RevokeRequest) (*Done, error) {
	done := newDone()
	err := q.control(done, "revoke", b.Epoch.String(), protocol.Control{Action: protocol.ActionRevokeEpoch, Target: journal.EpochTarget(b.Epoch)})
	if err != nil {
		return nil, err
	}
	done.Ended = uint64(q.s.cfg.Gate.Invalidate(gate.Filter{Epoch: b.Epoch}).Ended)
	if active, ok := q.s.activeEpoch(); !ok || active != b.Epoch {
		return done, nil
	}
	opened, err := q.s.cfg.Epochs.Rotate(q.ctx, epochs.Now)
	if err != nil {
		done.Outcome, done.Detail = OutcomeUnderWay, "the epoch is revoked; the next one is not active yet"
		return done, nil //nolint:nilerr // the epoch is revoked
	}
	done.Epoch = q.s.epoch(opened)
	return done, nil
}

func (s *Server) activeEpoch() (id protocol.EpochID, ok bool) {
	for _, e := range s.cfg.Epochs.Status() {
		if e.Phase == lifecycle.EpochActive {
			return e.ID, true
		}
	}
	return id, false
}

func (q *request) invalidate(b *InvalidateRequest) (*Done, error) {
	if b.Filter == (Filter{}) && !b.All {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "name what to invalidate, or set all")
	}
	if b.Filter != (Filter{}) && b.All {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "all excludes a filter")
	}
	f, err := q.filter(&b.Filter)
	if err != nil {
		return nil, err
	}
	c := protocol.Control{Action: protocol.ActionInvalidate}
	if b.Epoch != nil {
		c.Target = journal.EpochTarget(*b.Epoch)
	}
	done := newDone()
	if err := q.control(done, "invalidate", b.Filter.text(), c); err != nil {
		return nil, err
	}
	done.Ended = uint64(q.s.cfg.Gate.Invalidate(f).Ended)
	return done, nil
}

// text names a filter in a row.
func (f *Filter) text() string {
	if *f == (Filter{}) {
		return targetAll
	}
	v := urlValues(f)
	words := make([]string, 0, len(v))
	for _, name := range []string{"id", "client", "claim", "epoch", "prover", "older_ms"} {
		if value := v.Get(name); value != "" {
			words = append(words, name+" "+value)
		}
	}
	return strings.Join(words, ", ")
}

// filter returns what the gate selects by. Each field is compared with what exists, so no
// text of a request reaches a row.
func (q *request) filter(f *Filter) (g gate.Filter, err error) {
	if f.ID != nil {
		g.Request = *f.ID
	}
	if f.Epoch != nil {
		g.Epoch = *f.Epoch
	}
	if f.Claim != "" {
		if g.Claim, err = q.s.known(f.Claim); err != nil {
			return g, err
		}
	}
	if f.Client != "" {
		index, err := q.clientIndex(f.Client)
		if err != nil {
			return g, err
		}
		g.Client = &index
	}
	switch f.Prover {
	case "":
	case proverServer:
		g.Prover = gate.LocalProver
	case gate.ClientProver:
		g.Prover = gate.ClientProver
	default:
		return g, protocol.Fail(protocol.CodeMalformedRequest, "prover is client or server")
	}
	older, err := span("older_ms", f.Older, time.Millisecond, maxFor)
	if older > 0 {
		g.IssuedBefore = q.now.Add(-older)
	}
	return g, err
}

// proverServer names the provers of this server in requests and answers.
const proverServer = "server"

func (q *request) clientIndex(id string) (uint32, error) {
	if id == protocol.LocalClient {
		return 0, nil
	}
	c, ok := q.s.cfg.Journal.Clients().Client(id)
	if !ok {
		return 0, protocol.Fail(protocol.CodeNotFound, "there is no client of this id")
	}
	return c.Index, nil
}
