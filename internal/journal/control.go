package journal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/terradourada/td/protocol"
)

// EpochTarget is the target of a control leaf that is about an epoch: its id
// followed by zeroes.
func EpochTarget(id protocol.EpochID) protocol.Digest {
	var t protocol.Digest
	copy(t[:], id[:])
	return t
}

// Control commits a control action: its effect on the state, its leaf, and the row of
// its request, which opens the leaf's commitments. They are one transaction, which
// overtakes waiting acceptances. Several thaws may be committed together: each has its
// leaf and its row, or all are refused with one row. The entries are in their order. The journal fills in the previous state
// ([State.Previous]), the commitment to the actor and the digest of the reason.
//
// A freeze adds exactly one hold, on all claims for a zero target or else on
// the claim with that fingerprint; a thaw removes exactly that one. Both may be
// repeated, which only adds a leaf; a freeze that is repeated ends at the latest
// of its ends. Seal, retire and revoke are permanent. Refusals, which have a row
// too: frozen for everything after the seal; not_found for a target that is not in
// the log; conflict for a target that was retired or revoked before, and for a thaw
// that waited when [Journal.Stop] began the same hold; malformed_request for a target
// where there must be none. ledger_unavailable means that nothing was written.
func (j *Journal) Control(ctx context.Context, now time.Time, r Request, actions ...protocol.Control) ([]Entry, error) {
	if err := r.checkActions(actions); err != nil {
		return nil, err
	}
	asked, done := j.stops.count(), make(chan []Entry, 1)
	_, err := j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) {
		entries, err := g.controlAll(now, &r, actions, func(h Hold) bool { return j.stops.since(h, asked) })
		done <- entries
		return Entry{}, err
	}})
	if err != nil {
		return nil, err
	}
	return <-done, nil
}

func (r *Request) checkActions(actions []protocol.Control) error {
	err := r.check()
	for i := range actions {
		c := &actions[i]
		if _, thaws := thawed(c); !thaws && len(actions) > 1 {
			return protocol.Fail(protocol.CodeInternal, "only thaws take effect together")
		}
		err = errors.Join(err, r.checkUntil(c.Action), checkBody(c))
	}
	return err
}

// controlAll commits actions, each with a row, or refuses them with one row. A thaw of a
// hold that was frozen since it was asked for is refused.
func (g *group) controlAll(now time.Time, r *Request, actions []protocol.Control, frozenSince func(Hold) bool) (entries []Entry, err error) {
	refused := g.mayControlAll(actions, frozenSince)
	if refused != nil {
		_, err := g.act(now, r, newSalt(), Done, func(*group, protocol.Salt) (Entry, error) { return Entry{}, refused })
		return nil, err
	}
	for _, c := range actions {
		e, err := g.act(now, r, newSalt(), Done, func(g *group, salt protocol.Salt) (Entry, error) {
			return g.control(now, r, r.commit(salt, c))
		})
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (g *group) mayControlAll(actions []protocol.Control, frozenSince func(Hold) bool) error {
	for i := range actions {
		if h, thaws := thawed(&actions[i]); thaws && frozenSince(h) {
			return protocol.Fail(protocol.CodeConflict, "a freeze was asked for after this thaw")
		}
		if err := g.mayControl(&actions[i]); err != nil {
			return err
		}
	}
	return nil
}

// thawed returns the hold that an action ends, if it ends one.
func thawed(c *protocol.Control) (h Hold, thaws bool) {
	switch c.Action {
	case protocol.ActionThawIssue:
		return Hold{Issue, c.Target}, true
	case protocol.ActionThawAccept:
		return Hold{Accept, c.Target}, true
	default:
		return Hold{}, false
	}
}

// commit returns the control action with the commitments to who took it and why.
func (r *Request) commit(salt protocol.Salt, c protocol.Control) protocol.Control {
	c.Actor = protocol.ActorCommitment(salt, r.Actor.Actor())
	c.Text = protocol.ReasonDigest(salt, committed(r.Reason, r.Until))
	return c
}

func (g *group) control(now time.Time, r *Request, c protocol.Control) (Entry, error) {
	if err := g.mayControl(&c); err != nil {
		return Entry{}, err
	}
	c.Previous = g.state.Previous()
	entry, err := g.leaf(now, &c)
	if err != nil {
		return Entry{}, err
	}
	switch c.Action {
	case protocol.ActionFreezeIssue:
		g.hold(Hold{Issue, c.Target}, entry, r.Until)
	case protocol.ActionFreezeAccept:
		g.hold(Hold{Accept, c.Target}, entry, r.Until)
	case protocol.ActionThawIssue, protocol.ActionThawAccept:
		h, _ := thawed(&c)
		g.release(h)
	case protocol.ActionSeal:
		g.state.Sealed = true
		g.exec("UPDATE counter SET sealed = 1")
	case protocol.ActionRetireVK:
		g.state.Retired = append(g.state.Retired, c.Target)
		g.withdraw(c.Action, c.Target, entry.Seq)
	case protocol.ActionRevokeEpoch:
		g.epoch(protocol.EpochID(c.Target[:])).live = false
		g.withdraw(c.Action, c.Target, entry.Seq)
	}
	return entry, nil
}

func (g *group) mayControl(c *protocol.Control) error {
	if g.state.Sealed {
		return errSealed()
	}
	all := c.Target == protocol.Digest{}
	switch c.Action {
	case protocol.ActionSeal:
		if !all {
			return protocol.Fail(protocol.CodeMalformedRequest, "a seal has no target")
		}
	case protocol.ActionFreezeIssue, protocol.ActionFreezeAccept, protocol.ActionThawIssue, protocol.ActionThawAccept:
		if !all && !g.claim(c.Target) {
			return protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
		}
	case protocol.ActionRetireVK:
		return g.mayRetire(c.Target)
	case protocol.ActionRevokeEpoch:
		return g.mayRevoke(c.Target)
	}
	return nil
}

func (g *group) mayRetire(vk protocol.Digest) error {
	if !g.claim(vk) {
		return protocol.Fail(protocol.CodeNotFound, "no claim with this fingerprint is in the log")
	}
	if slices.Contains(g.state.Retired, vk) {
		return protocol.Fail(protocol.CodeConflict, "the verifying key was retired before")
	}
	return nil
}

func (g *group) mayRevoke(target protocol.Digest) error {
	id := protocol.EpochID(target[:])
	if target != EpochTarget(id) || g.epoch(id) == nil {
		return protocol.Fail(protocol.CodeNotFound, "no such epoch is in the log")
	}
	var revoked bool
	g.scan("SELECT EXISTS (SELECT 1 FROM withdrawals WHERE action = ? AND target = ?)",
		[]any{int(protocol.ActionRevokeEpoch), target[:]}, &revoked)
	if revoked {
		return protocol.Fail(protocol.CodeConflict, "the epoch was revoked before")
	}
	return nil
}

// hold begins a hold. The same hold again never ends earlier than before.
func (g *group) hold(h Hold, by Entry, until time.Time) {
	if g.state.add(h, until) {
		g.state.By = maps.Clone(g.state.By)
		g.state.By[h] = by
		g.exec("INSERT INTO holds (operation, vk) VALUES (?, ?)", int(h.Operation), h.VK[:])
	}
}

func (g *group) release(h Hold) {
	g.state.drop(h)
	g.exec("DELETE FROM holds WHERE operation = ? AND vk = ?", int(h.Operation), h.VK[:])
}
