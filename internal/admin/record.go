package admin

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// record is what the rows of the audit say about freezes and incidents: the rows are
// where the end of a freeze and the kind of an incident are kept.
type record struct {
	mu        sync.Mutex // guards what follows
	last      uint64     // id of the last row that was read
	freezes   map[journal.Hold]freeze
	incidents []Incident // the oldest first
	sealed    *uint64    // index of the seal leaf; nil if there is none
}

// freeze is a hold that has rows.
type freeze struct {
	began uint64    // index of its first leaf
	until time.Time // zero if it has no end
}

// catchUp reads the rows that were written since the last call.
func (r *record) catchUp(ctx context.Context, j Journal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		rows, err := j.AuditRows(ctx, r.last, maxRows)
		if err != nil {
			return err
		}
		for i := range rows {
			r.apply(&rows[i])
		}
		if len(rows) < maxRows {
			return nil
		}
	}
}

// maxRows is how many rows are read at once.
const maxRows = 4096

func (r *record) apply(row *journal.AuditRow) {
	r.last = row.ID
	if row.Seq == nil {
		return
	}
	switch row.Action {
	case "freeze":
		if hold, until, ok := parseTarget(row.Target); ok {
			r.freeze(hold, *row.Seq, until)
		}
	case "thaw":
		if hold, _, ok := parseTarget(row.Target); ok {
			delete(r.freezes, hold)
		}
	case "seal":
		r.sealed = row.Seq
	case "incident/open":
		kind, _, _ := strings.Cut(row.Target, " ")
		r.incidents = append(r.incidents, Incident{
			Index: *row.Seq, Kind: kind, Opened: row.Time.UTC(), Actor: row.Actor, Reason: row.Reason,
		})
	case "incident/close":
		index, err := strconv.ParseUint(row.Target, 10, 64)
		i := slices.IndexFunc(r.incidents, func(one Incident) bool { return one.Index == index })
		if err == nil && i >= 0 {
			r.incidents[i].Closed = row.Seq
		}
	}
}

// freeze notes a freeze. One that comes while the hold is in force can only lengthen it:
// otherwise a short freeze would be a thaw.
func (r *record) freeze(h journal.Hold, seq uint64, until time.Time) {
	if r.freezes == nil {
		r.freezes = make(map[journal.Hold]freeze)
	}
	f, held := r.freezes[h]
	switch {
	case !held:
		f = freeze{seq, until}
	case f.until.IsZero(), until.IsZero():
		f.until = time.Time{}
	case until.After(f.until):
		f.until = until
	}
	r.freezes[h] = f
}

// ends lists the freezes with an end that are in force in a control state, the first to
// end first.
func (r *record) ends(state *journal.State) (all []freezeEnd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h, f := range r.freezes {
		if by, held := state.By[h]; held && !f.until.IsZero() && by.Seq == f.began && !state.Sealed {
			all = append(all, freezeEnd{h, f.until})
		}
	}
	slices.SortFunc(all, func(a, b freezeEnd) int {
		if c := a.until.Compare(b.until); c != 0 {
			return c
		}
		return strings.Compare(targetOf(a.hold, time.Time{}), targetOf(b.hold, time.Time{}))
	})
	return all
}

type freezeEnd struct {
	hold  journal.Hold
	until time.Time
}

// list returns the incidents, the newest first; only those that are open if open is set.
func (r *record) list(open bool) []Incident {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []Incident{}
	for _, one := range slices.Backward(r.incidents) {
		if one.Closed == nil {
			if k := kindOf(one.Kind); k != nil {
				one.Left = k.checks
			}
		}
		if one.Closed == nil || !open {
			all = append(all, one)
		}
	}
	return all
}

// row returns the id of the last row that was read.
func (r *record) row() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// The target of a freeze or thaw is a row for each hold: "accept all", "issue " and a
// fingerprint, and for a freeze with an end " until " and the time.
const (
	timeForm   = "2006-01-02T15:04:05.000Z"
	targetAll  = "all"
	opIssue    = "issue"
	opAccept   = "accept"
	opBoth     = "both"
	untilWords = " until "
)

func targetOf(h journal.Hold, until time.Time) string {
	text := opIssue + " "
	if h.Operation == journal.Accept {
		text = opAccept + " "
	}
	if h.VK == (protocol.Digest{}) {
		text += targetAll
	} else {
		text += h.VK.String()
	}
	if !until.IsZero() {
		text += untilWords + until.UTC().Format(timeForm)
	}
	return text
}

