package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terradourada/td/internal/control"
	"github.com/terradourada/td/internal/fsutil"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// kind is a kind of incident: what the server does first, and what people have to do
// before it is closed.
type kind struct {
	name   string
	number uint8  // of leaf 6, section 17 of the specification
	first  []step // before the leaf of the incident: these never wait for a disk
	then   []step // after it
	checks []Check
}

// step is one step that the server takes.
type step struct {
	name string
	do   func(*incident, *Done) (detail string, err error)
}

// breakGlass is the kind of a thaw by a restart. It cannot be opened by a request.
const breakGlass = "break-glass"

// kinds is the table of incidents. Acceptance is stopped first where the keys, the log or
// what was ordered is in doubt. A prover cannot have a false proof accepted, but it sees
// events: nothing is given to it any more. Abnormal traffic is not let in; what was
// issued may be answered.
func kinds() []kind {
	var (
		haltAcceptance = step{"freeze acceptance of all claims", (*incident).haltAcceptance}
		haltIssue      = step{"freeze issue of all claims", (*incident).haltIssue}
		takeNote       = step{"take note of the state", (*incident).takeNote}
		destroyKeys    = step{"destroy the keys of every epoch", (*incident).destroyKeys}
		revokeEpoch    = step{"revoke the suspected epoch, and invalidate its pending requests", (*incident).revokeEpoch}
		endProver      = step{"invalidate the requests that this server proves", (*incident).endProver}
		compareAudit   = step{"compare the audit with the log", (*incident).compareAudit}
		keepEvidence   = step{"collect the evidence", (*incident).keepEvidence}
	)
	return []kind{
		{
			name: "key-compromise", number: 1,
			first: []step{haltAcceptance, haltIssue, takeNote, destroyKeys},
			then:  []step{revokeEpoch, keepEvidence},
			checks: []Check{
				{"audit-clean", "td log audit of the data directory finds nothing, and the accepted requests of the epoch are explained"},
				{"cause-known", "the cause is known, or the time that is in doubt has been published"},
				{"new-epoch", "an epoch with new keys is active, in a process that is trusted"},
			},
		},
		{
			name: "prover-compromise", number: 2,
			first: []step{haltIssue, takeNote},
			then:  []step{endProver, keepEvidence},
			checks: []Check{
				{"prover-replaced", "the prover runs from a program and on a machine that are trusted"},
				{"proofs-verified", "td log audit has verified every proof again"},
				{"owners-told", "the owners of the events that the prover saw have been informed"},
			},
		},
		{
			name: "abnormal-traffic", number: 3,
			first: []step{haltIssue, takeNote},
			then:  []step{keepEvidence},
			checks: []Check{
				{"clients-checked", "the clients behind the traffic are known, and keys that are in doubt are revoked"},
				{"rates-normal", "the rates have been normal for 30 minutes"},
			},
		},
		{
			name: "ledger-inconsistency", number: 4,
			first: []step{haltAcceptance, haltIssue, takeNote},
			then:  []step{compareAudit, keepEvidence},
			checks: []Check{
				{"copies-kept", "copies of the journal and the log as they were are kept, and every checkpoint that others hold"},
				{"audit-explains", "td log audit explains every index"},
			},
		},
		{
			name: "operator-error", number: 5,
			first: []step{haltAcceptance, haltIssue, takeNote},
			then:  []step{compareAudit, keepEvidence},
			checks: []Check{
				{"cause-known", "what was ordered by mistake, and its effect, is known"},
				{"state-checked", "td admin status and td admin claims show what is meant to be"},
			},
		},
		{
			name: breakGlass, number: 6,
			checks: []Check{
				{"cause-known", "why one person had to thaw alone is known"},
				{"second-person", "a second person has looked at the audit of the time"},
			},
		},
	}
}

// closed is added to the number of a kind in the leaf that closes an incident.
const closed = 128

func kindOf(name string) *kind {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// incident is one that is being opened.
type incident struct {
	q      *request
	kind   *kind
	answer *IncidentOpened
	epoch  *protocol.EpochID // that is suspected; nil if there is none
	note   map[string]any    // the state before anything was ended, by file names
	index  *uint64           // of its leaf; nil if that is not written
}

// openIncident takes the steps of a kind. A step that fails does not keep the next ones
// from being taken. If the leaf cannot be written, what stops has been stopped
// nevertheless; the incident is then opened again when the journal takes writes.
func (q *request) openIncident(b *IncidentRequest) (*IncidentOpened, error) {
	k := kindOf(b.Kind)
	if k == nil || k.name == breakGlass || b.Epoch != nil && k.number != 1 {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "kind is key-compromise, prover-compromise, abnormal-traffic, ledger-inconsistency or operator-error; only the first takes an epoch")
	}
	in := &incident{q: q, kind: k, epoch: b.Epoch, answer: &IncidentOpened{Done: *newDone(), Kind: k.name, Steps: []Step{}, Left: k.checks}}
	if id, ok := q.s.activeEpoch(); ok && in.epoch == nil && k.number == 1 {
		in.epoch = &id
	}
	in.take(k.first)
	in.take([]step{{"open the incident", (*incident).open}})
	in.take(k.then)
	return in.answer, nil
}

