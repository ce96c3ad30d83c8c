// Package control freezes, thaws, seals, withdraws, rotates and invalidates. It is what an
// administration calls, which has checked before that the actor may do so.
//
// Each call leaves one audit row for each leaf, or one row if it is refused, written by the
// journal. What stops never waits for a disk: the error is then [journal.ErrNotDurable],
// the stop is in force in memory, and the journal retries. What restarts is refused after
// journal and log were found to disagree, until a new process has found them equal.
package control

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Journal records actions and has the control state.
type Journal interface {
	Control(ctx context.Context, now time.Time, r journal.Request, actions ...protocol.Control) ([]journal.Entry, error)
	Stop(ctx context.Context, now time.Time, r journal.Request, actions ...protocol.Control) ([]journal.Entry, error)
	Refuse(ctx context.Context, now time.Time, r journal.Request, code protocol.Code) error
	BeginSeal(now time.Time, r journal.Request) (*journal.Sealing, error)
	ThawEnded(ctx context.Context, now time.Time) ([]journal.Entry, error)
	Unchecked() bool
}

// Gate holds the pending requests.
type Gate interface {
	Invalidate(f gate.Filter) gate.Invalidated
}

// Epochs are the key sets.
type Epochs interface {
	Seal(ctx context.Context, s epochs.Seal) (index uint64, err error)
	Rotate(ctx context.Context, how epochs.How) (epochs.Rotated, error)
	EndAll() (await func(context.Context) (epochs.Rotated, error))
}

// Config is what a [Control] needs; every field is required.
type Config struct {
	Journal  Journal
	Gate     Gate
	Epochs   Epochs
	Diverged <-chan struct{}                // closed when journal and log disagree
	Claims   map[claim.ID][]protocol.Digest // the fingerprints in the log, by claim
	Log      *slog.Logger
	Now      func() time.Time // by which freezes end; nil means time.Now
}

// Control acts on the core. It is safe for concurrent use.
type Control struct{ cfg Config }

// New returns a control. It starts nothing; [Control.Run] must run.
func New(cfg Config) *Control {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Control{cfg}
}

// By is who acts, and why.
type By struct {
	Actor  principal.Principal
	Role   principal.Role
	Reason string // in the words of the actor
}

// What is which operations a freeze or a thaw is about.
type What uint8

// The operations.
const (
	All    What = iota // acceptance first, then issue
	Issue              // new requests
	Accept             // answers
)

// String returns the word for the operations.
func (w What) String() string {
	if words := [...]string{"both", "issue", "accept"}; int(w) < len(words) {
		return words[w]
	}
	return "unknown"
}

// Target is which claims an action is about. The zero value is all of them.
type Target struct {
	Claim claim.ID        // every fingerprint of it that is in the log
	VK    protocol.Digest // one fingerprint; Claim is ignored then
}

// String returns the target as an audit row names it.
func (t Target) String() string {
	switch {
	case t.VK != protocol.Digest{}:
		return t.VK.String()
	case t.Claim != "":
		return string(t.Claim)
	}
	return "all"
}

// Leaf is a leaf that an action has written, with the row that opens it.
type Leaf struct {
	Action protocol.ControlAction
	Seq    uint64
	Row    uint64
}

// Result is what an action has done.
type Result struct {
	Leaves      []Leaf    // in their order
	Until       time.Time // end of a freeze; zero if it has none
	Invalidated gate.Invalidated
	Rotated     epochs.Rotated
}

// Freeze holds operations, for a time or, with 0, until they are thawed. When it returns,
// no acceptance that the hold covers gets a later index than its leaf. A freeze never
// shortens another one.
func (c *Control) Freeze(ctx context.Context, now time.Time, by By, what What, target Target, lasts time.Duration) (Result, error) {
	r := by.request("freeze", what.String()+" "+target.String())
	if lasts != 0 {
		r.Until = now.Add(lasts).Truncate(time.Millisecond)
	}
	vks, err := c.resolve(target)
	if err == nil && lasts < 0 {
		err = protocol.Fail(protocol.CodeMalformedRequest, "a freeze lasts longer than nothing")
	}
	if err != nil {
		return Result{}, c.refuse(ctx, now, by.request(r.Action, r.Target), err)
	}
	res, err := c.stop(ctx, now, r, actions(what, vks, protocol.ActionFreezeAccept, protocol.ActionFreezeIssue)...)
	res.Until = r.Until
	return res, err
}

