package journal_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

func TestContractSQLite(t *testing.T) { Contract(t, newSQLite) }

// Contract is the test that every engine of the journal must pass. newJournal
// returns an opener for a new, empty journal.
func Contract(t *testing.T, newJournal func(testing.TB) opener) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, opener){
		"numbers":     contractNumbers,
		"unique":      contractUnique,
		"nullifier":   contractNullifier,
		"derived":     contractDerived,
		"epochs":      contractEpochs,
		"previous":    contractPrevious,
		"close":       contractClose,
		"orderly":     contractOrderlyClose,
		"claims":      contractClaims,
		"holds":       contractHolds,
		"seal":        contractSeal,
		"withdraw":    contractWithdraw,
		"targets":     contractTargets,
		"attested":    contractAttested,
		"unreadable":  contractUnreadable,
		"restart":     contractRestart,
		"concurrency": contractConcurrency,
	} {
		t.Run(name, func(t *testing.T) { f(t, newJournal(t)) })
	}
}

// Sequence from 0 without gaps, for all types; time never goes back.
func contractNumbers(t *testing.T, open opener) {
	t.Helper()
	l := emptyLog(t, open, journal.Config{})
	l.check(0)
	l.openEpoch()
	l.vk = l.addClaim()
	times := []int64{2_000, 1_000, 5_000, -7, 4_999, 5_001}
	want := []uint64{2_000, 2_000, 5_000, 5_000, 5_000, 5_001}
	base := l.now
	for i, ms := range times {
		l.now = base.Add(time.Duration(ms) * time.Millisecond)
		e := l.mustAccept(l.acceptance())
		if i == 3 {
			e = l.mustAppend(&protocol.Incident{Kind: 1})
		}
		leaf, err := protocol.ParseLeaf(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if got := leaf.Time - uint64(base.UnixMilli()); got != want[i] {
			t.Errorf("leaf time after %d ms is %d, want %d", ms, got, want[i])
		}
	}
	l.now = time.UnixMilli(-1)
	l.mustControl(protocol.ActionFreezeIssue, protocol.Digest{})
	l.check(10)
}

// A second acceptance of a request, an anchor or a commitment is a conflict,
// and writes nothing.
func contractUnique(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	first := l.acceptance()
	l.mustAccept(first)
	p := payload(first)
	same := map[string]func(*journal.Acceptance){
		"request id": func(a *journal.Acceptance) {
			change(a, func(q *protocol.Payload) { q.RequestID = p.RequestID })
		},
		"anchor": func(a *journal.Acceptance) { a.Leaf.Anchor = first.Leaf.Anchor },
		"commitment": func(a *journal.Acceptance) {
			change(a, func(q *protocol.Payload) { q.Commitment = p.Commitment })
		},
		"all": func(a *journal.Acceptance) { *a = *first },
	}
	for name, edit := range same {
		a := l.acceptance()
		edit(a)
		want(t, "same "+name, l.accept(a), protocol.CodeConflict)
		l.check(3)
	}
	f, ok, err := l.Accepted(t.Context(), p.RequestID)
	if err != nil || !ok || f.Seq != 2 {
		t.Errorf("Accepted returned %v, %v, %v", f, ok, err)
	}
	if _, ok, err := l.Accepted(t.Context(), bytes16()); ok || err != nil {
		t.Errorf("an unknown request returned %v, %v", ok, err)
	}
}

// A nullifier counts once per scope, whatever the claim.
func contractNullifier(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	vk, vk2 := l.addGroup(), l.addGroup()
	n := protocol.Nullifier(bytes32())
	first := l.vote(vk, "motion-1", n)
	want(t, "first", l.accept(first), protocol.CodeNone)
	want(t, "again", l.accept(l.vote(vk, "motion-1", n)), protocol.CodeNullifierUsed)
	want(t, "under another key", l.accept(l.vote(vk2, "motion-1", n)), protocol.CodeNullifierUsed)
	want(t, "in another scope", l.accept(l.vote(vk, "motion-2", n)), protocol.CodeNone)
	want(t, "another member", l.accept(l.vote(vk, "motion-1", bytes32())), protocol.CodeNone)
	want(t, "the same request", l.accept(first), protocol.CodeConflict)
	want(t, "without a nullifier", l.accept(l.acceptance()), protocol.CodeNone)
	l.restart()
	want(t, "after a restart", l.accept(l.vote(vk2, "motion-1", n)), protocol.CodeNullifierUsed)
	l.check(8)
}

// The index must agree with the leaf: an acceptance that the next start would
// report as damage is not written.
func contractDerived(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	vk := l.addGroup()
	for name, edit := range map[string]func(*journal.Acceptance){
		"another digest":    func(a *journal.Acceptance) { a.ProofDigest = bytes32() },
		"another scope":     func(a *journal.Acceptance) { a.Scope = bytes32() },
		"another nullifier": func(a *journal.Acceptance) { a.Nullifier = bytes32() },
		"no nullifier":      func(a *journal.Acceptance) { a.HasNullifier = false },
	} {
		a := l.vote(vk, "motion-1", bytes32())
		edit(a)
		want(t, name, l.accept(a), protocol.CodeInternal)
	}
	a := l.vote(vk, "motion-1", bytes32())
	a.Leaf.Params = []byte("{}")
	want(t, "other parameters", l.accept(a), protocol.CodeMalformedRequest)
	a = l.acceptance()
	a.HasNullifier = true
	want(t, "a nullifier of no member", l.accept(a), protocol.CodeInternal)
	l.restart()
	l.check(3)
}

// Acceptance needs the exact epoch of the payload, opened and not closed.
func contractEpochs(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	foreign := func(edit func(*protocol.Payload)) error { return l.accept(change(l.acceptance(), edit)) }
	want(t, "unknown epoch", foreign(func(p *protocol.Payload) { p.EpochID = bytes16() }), protocol.CodeInvalidated)
	want(t, "wrong number", foreign(func(p *protocol.Payload) { p.EpochNumber++ }), protocol.CodeInvalidated)
	want(t, "wrong instance", foreign(func(p *protocol.Payload) { p.Instance = bytes16() }), protocol.CodeInvalidated)

	first, late := l.epoch, l.acceptance()
	l.mustAccept(l.acceptance())
	l.openEpoch() // the first one drains
	l.mustAccept(l.acceptance())
	l.mustAccept(acceptance(&first, l.vk))
	for what, edit := range map[string]func(*protocol.EpochOpen){
		"a used id":      func(e *protocol.EpochOpen) { e.ID = l.epoch.ID },
		"a used number":  func(e *protocol.EpochOpen) { e.Number = l.epoch.Number },
		"a used key":     func(e *protocol.EpochOpen) { e.CheckpointKey = l.epoch.CheckpointKey },
		"a lower number": func(e *protocol.EpochOpen) { e.Number = 0 },
	} {
		e := l.nextEpoch()
		edit(&e)
		_, err := l.Append(t.Context(), l.now, &e)
		want(t, "an epoch with "+what, err, protocol.CodeConflict)
	}
	l.closes(first)
	want(t, "late answer", l.accept(late), protocol.CodeInvalidated)
	l.mustAccept(l.acceptance())
	l.check(8)
}

// closes closes an epoch and checks the count in the leaf, and which epochs
// are open before and after.
func (l *log) closes(e protocol.EpochOpen) {
	l.Helper()
	open, err := l.OpenEpochs(l.Context())
	if err != nil || len(open) != 2 || cmp.Diff(open[0], e) != "" {
		l.Errorf("open epochs are %v (%v)", len(open), err)
	}
	root := issued().SignedRoot
	leaf := &protocol.EpochClose{ID: e.ID, Number: e.Number, Reason: protocol.CloseRotated, Issued: root, Accepted: 1, Rejected: 2, Expired: 1, Invalidated: 5}
	for range 2 {
		entry, err := l.Append(l.Context(), l.now, leaf)
		if err != nil {
			want(l, "closed twice", err, protocol.CodeConflict)
			continue
		}
		parsed, _ := protocol.ParseLeaf(entry.Leaf)
		c := parsed.Body.(*protocol.EpochClose)
		if c.Issued != root || c.Accepted != 2 || c.Rejected != 2 || c.Expired != 1 || c.Invalidated != root.Size-5 {
			l.Errorf("the close leaf counts %+v; want 2 accepted, and as many ended as issued", c)
		}
	}
	if open, err = l.OpenEpochs(l.Context()); err != nil || len(open) != 1 || open[0].ID != l.epoch.ID {
		l.Errorf("open epochs are %v (%v)", len(open), err)
	}
	_, err = l.Append(l.Context(), l.now, &protocol.EpochClose{ID: bytes16(), Number: 1, Reason: protocol.CloseLost})
	want(l, "closing an unknown epoch", err, protocol.CodeNotFound)
	_, err = l.Append(l.Context(), l.now, &protocol.EpochClose{ID: l.epoch.ID, Number: l.epoch.Number + 1, Reason: protocol.CloseLost})
	want(l, "closing an epoch under another number", err, protocol.CodeNotFound)
	l.findsEpoch(e)
}

// An epoch names the last one before it, live or not.
func contractPrevious(t *testing.T, open opener) {
	t.Helper()
	l := emptyLog(t, open, journal.Config{})
	opens := func(edit func(*protocol.EpochOpen)) error {
		e := l.nextEpoch()
		edit(&e)
		_, err := l.Append(t.Context(), l.now, &e)
		return err
	}
	want(t, "the first with a previous", opens(func(e *protocol.EpochOpen) { e.Previous = bytes16() }), protocol.CodeConflict)
	l.mustAppend(&protocol.Incident{})
	l.openEpoch()
	first := l.nextEpoch() // after leaf 1
	l.mustAppend(&protocol.Incident{})
	l.closeEpoch()
	l.openEpoch()
	for name, edit := range map[string]func(*protocol.EpochOpen){
		"none":          func(e *protocol.EpochOpen) { e.Previous, e.PreviousIndex = protocol.EpochID{}, 0 },
		"one before":    func(e *protocol.EpochOpen) { e.Previous, e.PreviousIndex = first.Previous, first.PreviousIndex },
		"another id":    func(e *protocol.EpochOpen) { e.Previous = bytes16() },
		"another index": func(e *protocol.EpochOpen) { e.PreviousIndex++ },
		"no index":      func(e *protocol.EpochOpen) { e.PreviousIndex = 0 },
	} {
		want(t, "previous epoch: "+name, opens(edit), protocol.CodeConflict)
	}
	l.restart()
	l.openEpoch()
	l.check(6)
}

// After a death or loss of an epoch, the close leaf repeats the greatest
// issued root of an accepted leaf. It does so whatever root the caller
// passed, and in whatever order the leaves came.
func contractClose(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	for _, c := range []struct {
		sizes []uint64 // of the accepted leaves
		want  int      // index of the one repeated, -1 for none
	}{{nil, -1}, {[]uint64{5}, 0}, {[]uint64{5, 9, 7}, 1}, {[]uint64{9, 9, 8}, 0}, {[]uint64{1, 1 << 61, protocol.MaxTreeSize}, 2}} {
		for _, reason := range []protocol.CloseReason{protocol.CloseDied, protocol.CloseSuspect, protocol.CloseLost} {
			var root protocol.SignedRoot
			for i, size := range c.sizes {
				a := l.acceptance()
				a.Leaf.Issued.Position, a.Leaf.Issued.SignedRoot = size-1, signedRoot(size)
				l.mustAccept(a)
				if i == c.want {
					root = a.Leaf.Issued.SignedRoot
				}
			}
			l.restart()
			got := l.closed(&protocol.EpochClose{Reason: reason, Issued: issued().SignedRoot, Accepted: 1, Rejected: 2, Expired: 3, Invalidated: 2})
			accepted := uint64(len(c.sizes))
			invalidated := 2 - min(2, max(accepted, 1)-1) // accepted without the caller's knowledge
			if got.Issued != root || got.Accepted != accepted || got.Rejected != 2 || got.Expired != 3 || got.Invalidated != invalidated {
				t.Errorf("%s after %v: %+v", reason, c.sizes, got)
			}
			l.openEpoch()
		}
	}
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.check(size)
}

// closed closes the epoch of the log and returns the body of its close leaf.
func (l *log) closed(c *protocol.EpochClose) *protocol.EpochClose {
	l.Helper()
	c.ID, c.Number = l.epoch.ID, l.epoch.Number
	leaf, err := protocol.ParseLeaf(l.mustAppend(c).Leaf)
	if err != nil {
		l.Fatal(err)
	}
	return leaf.Body.(*protocol.EpochClose)
}

// An orderly close has the final root, and its counts add up to its size.
func contractOrderlyClose(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	const greatest = 7
	for _, c := range []struct {
		accepted, size, rejected, expired uint64
		code                              protocol.Code
		invalidated                       uint64
	}{
		{0, 0, 0, 0, protocol.CodeNone, 0},
		{0, 3, 1, 1, protocol.CodeNone, 1},
		{2, greatest, 3, 2, protocol.CodeNone, 0},
		{2, greatest + 1, 0, 0, protocol.CodeNone, greatest - 1},
		{2, 0, 0, 0, protocol.CodeInternal, 0},            // no root
		{2, greatest - 1, 0, 0, protocol.CodeInternal, 0}, // smaller than an accepted one
		{2, greatest, 6, 0, protocol.CodeInternal, 0},     // more rejected than issued
		{2, greatest, 3, 3, protocol.CodeInternal, 0},     // more ended than issued
		{2, greatest, math.MaxUint64, 3, protocol.CodeInternal, 0},
		{0, 0, 0, 1, protocol.CodeInternal, 0},
	} {
		for _, reason := range []protocol.CloseReason{protocol.CloseShutdown, protocol.CloseRotated} {
			for i := range c.accepted {
				a := l.acceptance()
				a.Leaf.Issued.Position, a.Leaf.Issued.SignedRoot = i, signedRoot(greatest-i)
				l.mustAccept(a)
			}
			body := &protocol.EpochClose{
				ID: l.epoch.ID, Number: l.epoch.Number, Reason: reason, Accepted: 1, Rejected: c.rejected, Expired: c.expired, Invalidated: 99,
			}
			if c.size > 0 {
				body.Issued = signedRoot(c.size)
			}
			if c.code != protocol.CodeNone {
				_, err := l.Append(t.Context(), l.now, body)
				want(t, fmt.Sprintf("%+v", c), err, c.code)
				l.closed(&protocol.EpochClose{Reason: protocol.CloseSuspect}) // which is always possible
			} else if got := l.closed(body); got.Issued != body.Issued || got.Accepted != c.accepted || got.Rejected != c.rejected || got.Expired != c.expired || got.Invalidated != c.invalidated {
				t.Errorf("%s, %+v: the leaf says %+v", reason, c, got)
			}
			l.openEpoch()
		}
	}
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.check(size)
}

func (l *log) findsEpoch(e protocol.EpochOpen) {
	l.Helper()
	byID, _, err1 := l.EpochLeaf(l.Context(), e.ID)
	byKey, _, err2 := l.EpochLeafByKey(l.Context(), e.CheckpointKey)
	byNumber, _, err3 := l.EpochLeafByNumber(l.Context(), e.Number)
	closed, ok, err4 := l.EpochCloseLeaf(l.Context(), e.ID)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			l.Fatal(err)
		}
	}
	leaf, err := protocol.ParseLeaf(byID.Leaf)
	if err != nil || cmp.Diff(leaf.Body, &e) != "" || byKey.Seq != byID.Seq || byNumber.Seq != byID.Seq || !ok || closed.Seq <= byID.Seq {
		l.Errorf("epoch leaf by id %d, key %d, number %d, closed %d (%v)", byID.Seq, byKey.Seq, byNumber.Seq, closed.Seq, err)
	}
	if list, err := l.EpochLeaves(l.Context(), 99, 1); err != nil || len(list) != 1 || list[0].Seq <= byID.Seq {
		l.Errorf("the latest epoch leaf is %v (%v)", list, err)
	}
	if _, ok, err := l.EpochLeaf(l.Context(), bytes16()); ok || err != nil {
		l.Errorf("an unknown epoch returned %v, %v", ok, err)
	}
}