func (in *incident) take(steps []step) {
	for _, st := range steps {
		done := newDone()
		detail, err := st.do(in, done)
		s := Step{Step: st.name, Detail: detail, Leaves: done.Leaves}
		if err != nil {
			code := protocol.CodeOf(err)
			s.Code = code.String()
			if s.Detail == "" && code != protocol.CodeInternal {
				s.Detail = protocol.DetailOf(err)
			}
			in.q.s.cfg.Log.Error("step of an incident failed", "kind", in.kind.name, "step", st.name, "err", err)
		}
		if done.Outcome == OutcomeNotDurable {
			in.answer.Outcome, s.Detail = OutcomeNotDurable, OutcomeNotDurable
		}
		in.answer.Steps = append(in.answer.Steps, s)
		in.answer.Leaves = append(in.answer.Leaves, done.Leaves...)
		in.answer.Ended += done.Ended
	}
}

func (in *incident) haltAcceptance(done *Done) (string, error) {
	return "", in.q.hold(done, control.Accept, control.Target{}, 0)
}

func (in *incident) haltIssue(done *Done) (string, error) {
	return "", in.q.hold(done, control.Issue, control.Target{}, 0)
}

// open writes the row and the leaf of the incident.
func (in *incident) open(done *Done) (string, error) {
	target := in.kind.name
	if in.epoch != nil {
		target += " epoch " + in.epoch.String()
	}
	e, err := in.q.s.cfg.Journal.Incident(in.q.ctx, in.q.now, in.q.row("incident/open", target), in.kind.number)
	if err != nil {
		in.answer.Outcome = OutcomeNotDurable
		return "the incident is not in the log; open it again when the journal takes writes", err
	}
	done.Leaves = append(done.Leaves, Leaf{Action: "incident", Index: e.Seq})
	in.index, in.answer.Incident, in.answer.Row = &e.Seq, e.Seq, e.Row
	return "", nil
}

// maxNoted bounds the pending requests in a bundle.
const maxNoted = 10_000

// takeNote records the state that the next steps change.
func (in *incident) takeNote(*Done) (string, error) {
	q := in.q
	note := &request{s: q.s, ctx: q.ctx, now: q.now, who: q.who, role: q.role, hasty: true}
	in.note = make(map[string]any)
	for name, read := range map[string]func(*request) (any, error){
		"status.json": (*request).status, "epochs.json": (*request).epochs,
		"claims.json": (*request).listClaims, "clients.json": (*request).clients,
	} {
		a, err := read(note)
		if err != nil {
			a = map[string]string{"not_read": protocol.CodeOf(err).String()}
		}
		in.note[name] = a
	}
	pending := []Session{}
	for after, more := (protocol.RequestID{}), true; more && len(pending) < maxNoted; {
		page := q.s.pending(gate.Filter{}, after, gate.MaxPage)
		pending = append(pending, page.Sessions...)
		if more = page.More && len(page.Sessions) > 0; more {
			after = page.Sessions[len(page.Sessions)-1].ID
		}
	}
	in.note["sessions.json"] = pending
	return termui.Count(len(pending), "pending request"), nil
}

func (in *incident) destroyKeys(done *Done) (string, error) {
	err := in.q.force(done)
	in.answer.Epoch = done.Epoch
	return done.Detail, err
}

func (in *incident) revokeEpoch(done *Done) (string, error) {
	if in.epoch == nil {
		return "no epoch was active and none was named", nil
	}
	q := in.q
	return in.epoch.String(), done.note(q.s.cfg.Control.Revoke(q.ctx, q.now, q.by(), *in.epoch))
}

func (in *incident) endProver(done *Done) (string, error) {
	q := in.q
	err := done.note(q.s.cfg.Control.Invalidate(q.ctx, q.now, q.by(), gate.Filter{Prover: gate.LocalProver}, "prover "+proverServer))
	return fmt.Sprintf("%d requests", done.Ended), err
}

func (in *incident) compareAudit(*Done) (string, error) {
	report, err := in.q.s.cfg.Journal.VerifyAudit(in.q.ctx)
	if err != nil {
		return "", err
	}
	if in.note != nil {
		in.note["comparison.json"] = Verified{Rows: report.Rows, Leaves: report.Leaves, Problems: append([]string{}, report.Problems...)}
	}
	return fmt.Sprintf("%d rows, %d leaves, %s", report.Rows, report.Leaves, termui.Count(len(report.Problems), "problem")), nil
}

