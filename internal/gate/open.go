package gate

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// Open issues a challenge for a commitment (pull).
func (g *Gate) Open(ctx context.Context, req OpenRequest) (ch *Challenge, err error) {
	var id protocol.RequestID
	defer func() {
		d := telemetry.DetailsOf(ctx)
		d.Claim, d.ID = known(req.Claim), id
		g.observe("open", id, req.Claim, err)
	}()
	params, err := claim.ParseParams(req.Claim, req.Params)
	if err != nil {
		return nil, inputsError(err)
	}
	st, err := claim.NewStatement(params, req.Commitment)
	if err != nil {
		return nil, inputsError(err)
	}
	is, err := g.issue(ctx, protocol.ModePull, st, req.TTL, client{req.Client, req.Index, req.By})
	if err != nil {
		return nil, err
	}
	id = is.session.ID
	return &Challenge{
		RequestID:  id,
		Payload:    is.open.Payload,
		Anchor:     is.open.Anchor,
		Tag:        is.tag,
		Inputs:     is.inputs,
		ClientSalt: is.session.Salt,
		ExpiresAt:  is.deadline,
	}, nil
}

// inputsError adds the cause to the refusal of parameters, of a commitment or of an event
// that give no public inputs of the claim.
func inputsError(err error) error {
	if errors.Is(err, protocol.CodeMalformedRequest) {
		return telemetry.Because(telemetry.WrongInputs, err)
	}
	return err
}

// known returns a claim as events name it: "" for one that this build does not know.
func known(id claim.ID) string {
	if _, err := claim.ParseID(string(id)); err != nil {
		return ""
	}
	return string(id)
}

// client is who asks for a request.
type client struct {
	id    string
	index uint32
	payer limit.Payer
}

// issued is a request that was just issued.
type issued struct {
	session  *session.Session
	open     *session.Open
	tag      protocol.Tag
	inputs   []protocol.Element
	deadline time.Time
}

// issue issues a request; there is no other way. A hold, a missing epoch or a full
// table refuses it before any key is used. During a rotation it waits for the next
// epoch, with its place in the table, for its lifetime at most. It waits shortly for a
// place for costly work. Then the tagger numbers and tags the payload, the signer anchors
// the same bytes, and the session is stored.
func (g *Gate) issue(ctx context.Context, mode protocol.Mode, st *claim.Statement, ttl time.Duration, by client) (*issued, error) {
	if g.draining.Load() {
		return nil, stopping()
	}
	c, err := g.claimOf(st.Params())
	if err != nil {
		return nil, err
	}
	if ttl, err = g.lifetime(ttl); err != nil {
		return nil, err
	}
	if err := g.mayOpen(mode, c, nil); err != nil {
		return nil, err
	}
	paid, err := g.pace(by.payer)
	if err != nil {
		return nil, err
	}
	params := st.Params().Bytes()
	if err := g.cfg.Sessions.Reserve(len(params)); err != nil {
		return nil, err
	}
	stored := false
	defer func() { // also after a panic
		if !stored {
			g.cfg.Sessions.Release(len(params))
		}
	}()
	epoch, err := g.cfg.Epochs.Begin(ctx, ttl)
	if err != nil {
		return nil, g.mayOpen(mode, c, err) // what may be held by now
	}
	place, err := g.admission.enter(ctx, work{by: by.payer, units: issueUnits})
	if err != nil {
		epoch.Withdraw()
		return nil, err
	}
	defer place.leave()
	is, err := g.anchor(ctx, epoch, g.draft(mode, st, c, epoch, ttl), by)
	if err != nil {
		return nil, err
	}
	place.done()
	g.mark(telemetry.DetailsOf(ctx), is.open)
	is.session.Charge = paid
	is.open.Claim = string(st.Claim())
	is.open.Params = params
	is.inputs = st.Inputs(is.open.Anchor, protocol.ContextElement(&is.open.Payload), is.session.TagHash)
	stored = true
	return is, g.keep(ctx, epoch, is)
}

// mark marks what must be unique about a challenge, for the report of its request.
func (g *Gate) mark(d *telemetry.Details, open *session.Open) {
	d.Mark = g.cfg.Marks.Of(markAnchor, open.Anchor[:])
	d.Place = g.cfg.Marks.Of(markPlace, binary.BigEndian.AppendUint64(open.Epoch[:], open.Position))
}

// keep adds an anchored request to the table, unless its epoch has ended meanwhile.
func (g *Gate) keep(ctx context.Context, epoch Epoch, is *issued) error {
	code := g.cfg.Sessions.Add(is.session, is.open, is.deadline, lifecycle.EventIssued{EpochLive: g.stillLive(epoch)})
	if code == protocol.CodeNone && !g.stillLive(epoch) {
		// The epoch ended between the two lines above. Its sessions were listed for
		// invalidation already, perhaps without this one.
		g.step(ctx, is.session, lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated})
		return endedMeanwhile(protocol.CodeInvalidated)
	}
	if code != protocol.CodeNone {
		epoch.Ended(lifecycle.PhaseInvalidated) // it has no session
		return endedMeanwhile(code)
	}
	if g.cfg.Holds.Check(journal.Issue, is.open.Payload.VK()) != nil {
		// A hold that was committed while the keyholders worked covers this one too.
		g.step(ctx, is.session, lifecycle.EventInvalidate{Reason: protocol.CodeFrozen})
		return g.onHold(journal.Issue, is.open.Payload.VK(), "new requests are on hold")
	}
	return nil
}

