package node

import (
	"context"
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

// whyDiverged is why the log has stopped if it differs from the journal.
const whyDiverged = "journal and log disagree"

// The three functions that follow report the state of a part, from memory. Their words
// are public and name nothing of this machine.

// journalState reports whether acceptances can be written.
func (r *reader) journalState() api.Condition {
	if r.cfg.ReadOnly {
		return readOnly()
	}
	switch c := r.journal.Condition(); {
	case !c.Writable:
		return api.Condition{State: stateFailing, Since: sinceOf(c.Since), Why: string(c.Cause)}
	case r.journal.Unchecked():
		return api.Condition{State: stateBehind, Why: "after a start, the journal is compared with its leaves before it accepts"}
	case !r.journal.Writable():
		return api.Condition{State: stateBehind, Why: "too many acceptances wait to be written, or the server stops"}
	}
	return api.Condition{State: stateOK}
}

// ledgerState reports whether the log follows the journal.
func (r *reader) ledgerState() api.Condition {
	if r.cfg.ReadOnly {
		return readOnly()
	}
	select {
	case <-r.ledger.Diverged():
		return api.Condition{State: stateStopped, Why: whyDiverged}
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
func (r *reader) epochsState(sealed bool) api.Condition {
	if r.cfg.ReadOnly {
		return readOnly()
	}
	_, err := r.epochs.Active()
	switch trouble := r.epochs.Trouble(); {
	case sealed && err != nil:
		return api.Condition{State: stateStopped, Why: "the log is sealed"}
	case err == nil, trouble == nil && r.epochs.Held():
		return api.Condition{State: stateOK} // held: new requests wait for the next epoch, which is about to open
	case trouble != nil:
		return api.Condition{State: stateFailing, Since: sinceOf(trouble.Since), Why: trouble.Why}
	}
	return api.Condition{State: stateBehind, Why: "an epoch has ended and the next one opens"}
}

// readOnly is the state of every part of a server that only reads.
func readOnly() api.Condition {
	return api.Condition{State: stateStopped, Why: "this server is read-only: it serves a copy of a log"}
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
		Origin: r.journal.Origin(), Size: size, Sealed: state.Sealed, Holds: describeHolds(&state), Version: r.version,
		Claims:  r.claims - len(state.Retired),
		Journal: r.journalState(), Ledger: r.ledgerState(), Epochs: r.epochsState(state.Sealed), Audit: r.audited.Load(),
	}
	if cp, ok := r.ledger.Latest(); ok {
		s.Published = cp.Size
	}
	if e, err := r.epochs.Active(); err == nil {
		s.Epoch = &api.EpochRef{Number: e.Number(), ID: e.ID()}
	}
	return s, nil
}

// describeHolds returns the holds of the control state as the API shows them.
func describeHolds(s *journal.State) []api.Hold {
	list := make([]api.Hold, 0, len(s.Holds))
	for _, hold := range s.Holds {
		p := api.Hold{Kind: "issue"}
		if hold.Operation == journal.Accept {
			p.Kind = "accept"
		}
		if hold.VK != (protocol.Digest{}) {
			p.Claim = &hold.VK
		}
		if leaf, c, err := bodyOf[*protocol.Control](s.By[hold]); err == nil {
			since := leafTime(leaf)
			p.Index, p.Since = &leaf.Seq, &since
			p.By, p.Why = byWhom(c.Reason)
		}
		if end, ends := s.Until[hold]; ends {
			p.Until = sinceOf(end)
		}
		list = append(list, p)
	}
	return list
}

// byWhom returns who froze, and why if it was the core.
func byWhom(reason uint16) (by, why string) {
	switch reason {
	case reasonDivergence:
		return "core", "journal and log disagree"
	case reasonDeaths:
		return "core", "signer or tagger died too often"
	case journal.ReasonAdded:
		return "core", "its claim id was frozen before it was added"
	}
	return "operator", ""
}
