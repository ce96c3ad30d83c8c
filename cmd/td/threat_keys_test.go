package main_test

import (
	"testing"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/process"
	"github.com/terradourada/td/protocol"
)

// as returns a client of a server with a key.
func (b *backend) as(t *testing.T, id string, key principal.Key) *backend {
	t.Helper()
	c, err := client.New(b.url, client.Config{Retries: -1, ClientID: id, Token: key.Text()})
	if err != nil {
		t.Fatal(err)
	}
	return &backend{t: t, url: b.url, data: b.data, Client: c}
}

// proveAs prepares a right answer of a client with a name.
func (b *backend) proveAs(t *testing.T, id string, s client.Submission) *answer {
	t.Helper()
	a, err := b.challenge(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openProver()
	if err != nil {
		t.Fatal(err)
	}
	if a.proof, err = a.draft.Prove(t.Context(), p, a.ch, id); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestThreat_LeakedTagKey: with the HMAC key of a running epoch a thief makes right tags of
// any payload. They get nothing accepted by it, use up no request of another client, and
// end no epoch.
func TestThreat_LeakedTagKey(t *testing.T) {
	t.Parallel()
	ctx, data, th := t.Context(), t.TempDir(), newThief(t, 1)
	b := startBackend(t, data)
	b.stop(20 * time.Second)
	_, northKey := addClient(t, data, "north", "challenge proof")
	_, southKey := addClient(t, data, "south", "challenge proof")
	b = th.start(t, data, "--authenticate", "--prover", "none")
	north, south := b.as(t, "north", northKey), b.as(t, "south", southKey)

	// The thief is the client south, and has seen the payload of a request of north.
	victim := north.proveAs(t, "north", submission())
	own, used := south.proveAs(t, "south", submission()), south.proveAs(t, "south", submission())
	stolen := protocol.EncodedPayload(victim.ch.Payload)
	if th.tag(stolen) != victim.ch.Tag {
		t.Fatal("the stolen key does not make the tag of the request: this is no attack")
	}
	south.wantAccepted(ctx, used)
	parsed, err := protocol.ParsePayload(stolen[:])
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*protocol.Payload)) (protocol.RequestID, protocol.Tag) {
		p := parsed
		change(&p)
		return p.RequestID, th.tag(p.Encode())
	}
	for what, forge := range map[string]func() (protocol.RequestID, protocol.Tag){
		"another client's request, with its proof": func() (protocol.RequestID, protocol.Tag) { return parsed.RequestID, th.tag(stolen) },
		"a request that was never issued": func() (protocol.RequestID, protocol.Tag) {
			return changed(func(p *protocol.Payload) { p.RequestID[0] ^= 1; p.Seq += 100 })
		},
		"the request with an own commitment": func() (protocol.RequestID, protocol.Tag) {
			return changed(func(p *protocol.Payload) { p.Commitment = own.draft.Request().Commitment })
		},
		"the request bound to the thief": func() (protocol.RequestID, protocol.Tag) {
			return changed(func(p *protocol.Payload) {
				p.Client = protocol.ClientCommitment(own.ch.ClientSalt, "south")
			})
		},
		"the request with a longer life": func() (protocol.RequestID, protocol.Tag) {
			return changed(func(p *protocol.Payload) { p.TTL = protocol.MaxTTL })
		},
		"the request of another epoch": func() (protocol.RequestID, protocol.Tag) {
			return changed(func(p *protocol.Payload) { p.EpochNumber++; p.EpochID[0] ^= 1 })
		},
	} {
		id, tag := forge()
		for _, proof := range [][]byte{victim.proof, own.proof} {
			if _, err := south.Send(ctx, id, tag, proof, 0); protocol.CodeOf(err) != protocol.CodeSubmissionRejected {
				t.Errorf("%s: %v, want submission_rejected", what, err)
			}
		}
	}
	// The tag of an accepted request, made again, accepts no second proof.
	if _, err := south.Send(ctx, used.ch.RequestID, th.tag(protocol.EncodedPayload(used.ch.Payload)), own.proof, 0); protocol.CodeOf(err) != protocol.CodeAlreadyConsumed {
		t.Errorf("a used request with another proof: %v", err)
	}
	// Nothing of this used up a request or ended the epoch.
	north.wantAccepted(ctx, victim)
	south.wantAccepted(ctx, own)
	late := submission()
	late.TTL = protocol.MinTTL * time.Millisecond
	expired := south.proveAs(t, "south", late)
	time.Sleep(time.Until(expired.ch.ExpiresAt) + 200*time.Millisecond) // the deadline is what is tried
	if _, err := south.Send(ctx, expired.ch.RequestID, th.tag(protocol.EncodedPayload(expired.ch.Payload)), expired.proof, 0); protocol.CodeOf(err) != protocol.CodeExpired {
		t.Errorf("a late answer with a tag of the stolen key: %v, want expired", err)
	}
	if n := b.epochNumber(ctx); n != 2 {
		t.Errorf("the server is in epoch %d, want 2", n)
	}
	b.stop(20 * time.Second)
	if n := len(acceptedIn(t, rowsOf(t, data))); n != 3 {
		t.Errorf("%d are accepted, want 3", n)
	}
}