func contractClaims(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	c := claimLeaf()
	e := l.mustAppend(c)
	_, err := l.Append(t.Context(), l.now, c)
	want(t, "a claim twice", err, protocol.CodeConflict)
	vk := protocol.VKFingerprint(c.ClaimID, c.List, c.SRS, c.VK)
	got, ok, err := l.ClaimLeaf(t.Context(), vk)
	if !ok || err != nil || got.Seq != e.Seq || string(got.Leaf) != string(e.Leaf) {
		t.Errorf("ClaimLeaf returned %v, %v, %v", got.Seq, ok, err)
	}
	if _, ok, err = l.ClaimLeaf(t.Context(), bytes32()); ok || err != nil {
		t.Errorf("an unknown claim returned %v, %v", ok, err)
	}
	if all, err := l.ClaimLeaves(t.Context()); err != nil || len(all) != 2 || all[1].Seq != e.Seq {
		t.Errorf("ClaimLeaves returned %v, %v", len(all), err)
	}
	want(t, "an unknown claim", l.accept(acceptance(&l.epoch, bytes32())), protocol.CodeUnknownClaim)
	l.check(3)
}

// Holds are a set; acceptance obeys the holds on accept, for all and for its
// claim.
func contractHolds(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	all, other := protocol.Digest{}, l.addClaim()
	steps := []struct {
		action   protocol.ControlAction
		target   protocol.Digest
		code     protocol.Code // code of an acceptance afterwards
		issue    protocol.Code // code of issuing afterwards
		previous uint8
	}{
		{protocol.ActionFreezeIssue, all, protocol.CodeNone, protocol.CodeFrozen, 0},
		{protocol.ActionFreezeAccept, other, protocol.CodeNone, protocol.CodeFrozen, 1},
		{protocol.ActionFreezeAccept, l.vk, protocol.CodeFrozen, protocol.CodeFrozen, 1 | 8},
		{protocol.ActionFreezeAccept, all, protocol.CodeFrozen, protocol.CodeFrozen, 1 | 8},
		{protocol.ActionFreezeAccept, all, protocol.CodeFrozen, protocol.CodeFrozen, 1 | 2 | 8},
		{protocol.ActionThawAccept, l.vk, protocol.CodeFrozen, protocol.CodeFrozen, 1 | 2 | 8},
		{protocol.ActionThawAccept, all, protocol.CodeNone, protocol.CodeFrozen, 1 | 2 | 8},
		{protocol.ActionThawIssue, l.vk, protocol.CodeNone, protocol.CodeFrozen, 1 | 8},
		{protocol.ActionThawIssue, all, protocol.CodeNone, protocol.CodeNone, 1 | 8},
		{protocol.ActionRotate, bytes32(), protocol.CodeNone, protocol.CodeNone, 8},
		{protocol.ActionInvalidate, bytes32(), protocol.CodeNone, protocol.CodeNone, 8},
	}
	size := uint64(3)
	for i, s := range steps {
		l.mustControl(s.action, s.target)
		leaf, err := protocol.ParseLeaf(l.told[size].Leaf)
		if err != nil || leaf.Body.(*protocol.Control).Previous != s.previous {
			t.Errorf("step %d: the leaf says %+v, want previous state %d", i, leaf.Body, s.previous)
		}
		size++
		want(t, "accept", l.accept(l.acceptance()), s.code)
		if s.code == protocol.CodeNone {
			size++
		}
		l.restart()
		state, err := l.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want(t, "issue by state", state.Check(journal.Issue, l.vk), s.issue)
		want(t, "accept by state", state.Check(journal.Accept, l.vk), s.code)
		l.check(size)
	}
	state, err := l.State(t.Context())
	hold := journal.Hold{Operation: journal.Accept, VK: other}
	by, _, lerr := l.Leaf(t.Context(), state.By[hold].Seq)
	wanted := journal.State{Holds: []journal.Hold{hold}, By: map[journal.Hold]journal.Entry{hold: by}}
	if diff := cmp.Diff(wanted, state); diff != "" || err != nil || lerr != nil {
		t.Errorf("state (%v, %v): %s", err, lerr, diff)
	}
}

