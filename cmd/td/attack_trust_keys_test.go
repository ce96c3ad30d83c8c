package main_test

import (
	"crypto/ed25519"

	"github.com/terradourada/td/protocol"
)

// attackOwnKeys signs with keys that are not those of the newest vouched epoch.
func (s *siege) attackOwnKeys() {
	s.attack("a prefix of the log under a foreign key", func(a *attack) {
		c := s.scene
		f := forgeOf(a.T, c.ledger)
		accepted := a.firstOf(f, protocol.LeafAccepted)
		mirror := c.ledger
		// Under the leaf of a real epoch, signed by another key.
		g := f.fork(int(accepted) + 1)
		first := g.epochs[0]
		note := g.text(int(g.size())) + "\n" + g.line(first.open.CheckpointKey, ed25519.Sign(g.epoch().key, []byte(g.text(int(g.size())))))
		a.want(a.user().verify(g.file(g.receipt(accepted, first, first, note)), "--log", mirror), invalid)
		// Under a leaf of the attacker's own in place of a real one.
		own := g.begin(g.epoch())
		a.want(a.user().verify(g.file(g.receipt(accepted, first, own, g.now(own))), "--log", mirror), unvouched)
		a.want(a.user().verify(g.file(g.receipt(accepted, first, own, g.now(own)))), unvouched)
		// The same, as an epoch that claims to be the real one.
		g = f.fork(int(accepted) + 1)
		twin := g.epoch()
		key := twin.open.CheckpointKey
		*twin.open = *first.open
		twin.open.CheckpointKey = key
		g.begin(twin)
		a.want(a.user().verify(g.file(g.receipt(accepted, twin, twin, g.now(twin))), "--log", mirror), unvouched, invalid)
	})
	s.attack("an extension by the stolen key of an ended epoch", func(a *attack) {
		f, old, newer := a.twoEpochs()
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", f.now(newer)), "--log", f.dir(f.now(newer))), accepted)
		for name, heir := range map[string]func(g *forge) *forgedEpoch{
			"under the old epoch itself": func(*forge) *forgedEpoch { return old },
			"handed over by the old key": func(g *forge) *forgedEpoch {
				e := g.epoch()
				g.handOver(e, old, int(old.index)+1)
				return g.begin(e)
			},
			"handed over over everything": func(g *forge) *forgedEpoch {
				e := g.epoch()
				g.handOver(e, old, len(g.leaves))
				return g.begin(e)
			},
			"handed over by way of a second heir": func(g *forge) *forgedEpoch {
				e := g.epoch()
				g.handOver(e, old, len(g.leaves))
				g.begin(e)
				then := g.epoch()
				g.handOver(then, e, len(g.leaves))
				return g.begin(then)
			},
		} {
			g := f.fork(len(f.leaves))
			by := heir(g)
			forged := g.accept(by)
			note := g.now(by)
			a.Log(name)
			a.want(user.verify(g.file(g.receipt(forged, by, by, note)), "--log", g.dir(note)), unvouched)
			a.want(user.audit("--dir", g.dir(note)), unvouched, invalid)
		}
	})
	s.attack("a hand-over signed by anybody, over another tree, or before the vouched size", func(a *attack) {
		f, _, newer := a.twoEpochs()
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", f.now(newer)), "--log", f.dir(f.now(newer))), accepted)
		for name, forgeHeir := range map[string]func(g *forge, e *forgedEpoch){
			"no signature of the key before": func(g *forge, e *forgedEpoch) {
				thief := *newer
				thief.key = e.key
				g.handOver(e, &thief, len(g.leaves))
			},
			"over another tree": func(g *forge, e *forgedEpoch) {
				other := g.fork(len(g.leaves))
				other.add(&protocol.Incident{Kind: 9})
				g.add(&protocol.Incident{Kind: 8})
				other.handOver(e, newer, len(other.leaves))
			},
			"before the vouched size": func(g *forge, e *forgedEpoch) { g.handOver(e, newer, int(newer.index)+1) },
			"over no tree":            func(g *forge, e *forgedEpoch) { g.handOver(e, newer, 0) },
			"for another epoch": func(g *forge, e *forgedEpoch) {
				other := g.epoch()
				g.handOver(other, newer, len(g.leaves))
				e.open.Handover = other.open.Handover
			},
			"a number that does not grow": func(g *forge, e *forgedEpoch) {
				e.open.Number = newer.open.Number
				g.handOver(e, newer, len(g.leaves))
			},
		} {
			g := f.fork(len(f.leaves))
			e := g.epoch()
			forgeHeir(g, e)
			g.begin(e)
			note := g.now(e)
			a.Log(name)
			a.want(user.verify(g.file(g.receipt(a.firstOf(g, protocol.LeafAccepted), g.epochs[0], e, note)), "--log", g.dir(note)), unvouched, invalid)
			a.want(user.audit("--dir", g.dir(note)), unvouched, invalid)
		}
	})
	s.attack("a history of its own by the stolen key of an ended epoch, to have the log accused", func(a *attack) {
		f, old, newer := a.twoEpochs()
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", f.now(newer)), "--log", f.dir(f.now(newer))), accepted)
		g := f.fork(int(old.index) + 1)
		forged := g.accept(old)
		for g.size() < f.size() {
			g.add(&protocol.Incident{Kind: 7})
		}
		for _, size := range []int{len(f.leaves), len(f.leaves) + 3} {
			for len(g.leaves) < size {
				g.add(&protocol.Incident{Kind: 7})
			}
			note := g.now(old)
			a.want(user.verify(g.file(g.receipt(forged, old, old, note)), "--log", g.dir(note)), unvouched)
			a.want(user.audit("--dir", g.dir(note)), unvouched, invalid)
			a.want(user.trustAdd("--from-operator", g.save("checkpoint", note), "--log", g.dir(note)), unvouched)
		}
	})
}

// firstOf is the index of the first leaf of a type.
func (a *attack) firstOf(f *forge, want protocol.LeafType) uint64 {
	a.Helper()
	for i, raw := range f.leaves {
		leaf, err := protocol.ParseLeaf(raw)
		a.must(err)
		if leaf.Body.LeafType() == want {
			return uint64(i)
		}
	}
	a.Fatalf("the log has no leaf of type %s", want)
	return 0
}

// twoEpochs is a log whose first epoch has ended in order, and whose keys the
// attacker has stolen since; the second lives.
func (a *attack) twoEpochs() (f *forge, old, newer *forgedEpoch) {
	a.Helper()
	f = newForge(a.T)
	old = f.begin(f.epoch())
	f.accept(old)
	f.end(old)
	newer = f.begin(f.epoch())
	f.add(&protocol.Incident{Kind: 1})
	return f, old, newer
}
