package journal

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// ReasonEnded is the reason code of a thaw by the core itself, because the end of the
// freeze was reached.
const ReasonEnded = 3

// checkUntil refuses an end for anything but a freeze.
func (r *Request) checkUntil(action protocol.ControlAction) error {
	if r.Until.IsZero() || action == protocol.ActionFreezeIssue || action == protocol.ActionFreezeAccept {
		return nil
	}
	return protocol.Fail(protocol.CodeMalformedRequest, "only a freeze ends by itself")
}

// endsOf returns the times at which holds end by themselves. A hold does so if each of its
// freezes has an end in its audit row.
func endsOf(holds map[Hold]*freezes, query func(text string, args ...any) (*sql.Row, error)) (map[Hold]time.Time, error) {
	var ends map[Hold]time.Time
	for h, f := range holds {
		var end int64
		for _, seq := range f.all {
			var until int64
			row, err := query("SELECT until FROM audit WHERE seq = ?", signed(seq))
			if err == nil {
				err = row.Scan(&until)
			}
			if errors.Is(err, sql.ErrNoRows) || err == nil && until == 0 {
				end = 0
				break
			}
			if err != nil {
				return nil, unreadable(err)
			}
			end = max(end, until)
		}
		if end != 0 {
			if ends == nil {
				ends = make(map[Hold]time.Time)
			}
			ends[h] = time.UnixMilli(end)
		}
	}
	return ends, nil
}

// ThawEnded commits a thaw, by the core itself and with [ReasonEnded], for each freeze
// whose end has come, and returns the leaves. A freeze that was repeated meanwhile, or
// one without an end, stays. It costs nothing while there is none to thaw.
func (j *Journal) ThawEnded(ctx context.Context, now time.Time) ([]Entry, error) {
	if len(j.state.Load().ended(now)) == 0 {
		return nil, nil
	}
	thawed := make(chan []Entry, 1)
	_, err := j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) {
		entries, err := g.thawEnded(now)
		thawed <- entries
		return Entry{}, err
	}})
	if err != nil {
		return nil, err
	}
	return <-thawed, nil
}

// ended returns the holds whose end has come.
func (s *State) ended(now time.Time) (holds []Hold) {
	if s.Sealed {
		return nil
	}
	for _, h := range s.Holds {
		if end, ends := s.Until[h]; ends && !end.After(now) {
			holds = append(holds, h)
		}
	}
	return holds
}

func (g *group) thawEnded(now time.Time) (entries []Entry, err error) {
	for _, h := range g.state.ended(now) {
		e, err := g.core(now, &Request{Action: "thaw", Reason: "the end of the freeze was reached"},
			h, protocol.Control{Action: h.Operation.thaw(), Reason: ReasonEnded})
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// core does what the core does by itself about a hold.
func (g *group) core(now time.Time, r *Request, h Hold, c protocol.Control) (Entry, error) {
	r.Actor, r.Role = principal.Principal{Kind: principal.Core}, principal.RoleCore
	r.Target, c.Target = h.Operation.String()+" "+targetText(h.VK), h.VK
	return g.act(now, r, newSalt(), Done, func(g *group, salt protocol.Salt) (Entry, error) {
		return g.control(now, r, r.commit(salt, c))
	})
}

// targetText names the claims of a hold in an audit row.
func targetText(vk protocol.Digest) string {
	if vk == (protocol.Digest{}) {
		return "all"
	}
	return vk.String()
}

// NextEnd returns the next time at which a freeze ends by itself; zero if none does.
func (s *State) NextEnd() time.Time {
	ends := slices.SortedFunc(maps.Values(s.Until), time.Time.Compare)
	if len(ends) == 0 {
		return time.Time{}
	}
	return ends[0]
}
