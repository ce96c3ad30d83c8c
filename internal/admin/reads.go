package admin

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/terradourada/td/internal/epochs"
	"github.com/terradourada/td/internal/gate"
	"github.com/terradourada/td/internal/journal"
	"github.com/terradourada/td/protocol"
)

// takes refuses parameters of the query that an action does not know, or that are there
// twice or empty.
func (q *request) takes(names ...string) error {
	for name, values := range q.query {
		if !slices.Contains(names, name) || len(values) != 1 || values[0] == "" {
			return protocol.Fail(protocol.CodeMalformedRequest, "the query has a parameter that is unknown, empty or there twice")
		}
	}
	return nil
}

// The lengths of a page.
const (
	usualPage = 100
	maxPage   = 1000
)

func (q *request) pageLength() (int, error) {
	text := q.query.Get("max")
	if text == "" {
		return usualPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, protocol.Failf(protocol.CodeMalformedRequest, "max is from 1 to %d", maxPage)
	}
	return n, nil
}

// status answers also if nothing can be read from the disk.
func (q *request) status() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	public, err := q.s.cfg.Host.Status(q.ctx)
	if err != nil {
		return nil, err
	}
	state, err := q.s.cfg.Journal.State(q.ctx)
	if err != nil {
		return nil, err
	}
	a := &Status{
		Server: public, Time: q.now, Started: q.s.started, Actor: q.who.Actor(), Role: q.role.String(),
		NotDurable: state.NotDurable, Ends: []End{}, TwoPeople: q.s.cfg.TwoPeople, Waiting: []Waiting{},
		Incidents: []Incident{}, Alerts: q.s.cfg.Alerts.AlertState(), Cosigners: q.s.cfg.Alerts.Cosigners(),
	}
	if !q.hasty {
		q.s.follow(q.ctx)
		a.Incidents = q.s.record.list(true)
	}
	for _, e := range q.s.cfg.Epochs.Status() {
		a.Pending += uint64(max(0, e.Pending))
	}
	for _, h := range state.Holds {
		if until, ends := state.Until[h]; ends {
			a.Ends = append(a.Ends, End{Scope: scopeOf(h), Until: until.UTC()})
		}
	}
	for _, w := range q.s.approvals.Waiting(q.now) {
		a.Waiting = append(a.Waiting, Waiting{Action: w.Name, Target: w.Target, Actor: w.Actor, Until: w.Until})
	}
	return a, nil
}

// follow reads the rows that were written meanwhile, if that is possible.
func (s *Server) follow(ctx context.Context) {
	if err := s.record.catchUp(ctx, s.cfg.Journal); err != nil {
		s.cfg.Log.Warn("audit not read", "err", err)
	}
}

func scopeOf(h journal.Hold) Scope {
	sc := Scope{Operation: opIssue}
	if h.Operation == journal.Accept {
		sc.Operation = opAccept
	}
	if h.VK != (protocol.Digest{}) {
		sc.Fingerprint = &h.VK
	}
	return sc
}

func (q *request) epochs() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	a := &Epochs{Epochs: []Epoch{}}
	for _, e := range q.s.cfg.Epochs.Status() {
		a.Epochs = append(a.Epochs, *describeEpoch(&e))
	}
	return a, nil
}

func describeEpoch(e *epochs.State) *Epoch {
	return &Epoch{
		Number: e.Number, ID: e.ID, Phase: e.Phase.String(), Since: e.Since.UTC().Truncate(time.Millisecond), Index: e.Index,
		Pending: uint64(max(0, e.Pending)), Issued: e.Issued,
	}
}

func (q *request) listClaims() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	state, err := q.s.cfg.Journal.State(q.ctx)
	if err != nil {
		return nil, err
	}
	a := &Claims{Claims: []Claim{}}
	for _, c := range q.s.claims {
		c.Retired, c.Holds = slices.Contains(state.Retired, c.Fingerprint), []string{}
		for _, op := range []journal.Operation{journal.Issue, journal.Accept} {
			if state.Check(op, c.Fingerprint) != nil {
				c.Holds = append(c.Holds, scopeOf(journal.Hold{Operation: op}).Operation)
			}
		}
		a.Claims = append(a.Claims, c)
	}
	return a, nil
}

func (q *request) clients() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	registry := q.s.cfg.Journal.Clients()
	a := &Clients{Clients: []Client{}}
	for _, c := range registry.Clients() {
		one := Client{ID: c.ID, Created: c.Created.UTC(), Disabled: moment(c.Disabled), Keys: []Key{}}
		for _, k := range registry.Keys(c.Index) {
			one.Keys = append(one.Keys, Key{
				ID: k.ID.String(), Scopes: k.Scopes.String(), Created: k.Created.UTC(),
				Expires: moment(k.Expires), Revoked: moment(k.Revoked),
			})
		}
		a.Clients = append(a.Clients, one)
	}
	return a, nil
}

