package main_test

import (
	"os"
	"strings"

	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// attackEvidence tries to have an honest log accused, and a split view pass
// without its evidence.
func (s *siege) attackEvidence() {
	s.attack("a mirror that forges an honest log", func(a *attack) {
		c := s.scene
		honest := c.ledger
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", c.note, "--log", honest), accepted)
		a.want(user.verify(c.early, "--log", honest), "valid")
		f := forgeOf(a.T, honest)
		rewritten := f.fork(3)
		by := rewritten.begin(rewritten.epoch())
		for rewritten.size() < f.size()+3 {
			rewritten.add(&protocol.Incident{Kind: 1})
		}
		short := f.fork(int(f.size()) - 3)
		short.begin(by)
		for name, dir := range map[string]string{
			"of another history":                    rewritten.dir(rewritten.now(by)),
			"with the honest checkpoint":            rewritten.dir(a.read(c.note)),
			"of a part, with the honest checkpoint": short.dir(a.read(c.note)),
			"of a part":                             short.dir(short.now(by)),
			"of another log":                        a.otherLog(),
		} {
			a.Log(name)
			for _, file := range []string{c.early, c.receipt} {
				a.want(user.verify(file, "--log", dir), unvouched, unavailable)
				a.want(user.verify(file, "--log", dir, "--scan", "--strict"), unvouched, unavailable)
			}
			a.want(user.audit("--dir", dir), unvouched, unavailable, invalid, notFound)
		}
		a.want(user.verify(c.early, "--log", honest), "valid")
	})
	s.attack("two histories under the key of the newest vouched epoch", func(a *attack) {
		f, _, newer := a.twoEpochs()
		user := newVictim(a.T, "")
		a.want(user.trustAdd("--from-operator", f.save("checkpoint", f.now(newer)), "--log", f.dir(f.now(newer))), accepted)
		g := f.fork(len(f.leaves) - 1)
		forged := g.accept(newer)
		note := g.now(newer)
		a.want(user.verify(g.file(g.receipt(forged, newer, newer, note)), "--log", g.dir(note)), receipt.Contradicted)
		a.want(user.verify(g.file(g.receipt(forged, newer, newer, note)), "--allow-self-asserted"), receipt.Contradicted)
		a.want(user.audit("--dir", g.dir(note)), receipt.Contradicted)
	})
	s.attack("two histories under that key, one of them as the live server shows it", func(a *attack) {
		f, _, newer := a.twoEpochs()
		known := f.fork(len(f.leaves))
		user := newVictim(a.T, "")
		url, show := a.serveDir(known.dir(known.now(newer)))
		a.want(user.trustAdd("--server", url), accepted)
		g := f.fork(len(f.leaves))
		f.accept(newer)
		shown := f.now(newer)
		show(f.dir(shown))
		forged := g.accept(newer)
		note := g.now(newer)
		got := user.verify(g.file(g.receipt(forged, newer, newer, note)), "--log", url)
		a.want(got, receipt.Contradicted, unavailable, unvouched)
		// The trust store does not hold what the server shows now.
		if root := strings.Split(shown, "\n")[2]; got.verdict == receipt.Contradicted && !got.says(root) {
			a.Errorf("it accuses without evidence: %s%s", got.out, got.errs)
		}
	})
	s.attack("a record of the attacker's makes an honest log look like two", func(a *attack) {
		c := s.scene
		f := forgeOf(a.T, c.ledger).fork(3)
		by := f.begin(f.epoch())
		for int(f.size()) < 30 {
			f.add(&protocol.Incident{Kind: 1})
		}
		user := a.user()
		for size := 4; size <= 30; size++ {
			part := f.fork(size)
			dir := part.dir(part.now(by))
			a.want(user.td(2, "trust", "import", "--trust", user.store, a.version1(dir)), accepted)
		}
		a.want(user.verify(c.receipt), "valid")
		a.want(user.verify(c.early), "valid")
		a.want(user.audit("--dir", c.ledger), "valid")
		user.boundTo(c.url())
	})
}

func (a *attack) read(file string) string {
	a.Helper()
	b, err := os.ReadFile(file)
	a.must(err)
	return string(b)
}

// otherLog is a directory with a log of another name.
func (a *attack) otherLog() string {
	a.Helper()
	f := newForge(a.T)
	by := f.begin(f.epoch())
	f.accept(by)
	return f.dir(f.now(by))
}
