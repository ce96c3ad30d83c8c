package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/server"
)

// The codes of /healthz and /readyz. docs/how-to/run.md explains each.
const (
	codeJournalStuck = "journal_stuck"
	codeEpochsStuck  = "epochs_stuck"

	codeStarting      = "starting"
	codeStopping      = "stopping"
	codeDiskFull      = "disk_full"
	codeJournalFailed = "journal_failing"
	codeJournalBehind = "journal_behind"
	codeLedgerStopped = "ledger_stopped"
	codeLedgerBehind  = "ledger_behind"
	codeNoEpoch       = "no_epoch"

	codeFrozen       = "frozen"
	codeSealed       = "sealed"
	codeReadOnly     = "read_only"
	codeLedgerFailed = "ledger_failing"
)

// stuckAfter is the time after which one step of the epochs' manager counts as stuck. The
// timeouts of each step together are less than half of it.
const stuckAfter = 2 * time.Minute

// health is what the ops listener and the service manager learn about a node.
type health struct {
	serving  atomic.Pointer[reader] // nil while the node starts
	stopping atomic.Bool
}

// Alive reports what only a restart can mend: a writer of the journal that does not
// answer, or epochs whose work does not end. What fails and is retried is alive. A node
// that starts or stops is alive too: both are bounded by the service manager.
func (h *health) Alive(ctx context.Context) (faults []server.Finding) {
	r := h.serving.Load()
	if r == nil || r.cfg.ReadOnly || h.stopping.Load() {
		return nil
	}
	if !r.journal.Answers(ctx) && !h.stopping.Load() {
		faults = append(faults, server.Finding{Code: codeJournalStuck, Why: "the writer of the journal does not answer"})
	}
	if busy := r.epochs.Busy(); busy > stuckAfter {
		since := now().Add(-busy)
		faults = append(faults, server.Finding{Code: codeEpochsStuck, Why: "the work on an epoch does not end", Since: sinceOf(since)})
	}
	return faults
}

// Ready reports whether the node can issue and accept. A freeze and a seal are decisions
// on record, and reading goes on: they are notes, as is a checkpoint that is late.
func (h *health) Ready() (faults, notes []server.Finding) {
	r := h.serving.Load()
	switch {
	case h.stopping.Load():
		return []server.Finding{{Code: codeStopping, Why: "the server stops"}}, nil
	case r == nil:
		return []server.Finding{{Code: codeStarting, Why: "the server starts"}}, nil
	}
	return r.findings()
}

// findings returns what is wrong with the parts of a server, from memory.
func (r *reader) findings() (faults, notes []server.Finding) {
	if r.cfg.ReadOnly {
		return nil, []server.Finding{{Code: codeReadOnly, Why: readOnly().Why}}
	}
	state, _ := r.journal.State(context.Background()) // from memory, without an error
	if c := r.journalState(); c.State != stateOK {
		code := codeJournalFailed
		switch cause := r.journal.Condition().Cause; {
		case c.State == stateBehind:
			code = codeJournalBehind
		case cause == journal.CauseFull, cause == journal.CauseInodes:
			code = codeDiskFull
		}
		faults = append(faults, server.Finding{Code: code, Why: "the journal cannot be written: " + c.Why, Since: c.Since})
	}
	switch c := r.ledgerState(); c.State {
	case stateStopped:
		faults = append(faults, server.Finding{Code: codeLedgerStopped, Why: c.Why, Since: c.Since})
	case stateBehind:
		faults = append(faults, server.Finding{Code: codeLedgerBehind, Why: c.Why, Since: c.Since})
	case stateFailing:
		notes = append(notes, server.Finding{Code: codeLedgerFailed, Why: "the log is not published: " + c.Why, Since: c.Since})
	}
	if c := r.epochsState(state.Sealed); c.State != stateOK && !state.Sealed { // a sealed log opens no epoch
		faults = append(faults, server.Finding{Code: codeNoEpoch, Why: "no epoch is active: " + c.Why, Since: c.Since})
	}
	for _, hold := range describeHolds(&state) {
		why := fmt.Sprintf("%s is frozen by the %s", hold.Kind, hold.By)
		if hold.Claim != nil {
			why += ", for one claim"
		}
		if hold.Why != "" {
			why += ": " + hold.Why
		}
		notes = append(notes, server.Finding{Code: codeFrozen, Why: why, Since: hold.Since})
	}
	if state.Sealed {
		notes = append(notes, server.Finding{Code: codeSealed, Why: "the log is sealed: it is read, and nothing is appended"})
	}
	return faults, notes
}

// words returns the state of a node in one line, for the service manager.
func (h *health) words() string {
	faults, notes := h.Ready()
	text := "ready"
	if len(faults) > 0 {
		text = "not ready"
	} else if r := h.serving.Load(); r != nil {
		if e, err := r.epochs.Active(); err == nil {
			size, _ := r.journal.Size(context.Background()) // from memory
			text = fmt.Sprintf("ready, epoch %d, %d leaves", e.Number(), size)
		}
	}
	for _, f := range slices.Concat(faults, notes) {
		text += "; " + f.Why
	}
	return text
}

// statusEvery is the time between two reports to a service manager that has no watchdog.
const statusEvery = 10 * time.Second

// report reports to the service manager that the node is alive, and its state, until ctx
// ends. A node that is not alive reports only why, and its manager ends it.
func (n *node) report(ctx context.Context) error {
	every := statusEvery
	if w := n.Notify.Watchdog(); w > 0 {
		every = w / 3
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for said := ""; ; {
		dead, err := n.reportOnce(ctx, every)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && said == "":
			n.Log.Warn("service manager not notified", "err", err)
			said = "not notified"
		case dead != "" && dead != said:
			n.Log.Error("not alive", "why", dead)
			said = dead
		}
		if dead == "" && err == nil {
			said = ""
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reportOnce looks at the node once. It returns why it is not alive, "" if it is.
func (n *node) reportOnce(ctx context.Context, within time.Duration) (dead string, err error) {
	look, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var why []string
	for _, f := range n.health.Alive(look) {
		why = append(why, f.Why)
	}
	if dead = strings.Join(why, "; "); dead != "" {
		return dead, n.Notify.Status("not alive: " + dead)
	}
	return "", n.Notify.Alive(n.health.words())
}
