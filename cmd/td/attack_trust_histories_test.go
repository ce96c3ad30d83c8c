package main_test

import (
	"os"
	"path/filepath"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// attackHistories shows histories that are not the log's, or not all of it, by those actors
// whose attacks are not elsewhere. docs/security/threat-model.md has the table of actors and
// attacks.
func (s *siege) attackHistories() {
	s.attack("the network shows another history over plain HTTP", func(a *attack) {
		c := s.scene
		f := forgeOf(a.T, c.ledger)
		g := f.fork(3)
		by := g.begin(g.epoch())
		for g.size() < f.size()+3 {
			g.add(&protocol.Incident{Kind: 1})
		}
		url, _ := a.serveDir(g.dir(g.now(by)))
		user := a.user(onTheWay(url)...)
		a.want(user.audit("--server", plainURL), unvouched)
		a.want(user.trustAdd("--server", plainURL), unvouched)
	})
	s.attack("the network shows an older state over plain HTTP", func(a *attack) {
		url, _ := a.serveDir(a.olderState())
		user := a.auditor(onTheWay(url)...)
		a.want(user.audit("--server", plainURL), unavailable)
		a.want(user.trustAdd("--server", plainURL), unvouched, unavailable)
	})
	s.attack("a mirror shows an older state", func(a *attack) {
		user, dir := a.auditor(), a.olderState()
		a.want(user.audit("--dir", dir), unavailable)
		a.want(user.verify(s.scene.early, "--log", dir, "--scan", "--strict"), unavailable)
	})
	s.attack("a core begins the next epoch on an older state", func(a *attack) {
		f, e, user := a.knownLog()
		f.accept(e)
		note := f.now(e)
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", note), "--log", f.dir(note)), accepted)
		g := f.fork(len(f.leaves) - 1)
		next := g.begin(g.honestEpoch())
		forged := g.accept(next)
		note = g.now(next)
		a.want(user.verify(g.file(g.receipt(forged, next, next, note)), "--log", g.dir(note)), unvouched)
		a.want(user.audit("--dir", g.dir(note)), unvouched)
	})
	s.attack("an operator extends the log by an epoch that no one vouched for", func(a *attack) {
		user, b := a.user(), s.real()
		ledger := filepath.Join(b.data, "ledger")
		a.want(user.audit("--dir", ledger), unvouched)               // as a mirror would show it
		a.want(user.audit("--server", s.scene.url()), receipt.Valid) // the operator's own server has the last word
	})
}

// olderState is the log with a genuine checkpoint from before the second receipt, as a
// directory.
func (a *attack) olderState() string {
	a.Helper()
	raw, err := os.ReadFile(a.siege.scene.early)
	a.must(err)
	r, err := receipt.Parse(raw)
	a.must(err)
	cp, err := r.Checkpoint()
	a.must(err)
	return forgeOf(a.T, a.siege.scene.ledger).fork(int(cp.Size)).dir(cp.Note)
}

// auditor is a user whom the operator gave the newest checkpoint, and nothing else.
func (a *attack) auditor(env ...string) *victim {
	a.Helper()
	user := newVictim(a.T, "", env...)
	a.want(user.trustAdd("--from-operator", a.siege.scene.note, "--log", a.siege.scene.ledger), accepted)
	return user
}