// A seal stops everything permanently.
func contractSeal(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
	l.mustControl(protocol.ActionSeal, protocol.Digest{})
	for _, action := range []protocol.ControlAction{protocol.ActionThawAccept, protocol.ActionThawIssue, protocol.ActionSeal} {
		want(t, "after the seal", l.control(action, protocol.Digest{}), protocol.CodeFrozen)
	}
	want(t, "accept", l.accept(l.acceptance()), protocol.CodeFrozen)
	l.restart()
	want(t, "accept after a restart", l.accept(l.acceptance()), protocol.CodeFrozen)
	state, err := l.State(t.Context())
	if err != nil || !state.Sealed || state.Previous() != 16|2 {
		t.Errorf("state is %+v, %v", state, err)
	}
	want(t, "issue", state.Check(journal.Issue, l.vk), protocol.CodeFrozen)
	_, err = l.Append(t.Context(), l.now, &protocol.EpochClose{ID: l.epoch.ID, Number: l.epoch.Number, Reason: protocol.CloseLost})
	want(t, "close an epoch", err, protocol.CodeFrozen) // its leaf comes before the seal
	next := l.nextEpoch()
	_, err = l.Append(t.Context(), l.now, &next)
	want(t, "open an epoch", err, protocol.CodeFrozen)
	_, err = l.Append(t.Context(), l.now, claimLeaf())
	want(t, "add a claim", err, protocol.CodeFrozen)
	l.check(4)
}

