package gate

import (
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/internal/session"
	"github.com/terradourada/td/protocol"
)

// LocalProver names the provers of this server, and ClientProver those of the clients.
const (
	LocalProver  = "local"
	ClientProver = "client"
)

// Filter selects pending requests: those that match each field that is set. The zero
// value selects all.
type Filter struct {
	Request      protocol.RequestID
	Client       *uint32 // index of the client; 0 for those without a key
	Claim        claim.ID
	VK           protocol.Digest // fingerprint of the claim
	Epoch        protocol.EpochID
	Prover       string    // that proves the event: [LocalProver] or [ClientProver]
	IssuedBefore time.Time // by the clock of the core, in whole milliseconds
}

// Pending is a request that is not decided. It holds nothing that is secret or not
// public yet: no tag, no anchor, no commitment, no parameters, nothing of an event.
type Pending struct {
	Request     protocol.RequestID
	Client      uint32 // index of the client, 0 if it has no key
	Claim       claim.ID
	VK          protocol.Digest
	Epoch       protocol.EpochID
	EpochNumber uint64
	Prover      string
	Phase       lifecycle.Phase
	IssuedAt    time.Time
	Deadline    time.Time
}

// pendingOf describes a session.
func pendingOf(s *session.Session, open *session.Open) Pending {
	payload, _ := protocol.ParsePayload(open.Payload[:]) // it was parsed when it was issued
	p := Pending{
		Request:     s.ID,
		Client:      s.Index,
		Claim:       claim.ID(open.Claim),
		VK:          payload.VK,
		Epoch:       open.Epoch,
		EpochNumber: payload.EpochNumber,
		Phase:       s.View().State.Phase,
		IssuedAt:    time.UnixMilli(int64(payload.IssuedAt)),
		Deadline:    s.Deadline(),
		Prover:      ClientProver,
	}
	if payload.Mode == protocol.ModePush {
		p.Prover = LocalProver
	}
	return p
}

// match reports whether a filter selects a request.
func (f *Filter) match(p *Pending) bool {
	return (f.Request == protocol.RequestID{} || f.Request == p.Request) &&
		(f.Client == nil || *f.Client == p.Client) &&
		(f.Claim == "" || f.Claim == p.Claim) &&
		(f.VK == protocol.Digest{} || f.VK == p.VK) &&
		(f.Epoch == protocol.EpochID{} || f.Epoch == p.Epoch) &&
		(f.Prover == "" || f.Prover == p.Prover) &&
		(f.IssuedBefore.IsZero() || p.IssuedAt.Before(f.IssuedBefore))
}

// sessions returns the sessions that a filter selects, in the order of their ids.
func (g *Gate) sessions(f Filter, after protocol.RequestID, most int) []*session.Session {
	return g.cfg.Sessions.List(after, most, func(s *session.Session, open *session.Open) bool {
		p := pendingOf(s, open)
		return f.match(&p)
	})
}

// MaxPage bounds what [Gate.Pending] returns.
const MaxPage = 1000

// Pending lists the requests after an id that a filter selects, in the order of their ids.
// It returns no more than most, no more than [MaxPage], and whether there are more.
func (g *Gate) Pending(f Filter, after protocol.RequestID, most int) (page []Pending, more bool) {
	if most <= 0 || most > MaxPage {
		most = MaxPage
	}
	found := g.sessions(f, after, most+1)
	if more = len(found) > most; more {
		found = found[:most]
	}
	page = make([]Pending, 0, len(found))
	for _, s := range found {
		if open := s.View().Open; open != nil { // it may have ended meanwhile
			page = append(page, pendingOf(s, open))
		}
	}
	return page, more
}

// Invalidated is the result of [Gate.Invalidate].
type Invalidated struct {
	Ended    int // requests that are invalidated
	Deciding int // requests that were answered before, and are being decided
}

// Invalidate ends the requests that a filter selects and that are not answered yet. Their
// clients receive invalidated, also those that wait. Each is counted by its epoch.
func (g *Gate) Invalidate(f Filter) (n Invalidated) {
	for _, s := range g.sessions(f, protocol.RequestID{}, 0) {
		c := s.Step(lifecycle.EventInvalidate{Reason: protocol.CodeInvalidated}, protocol.Digest{})
		switch {
		case c.Ended:
			n.Ended++
			g.ended(s, &c)
			g.carryOut(g.ctx, s, &c, &attempt{})
		case c.State.Phase == lifecycle.PhaseClaimed:
			n.Deciding++
		}
	}
	return n
}

// EpochEnded invalidates the sessions of an epoch that were not answered before it
// ended, with the reason draining. A claimed session is refused by the journal. The
// effect of the step, to cancel the tag, is left out: the tagger exits next, and
// cancelling 100,000 tags would delay the last checkpoint. Nor is the pacer informed: the
// step frees the places, what was charged is forgotten within minutes, and the payers did
// not choose to leave these requests without an answer.
func (g *Gate) EpochEnded(id protocol.EpochID) {
	ofEpoch := func(_ *session.Session, open *session.Open) bool { return open.Epoch == id }
	for _, s := range g.cfg.Sessions.List(protocol.RequestID{}, 0, ofEpoch) {
		s.Step(lifecycle.EventInvalidate{Reason: protocol.CodeDraining}, protocol.Digest{})
	}
}
