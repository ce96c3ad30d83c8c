package main_test

import (
	"crypto/ed25519"
	"crypto/rand"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// attackCore lets a core that is not itself drive an honest signer process: it
// may log and have signed what it likes. The user knows the log, and every
// checkpoint is signed by the key of that signer.
func (s *siege) attackCore() {
	s.attack("a core that is honest, so that what follows is refused for its fault alone", func(a *attack) {
		f, e, user := a.knownLog()
		f.accept(e)
		honest := f.accept(e)
		note := f.now(e)
		a.want(user.verify(f.file(f.receipt(honest, e, e, note)), "--log", f.dir(note)), "valid")
		a.want(user.audit("--dir", f.dir(note)), "valid")
	})
	for _, tt := range []struct {
		name   string
		change func(f *forge, e *forgedEpoch, mine, other *forgedRequest)
	}{
		{"a core logs an anchor that was never issued, in the place of another", func(f *forge, e *forgedEpoch, mine, other *forgedRequest) {
			*mine = *f.draft(e)
			mine.anchor, mine.place = protocol.Anchor(claim.NewBlind()), other.place
		}},
		{"a core logs an anchor that was never issued, in an own tree", func(f *forge, e *forgedEpoch, mine, other *forgedRequest) {
			*mine = *f.draft(e)
			mine.anchor = protocol.Anchor(claim.NewBlind())
			f.place(f.thief(e), mine)
		}},
		{"a core logs another request's anchor", func(_ *forge, _ *forgedEpoch, mine, other *forgedRequest) {
			mine.anchor = other.anchor
		}},
		{"a core logs another request's anchor and place", func(_ *forge, _ *forgedEpoch, mine, other *forgedRequest) {
			mine.anchor, mine.place = other.anchor, other.place
		}},
		{"a core logs another request's place", func(_ *forge, _ *forgedEpoch, mine, other *forgedRequest) {
			mine.place = other.place
		}},
		{"a core signs an issued root of its own", func(f *forge, e *forgedEpoch, mine, _ *forgedRequest) {
			f.place(f.thief(e), mine)
		}},
		{"a core says a greater size than was signed", func(_ *forge, _ *forgedEpoch, mine, _ *forgedRequest) {
			mine.place.Size++
		}},
		{"a core takes the place from another epoch of the same signature", func(f *forge, e *forgedEpoch, mine, _ *forgedRequest) {
			next := f.honestEpoch()
			r := f.ask(next)
			mine.place = r.place
			f.begin(next)
		}},
	} {
		s.attack(tt.name, func(a *attack) {
			f, e, user := a.knownLog()
			mine, other := f.ask(e), f.ask(e)
			tt.change(f, e, mine, other)
			forged := f.add(f.leaf(mine))
			note := f.now(e)
			got := a.want(user.verify(f.file(f.receipt(forged, e, e, note)), "--log", f.dir(note)), invalid)
			if got.report.FailedStep != "issued" {
				a.Errorf("step %s failed: %s", got.report.FailedStep, got.out)
			}
			a.want(user.audit("--dir", f.dir(note)), invalid)
		})
	}
	s.attack("a core logs one position twice", func(a *attack) {
		f, e, user := a.knownLog()
		r := f.ask(e)
		f.add(f.leaf(r))
		f.add(f.leaf(r)) // with another proof
		a.want(user.audit("--dir", f.dir(f.now(e))), invalid)
	})
	s.attack("a core logs one position twice, under two roots", func(a *attack) {
		f, e, user := a.knownLog()
		r := f.ask(e)
		f.add(f.leaf(r))
		f.ask(e)
		place, err := e.signer.Issued(a.Context(), r.place.Position)
		a.must(err)
		root, err := e.signer.IssuedRoot(a.Context())
		a.must(err)
		if root.Size == place.Size {
			a.Log("one root covers both")
		}
		r.place = place
		f.add(f.leaf(r))
		a.want(user.audit("--dir", f.dir(f.now(e))), invalid)
	})
	s.attack("a core closes an epoch with less than was issued", func(a *attack) {
		f, e, user := a.knownLog()
		f.accept(e)
		early, err := e.signer.IssuedRoot(a.Context())
		a.must(err)
		f.accept(e)
		f.add(&protocol.EpochClose{ID: e.open.ID, Number: e.open.Number, Reason: protocol.CloseShutdown, Accepted: early.Size, Issued: early})
		a.want(user.audit("--dir", f.dir(f.now(e))), invalid)
	})
	s.attack("a core closes an epoch with a root of its own", func(a *attack) {
		f, e, user := a.knownLog()
		f.accept(e)
		root := f.thief(e).issuedRoot(f.origin, protocol.Digest{1}, 7)
		f.add(&protocol.EpochClose{ID: e.open.ID, Number: e.open.Number, Reason: protocol.CloseShutdown, Accepted: 1, Invalidated: 6, Issued: root})
		a.want(user.audit("--dir", f.dir(f.now(e))), invalid)
	})
	s.attack("a core opens the vouched epoch again, with a key of its own", func(a *attack) {
		f, e, user := a.knownLog()
		twin := f.thief(e)
		f.begin(twin)
		forged := f.accept(twin)
		note := f.now(e)
		a.want(user.audit("--dir", f.dir(note)), invalid)
		// Section 16: for epochs vouched before, that signer made the anchor. This
		// leaf names the id, number and ML-DSA key of one that was.
		a.want(user.verify(f.file(f.receipt(forged, twin, e, note)), "--log", f.dir(note)), invalid, unvouched)
		a.want(user.verify(f.file(f.receipt(forged, twin, twin, f.now(twin))), "--log", f.dir(note)), invalid, unvouched)
		// Nor does a later epoch help that the user has reason to believe.
		later := f.begin(f.honestEpoch())
		note = f.now(later)
		url, _ := a.serveDir(f.dir(note))
		a.want(user.trustAdd("--server", url), accepted)
		a.want(user.verify(f.file(f.receipt(forged, twin, later, note)), "--log", url), invalid, unvouched)
	})
}

// thief is the epoch with a checkpoint key of the attacker's own.
func (f *forge) thief(e *forgedEpoch) *forgedEpoch {
	f.t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	f.must(err)
	open := *e.open
	open.CheckpointKey = [32]byte(public)
	return &forgedEpoch{open: &open, index: e.index, key: key, asked: 1000}
}

// knownLog is a log whose epoch has an honest signer, and a user to whom the
// operator gave its newest checkpoint.
func (a *attack) knownLog() (*forge, *forgedEpoch, *victim) {
	a.Helper()
	f := newForge(a.T)
	e := f.begin(f.honestEpoch())
	note := f.now(e)
	user := newVictim(a.T, "")
	a.want(user.trustAdd("--from-operator", f.save("checkpoint", note), "--log", f.dir(note)), accepted)
	return f, e, user
}
