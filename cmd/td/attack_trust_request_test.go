package main_test

import (
	"crypto/rand"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/keyholder"
	"github.com/terradourada/td/protocol"
)

// honestEpoch is an epoch of the log whose keys a real signer process holds. The
// core around it is the attacker's.
func (f *forge) honestEpoch() *forgedEpoch {
	f.t.Helper()
	return f.epochBy(keyholder.Config{})
}

// epochBy is honestEpoch where the signer is started in a way of its own.
func (f *forge) epochBy(cfg keyholder.Config) *forgedEpoch {
	f.t.Helper()
	e := f.epoch()
	f.drive(e, cfg)
	return e
}

// drive starts a signer for an epoch, whose keys become the signer's.
func (f *forge) drive(e *forgedEpoch, cfg keyholder.Config) {
	f.t.Helper()
	signer, err := keyholder.StartSigner(f.t.Context(), cfg, keyholder.SignerStart{
		Origin: f.origin, Number: e.open.Number, Instance: e.open.Instance,
	})
	f.must(err)
	f.t.Cleanup(func() { _ = signer.Close() })
	e.key, e.signer = nil, signer
	e.open.ID, e.open.PublicKey, e.open.CheckpointKey = signer.EpochID(), signer.PublicKey(), signer.CheckpointKey()
	var tree protocol.Range
	for _, h := range f.hashes {
		tree.Append(h)
	}
	f.must(signer.Begin(f.t.Context(), tree))
	e.told = f.size()
}

// forgedRequest is a request that was anchored, with what a core may change in
// it before it makes a leaf of it.
type forgedRequest struct {
	draft   *client.Draft
	payload protocol.EncodedPayload
	id      protocol.RequestID
	anchor  protocol.Anchor
	tag     protocol.Tag
	place   protocol.Issued
}

// ask has a request anchored in an epoch.
func (f *forge) ask(e *forgedEpoch) *forgedRequest {
	f.t.Helper()
	r := f.draft(e)
	if e.signer != nil {
		var position uint64
		var err error
		r.anchor, position, err = e.signer.Anchor(f.t.Context(), &r.payload)
		f.must(err)
		r.place, err = e.signer.Issued(f.t.Context(), position)
		f.must(err)
		return r
	}
	r.anchor = protocol.Anchor(claim.NewBlind())
	f.place(e, r)
	return r
}

// place puts a request into the issued tree of an epoch with own keys.
func (f *forge) place(e *forgedEpoch, r *forgedRequest) {
	digest := protocol.IssuedDigest(r.id, &r.payload, r.anchor)
	e.issued = append(e.issued, protocol.LeafHash(digest[:]))
	n := len(e.issued)
	r.place = protocol.Issued{
		Position: uint64(n - 1), SignedRoot: e.issuedRoot(f.origin, hashRoot(e.issued), uint64(n)), Path: hashPath(e.issued, n-1),
	}
}

// draft is a request that nothing was done with yet.
func (f *forge) draft(e *forgedEpoch) *forgedRequest {
	f.t.Helper()
	draft, err := client.NewDraft(new(submission()), protocol.Element{})
	f.must(err)
	cm := draft.Request().Commitment
	e.asked++
	p := protocol.Payload{
		Mode: protocol.ModePull, EpochID: e.open.ID, EpochNumber: e.open.Number, Instance: e.open.Instance,
		Seq: e.asked, IssuedAt: f.time, TTL: protocol.DefaultTTL, Policy: 1, Commitment: cm, VK: f.vk,
		Statement: protocol.StatementDigest("open/1", []byte("{}"), cm), Client: protocol.ClientCommitment(protocol.Salt{}, protocol.LocalClient),
	}
	rand.Read(p.RequestID[:])
	rand.Read(p.Nonce[:])
	r := &forgedRequest{draft: draft, payload: p.Encode(), id: p.RequestID}
	rand.Read(r.tag[:])
	return r
}

// leaf proves a request as it is now: the statement is true, and the proof is
// one over exactly these public inputs.
func (f *forge) leaf(r *forgedRequest) *protocol.Accepted {
	f.t.Helper()
	prover, err := openProver()
	f.must(err)
	params, err := claim.ParseParams(claim.Open, []byte("{}"))
	f.must(err)
	s, err := claim.NewStatement(params, r.draft.Request().Commitment)
	f.must(err)
	ch := &api.Challenge{RequestID: r.id, Payload: api.Payload(r.payload), Anchor: r.anchor, Tag: r.tag}
	body := &protocol.Accepted{Payload: r.payload, Anchor: r.anchor, TagHash: protocol.TagElement(r.tag), Params: []byte("{}"), Issued: r.place}
	ch.PublicInputs = s.Inputs(r.anchor, protocol.ContextElement(&r.payload), body.TagHash)
	body.Proof, err = r.draft.Prove(f.t.Context(), prover, ch, protocol.LocalClient)
	f.must(err)
	return body
}

// accept has a new request anchored, proved and logged.
func (f *forge) accept(e *forgedEpoch) uint64 {
	f.t.Helper()
	return f.add(f.leaf(f.ask(e)))
}
