package node

import (
	"context"
	"sync"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// The states of a part, as the API names them.
const (
	stateOK      = "ok"
	stateFailing = "failing"
	stateBehind  = "behind"
	stateStopped = "stopped"
)

// The three functions that follow report the state of a part, from memory. Their words
// are public and name nothing of this machine.

// journalState reports whether acceptances can be written.
func (r *reader) journalState() api.Condition {
	switch c := r.journal.Condition(); {
	case !c.Writable:
		return api.Condition{State: stateFailing, Since: sinceOf(c.Since), Why: string(c.Cause)}
	case !r.journal.Writable():
		return api.Condition{State: stateBehind, Why: "too many acceptances wait to be written, or the server stops"}
	}
	return api.Condition{State: stateOK}
}

// ledgerState reports whether the log follows the journal.
func (r *reader) ledgerState() api.Condition {
	select {
	case <-r.ledger.Diverged():
		return api.Condition{State: stateStopped, Why: "journal and log disagree"}
	default:
	}
	switch c := r.ledger.Condition(); {
	case c.Err != "":
		return api.Condition{State: stateFailing, Since: sinceOf(c.Since), Why: c.Err}
	case c.Behind > r.cfg.MaxLag:
		return api.Condition{State: stateBehind, Why: "the log is so far behind the journal that acceptance stops"}
	case r.ledger.Admit() != nil:
		return api.Condition{State: stateStopped, Why: "the log has stopped"}
	}
	return api.Condition{State: stateOK}
}

// epochsState reports whether there are keys to issue under.
func (r *reader) epochsState() api.Condition {
	_, err := r.control.Active()
	switch trouble := r.control.Trouble(); {
	case err == nil:
		return api.Condition{State: stateOK}
	case trouble != nil:
		return api.Condition{State: stateFailing, Since: sinceOf(trouble.Since), Why: trouble.Why}
	}
	return api.Condition{State: stateBehind, Why: "an epoch has ended and the next one opens"}
}

// sinceOf returns a time as the API shows it.
func sinceOf(t time.Time) *time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// Status returns the state of the server. It reads nothing from the disk, so that it
// works when the disk does not.
func (r *reader) Status(ctx context.Context) (api.Status, error) {
	size, err := r.journal.Size(ctx)
	if err != nil {
		return api.Status{}, err
	}
	state, err := r.journal.State(ctx)
	if err != nil {
		return api.Status{}, err
	}
	s := api.Status{
		Origin: r.journal.Origin(), Size: size, Sealed: state.Sealed, Holds: r.holders.describe(&state), Version: r.version,
		Claims:  r.claims - len(state.Retired),
		Journal: r.journalState(), Ledger: r.ledgerState(), Epochs: r.epochsState(),
	}
	if cp, ok := r.ledger.Latest(); ok {
		s.Published = cp.Size
	}
	if e, err := r.control.Active(); err == nil {
		s.Epoch = &api.EpochRef{Number: e.Number(), ID: e.ID()}
	}
	return s, nil
}

// holders records which control leaf has put each hold in force.
type holders struct {
	mu sync.Mutex
	by map[journal.Hold]protocol.Leaf
}

// load reads the control leaves of a journal, if a hold is in force.
func (h *holders) load(ctx context.Context, j *journal.Journal) error {
	h.by = map[journal.Hold]protocol.Leaf{}
	state, err := j.State(ctx)
	if err != nil || len(state.Holds) == 0 {
		return err
	}
	for from := uint64(0); ; {
		entries, err := j.Leaves(ctx, from, 1024)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			h.note(e)
		}
		from += uint64(len(entries))
	}
}

// note records the next leaf if it changes a hold.
func (h *holders) note(e journal.Entry) {
	leaf, err := protocol.ParseLeaf(e.Leaf)
	if err != nil {
		return // an unreadable leaf is reported elsewhere
	}
	c, ok := leaf.Body.(*protocol.Control)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch c.Action {
	case protocol.ActionFreezeIssue:
		h.hold(journal.Hold{Operation: journal.Issue, VK: c.Target}, leaf)
	case protocol.ActionFreezeAccept:
		h.hold(journal.Hold{Operation: journal.Accept, VK: c.Target}, leaf)
	case protocol.ActionThawIssue:
		delete(h.by, journal.Hold{Operation: journal.Issue, VK: c.Target})
	case protocol.ActionThawAccept:
		delete(h.by, journal.Hold{Operation: journal.Accept, VK: c.Target})
	default:
	}
}

// hold records the first leaf of a hold; a repeated freeze changes nothing.
func (h *holders) hold(hold journal.Hold, leaf protocol.Leaf) {
	if _, known := h.by[hold]; !known {
		h.by[hold] = leaf
	}
}

// describe returns the holds of the control state as the API shows them.
func (h *holders) describe(s *journal.State) []api.Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]api.Hold, 0, len(s.Holds))
	for _, hold := range s.Holds {
		p := api.Hold{Kind: "issue"}
		if hold.Operation == journal.Accept {
			p.Kind = "accept"
		}
		if hold.VK != (protocol.Digest{}) {
			p.Claim = &hold.VK
		}
		if leaf, known := h.by[hold]; known {
			since := leafTime(leaf)
			p.Index, p.Since = &leaf.Seq, &since
			p.By, p.Why = byWhom(leaf)
		}
		list = append(list, p)
	}
	return list
}

// byWhom returns who froze, and why if it was the core.
func byWhom(leaf protocol.Leaf) (by, why string) {
	c, ok := leaf.Body.(*protocol.Control)
	switch {
	case ok && c.Reason == reasonDivergence:
		return "core", "journal and log disagree"
	case ok && c.Reason == reasonDeaths:
		return "core", "signer or tagger died too often"
	}
	return "operator", ""
}