// Retiring and revoking stop acceptance and can be found for a receipt.
func contractWithdraw(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	other := l.addClaim()
	l.mustAccept(l.acceptance())
	l.withdrawn(l.vk, math.MaxUint64, 9)
	l.mustControl(protocol.ActionRetireVK, l.vk)
	want(t, "retired", l.accept(l.acceptance()), protocol.CodeUnknownClaim)
	want(t, "the other claim", l.accept(acceptance(&l.epoch, other)), protocol.CodeNone)
	l.mustControl(protocol.ActionRevokeEpoch, journal.EpochTarget(l.epoch.ID))
	want(t, "revoked", l.accept(acceptance(&l.epoch, other)), protocol.CodeInvalidated)
	l.restart()
	want(t, "retired after a restart", l.accept(l.acceptance()), protocol.CodeUnknownClaim)
	want(t, "revoked after a restart", l.accept(acceptance(&l.epoch, other)), protocol.CodeInvalidated)
	want(t, "retired twice", l.control(protocol.ActionRetireVK, l.vk), protocol.CodeConflict)
	want(t, "revoked twice", l.control(protocol.ActionRevokeEpoch, journal.EpochTarget(l.epoch.ID)), protocol.CodeConflict)
	l.withdrawn(l.vk, math.MaxUint64, 2, 4, 6)
	l.withdrawn(l.vk, 7, 2, 4, 6)
	l.withdrawn(l.vk, 6, 2, 4)
	l.withdrawn(l.vk, 4, 2)
	l.withdrawn(other, 7, 2, 4, 6) // all of them, also those of others
	l.withdrawn(other, 7, 1, 6)    // more than one, so only the epoch's
	l.withdrawn(other, 6, 1, 4)    // not more than one
	l.withdrawn(other, 6, 0)
	l.withdrawn(l.vk, 7, -1, 4, 6)
	state, err := l.State(t.Context())
	if err != nil || len(state.Retired) != 1 || state.Previous() != 32 {
		t.Errorf("state is %+v, %v", state, err)
	}
	l.openEpoch()
	want(t, "retired under a new epoch", l.accept(l.acceptance()), protocol.CodeUnknownClaim)
	l.mustAccept(acceptance(&l.epoch, other))
	l.check(9)
}

