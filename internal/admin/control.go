package admin

import (
	"context"
	"errors"
	"slices"
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

// by returns who acts, and why.
func (q *request) by() control.By { return control.By{Actor: q.who, Role: q.role, Reason: q.reason} }

// took notes the result of an action, which has left its rows. Of several actions each has
// as many leaves as the others. What is held in memory is no error.
func (q *request) took(done *Done, res control.Result, err error, actions ...protocol.ControlAction) error {
	q.recorded = true
	if errors.Is(err, journal.ErrNotDurable) {
		done.Outcome, err = OutcomeNotDurable, nil
	}
	for i, index := range res.Leaves {
		a := actions[min(i*len(actions)/len(res.Leaves), len(actions)-1)]
		done.Leaves = append(done.Leaves, Leaf{Action: a.String(), Index: index})
	}
	done.Row = res.Row
	done.Ended += uint64(max(0, res.Invalidated.Ended))
	if res.Rotated.Number > 0 {
		done.Epoch = q.s.epoch(res.Rotated)
	}
	return err
}

// The operations of a scope.
const (
	opIssue  = "issue"
	opAccept = "accept"
	opBoth   = "both"
)

// scope parses what a freeze or thaw is about. A claim that it names is in the log.
func (s *Server) scope(sc *Scope) (what control.What, target control.Target, err error) {
	switch {
	case sc.Claim != "" && sc.Fingerprint != nil:
		return what, target, protocol.Fail(protocol.CodeMalformedRequest, "claim and fingerprint exclude each other")
	case sc.Claim != "":
		if target.Claim, err = s.known(sc.Claim); err != nil {
			return what, target, err
		}
	case sc.Fingerprint != nil:
		if !slices.ContainsFunc(s.claims, func(c Claim) bool { return c.Fingerprint == *sc.Fingerprint }) {
			return what, target, protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
		}
		target.VK = *sc.Fingerprint
	}
	switch sc.Operation {
	case opAccept:
		what = control.Accept
	case opIssue:
		what = control.Issue
	case opBoth:
		what = control.All
	default:
		err = protocol.Fail(protocol.CodeMalformedRequest, "operation is issue, accept or both")
	}
	return what, target, err
}

// of returns the actions of an operation, in the order of their leaves.
func of(what control.What, accept, issue protocol.ControlAction) []protocol.ControlAction {
	switch what {
	case control.Accept:
		return []protocol.ControlAction{accept}
	case control.Issue:
		return []protocol.ControlAction{issue}
	}
	return []protocol.ControlAction{accept, issue}
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
	what, target, err := q.s.scope(&b.Scope)
	if err != nil {
		return nil, err
	}
	lasts, err := span("for_ms", b.For, minFor, maxFor)
	if err != nil {
		return nil, err
	}
	done := newDone()
	if lasts > 0 {
		until := q.now.Add(lasts)
		done.Until = &until
	}
	return done, q.hold(done, what, target, lasts)
}

func (q *request) hold(done *Done, what control.What, target control.Target, lasts time.Duration) error {
	res, err := q.s.cfg.Control.Freeze(q.ctx, q.now, q.by(), what, target, lasts)
	return q.took(done, res, err, of(what, protocol.ActionFreezeAccept, protocol.ActionFreezeIssue)...)
}

func (q *request) thaw(b *ThawRequest) (*Done, error) {
	what, target, err := q.s.scope(&b.Scope)
	if err != nil {
		return nil, err
	}
	done := newDone()
	if !q.s.cfg.TwoPeople {
		return done, q.release(done, what, target)
	}
	q.s.thawing.Lock()
	defer q.s.thawing.Unlock()
	action := approval.Action{Name: "thaw", Target: what.String() + " " + target.String()}
	first, second, err := q.s.approvals.Ask(q.now, action, q.who.Actor())
	if err != nil {
		return nil, err
	}
	if !second {
		done.Outcome, done.Until = OutcomeApproval, &first.Until
		if err := q.ask(action.Target); err != nil {
			q.s.approvals.Withdraw(q.now, action, q.who.Actor())
			return nil, err
		}
		return done, nil
	}
	if err := q.release(done, what, target); err != nil {
		_, _, _ = q.s.approvals.Ask(q.now, action, first.Actor) // it was not used
		return nil, err
	}
	return done, nil
}

// ask writes the row of the first of two people.
func (q *request) ask(target string) error {
	q.recorded = true
	return q.s.cfg.Journal.Audited(q.ctx, q.now, q.row("thaw/ask", target), func(context.Context) error { return nil })
}

func (q *request) release(done *Done, what control.What, target control.Target) error {
	res, err := q.s.cfg.Control.Thaw(q.ctx, q.now, q.by(), what, target)
	thawed := of(what, protocol.ActionThawAccept, protocol.ActionThawIssue)
	slices.Reverse(thawed) // issue comes first
	return q.took(done, res, err, thawed...)
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
	done := newDone()
	res, err := q.s.cfg.Control.Seal(q.ctx, q.now, q.by(), drain)
	err = q.took(done, res, err, protocol.ActionSeal)
	if done.Outcome == OutcomeNotDurable {
		done.Detail = "the seal goes on; a process that ends meanwhile loses it"
	}
	if err != nil && len(res.Leaves) > 0 && res.Leaves[0] > 0 {
		done.Detail = "the last checkpoint is missing"
		q.s.cfg.Log.Error("log sealed without its last checkpoint", "err", err)
		err = nil
	}
	return done, err
}

func (q *request) rotate(b *RotateRequest) (*Done, error) {
	done := newDone()
	switch b.How {
	case "drain":
		res, err := q.s.cfg.Control.Rotate(q.ctx, q.now, q.by(), epochs.Drain)
		return done, q.took(done, res, err, protocol.ActionRotate)
	case "now":
		return done, q.force(done)
	default:
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "how is drain or now")
	}
}