// Thaw ends holds: those on exactly these operations and claims, all together or none. One
// on a single claim stays when all claims are thawed. The code conflict means that journal and log disagree.
func (c *Control) Thaw(ctx context.Context, now time.Time, by By, what What, target Target) (Result, error) {
	r := by.request("thaw", what.String()+" "+target.String())
	vks, err := c.resolve(target)
	if err == nil {
		err = c.equal()
	}
	if err != nil {
		return Result{}, c.refuse(ctx, now, r, err)
	}
	return c.commit(ctx, now, r, actions(what, vks, protocol.ActionThawIssue, protocol.ActionThawAccept)...)
}

// equal refuses what needs a journal and a log that agree.
func (c *Control) equal() error {
	select {
	case <-c.cfg.Diverged:
		return protocol.Fail(protocol.CodeConflict, "journal and log disagree; thaw after a restart, which needs them to be equal")
	default:
	}
	if c.cfg.Journal.Unchecked() {
		return protocol.Fail(protocol.CodeConflict, "the journal is still being compared with its leaves; thaw when that has ended")
	}
	return nil
}

// Seal ends the log for good. No request is issued from now on. The pending ones may be
// answered for a time; then they are invalidated, the last epoch is closed, and the seal
// is the last leaf. If ctx ends before that, the error is [journal.ErrNotDurable], and the
// seal goes on; a process that ends meanwhile may lose it.
func (c *Control) Seal(ctx context.Context, now time.Time, by By, drain time.Duration) (Result, error) {
	r := by.request("seal", "all")
	sealing, err := c.cfg.Journal.BeginSeal(now, r)
	if err != nil {
		return Result{}, c.refuse(ctx, now, r, err)
	}
	leaf := Leaf{Action: protocol.ActionSeal}
	leaf.Seq, err = c.cfg.Epochs.Seal(ctx, epochs.Seal{
		Drain: max(0, drain),
		Stop: func() {
			sealing.StopAcceptance()
			c.cfg.Gate.Invalidate(gate.Filter{})
		},
		Commit: func(ctx context.Context) (uint64, error) {
			e, err := sealing.Commit(ctx)
			leaf.Row = e.Row
			return e.Seq, err
		},
	})
	if errors.Is(err, protocol.CodeDraining) {
		return Result{}, protocol.Wrap(protocol.CodeLedgerUnavailable, journal.ErrNotDurable.Error(), errors.Join(journal.ErrNotDurable, err))
	}
	return Result{Leaves: []Leaf{leaf}}, err
}

// Retire withdraws a verifying key that was found unsound, and invalidates its pending
// requests. Receipts under it are flagged.
func (c *Control) Retire(ctx context.Context, now time.Time, by By, vk protocol.Digest) (Result, error) {
	res, err := c.commit(ctx, now, by.request("retire", vk.String()), protocol.Control{Action: protocol.ActionRetireVK, Target: vk})
	if err == nil {
		res.Invalidated = c.cfg.Gate.Invalidate(gate.Filter{VK: vk})
	}
	return res, err
}

// Revoke withdraws an epoch whose keys were compromised, and invalidates its pending
// requests. Receipts of it are flagged. It does not end a live epoch: a forced rotation
// does.
func (c *Control) Revoke(ctx context.Context, now time.Time, by By, id protocol.EpochID) (Result, error) {
	res, err := c.commit(ctx, now, by.request("revoke", id.String()), protocol.Control{Action: protocol.ActionRevokeEpoch, Target: journal.EpochTarget(id)})
	if err == nil {
		res.Invalidated = c.cfg.Gate.Invalidate(gate.Filter{Epoch: id})
	}
	return res, err
}