// withdrawn checks which leaves are listed for the log's epoch and a key.
func (l *log) withdrawn(vk protocol.Digest, below uint64, most int, seqs ...uint64) {
	l.Helper()
	got, err := l.Withdrawals(l.Context(), l.epoch.ID, vk, below, most)
	if err != nil || !slices.EqualFunc(got, seqs, func(e journal.Entry, s uint64) bool { return e.Seq == s }) {
		l.Errorf("withdrawals below %d, at most %d: %v (%v), want %v", below, most, got, err, seqs)
	}
}

// The target of a control action must be in the log.
func contractTargets(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	odd := journal.EpochTarget(l.epoch.ID)
	odd[31] = 1
	for _, c := range []struct {
		action protocol.ControlAction
		target protocol.Digest
		code   protocol.Code
	}{
		{protocol.ActionFreezeIssue, bytes32(), protocol.CodeNotFound},
		{protocol.ActionFreezeAccept, bytes32(), protocol.CodeNotFound},
		{protocol.ActionThawAccept, bytes32(), protocol.CodeNotFound},
		{protocol.ActionRetireVK, bytes32(), protocol.CodeNotFound},
		{protocol.ActionRetireVK, protocol.Digest{}, protocol.CodeNotFound},
		{protocol.ActionRevokeEpoch, journal.EpochTarget(bytes16()), protocol.CodeNotFound},
		{protocol.ActionRevokeEpoch, odd, protocol.CodeNotFound},
		{protocol.ActionSeal, bytes32(), protocol.CodeMalformedRequest},
		{0, protocol.Digest{}, protocol.CodeMalformedRequest},
		{99, protocol.Digest{}, protocol.CodeMalformedRequest},
	} {
		want(t, "target", l.control(c.action, c.target), c.code)
	}
	state, err := l.State(t.Context())
	if diff := cmp.Diff(journal.State{By: map[journal.Hold]journal.Entry{}}, state); diff != "" || err != nil {
		t.Errorf("state (%v): %s", err, diff)
	}
	l.check(2)
}