// TestThreat_LeakedOriginKey: with the ML-DSA key of a running epoch a thief makes anchors
// that are signed as those of the signer are. They do not know the anchor of a request
// before it is shown, no proof over theirs is accepted, and a log that holds one is invalid.
func TestThreat_LeakedOriginKey(t *testing.T) {
	t.Parallel()
	ctx, th := t.Context(), newThief(t, 2)
	b := th.start(t, t.TempDir(), "--prover", "none")
	a := b.mustAnswer(ctx)
	payload := protocol.EncodedPayload(a.ch.Payload)
	again := b.mustAnswer(ctx)
	for i, anchor := range th.anchors(t, payload) {
		if anchor == a.ch.Anchor {
			t.Errorf("way %d of signing makes the anchor of the request: it could be known before it was shown", i)
		}
		// A true proof over this anchor, for an own request with its right tag.
		one := b.mustAnswer(ctx)
		ch := *one.ch
		ch.Anchor = th.anchors(t, protocol.EncodedPayload(ch.Payload))[i]
		b.wantCode(ctx, &answer{draft: one.draft, ch: &ch, proof: provedOver(t, one.draft, ch)}, protocol.CodeProofRejected)
	}
	b.wantAccepted(ctx, a)
	b.wantAccepted(ctx, again)
	if n := b.epochNumber(ctx); n != 1 {
		t.Errorf("the server is in epoch %d, want 1", n)
	}
	b.stop(20 * time.Second)
	if n := len(acceptedIn(t, rowsOf(t, b.data))); n != 2 {
		t.Errorf("%d are accepted, want 2", n)
	}

	// A core that is the thief's as well logs such an anchor: it has no place in the tree
	// that the signer signed.
	s := &siege{t: t, results: new(attackResults)}
	for way := range 2 {
		s.attack("a core logs an anchor made with the leaked ML-DSA key", func(a *attack) {
			f := newForge(a.T)
			e := f.begin(f.epochBy(keyholder.Config{Starter: process.Direct{Programs: th.programs()}}))
			th.wantOwn(a.T, e.open.PublicKey[:], e.open.CheckpointKey)
			note := f.now(e)
			user := newVictim(a.T, "")
			a.want(user.trustAdd("--from-operator", f.save("checkpoint", note), "--log", f.dir(note)), accepted)
			mine, other := f.draft(e), f.ask(e)
			mine.anchor, mine.place = th.anchors(a.T, mine.payload)[way], other.place
			forged := f.add(f.leaf(mine))
			note = f.now(e)
			if got := a.want(user.verify(f.file(f.receipt(forged, e, e, note)), "--log", f.dir(note)), invalid); got.report.FailedStep != "issued" {
				a.Errorf("step %q failed: %s", got.report.FailedStep, got.out)
			}
			a.want(user.audit("--dir", f.dir(note)), invalid)
		})
	}
}

// provedOver is a true proof over the anchor that a challenge says, which the client's own
// checks would not refuse.
func provedOver(t *testing.T, draft *client.Draft, ch api.Challenge) []byte {
	t.Helper()
	p, err := openProver()
	if err != nil {
		t.Fatal(err)
	}
	ch.PublicInputs = append([]protocol.Element{protocol.Element(ch.Anchor)}, ch.PublicInputs[1:]...)
	proof, err := draft.Prove(t.Context(), p, &ch, protocol.LocalClient)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}
