package epochs

import (
	"context"
	"time"

	"github.com/terradourada/td/internal/lifecycle"
	"github.com/terradourada/td/protocol"
)

// How is how the epochs are rotated.
type How uint8

const (
	// Drain opens the next epoch, hands over to it and lets the ACTIVE one end when its
	// requests are decided. No request fails. While [lifecycle.MaxDraining] epochs are
	// DRAINING it waits.
	Drain How = iota + 1
	// Now ends every epoch at once: the keyholders are killed, every pending request
	// becomes invalidated, and an epoch with new keys opens without a hand-over.
	Now
)

// Rotated is the result of a rotation.
type Rotated struct {
	Number uint64 // of the epoch that is ACTIVE now
	ID     protocol.EpochID
	Index  uint64 // of its open leaf
}

// Rotate rotates the epochs and returns the one that is ACTIVE then. The code draining
// means that it is not ACTIVE yet, because ctx ended first or the core stops. A rotation
// that has begun goes on nevertheless. After Now the keys are destroyed in any case:
// that waits for nothing.
func (m *Manager) Rotate(ctx context.Context, how How) (Rotated, error) {
	if how == Now {
		return m.EndAll()(ctx)
	}
	o := &order{ctx: ctx, why: "asked for", reply: make(chan reply, 1)}
	select {
	case m.orders <- o:
	case <-ctx.Done():
		return Rotated{}, notYet(ctx.Err())
	case <-m.over:
		return Rotated{}, notYet(nil)
	}
	select {
	case r := <-o.reply:
		return r.Rotated, r.err
	case <-ctx.Done():
		return Rotated{}, notYet(ctx.Err())
	case <-m.over:
		return Rotated{}, notYet(nil)
	}
}

func notYet(err error) error {
	return protocol.Wrap(protocol.CodeDraining, "the next epoch is not active yet", err)
}

// EndAll destroys the keys of every epoch, which waits for nothing, and returns what waits
// for a newer one, as Rotate does.
func (m *Manager) EndAll() (await func(context.Context) (Rotated, error)) {
	forced := m.forced.Add(1) // before the epochs are read, so that one that opens is one of them, or sees it
	var last uint64
	for _, e := range m.turn.Load().live {
		last = max(last, e.number)
		e.force()
	}
	return func(ctx context.Context) (Rotated, error) { return m.newer(ctx, last, forced) }
}

// newer waits for an epoch after a number whose keyholders were started after so many
// forced rotations.
func (m *Manager) newer(ctx context.Context, last, forced uint64) (Rotated, error) {
	for {
		t := m.turn.Load()
		if e := t.active; e != nil && e.number > last && e.forces >= forced && e.phase() == lifecycle.EpochActive {
			return rotatedTo(e), nil
		}
		if t.over {
			return Rotated{}, errSealed()
		}
		select {
		case <-t.changed:
		case <-ctx.Done():
			return Rotated{}, notYet(ctx.Err())
		case <-m.over:
			return Rotated{}, notYet(nil)
		}
	}
}

func rotatedTo(e *Epoch) Rotated { return Rotated{Number: e.number, ID: e.id, Index: e.index} }

// order is a rotation that is to be begun.
type order struct {
	ctx   context.Context // the order is withdrawn when it ends
	why   string
	reply chan reply // has room; nil if no one waits
}

type reply struct {
	Rotated
	err error
}

// nextOrder returns the rotation to begin now, nil if there is none. An epoch is ACTIVE.
func (m *Manager) nextOrder() *order {
	if m.draining() >= lifecycle.MaxDraining {
		return nil
	}
	for len(m.queue) > 0 {
		o := m.queue[0]
		m.queue = m.queue[1:]
		if o.ctx.Err() == nil {
			return o
		}
	}
	why, in := m.scheduled()
	if in > 0 {
		return nil
	}
	return &order{why: why}
}

// rotate opens the next epoch.
func (m *Manager) rotate(ctx context.Context, o *order) {
	m.cfg.Log.Info("epoch rotates", "number", m.turn.Load().active.number, "why", o.why)
	e, err := m.open(ctx)
	var r reply
	switch {
	case e != nil:
		r.Rotated, m.missed = rotatedTo(e), 0
	case ctx.Err() != nil:
		r.err = notYet(err)
	default:
		m.missed++
		m.notEarly = m.cfg.Now().Add(backoff(m.missed + 1))
		r.err = err
	}
	if o.reply != nil {
		o.reply <- r
	}
}

// Schedule says when epochs are rotated without being asked. The zero value rotates them
// when they have issued nearly as many requests as they may.
type Schedule struct {
	// Off means never. An epoch that has issued as many requests as it may then refuses
	// new ones.
	Off bool
	// MaxAge is the age at which an epoch is rotated, up to a tenth earlier at random;
	// 0 means never.
	MaxAge time.Duration
	// From and To bound the time of the day, in UTC, at which that may be: an epoch that
	// has reached MaxAge is rotated at a random moment of the present or next such time.
	// If they are equal, it may be at any time.
	From, To time.Duration
}

const day = 24 * time.Hour

// due returns when an epoch is rotated; random is from 0 to 1.
func (s Schedule) due(born time.Time, random float64) time.Time {
	part := func(d time.Duration) time.Duration { return time.Duration(random * float64(d)) }
	if s.From == s.To {
		return born.Add(s.MaxAge - part(s.MaxAge/10))
	}
	old := born.Add(s.MaxAge).UTC()
	length := (s.To - s.From + day) % day
	from := old.Truncate(day).Add(s.From - day) // yesterday's may last until today
	for !from.Add(length).After(old) {
		from = from.Add(day)
	}
	if from.Before(old) {
		length -= old.Sub(from)
		from = old
	}
	return from.Add(part(length))
}

// lookEvery bounds the sleep of Run, since the clock may be set.
const lookEvery = time.Minute

// scheduled returns when and why the ACTIVE epoch is rotated without being asked.
func (m *Manager) scheduled() (why string, in time.Duration) {
	e, now := m.turn.Load().active, m.cfg.Now()
	why, in = "max_age", lookEvery
	if m.cfg.Schedule.Off {
		return why, in
	}
	state := e.status()
	if m.cfg.Schedule.MaxAge > 0 {
		in = m.cfg.Schedule.due(state.Since, e.jitter).Sub(now)
	}
	if state.Issued >= e.soon {
		why, in = "max_issued", 0
	}
	return why, max(in, m.notEarly.Sub(now))
}

// untilDue returns how long Run may wait for something to happen.
func (m *Manager) untilDue() time.Duration {
	if m.due {
		return time.Second
	}
	if m.draining() >= lifecycle.MaxDraining {
		return lookEvery // the end of one of them is reported
	}
	_, in := m.scheduled()
	return min(max(in, time.Millisecond), lookEvery)
}