// Evidence about an epoch is stored once and never changed, also after its end.
func contractAttested(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	first, evidence := l.epoch.ID, []byte("evidence")
	if got, ok, err := l.Attestation(t.Context(), first); err != nil || ok {
		t.Errorf("before there is any: %q, %v", got, err)
	}
	if has, err := l.HasAttestation(t.Context(), first); err != nil || has {
		t.Errorf("before there is any: %v, %v", has, err)
	}
	if err := l.SaveAttestation(t.Context(), first, evidence); err != nil {
		t.Fatal(err)
	}
	want(t, "a second time", l.SaveAttestation(t.Context(), first, []byte("other")), protocol.CodeConflict)
	want(t, "an unknown epoch", l.SaveAttestation(t.Context(), bytes16(), evidence), protocol.CodeNotFound)
	want(t, "nothing", l.SaveAttestation(t.Context(), first, nil), protocol.CodeTooLarge)
	l.closeEpoch()
	l.openEpoch()
	most := make([]byte, 64<<10)
	want(t, "too much", l.SaveAttestation(t.Context(), l.epoch.ID, make([]byte, len(most)+1)), protocol.CodeTooLarge)
	if err := l.SaveAttestation(t.Context(), l.epoch.ID, most); err != nil {
		t.Error(err)
	}
	l.restart()
	for id, want := range map[protocol.EpochID][]byte{first: evidence, l.epoch.ID: most} {
		if got, ok, err := l.Attestation(t.Context(), id); err != nil || !ok || !slices.Equal(got, want) {
			t.Errorf("%d bytes of evidence, want %d, %v", len(got), len(want), err)
		}
		if has, err := l.HasAttestation(t.Context(), id); err != nil || !has {
			t.Errorf("with %d bytes of evidence: %v, %v", len(want), has, err)
		}
	}
	l.check(4)
}