// Rotate rotates the epochs. A forced rotation destroys the keys before it is written. The
// code draining means that the leaf is written and the next epoch is not ACTIVE yet.
func (c *Control) Rotate(ctx context.Context, now time.Time, by By, how epochs.How) (res Result, err error) {
	r, action := by.request("rotate", "drain"), protocol.Control{Action: protocol.ActionRotate}
	if how == epochs.Now {
		r.Target = "now"
		await := c.cfg.Epochs.EndAll()
		if res, err = c.stop(ctx, now, r, action); err == nil {
			res.Rotated, err = await(ctx)
		}
		return res, err
	}
	if res, err = c.commit(ctx, now, r, action); err == nil {
		res.Rotated, err = c.cfg.Epochs.Rotate(ctx, how)
	}
	return res, err
}

// Invalidate ends the pending requests that a filter selects; text says in words which
// they are. The target of the leaf is the fingerprint or the epoch of the filter, zero if
// it has none.
func (c *Control) Invalidate(ctx context.Context, now time.Time, by By, f gate.Filter, text string) (Result, error) {
	action := protocol.Control{Action: protocol.ActionInvalidate, Target: f.VK}
	if f.Epoch != (protocol.EpochID{}) {
		action.Target = journal.EpochTarget(f.Epoch)
	}
	res, err := c.commit(ctx, now, by.request("invalidate", text), action)
	if err == nil {
		res.Invalidated = c.cfg.Gate.Invalidate(f)
	}
	return res, err
}

// commit commits actions. Several are thaws, which end together.
func (c *Control) commit(ctx context.Context, now time.Time, r journal.Request, all ...protocol.Control) (res Result, err error) {
	entries, err := c.cfg.Journal.Control(ctx, now, r, all...)
	res.note(all, entries)
	return res, err
}

// refuse records a request that was refused before anything was done, and returns why.
func (c *Control) refuse(ctx context.Context, now time.Time, r journal.Request, err error) error {
	return errors.Join(err, c.cfg.Journal.Refuse(ctx, now, r, protocol.CodeOf(err)))
}

// resolve returns the fingerprints of a target; the zero one is all claims.
func (c *Control) resolve(t Target) ([]protocol.Digest, error) {
	if t.VK != (protocol.Digest{}) || t.Claim == "" {
		return []protocol.Digest{t.VK}, nil
	}
	vks := c.cfg.Claims[t.Claim]
	if len(vks) == 0 {
		return nil, protocol.Fail(protocol.CodeNotFound, "no claim with this id is in the log")
	}
	return vks, nil
}

// actions returns an action for each fingerprint; for all operations the first action
// comes before the second.
func actions(what What, vks []protocol.Digest, first, second protocol.ControlAction) (all []protocol.Control) {
	for _, action := range [...]protocol.ControlAction{first, second} {
		accept := action == protocol.ActionFreezeAccept || action == protocol.ActionThawAccept
		if what == All || accept == (what == Accept) {
			for _, vk := range vks {
				all = append(all, protocol.Control{Action: action, Target: vk})
			}
		}
	}
	return all
}

func (b *By) request(action, target string) journal.Request {
	return journal.Request{Actor: b.Actor, Role: b.Role, Action: action, Target: target, Reason: b.Reason}
}

// stop commits actions that never wait for a disk.
func (c *Control) stop(ctx context.Context, now time.Time, r journal.Request, all ...protocol.Control) (res Result, err error) {
	entries, err := c.cfg.Journal.Stop(ctx, now, r, all...)
	res.note(all, entries)
	return res, err
}

// note adds the leaves of actions. An action that was refused has none.
func (r *Result) note(all []protocol.Control, entries []journal.Entry) {
	for i, e := range entries {
		if e.Leaf != nil {
			r.Leaves = append(r.Leaves, Leaf{all[i].Action, e.Seq, e.Row})
		}
	}
}

// lookEvery is how often the ends of freezes are looked at. The clock may be set, so it
// does not sleep until an end.
const lookEvery = time.Second

// Run thaws the freezes whose end has come, until ctx ends. It thaws nothing once journal
// and log were found to disagree.
func (c *Control) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-c.cfg.Diverged:
			<-ctx.Done()
			return nil
		case <-tick.C:
		}
		entries, err := c.cfg.Journal.ThawEnded(ctx, c.cfg.Now())
		for _, e := range entries {
			c.cfg.Log.Info("freeze has ended", "seq", e.Seq)
		}
		if err != nil && !failing {
			c.cfg.Log.Warn("freeze has ended and is not thawed yet", "err", err)
		}
		failing = err != nil
	}
}
