package gate

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/telemetry"
	"github.com/terradourada/td/protocol"
)

// The queue for costly work: what the keyholders do for a challenge, and the
// verification of a proof.
const (
	mostWaiting = 64
	longestWait = 100 * time.Millisecond

	// A verification keeps a processor busy. A challenge keeps it busy for a part of the
	// time only, since the core waits for the keyholders, whose work for several challenges
	// costs less than for each alone.
	verifyUnits = 8
	issueUnits  = 1

	// The reserve of each processor: two challenges of clients below their share do not wait
	// for the verifications of the others. They hold a processor for a moment only.
	reserveUnits = 2 * issueUnits
)

// admission bounds the costly work, and paces challenges to what can be verified. Every
// challenge can buy one verification. So what is not issued beyond the capacity need not
// be refused when its proof comes.
type admission struct {
	queue   *limit.Queue
	pacer   *limit.Pacer
	now     func() time.Time
	issuing atomic.Int32 // challenges in a place
}

func newAdmission(places int, now func() time.Time) *admission {
	return &admission{
		queue: limit.NewQueue(places*verifyUnits, places*reserveUnits, mostWaiting, longestWait),
		pacer: limit.NewPacer(places), now: now,
	}
}

// busy is a refusal that names a time.
type busy struct {
	error
	after time.Duration
}

// RetryAfter returns when to ask again.
func (b *busy) RetryAfter() time.Duration { return b.after }

// Unwrap returns the error without the time.
func (b *busy) Unwrap() error { return b.error }

var errPaced = protocol.Fail(protocol.CodeOverloaded, "more challenges are asked for than answers could be verified")

// Load is how much costly work waits, and how many challenges may be issued.
type Load struct {
	Issue, Verify int     // challenges, and verifications of proofs, that wait for a place
	Pace          float64 // challenges a second
}

// Load returns the load of this moment.
func (g *Gate) Load() Load {
	a := g.admission
	return Load{a.queue.Waiting(issueUnits), a.queue.Waiting(verifyUnits), a.pacer.Pace()}
}

// Payer returns to whom the challenges of a source are charged.
func (g *Gate) Payer(s limit.Source) limit.Payer { return g.admission.pacer.PayerOf(s) }

// Busy refuses, with code overloaded, a request for a challenge or a push that the gate
// would refuse now for lack of capacity. It is cheap and charges nothing.
func (g *Gate) Busy(by limit.Payer) error {
	if after, refused := g.admission.pacer.Refuses(g.admission.now(), by); refused {
		return &busy{errPaced, after}
	}
	return nil
}

// pace charges a challenge to its payer, if there is room for it and for its answer.
func (g *Gate) pace(by limit.Payer) (paid limit.Charge, err error) {
	if !by.Patient() && g.crowded(by) {
		return paid, protocol.Fail(protocol.CodeOverloaded, "too many requests are pending")
	}
	p := g.admission.pacer.Admit(g.admission.now(), by)
	if !p.OK {
		return paid, &busy{errPaced, p.RetryAfter}
	}
	return p.Charge, nil
}

// payerPart is the part of the pending requests that a payer may have when there are too
// many: so one that lets its challenges lapse does not keep out the others.
const payerPart = 16

// crowded reports whether so many requests are pending that a payer gets no further one.
func (g *Gate) crowded(by limit.Payer) bool {
	s := g.cfg.Sessions
	most := min(g.admission.pacer.MostPending(g.cfg.DefaultTTL), s.Places()/2)
	return s.Pending() >= most && s.PendingOf(by.Key) >= max(1, most/payerPart)
}

// place is a place for costly work. The nil place is none.
type place struct {
	of     *admission
	turn   *limit.Turn
	issues bool
	beside int32 // challenges that were in a place when this one entered it, itself included
	left   bool
}

// work is the kind of costly work, and how it waits for its place.
type work struct {
	by      limit.Payer
	units   int
	patient bool // it has no deadline but that of the context
}

// enter waits for a place. It fails with overloaded if none is free in time; nothing was
// done then. That of a local client is patient.
func (a *admission) enter(ctx context.Context, w work) (*place, error) {
	began := a.now()
	defer func() { telemetry.DetailsOf(ctx).Waited += a.now().Sub(began) }()
	turn, err := a.queue.Join(began, limit.Ask{Units: w.units, Hurry: a.pacer.Favoured(w.by), Patient: w.patient || w.by.Patient()})
	if err == nil {
		err = a.queue.Await(ctx, turn)
	}
	switch {
	case err == nil:
		// What else can run, runs first, so that the many requests that cost little, such as
		// those that are refused, do not wait for a series of verifications.
		runtime.Gosched()
		p := &place{of: a, turn: turn, issues: w.units == issueUnits}
		if p.issues {
			p.beside = a.issuing.Add(1)
		}
		return p, nil
	case errors.Is(err, limit.ErrFull), errors.Is(err, limit.ErrLate):
		return nil, protocol.Wrap(protocol.CodeOverloaded, "the server is busy; nothing was consumed", err)
	default:
		return nil, err
	}
}

// leave releases the place. Further calls do nothing.
func (p *place) leave() {
	if p == nil || p.left {
		return
	}
	if p.left = true; p.issues {
		p.of.issuing.Add(-1)
	}
	p.of.queue.Leave(p.of.now(), p.turn)
}

// done releases the place and counts for how long it was held. Challenges that were in
// their places together share the time.
func (p *place) done() {
	if p == nil {
		return
	}
	took := p.of.now().Sub(p.turn.Began())
	if p.issues {
		p.of.pacer.Issued(took * 2 / time.Duration(p.beside+p.of.issuing.Load()))
	} else {
		p.of.pacer.Verified(took)
	}
	p.leave()
}