// A leaf that cannot be parsed again is never written.
func contractUnreadable(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	big := protocol.Anchor(bytes32())
	big[0] = 0xff
	for name, edit := range map[string]func(*journal.Acceptance){
		"anchor":  func(a *journal.Acceptance) { a.Leaf.Anchor = big },
		"payload": func(a *journal.Acceptance) { a.Leaf.Payload[13] = 1 },
		"no seq":  func(a *journal.Acceptance) { change(a, func(p *protocol.Payload) { p.Seq = 0 }) },
		"params":  func(a *journal.Acceptance) { a.Leaf.Params = make([]byte, protocol.MaxParamsSize+1) },
	} {
		a := l.acceptance()
		edit(a)
		want(t, name, l.accept(a), protocol.CodeMalformedRequest)
	}
	for name, edit := range map[string]func(*protocol.Issued){
		"a position at the end": func(i *protocol.Issued) { i.Position = i.Size },
		"an empty tree":         func(i *protocol.Issued) { *i = protocol.Issued{SignedRoot: signedRoot(0)} },
		"nothing issued":        func(i *protocol.Issued) { *i = protocol.Issued{} },
		"a size of 64 bits":     func(i *protocol.Issued) { i.Size = 1 << 63 },
		"a root not signed":     func(i *protocol.Issued) { i.Signature = [64]byte{} },
		"a long path":           func(i *protocol.Issued) { i.Path = make([]protocol.Digest, 64) },
	} {
		a := l.acceptance()
		edit(&a.Leaf.Issued)
		want(t, name, l.accept(a), protocol.CodeInternal)
	}
	short := l.acceptance()
	short.Leaf.Proof = short.Leaf.Proof[1:]
	want(t, "proof", l.accept(short), protocol.CodeProofRejected)
	for name, c := range map[string]struct {
		body protocol.LeafBody
		code protocol.Code
	}{
		"reason": {&protocol.EpochClose{ID: l.epoch.ID, Number: l.epoch.Number, Reason: 99}, protocol.CodeMalformedRequest},
		"issued root": {&protocol.EpochClose{
			ID: l.epoch.ID, Number: l.epoch.Number, Reason: protocol.CloseRotated, Issued: protocol.SignedRoot{Size: 1},
		}, protocol.CodeMalformedRequest},
		"epoch number": {&protocol.EpochOpen{Number: 1 << 63}, protocol.CodeMalformedRequest},
		"claim":        {&protocol.ClaimLeaf{ClaimID: "open/1"}, protocol.CodeInternal},
		"control":      {&protocol.Control{Action: protocol.ActionSeal}, protocol.CodeInternal},
		"accepted":     {&l.acceptance().Leaf, protocol.CodeInternal},
	} {
		_, err := l.Append(t.Context(), l.now, c.body)
		want(t, name, err, c.code)
	}
	l.check(2)
}

