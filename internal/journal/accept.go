package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// Acceptance is a verified proof about to be accepted. Its other fields must
// agree with the leaf: every start compares them.
type Acceptance struct {
	Leaf         protocol.Accepted
	Claim        string           // id of the claim in the payload
	Scope        protocol.Element // with HasNullifier
	Nullifier    protocol.Nullifier
	HasNullifier bool
	ProofDigest  protocol.Digest // SHA-256 of the proof
}

// Accept commits an acceptance: when it returns nil the entry is in the journal
// for good. The caller must not change *a from then on. Refusals: frozen,
// invalidated, unknown_claim, conflict, nullifier_used, ledger_unavailable (see
// the package comment for what is written then); malformed_request or
// proof_rejected for a leaf that cannot be parsed; internal for one that
// differs from *a or has no place in the issued tree.
func (j *Journal) Accept(ctx context.Context, now time.Time, a *Acceptance) (Entry, error) {
	if j.waits.Load() {
		return Entry{}, unwritten("the journal is compared with its leaves after a start")
	}
	if err := checkIssued(&a.Leaf.Issued); err != nil {
		return Entry{}, err
	}
	if err := checkBody(&a.Leaf); err != nil {
		return Entry{}, err
	}
	p, err := protocol.ParsePayload(a.Leaf.Payload[:])
	if err != nil {
		return Entry{}, err
	}
	if err := a.check(); err != nil {
		return Entry{}, err
	}
	return j.submit(ctx, j.queue, &submission{
		request: &p.RequestID,
		apply:   func(g *group) (Entry, error) { return g.accept(now, a, &p) },
	})
}

// check refuses what the next start would report as damage.
func (a *Acceptance) check() error {
	scope, nullifier, has, err := nullifierOf(a.Claim, a.Leaf.Params)
	if err != nil {
		return err
	}
	same := has == a.HasNullifier && (!has || scope == a.Scope && nullifier == a.Nullifier)
	if !same || a.ProofDigest != sha256.Sum256(a.Leaf.Proof) {
		return protocol.Fail(protocol.CodeInternal, "the acceptance differs from its leaf")
	}
	return nil
}

// checkIssued refuses a place that no leaf can hold, as a fault of the core,
// which made it, and not of the client.
func checkIssued(i *protocol.Issued) error {
	if i.Check() != nil {
		return protocol.Fail(protocol.CodeInternal, "the acceptance has no place in the issued tree")
	}
	return nil
}

// nullifierOf returns the pair of scope and nullifier that parameters use up.
func nullifierOf(claimID string, params []byte) (scope protocol.Element, n protocol.Nullifier, ok bool, err error) {
	if claimID != string(claim.Group) {
		return scope, n, false, nil
	}
	p, err := claim.ParseParams(claim.Group, params)
	if err != nil {
		return scope, n, false, err
	}
	scope, n, ok = p.Nullifier()
	return scope, n, ok, nil
}

// checkBody refuses a body whose leaf could not be parsed again.
func checkBody(body protocol.LeafBody) error {
	b, err := (&protocol.Leaf{Body: body}).Encode()
	if err != nil {
		return err
	}
	_, err = protocol.ParseLeaf(b)
	return err
}

func (g *group) accept(now time.Time, a *Acceptance, p *protocol.Payload) (Entry, error) {
	if err := g.mayAccept(a, p); err != nil {
		return Entry{}, err
	}
	entry, err := g.leaf(now, &a.Leaf)
	if err != nil {
		return Entry{}, err
	}
	g.exec("INSERT INTO accepted (seq, request_id, anchor, cm, proof_digest, claim) VALUES (?, ?, ?, ?, ?, ?)",
		entry.Seq, p.RequestID[:], a.Leaf.Anchor[:], p.Commitment[:], a.ProofDigest[:], a.Claim)
	if a.HasNullifier {
		g.exec("INSERT INTO nullifiers (scope, nullifier, seq) VALUES (?, ?, ?)", a.Scope[:], a.Nullifier[:], entry.Seq)
	}
	e := g.epoch(p.EpochID)
	e.accepted, e.changed = e.accepted+1, true
	if a.Leaf.Issued.Size > e.root.Size {
		e.issued, e.root = entry.Seq, a.Leaf.Issued.SignedRoot
	}
	return entry, nil
}

// mayAccept is step 10 of Accept (section 10 of TD/1) without the insert.
func (g *group) mayAccept(a *Acceptance, p *protocol.Payload) error {
	if err := g.state.Check(Accept, p.VK); err != nil {
		return err
	}
	e := g.epoch(p.EpochID)
	if e == nil || !e.live || e.number != p.EpochNumber || e.instance != p.Instance {
		return protocol.Fail(protocol.CodeInvalidated, "the epoch of this request has ended")
	}
	if !g.claim(p.VK) {
		return protocol.Fail(protocol.CodeUnknownClaim, "the claim of this request is not in the log")
	}
	return g.checkUnique(a, p)
}

// ErrRepeated says that the id or the anchor of a request was accepted before. The core
// draws the one and the signer makes the other, so no client can cause it. A repeated
// commitment is not one: each client chooses its own.
var ErrRepeated = errors.New("journal: id or anchor accepted before")

func (g *group) checkUnique(a *Acceptance, p *protocol.Payload) error {
	var repeated, taken, used bool
	var scope, nullifier []byte // NULL matches nothing
	if a.HasNullifier {
		scope, nullifier = a.Scope[:], a.Nullifier[:]
	}
	g.scan(`SELECT EXISTS (SELECT 1 FROM accepted WHERE request_id = ?)
			OR EXISTS (SELECT 1 FROM accepted WHERE anchor = ?),
		EXISTS (SELECT 1 FROM accepted WHERE cm = ?),
		EXISTS (SELECT 1 FROM nullifiers WHERE scope = ? AND nullifier = ?)`,
		[]any{p.RequestID[:], a.Leaf.Anchor[:], p.Commitment[:], scope, nullifier}, &repeated, &taken, &used)
	const conflict = "the request, its anchor or its commitment was accepted before"
	if repeated {
		return protocol.Wrap(protocol.CodeConflict, conflict, ErrRepeated)
	}
	if taken {
		return protocol.Fail(protocol.CodeConflict, conflict)
	}
	if used {
		return protocol.Fail(protocol.CodeNullifierUsed, "this member has answered in this scope before")
	}
	return nil
}
