package main_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"

	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// TestThreat_LeakedCheckpointKey: with the checkpoint key of an epoch a thief signs leaves,
// roots of the issued tree, hand-overs and checkpoints of their own. A user whose newest
// checkpoint is of that key believes an extension of it: that is the loss. A user who knows
// more, knows nothing, or asks for a cosigner does not, and no one believes a fork.
func TestThreat_LeakedCheckpointKey(t *testing.T) {
	t.Parallel()
	th, address, data := newThief(t, 3), freeAddress(t), t.TempDir()
	at := []string{"--listen", address, "--prover", "none"}
	users := map[string]*victim{"none": newVictim(t, ""), "of the key": newVictim(t, ""), "newer, of the key": newVictim(t, ""), "of the next key": newVictim(t, "")}
	record := func(b *backend, user string) {
		t.Helper()
		if got, _ := users[user].submit(b.url); got.exit != 0 {
			t.Fatalf("the server did not accept: %s%s", got.out, got.errs)
		}
	}
	b := th.start(t, data, at...)
	record(b, "of the key")
	awaitPublished(t, data)
	ledger := copyOf(t, filepath.Join(data, "ledger"))
	record(b, "newer, of the key")
	b.kill()
	b = startBackend(t, data, at...)
	record(b, "of the next key")

	s := &siege{t: t, results: new(attackResults)}
	// unbelieved wants that no user but one has reason to believe a receipt. The user who has
	// recorded a newer checkpoint of the key has the verdict newer.
	unbelieved := func(a *attack, f *forge, r *receipt.Receipt, note, newer string) {
		a.Helper()
		file, dir := f.file(r), f.dir(note)
		for user, right := range map[string][]string{
			"none": {unvouched}, "of the key": {receipt.Valid}, "newer, of the key": {newer}, "of the next key": {unavailable, unvouched},
		} {
			a.want(users[user].verify(file, "--log", dir), right...)
			a.want(users[user].audit("--dir", dir), right...)
		}
		user := users["of the key"]
		a.want(user.verify(file, "--log", b.url), unvouched, unavailable, receipt.Contradicted) // the server is asked
		policy, _ := cosignedBy(a, f.origin, note)
		a.want(user.verify(file, "--log", dir, "--policy", policy), unvouched, receipt.Contradicted)
	}
	s.attack("an extension under the leaked key", func(a *attack) {
		f, e := th.log(a.T, ledger)
		forged := f.accept(e)
		note := f.now(e)
		unbelieved(a, f, f.receipt(forged, e, e, note), note, receipt.Contradicted)
		// The same with a cosigner who was fooled as well, so that what refused it above
		// was the missing signature.
		policy, cosigned := cosignedBy(a, f.origin, note)
		a.want(users["of the key"].verify(f.file(f.receipt(forged, e, e, cosigned)), "--log", f.dir(cosigned), "--policy", policy), receipt.Valid)
	})
	s.attack("an epoch of the thief's own, handed over by the leaked key", func(a *attack) {
		f, e := th.log(a.T, ledger)
		heir := f.epoch()
		f.handOver(heir, e, len(f.leaves))
		f.begin(heir)
		forged := f.accept(heir)
		note := f.now(heir)
		unbelieved(a, f, f.receipt(forged, heir, heir, note), note, unvouched) // nothing ties the heir's key to the log
	})
	s.attack("a fork under the leaked key", func(a *attack) {
		f, e := th.log(a.T, ledger)
		g := f.fork(len(f.leaves) - 1)
		forged := g.accept(e)
		note := g.now(e)
		file, dir := g.file(g.receipt(forged, e, e, note)), g.dir(note)
		a.want(users["none"].verify(file, "--log", dir), unvouched)
		a.want(users["of the key"].verify(file, "--log", dir), receipt.Contradicted)
		a.want(users["newer, of the key"].verify(file, "--log", dir), receipt.Contradicted)
		a.want(users["of the next key"].verify(file, "--log", dir), unavailable, unvouched)
	})
	s.attack("whom the extension fooled meets the server again", func(a *attack) {
		f, e := th.log(a.T, ledger)
		f.accept(e)
		url, _ := a.serveDir(f.dir(f.now(e)))
		fooled := newVictim(a.T, users["of the key"].store)
		a.want(fooled.trustAdd("--server", url), accepted)
		if got := a.want(first(fooled.submit(b.url)), unvouched); !got.says("contradicts what is recorded") {
			a.Errorf("it does not say why: %s%s", got.out, got.errs)
		}
	})
	b.stop(20 * time.Second)
}

// log is a copy of a log whose newest epoch has leaked its checkpoint key to the thief, who
// also knows what was issued in it.
func (th *thief) log(t testing.TB, dir string) (*forge, *forgedEpoch) {
	t.Helper()
	f := forgeOf(t, dir)
	e := f.epochs[len(f.epochs)-1]
	th.wantOwn(t, e.open.PublicKey[:], e.open.CheckpointKey)
	e.key = th.check
	for _, raw := range f.leaves[e.index:] {
		leaf, err := protocol.ParseLeaf(raw)
		f.must(err)
		if body, ok := leaf.Body.(*protocol.Accepted); ok {
			p, err := protocol.ParsePayload(body.Payload[:])
			f.must(err)
			d := protocol.IssuedDigest(p.RequestID, &body.Payload, body.Anchor)
			e.issued = append(e.issued, protocol.LeafHash(d[:]))
		}
	}
	e.asked = 1000
	return f, e
}

