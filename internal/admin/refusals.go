package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// refusals bounds the rows of refused requests, so that they cannot fill the journal. The
// requests beyond the bound share one row that counts them.
type refusals struct {
	mu    sync.Mutex // guards what follows
	since time.Time  // begin of the window
	rows  int        // in the window
	more  uint64     // requests without a row of their own
}

const (
	refusalWindow = time.Minute
	maxRefusals   = 30 // rows in a window
)

// admit reports whether a request that was refused may have a row of its own.
func (r *refusals) admit(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == 0 && (now.Sub(r.since) >= refusalWindow || now.Before(r.since)) {
		r.since, r.rows = now, 0
	}
	if r.rows >= maxRefusals {
		r.more++
		return false
	}
	r.rows++
	return true
}

// take returns how many requests have had no row, once the window is over or if all is
// set, and begins the next window.
func (r *refusals) take(now time.Time, all bool) (more uint64, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == 0 || !all && now.Sub(r.since) < refusalWindow && !now.Before(r.since) {
		return 0, r.since
	}
	more, since = r.more, r.since
	r.since, r.rows, r.more = now, 0, 0
	return more, since
}

// putBack returns requests for which no row could be written.
func (r *refusals) putBack(more uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.more += more
}

// recordRefusal writes the row of a request that was refused and has none yet. A request
// that failed, instead, has changed nothing; the log has its cause.
func (s *Server) recordRefusal(q *request, err error) {
	code := protocol.CodeOf(err)
	if code == protocol.CodeInternal {
		s.cfg.Log.Error("admin request failed", "action", q.action.name, "actor", q.who.Actor(), "err", err)
	} else {
		s.cfg.Log.Info("admin request refused", "action", q.action.name, "actor", q.who.Actor(), "code", code.String())
	}
	if q.recorded || code == protocol.CodeInternal || code == protocol.CodeLedgerUnavailable || !s.refusalsOf(q.role).admit(q.now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.ctx), recordTimeout)
	defer cancel()
	if err := s.cfg.Journal.Refuse(ctx, q.now, q.row(q.action.name, ""), code); err != nil {
		s.cfg.Log.Error("audit row of a refused request not written", "action", q.action.name, "actor", q.who.Actor(), "code", code.String(), "err", err)
	}
}

func (s *Server) refusalsOf(r principal.Role) *refusals {
	return &s.refusals[min(r, principal.Viewer)]
}

// flush writes the rows that count the refused requests without one.
func (s *Server) flush(ctx context.Context, all bool) {
	now := s.now()
	for i := range s.refusals {
		more, since := s.refusals[i].take(now, all)
		if more == 0 {
			continue
		}
		by := [...]string{"without", "with"}[i]
		err := s.cfg.Journal.Refuse(ctx, now, journal.Request{
			Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore, Action: "refused",
			Reason: fmt.Sprintf("%d further requests of actors %s a role were refused since %s", more, by, since.UTC().Format(time.RFC3339)),
		}, protocol.CodeRateLimited)
		if err != nil {
			s.refusals[i].putBack(more)
			s.cfg.Log.Error("audit row of refused requests not written", "requests", more, "err", err)
		}
	}
}
