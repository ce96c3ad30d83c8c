package anomaly

import (
	"slices"
	"time"

	"github.com/terradourada/td/internal/telemetry"
)

// Player runs recorded events through a set in their own time: it ticks whenever as much of
// it has passed. Holds, seals and the rest of the state are read from the events.
type Player struct {
	Set   *Set
	Every time.Duration                        // between two ticks; 0 is 15 s
	Found func(now time.Time, found []Finding) // is called for each tick with findings; may be nil
	Tick  func(now time.Time) (alerted bool)   // is called before each tick, and says whether an alert is in force; may be nil

	next  time.Time
	holds []string // in force
}

// maxGap is the longest time without an event for which ticks are made: after a gap in a
// record only the end of it counts.
const maxGap = 48 * time.Hour

// Request feeds a request.
func (p *Player) Request(r telemetry.Request) {
	p.pass(r.At)
	p.Set.Exact().Request(r)
	p.Set.Request(r)
}

// Change feeds a change.
func (p *Player) Change(c telemetry.Change) {
	p.pass(c.At)
	switch c.Kind {
	case telemetry.HoldSet:
		p.holds = append(p.holds, c.Subject)
	case telemetry.HoldLifted:
		if i := slices.Index(p.holds, c.Subject); i >= 0 {
			p.holds = slices.Delete(p.holds, i, i+1)
		}
	default: // no state
	}
	p.Set.Exact().Change(c)
	p.Set.Change(c)
}

// pass makes the ticks up to a time.
func (p *Player) pass(at time.Time) {
	every := p.Every
	if every == 0 {
		every = 15 * time.Second
	}
	if p.next.IsZero() || at.Sub(p.next) > maxGap {
		p.next = at.Add(every)
	}
	for ; !at.Before(p.next); p.next = p.next.Add(every) {
		p.tick(p.next)
	}
}

// End makes the last tick.
func (p *Player) End() { p.report(p.next, p.Set.Last(p.next)) }

func (p *Player) tick(now time.Time) {
	state := State{Held: len(p.holds) > 0}
	if p.Tick != nil {
		state.Alerted = p.Tick(now)
	}
	p.report(now, p.Set.Tick(now, state))
}

func (p *Player) report(now time.Time, found []Finding) {
	if len(found) > 0 && p.Found != nil {
		p.Found(now, found)
	}
}
