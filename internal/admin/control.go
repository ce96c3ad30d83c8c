package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/terradourada/td/internal/approval"
	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// The operations of a scope.
const (
	opIssue  = "issue"
	opAccept = "accept"
	opBoth   = "both"
)

// targetAll names all claims, or all requests, in a row.
const targetAll = "all"

// what returns the operations and the claims of a scope. An id may name several claims.
func (s *Server) what(sc *Scope) (what control.What, t control.Target, err error) {
	switch sc.Operation {
	case opAccept:
		what = control.Accept
	case opIssue:
		what = control.Issue
	case opBoth:
		what = control.All
	default:
		return what, t, protocol.Fail(protocol.CodeMalformedRequest, "operation is issue, accept or both")
	}
	switch {
	case sc.Claim != "" && sc.Fingerprint != nil:
		return what, t, protocol.Fail(protocol.CodeMalformedRequest, "claim and fingerprint exclude each other")
	case sc.Claim != "":
		t.Claim, err = s.known(sc.Claim)
	case sc.Fingerprint != nil:
		t.VK = *sc.Fingerprint
		err = s.knownVK(t.VK)
	}
	return what, t, err
}

// by marks the request as one that control records, and returns who makes it.
func (q *request) by() control.By {
	q.recorded = true
	return control.By{Actor: q.who, Role: q.role, Reason: q.reason}
}

// note adds what an action has done to an answer. What is in force and not on the disk yet
// is no error.
func (d *Done) note(r control.Result, err error) error {
	for _, l := range r.Leaves {
		d.Row, d.Leaves = l.Row, append(d.Leaves, Leaf{Action: l.Action.String(), Index: l.Seq})
	}
	if !r.Until.IsZero() {
		until := r.Until.UTC()
		d.Until = &until
	}
	d.Ended += uint64(r.Invalidated.Ended)
	if errors.Is(err, journal.ErrNotDurable) {
		d.Outcome = OutcomeNotDurable
		return nil
	}
	return err
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
		return 0, protocol.Failf(protocol.CodeMalformedRequest, "%s: the time is 0, or from %v to %v", name, least, most)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (q *request) freeze(b *FreezeRequest) (*Done, error) {
	what, target, err := q.s.what(&b.Scope)
	if err != nil {
		return nil, err
	}
	lasts, err := span("for_ms", b.For, minFor, maxFor)
	if err != nil {
		return nil, err
	}
	done := newDone()
	return done, q.hold(done, what, target, lasts)
}

// hold freezes. A thaw that was asked for before does not end this freeze.
func (q *request) hold(done *Done, what control.What, target control.Target, lasts time.Duration) error {
	q.s.approvals.Forget()
	return done.note(q.s.cfg.Control.Freeze(q.ctx, q.now, q.by(), what, target, lasts))
}

func (q *request) thaw(b *ThawRequest) (*Done, error) {
	what, target, err := q.s.what(&b.Scope)
	if err != nil {
		return nil, err
	}
	done := newDone()
	release := func() error {
		if err := done.note(q.s.cfg.Control.Thaw(q.ctx, q.now, q.by(), what, target)); err != nil {
			return err
		}
		if state, err := q.s.cfg.Journal.State(q.ctx); err == nil && len(state.Holds) > 0 {
			done.Detail = "other freezes are in force; the status shows how they end"
		}
		return nil
	}
	if !q.s.cfg.TwoPeople {
		return done, release()
	}
	q.s.thawing.Lock()
	defer q.s.thawing.Unlock()
	action := approval.Action{Name: "thaw", Target: what.String() + " " + target.String()}
	first, second, err := q.s.approvals.Ask(q.now, action, q.who.Actor())
	switch {
	case err != nil:
		return nil, err
	case !second:
		done.Outcome = OutcomeApproval
		done.Until = &first.Until
		err := q.record("thaw/ask", action.Target)
		if err != nil {
			q.s.approvals.Withdraw(q.now, action, q.who.Actor())
		}
		return done, err
	}
	if err := release(); err != nil {
		_, _, _ = q.s.approvals.Ask(q.now, action, first.Actor) // it was not used
		return nil, err
	}
	return done, nil
}

// record writes a row of something that has no other effect.
func (q *request) record(action, target string) error {
	q.recorded = true
	return q.s.cfg.Journal.Audited(q.ctx, q.now, q.row(action, target), func(context.Context) error { return nil })
}

func (q *request) seal(b *SealRequest) (*Done, error) {
	drain, err := span("drain_ms", b.Drain, time.Millisecond, maxDrain)
	if err != nil {
		return nil, err
	}
	if drain == 0 {
		drain = usualDrain
	}
	done := newDone()
	res, err := q.s.cfg.Control.Seal(q.ctx, q.now, q.by(), drain)
	switch err := done.note(res, err); {
	case done.Outcome == OutcomeNotDurable:
		done.Outcome, done.Detail = OutcomeUnderWay, "nothing is issued any more, and the seal goes on; a server that ends before its leaf is written loses it"
	case err != nil && len(done.Leaves) > 0:
		done.Detail = "the last checkpoint is missing"
		q.s.cfg.Log.Error("log sealed without its last checkpoint", "err", err)
	case err != nil:
		return nil, err
	}
	return done, nil
}

func (q *request) rotate(b *RotateRequest) (*Done, error) {
	done := newDone()
	switch b.How {
	case "drain":
		res, err := q.s.cfg.Control.Rotate(q.ctx, q.now, q.by(), epochs.Drain)
		if err := done.note(res, err); err != nil {
			return nil, err
		}
		done.Epoch = q.s.epoch(res.Rotated)
	case "now":
		return done, q.force(done)
	default:
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "how is drain or now")
	}
	return done, nil
}

// force ends every epoch at once. The keys are destroyed also if the leaf is refused or
// the next epoch is not active in time.
func (q *request) force(done *Done) error {
	for _, e := range q.s.cfg.Epochs.Status() {
		done.Ended += uint64(max(0, e.Pending))
	}
	res, err := q.s.cfg.Control.Rotate(q.ctx, q.now, q.by(), epochs.Now)
	switch err := done.note(res, err); {
	case err == nil && done.Outcome == OutcomeDone:
		done.Epoch = q.s.epoch(res.Rotated)
	case err != nil && len(done.Leaves) == 0:
		return err
	case err != nil:
		done.Outcome = OutcomeUnderWay
		fallthrough
	default:
		done.Detail = "the keys are destroyed; the next epoch is not active yet"
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
	return done, done.note(q.s.cfg.Control.Retire(q.ctx, q.now, q.by(), b.Fingerprint))
}

// revoke revokes an epoch. From the leaf on the journal accepts nothing of it. If it is
// ACTIVE it ends at once, since what it issues could never be accepted.
func (q *request) revoke(b *RevokeRequest) (*Done, error) {
	done := newDone()
	if err := done.note(q.s.cfg.Control.Revoke(q.ctx, q.now, q.by(), b.Epoch)); err != nil {
		return nil, err
	}
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
	done := newDone()
	return done, done.note(q.s.cfg.Control.Invalidate(q.ctx, q.now, q.by(), f, b.text()))
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