// cosignedBy is a policy file that asks for one cosigner, and a checkpoint as that cosigner
// has signed it.
func cosignedBy(a *attack, origin, checkpoint string) (policy, cosigned string) {
	a.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	a.must(err)
	cosigner, err := torchwood.NewCosignatureSigner("cosigner.example", key)
	a.must(err)
	policy = (&forge{t: a.T}).save("policy", fmt.Sprintf("origin %s\nwitness A %s\nquorum A\n", origin, cosigner.Verifier()))
	return policy, checkpoint + cosignature(a, cosigner, checkpoint)
}

// TestThreat_ClonedMachine: a machine is cloned while it runs, so that two have the keys of
// one epoch and the state of its keyholders. What each half signs alone is believed, and a
// request that was open is redeemed in each: that is the loss. In one history it is used
// once, and a user who has recorded one half refuses the other.
func TestThreat_ClonedMachine(t *testing.T) {
	t.Parallel()
	th := newThief(t, 4)
	s := &siege{t: t, results: new(attackResults)}
	cfg := keyholder.Config{Starter: process.Direct{Programs: th.programs()}}
	s.attack("two signers with one memory", func(a *attack) {
		f := newForge(a.T)
		e := f.epochBy(cfg)
		open := *e.open
		other := &forgedEpoch{open: &open}
		f.drive(other, cfg)
		th.wantOwn(a.T, e.open.PublicKey[:], e.open.CheckpointKey)
		f.begin(e)
		common := f.now(e)
		_ = f.now(other) // it signs the same tree
		before, one := newVictim(a.T, ""), newVictim(a.T, "")
		a.want(before.trustAdd("--from-operator", f.save("checkpoint", common), "--log", f.dir(common)), accepted)
		g := f.fork(len(f.leaves))
		other.index = e.index
		here, there := f.accept(e), g.accept(other)
		note, fork := f.now(e), g.now(other)
		file, dir := g.file(g.receipt(there, other, other, fork)), g.dir(fork)
		a.want(before.verify(f.file(f.receipt(here, e, e, note)), "--log", f.dir(note)), receipt.Valid)
		a.want(before.verify(file, "--log", dir), receipt.Valid)
		a.want(one.trustAdd("--from-operator", f.save("checkpoint", note), "--log", f.dir(note)), accepted)
		a.want(one.verify(file, "--log", dir), receipt.Contradicted)
		a.want(one.audit("--dir", dir), receipt.Contradicted)
		url, _ := a.serveDir(dir)
		a.want(one.trustAdd("--server", url), receipt.Contradicted)
	})
	s.attack("two taggers with one memory", func(a *attack) {
		epoch := protocol.EpochID{9}
		var payloads [2]protocol.EncodedPayload
		var draft protocol.EncodedPayload
		for i := range 2 {
			tagger, err := keyholder.StartTagger(a.Context(), cfg, epoch, 1)
			a.must(err)
			a.Cleanup(func() { _ = tagger.Close() })
			if i == 0 {
				p := protocol.Payload{Mode: protocol.ModePull, EpochID: epoch, EpochNumber: 1, TTL: protocol.MaxTTL}
				_, _ = rand.Read(p.RequestID[:])
				draft = p.Encode()
			}
			payload, tag, err := tagger.Issue(a.Context(), &draft)
			a.must(err)
			if payloads[i] = payload; tag != th.tag(payload) {
				a.Fatal("the tag is not that of the stolen key: this is no clone")
			}
			for n, want := range []protocol.Redemption{protocol.RedeemOK, protocol.RedeemUsed} {
				if got, err := tagger.Redeem(a.Context(), &payload, tag); err != nil || got != want {
					a.Errorf("half %d, redemption %d: %v, %v, want %v", i, n, got, err, want)
				}
			}
		}
		if payloads[0] != payloads[1] {
			a.Error("the halves issue different payloads: this is no clone")
		}
		a.note("tagger", "redeems once in each half")
	})
	s.attack("two servers with the keys of one epoch, under one address", func(a *attack) {
		data, address := a.TempDir(), freeAddress(a.T)
		at := []string{"--listen", address, "--prover", "none"}
		startBackend(a.T, data, at...).stop(20 * time.Second)
		half := copyOf(a.T, data)
		user := newVictim(a.T, "")
		b := th.start(a.T, data, at...)
		a.want(first(user.submit(b.url)), accepted)
		epoch, err := b.Epoch(a.Context(), 2)
		a.must(err)
		b.kill()
		b = th.start(a.T, half, at...)
		again, err := b.Epoch(a.Context(), 2)
		a.must(err)
		if again.ID != epoch.ID {
			a.Fatal("the halves have different epochs: this is no clone")
		}
		got, file := user.submit(b.url)
		if a.want(got, receipt.Contradicted, unvouched); file != "" {
			a.Error("a receipt was taken")
		}
		a.want(user.audit("--server", b.url), receipt.Contradicted, unvouched)
	})
}

// cosignature is the line that a cosigner adds to a checkpoint.
func cosignature(a *attack, cosigner *torchwood.CosignatureSigner, checkpoint string) string {
	a.Helper()
	text, _, ok := strings.Cut(checkpoint, "\n\n")
	if !ok {
		a.Fatal("a checkpoint without signatures")
	}
	signed, err := note.Sign(&note.Note{Text: text + "\n"}, cosigner)
	a.must(err)
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return line
}