// force ends every epoch at once. The keys are destroyed also if the next epoch is not
// active in time.
func (q *request) force(done *Done) error {
	for _, e := range q.s.cfg.Epochs.Status() {
		done.Ended += uint64(max(0, e.Pending))
	}
	res, err := q.s.cfg.Control.Rotate(q.ctx, q.now, q.by(), epochs.Now)
	err = q.took(done, res, err, protocol.ActionRotate)
	late := protocol.CodeOf(err) == protocol.CodeDraining
	if late {
		done.Outcome, err = OutcomeUnderWay, nil
	}
	if late || done.Outcome == OutcomeNotDurable {
		done.Detail = "the keys are destroyed; the next epoch is not active yet"
	}
	return err
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
	res, err := q.s.cfg.Control.Retire(q.ctx, q.now, q.by(), b.Fingerprint)
	return done, q.took(done, res, err, protocol.ActionRetireVK)
}

// revoke revokes an epoch. From the leaf on the journal accepts nothing of it. If it is
// ACTIVE it ends at once, since what it issues could never be accepted.
func (q *request) revoke(b *RevokeRequest) (*Done, error) {
	done := newDone()
	active, ok := q.s.activeEpoch()
	if err := q.withdraw(done, b.Epoch); err != nil || !ok || active != b.Epoch {
		return done, err
	}
	return done, q.force(done)
}

func (q *request) withdraw(done *Done, id protocol.EpochID) error {
	res, err := q.s.cfg.Control.Revoke(q.ctx, q.now, q.by(), id)
	return q.took(done, res, err, protocol.ActionRevokeEpoch)
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
	if (b.Filter == Filter{}) != b.All {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "name what to invalidate, or set all, which excludes a filter")
	}
	f, err := q.filter(&b.Filter)
	if err != nil {
		return nil, err
	}
	done := newDone()
	return done, q.end(done, f, b.Filter.text())
}

func (q *request) end(done *Done, f gate.Filter, text string) error {
	res, err := q.s.cfg.Control.Invalidate(q.ctx, q.now, q.by(), f, text)
	return q.took(done, res, err, protocol.ActionInvalidate)
}

// text names a filter in a row.
func (f *Filter) text() string {
	if *f == (Filter{}) {
		return "all"
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