// moment returns a time, nil for none.
func moment(t Moment) *Moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// urlValues returns the fields of a filter that are set.
func urlValues(f *Filter) url.Values {
	v := url.Values{}
	f.query(v)
	return v
}

// queryFilter parses what urlValues returns.
func (q *request) queryFilter() (f Filter, err error) {
	f.Client, f.Claim, f.Prover = q.query.Get("client"), q.query.Get("claim"), q.query.Get("prover")
	if f.ID, err = parseQuery[protocol.RequestID](q.query, "id"); err != nil {
		return f, err
	}
	if f.Epoch, err = parseQuery[protocol.EpochID](q.query, "epoch"); err != nil {
		return f, err
	}
	if text := q.query.Get("older_ms"); text != "" {
		if f.Older, err = strconv.ParseInt(text, 10, 64); err != nil || f.Older <= 0 {
			return f, protocol.Fail(protocol.CodeMalformedRequest, "older_ms is a number of milliseconds")
		}
	}
	return f, nil
}

// parseQuery parses a parameter, nil if it is not there.
func parseQuery[T any, P interface {
	*T
	UnmarshalText(text []byte) error
}](q url.Values, name string) (*T, error) {
	text := q.Get(name)
	if text == "" {
		return nil, nil //nolint:nilnil // it is not there
	}
	var v T
	if err := P(&v).UnmarshalText([]byte(text)); err != nil {
		return nil, err
	}
	return &v, nil
}

func (q *request) sessions() (any, error) {
	if err := q.takes("id", "client", "claim", "epoch", "prover", "older_ms", "after", "max"); err != nil {
		return nil, err
	}
	asked, err := q.queryFilter()
	if err != nil {
		return nil, err
	}
	f, err := q.filter(&asked)
	if err != nil {
		return nil, err
	}
	after, err := parseQuery[protocol.RequestID](q.query, "after")
	if err != nil {
		return nil, err
	}
	most, err := q.pageLength()
	if err != nil {
		return nil, err
	}
	if after == nil {
		after = &protocol.RequestID{}
	}
	return q.s.pending(f, *after, most), nil
}

// pending returns one page of pending requests.
func (s *Server) pending(f gate.Filter, after protocol.RequestID, most int) *Sessions {
	a := &Sessions{Sessions: []Session{}}
	for _, e := range s.cfg.Epochs.Status() {
		a.Pending += uint64(max(0, e.Pending))
	}
	names := map[uint32]string{0: protocol.LocalClient}
	for _, c := range s.cfg.Journal.Clients().Clients() {
		names[c.Index] = c.ID
	}
	var page []gate.Pending
	page, a.More = s.cfg.Gate.Pending(f, after, most)
	for _, p := range page {
		one := Session{
			ID: p.Request, Client: names[p.Client], Claim: string(p.Claim), Epoch: p.Epoch,
			Prover: p.Prover, Opened: p.IssuedAt.UTC(), Expires: p.Deadline.UTC().Truncate(time.Millisecond),
		}
		if p.Prover == gate.LocalProver {
			one.Prover = proverServer
		}
		a.Sessions = append(a.Sessions, one)
	}
	return a
}

func (q *request) auditRows() (any, error) {
	if err := q.takes("after", "max"); err != nil {
		return nil, err
	}
	most, err := q.pageLength()
	if err != nil {
		return nil, err
	}
	var after uint64
	if text := q.query.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 63); err != nil {
			return nil, protocol.Fail(protocol.CodeMalformedRequest, "after is the number of a row")
		}
	}
	rows, err := q.s.cfg.Journal.AuditRows(q.ctx, after, most+1)
	if err != nil {
		return nil, err
	}
	a := &Audit{Rows: []Row{}, More: len(rows) > most}
	for i := range rows[:min(most, len(rows))] {
		a.Rows = append(a.Rows, describeRow(&rows[i]))
	}
	return a, nil
}

// describeRow returns a row without its salt.
func describeRow(r *journal.AuditRow) Row {
	return Row{
		ID: r.ID, Time: r.Time.UTC(), Actor: r.Actor, Role: r.Role, Action: r.Action, Target: r.Target,
		Reason: r.Reason, Until: moment(r.Until), Outcome: string(r.Outcome), Code: r.Code, Index: r.Seq,
	}
}

func (q *request) incidents() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	if err := q.s.record.catchUp(q.ctx, q.s.cfg.Journal); err != nil {
		return nil, err
	}
	return &Incidents{Incidents: q.s.record.list(false)}, nil
}