func endedMeanwhile(code protocol.Code) error {
	return protocol.Fail(code, "the epoch ended while the request was issued; ask again")
}

func (g *Gate) stillLive(epoch Epoch) bool {
	_, live := g.find(epoch.ID())
	return live
}

// mayOpen asks the lifecycle whether a new request may be opened now. A pushed request
// is answered by this gate, so whatever would refuse the answer refuses the request,
// before a proof is made in vain.
func (g *Gate) mayOpen(mode protocol.Mode, c *Claim, epochErr error) error {
	push := mode == protocol.ModePush
	held := func(op journal.Operation) bool { return g.cfg.Holds.Check(op, c.Fingerprint) != nil }
	_, _, code := lifecycle.Step(lifecycle.State{}, lifecycle.EventOpen{
		Frozen:             held(journal.Issue) || push && held(journal.Accept),
		NoEpoch:            epochErr != nil,
		JournalUnavailable: !g.cfg.Holds.Writable() || push && g.cfg.Ledger.Admit() != nil,
	})
	switch code {
	case protocol.CodeNone:
		return nil
	case protocol.CodeFrozen:
		return g.onHold(journal.Issue, c.Fingerprint, "new requests are on hold")
	case protocol.CodeDraining:
		return protocol.Wrap(code, "no epoch is active at the moment", epochErr)
	default:
		return protocol.Fail(code, "the journal does not take writes at the moment")
	}
}

// onHold returns the refusal of an operation that is on hold. That of a sealed log and of
// a retired claim is permanent and says so itself.
func (g *Gate) onHold(op journal.Operation, vk protocol.Digest, detail string) error {
	if err := g.cfg.Holds.Check(op, vk); errors.Is(err, protocol.ErrPermanent) {
		return err
	}
	return protocol.Fail(protocol.CodeFrozen, detail)
}

// claimOf returns the claim that the parameters belong to.
func (g *Gate) claimOf(p *claim.Params) (*Claim, error) {
	list, _ := p.List()
	c, ok := g.claims[claimKey{p.Claim(), list}]
	if !ok {
		return nil, protocol.Fail(protocol.CodeUnknownClaim, "this server does not offer the claim, or not for this list")
	}
	if c.List != nil {
		return c, inputsError(p.CheckList(c.List))
	}
	return c, nil
}

func (g *Gate) lifetime(ttl time.Duration) (time.Duration, error) {
	if ttl == 0 {
		return g.cfg.DefaultTTL, nil
	}
	if ttl < protocol.MinTTL*time.Millisecond || ttl > protocol.MaxTTL*time.Millisecond {
		return 0, protocol.Failf(protocol.CodeMalformedRequest, "ttl_ms must be from %d to %d", protocol.MinTTL, protocol.MaxTTL)
	}
	return ttl, nil
}

// draft returns the payload before the tagger numbers it. The client commitment is
// filled in by anchor.
func (g *Gate) draft(mode protocol.Mode, st *claim.Statement, c *Claim, epoch Epoch, ttl time.Duration) protocol.Payload {
	return protocol.Payload{
		Mode:        mode,
		RequestID:   randomRequestID(),
		Nonce:       protocol.Nonce(randomDigest()),
		EpochID:     epoch.ID(),
		EpochNumber: epoch.Number(),
		IssuedAt:    uint64(g.cfg.Now().UnixMilli()),
		TTL:         uint32(ttl.Milliseconds()),
		Policy:      g.policy.Load(),
		Commitment:  st.Commitment(),
		VK:          c.Fingerprint,
		Statement:   st.Digest(),
		Instance:    g.cfg.Instance,
	}
}

// anchor has the tagger tag a draft and the signer anchor it.
func (g *Gate) anchor(ctx context.Context, epoch Epoch, p protocol.Payload, by client) (*issued, error) {
	salt := protocol.Salt(randomDigest())
	p.Client = protocol.ClientCommitment(salt, by.id)
	draft := p.Encode()
	// The core's deadline starts before the tagger's, so that no request is pending in
	// the core for longer than its lifetime.
	deadline := g.cfg.Now().Add(time.Duration(p.TTL) * time.Millisecond)
	payload, tag, err := epoch.Issue(ctx, &draft)
	if err != nil {
		return nil, err
	}
	a, position, err := epoch.Anchor(ctx, &payload)
	if err != nil {
		g.cancel(ctx, epoch, p.RequestID)
		return nil, err
	}
	return &issued{
		session:  &session.Session{ID: p.RequestID, Client: p.Client, Salt: salt, TagHash: protocol.TagElement(tag), Index: by.index},
		open:     &session.Open{Payload: payload, Anchor: a, Position: position, Epoch: p.EpochID},
		tag:      tag,
		deadline: deadline,
	}, nil
}

// randomDigest returns 32 bytes of the system's random source.
func randomDigest() (d protocol.Digest) {
	_, _ = rand.Read(d[:]) // never returns an error, see crypto/rand
	return d
}

func randomRequestID() (id protocol.RequestID) {
	_, _ = rand.Read(id[:])
	return id
}