// keepEvidence writes a directory that only the user of the server can read. Nothing in
// it is secret: no memory, key, tag, salt or event.
func (in *incident) keepEvidence(*Done) (string, error) {
	s, ctx := in.q.s, in.q.ctx
	name := fmt.Sprintf("unwritten-%d-%s", in.q.now.UnixMilli(), in.kind.name)
	if in.index != nil {
		name = fmt.Sprintf("%d-%s", *in.index, in.kind.name)
	}
	dir := filepath.Join(s.cfg.Bundles, name)
	if err := os.MkdirAll(s.cfg.Bundles, 0o700); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	files := s.cfg.Host.Evidence(ctx)
	if files == nil {
		files = make(map[string][]byte)
	}
	for name, v := range in.note {
		files[name], _ = json.MarshalIndent(v, "", "  ") // texts and numbers
	}
	files["incident.json"], _ = json.MarshalIndent(in.answer, "", "  ")
	files["audit.jsonl"] = s.lastRows(ctx)
	for name, b := range files {
		if err := fsutil.NewPrivate(filepath.Join(dir, filepath.Base(name)), b); err != nil {
			return "", err
		}
	}
	in.answer.Bundle = dir
	return fmt.Sprintf("%d files", len(files)), fsutil.SyncDir(s.cfg.Bundles)
}

// lastRows returns the last rows of the audit, one on a line, as many as can be read.
func (s *Server) lastRows(ctx context.Context) []byte {
	s.follow(ctx)
	var lines bytes.Buffer
	last := s.record.row()
	rows, err := s.cfg.Journal.AuditRows(ctx, last-min(last, maxRows), maxRows)
	if err != nil {
		s.cfg.Log.Error("audit not read for the evidence", "err", err)
	}
	out := json.NewEncoder(&lines)
	for i := range rows {
		_ = out.Encode(describeRow(&rows[i])) // texts and numbers into memory
	}
	return lines.Bytes()
}

func (q *request) closeIncident(b *CloseRequest) (*Done, error) {
	if err := q.s.record.catchUp(q.ctx, q.s.cfg.Journal); err != nil {
		return nil, err
	}
	all := q.s.record.list(false)
	i := slices.IndexFunc(all, func(one Incident) bool { return one.Index == b.Incident })
	if i < 0 {
		return nil, protocol.Fail(protocol.CodeNotFound, "no incident has this index")
	}
	k := kindOf(all[i].Kind)
	if all[i].Closed != nil || k == nil {
		return nil, protocol.Fail(protocol.CodeConflict, "the incident is closed already")
	}
	if err := confirmed(k, b.Confirmed); err != nil {
		return nil, err
	}
	q.recorded = true
	e, err := q.s.cfg.Journal.Incident(q.ctx, q.now, q.row(q.action.name, strconv.FormatUint(b.Incident, 10)), closed+k.number)
	if err != nil {
		return nil, err
	}
	done := newDone()
	done.Row, done.Leaves = e.Row, append(done.Leaves, Leaf{Action: "incident", Index: e.Seq})
	return done, nil
}

// confirmed refuses a list that is not exactly the checks of a kind.
func confirmed(k *kind, ids []string) error {
	var missing []string
	for _, c := range k.checks {
		if !slices.Contains(ids, c.ID) {
			missing = append(missing, c.ID)
		}
	}
	if len(missing) > 0 {
		return protocol.Fail(protocol.CodeMalformedRequest, "not confirmed: "+strings.Join(missing, ", "))
	}
	if len(ids) != len(k.checks) {
		return protocol.Fail(protocol.CodeMalformedRequest, "confirmed lists a check that this kind of incident does not have")
	}
	return nil
}

// Holds is what [BreakGlass] needs of a journal.
type Holds interface {
	State(ctx context.Context) (journal.State, error)
	Incident(ctx context.Context, now time.Time, r journal.Request, kind uint8) (journal.Entry, error)
}

// BreakGlass thaws everything at the start of a server, for one person who says why. It
// is an incident of its own, whose leaf comes before those of the thaws. It returns how
// many holds were ended; without a hold nothing is written.
func BreakGlass(ctx context.Context, j Holds, c *control.Control, now time.Time, by principal.Principal, reason string) (ended int, err error) {
	if err := checkReason(reason); err != nil {
		return 0, err
	}
	state, err := j.State(ctx)
	if err != nil || len(state.Holds) == 0 {
		return 0, err
	}
	if state.Sealed {
		return 0, protocol.Fail(protocol.CodeFrozen, "the log is sealed for good")
	}
	r := journal.Request{Actor: by, Role: principal.Commander, Action: "incident/open", Target: breakGlass, Reason: reason}
	if _, err := j.Incident(ctx, now, r, kindOf(breakGlass).number); err != nil {
		return 0, err
	}
	for _, h := range state.Holds {
		what := control.Issue
		if h.Operation == journal.Accept {
			what = control.Accept
		}
		by := control.By{Actor: by, Role: principal.Commander, Reason: reason}
		if _, err := c.Thaw(ctx, now, by, what, control.Target{VK: h.VK}); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