// After a restart everything is there, and the journal continues where it
// ended.
func contractRestart(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	first := l.acceptance()
	l.mustAccept(first)
	origin := l.Origin()
	for range 3 {
		l.restart()
		if l.Origin() != origin {
			t.Errorf("the origin became %s", l.Origin())
		}
		want(t, "replay", l.accept(first), protocol.CodeConflict)
		l.now = l.now.Add(-time.Hour)
		l.mustAccept(l.acceptance())
	}
	l.check(6)
	for i, told := range l.told {
		if e, ok, err := l.Leaf(t.Context(), uint64(i)); !ok || err != nil || e.Seq != told.Seq || string(e.Leaf) != string(told.Leaf) {
			t.Errorf("Leaf(%d) returned %d, %v, %v", i, e.Seq, ok, err)
		}
	}
	for _, seq := range []uint64{6, 1 << 63, math.MaxUint64} {
		if _, ok, err := l.Leaf(t.Context(), seq); ok || err != nil {
			t.Errorf("Leaf(%d) of 6 returned %v, %v", seq, ok, err)
		}
	}
	for _, c := range []struct {
		from uint64
		max  int
		want int
	}{{0, 0, 0}, {0, -1, 0}, {0, 2, 2}, {4, 10, 2}, {6, 1, 0}, {1 << 63, 1, 0}, {1<<64 - 1, 9, 0}, {0, 1 << 40, 6}} {
		if got, err := l.Leaves(t.Context(), c.from, c.max); err != nil || len(got) != c.want {
			t.Errorf("Leaves(%d, %d) returned %d (%v), want %d", c.from, c.max, len(got), err, c.want)
		}
	}
}

// Submitters, twins, readers and an operator run at once: one submission of
// each pair of twins succeeds, and the auditor finds no acceptance between a
// freeze and its thaw.
func contractConcurrency(t *testing.T, open opener) {
	t.Helper()
	l := newLog(t, open, journal.Config{})
	const submitters, each = 16, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := make(map[uint64]bool)
	for range submitters {
		wg.Go(func() {
			for range each {
				a := l.acceptance()
				var twins sync.WaitGroup
				var won [2]bool
				for i := range won {
					twins.Go(func() {
						e, err := l.Accept(t.Context(), l.now, a)
						if won[i] = err == nil; won[i] {
							mu.Lock()
							accepted[e.Seq] = true
							mu.Unlock()
						} else if c := protocol.CodeOf(err); c != protocol.CodeConflict && c != protocol.CodeFrozen {
							t.Errorf("refused: %v", err)
						}
					})
				}
				twins.Wait()
				_, ok, err := l.Accepted(t.Context(), request(a))
				if err != nil || won[0] && won[1] || ok != (won[0] || won[1]) {
					t.Errorf("twins won %v, found %v, %v", won, ok, err)
				}
			}
		})
	}
	for range 10 {
		l.mustControl(protocol.ActionFreezeAccept, protocol.Digest{})
		if state, err := l.State(t.Context()); err != nil || state.Check(journal.Accept, l.vk) == nil {
			t.Errorf("not frozen after the freeze: %+v, %v", state, err)
		}
		l.mustControl(protocol.ActionThawAccept, protocol.Digest{})
	}
	wg.Wait()
	l.check(uint64(2 + 20 + len(accepted)))
}