// parseTarget parses what targetOf returns, and the "accept" of the core's own freezes.
func parseTarget(text string) (h journal.Hold, until time.Time, ok bool) {
	text, end, ends := strings.Cut(text, untilWords)
	op, what, named := strings.Cut(text, " ")
	switch op {
	case opIssue:
		h.Operation = journal.Issue
	case opAccept:
		h.Operation = journal.Accept
	default:
		return h, until, false
	}
	if named && what != targetAll && h.VK.UnmarshalText([]byte(what)) != nil {
		return h, until, false
	}
	if ends {
		var err error
		if until, err = time.Parse(timeForm, end); err != nil {
			return h, until, false
		}
	}
	return h, until, true
}

// reasonExpired is the reason code of a thaw by the core: the freeze had an end.
const reasonExpired = 3

// endFreezes thaws what was frozen until now. It changes nothing while a stop is not
// durable, or while the server may not thaw.
func (s *Server) endFreezes(ctx context.Context) {
	state, err := s.cfg.Journal.State(ctx)
	if err != nil {
		return
	}
	if s.changed.Swap(false) && (s.record.catchUp(ctx, s.cfg.Journal) != nil || state.NotDurable > 0) {
		s.changed.Store(true) // the rest is read at the next call
	}
	due := func() (all []freezeEnd) {
		return slices.DeleteFunc(s.record.ends(&state), func(e freezeEnd) bool { return s.now().Before(e.until) })
	}
	if len(due()) == 0 || s.cfg.Host.MayThaw() != nil {
		return
	}
	s.holding.Lock()
	defer s.holding.Unlock()
	if state, err = s.cfg.Journal.State(ctx); err != nil || state.NotDurable > 0 || s.record.catchUp(ctx, s.cfg.Journal) != nil {
		return
	}
	for _, one := range due() {
		if err := s.endFreeze(ctx, one); err != nil {
			s.cfg.Log.Error("freeze not ended; it is tried again", "target", targetOf(one.hold, one.until), "err", err)
			return
		}
		s.cfg.Log.Info("freeze has ended", "target", targetOf(one.hold, one.until))
	}
}

// endFreeze thaws one hold. If the core has frozen the same between the last look at the
// audit and the thaw, it is frozen again.
func (s *Server) endFreeze(ctx context.Context, one freezeEnd) error {
	seen := s.record.row()
	request := journal.Request{
		Actor: principal.Principal{Kind: principal.Core}, Role: principal.RoleCore,
		Action: "thaw", Target: targetOf(one.hold, time.Time{}), Reason: "the freeze had an end",
	}
	e, err := s.cfg.Journal.Control(ctx, s.now(), request, protocol.Control{Action: thawOf(one.hold), Target: one.hold.VK, Reason: reasonExpired})
	if err != nil {
		return err
	}
	between, err := s.cfg.Journal.AuditRows(ctx, seen, maxRows)
	again := err != nil || slices.ContainsFunc(between, func(row journal.AuditRow) bool {
		hold, _, ok := parseTarget(row.Target)
		return row.ID < e.Row && row.Action == "freeze" && row.Seq != nil && ok && hold == one.hold
	})
	if again {
		request.Action, request.Reason = "freeze", "frozen again while the end of a freeze was written"
		_, err = s.cfg.Journal.Stop(ctx, s.now(), request, protocol.Control{Action: freezeOf(one.hold), Target: one.hold.VK})
	}
	if err != nil {
		s.cfg.Log.Error("hold is in doubt after the end of a freeze", "target", request.Target, "err", err)
	}
	return s.record.catchUp(ctx, s.cfg.Journal)
}

func freezeOf(h journal.Hold) protocol.ControlAction {
	if h.Operation == journal.Accept {
		return protocol.ActionFreezeAccept
	}
	return protocol.ActionFreezeIssue
}

func thawOf(h journal.Hold) protocol.ControlAction {
	if h.Operation == journal.Accept {
		return protocol.ActionThawAccept
	}
	return protocol.ActionThawIssue
}

// sealedAt returns the index of the seal leaf, if there is one.
func (r *record) sealedAt() (index uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed == nil {
		return 0, false
	}
	return *r.sealed, true
}
