package journal

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Request is a request of the administration, as its audit row records it.
type Request struct {
	Actor  principal.Principal
	Role   principal.Role
	Action string // a word of the administration, such as "freeze"
	Target string // what it is about, "" for everything
	Reason string // in the words of the actor

	// Until is when a freeze ends by itself, in whole milliseconds; zero means never.
	// The freeze is thawed by [Journal.ThawEnded]. Every other action has none.
	Until time.Time
}

// committed returns the text that the leaf commits to: the reason and, on a line of its
// own, the end of a freeze. A reason has no line breaks.
func committed(reason string, until time.Time) string {
	if until.IsZero() {
		return reason
	}
	return reason + "\nuntil " + strconv.FormatInt(until.UnixMilli(), 10)
}

// maxAuditText bounds each text of an audit row, in bytes.
const maxAuditText = 1024

// check refuses a request that cannot become a row: a text is too long, is not UTF-8
// or would break a line, or the action is missing.
func (r *Request) check() error {
	for _, text := range []string{r.Action, r.Target, r.Reason} {
		if len(text) > maxAuditText || !utf8.ValidString(text) {
			return protocol.Failf(protocol.CodeMalformedRequest, "action, target and reason are UTF-8 of at most %d bytes each", maxAuditText)
		}
		for _, c := range text {
			if unicode.IsControl(c) {
				return protocol.Fail(protocol.CodeMalformedRequest, "action, target and reason hold no control characters")
			}
		}
	}
	if r.Action == "" {
		return protocol.Fail(protocol.CodeMalformedRequest, "a request names its action")
	}
	return nil
}

// Outcome is the outcome of a request, as its audit row records it.
type Outcome string

// The outcomes.
const (
	Requested  Outcome = "requested" // the effect was begun, and its outcome was not recorded
	Done       Outcome = "done"
	Refused    Outcome = "refused"
	NotDurable Outcome = "not durable" // done, but the actor was answered before the row was written
)

// AuditRow is one row of the audit.
type AuditRow struct {
	ID      uint64 // from 1, without gaps
	Time    time.Time
	Actor   string
	Role    string
	Action  string
	Target  string
	Reason  string
	Salt    protocol.Salt // opens the commitments of the leaf
	Outcome Outcome
	Code    string    // of a refusal, else ""
	Seq     *uint64   // the leaf, if the action has one
	Until   time.Time // see [Request.Until]
}

// Refuse commits the row of a request that was refused with a code, before anything
// was done.
func (j *Journal) Refuse(ctx context.Context, now time.Time, r Request, code protocol.Code) error {
	_, err := j.record(ctx, now, &r, Refused, code)
	return err
}

// Audited commits the row of a request, calls effect, and records its outcome. Without
// the row there is no effect. If the outcome cannot be written, the row stays
// [Requested].
//
// An action that has a leaf is not done like this: see [Journal.Control],
// [Journal.Incident] and [Journal.Stop].
func (j *Journal) Audited(ctx context.Context, now time.Time, r Request, effect func(context.Context) error) error {
	id, err := j.record(ctx, now, &r, Requested, protocol.CodeNone)
	if err != nil {
		return err
	}
	err = effect(ctx)
	outcome, code := outcomeOf(err)
	_, werr := j.submit(context.WithoutCancel(ctx), j.urgent, &submission{apply: func(g *group) (Entry, error) {
		g.exec("UPDATE audit SET outcome = ?, code = ? WHERE id = ?", string(outcome), code, id)
		return Entry{}, nil
	}})
	if werr != nil {
		j.log.Error("outcome of an audit row not written", "row", id, "err", werr)
	}
	return err
}

// record commits a row without a leaf and returns its id.
func (j *Journal) record(ctx context.Context, now time.Time, r *Request, outcome Outcome, code protocol.Code) (id uint64, err error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	text := ""
	if code != protocol.CodeNone {
		text = code.String()
	}
	e, err := j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) {
		return Entry{Row: g.audit(now, r, newSalt(), outcome, text, nil)}, nil
	}})
	return e.Row, err
}

// act commits a change with the row of its request in one transaction. A request that
// apply refuses has a row, too.
func (j *Journal) act(ctx context.Context, now time.Time, r *Request, apply func(*group, protocol.Salt) (Entry, error)) (Entry, error) {
	if err := r.check(); err != nil {
		return Entry{}, err
	}
	salt := newSalt()
	return j.submit(ctx, j.urgent, &submission{apply: func(g *group) (Entry, error) {
		return g.act(now, r, salt, Done, apply)
	}})
}

func (g *group) act(now time.Time, r *Request, salt protocol.Salt, done Outcome, apply func(*group, protocol.Salt) (Entry, error)) (Entry, error) {
	e, err := apply(g, salt)
	if g.err != nil {
		return Entry{}, g.err
	}
	outcome, code := outcomeOf(err)
	if err == nil {
		outcome = done
	}
	var seq *uint64
	if e.Leaf != nil {
		seq = &e.Seq
	}
	e.Row = g.audit(now, r, salt, outcome, code, seq)
	return e, err
}

// audit writes a row and returns its id.
func (g *group) audit(now time.Time, r *Request, salt protocol.Salt, outcome Outcome, code string, seq *uint64) (id uint64) {
	g.scan("SELECT coalesce(max(id), 0) + 1 FROM audit", nil, &id)
	g.exec(`INSERT INTO audit (id, time, actor, role, action, target, reason, salt, outcome, code, seq, until)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, now.UnixMilli(), r.Actor.Actor(), r.Role.String(), r.Action, r.Target, r.Reason, salt[:], string(outcome), code, seq, millis(r.Until))
	g.rows = id
	return id
}

func outcomeOf(err error) (outcome Outcome, code string) {
	if err == nil {
		return Done, ""
	}
	return Refused, protocol.CodeOf(err).String()
}

func newSalt() (s protocol.Salt) {
	_, _ = rand.Read(s[:]) // never returns an error, see crypto/rand
	return s
}

// Incident commits an incident of a kind that section 17 numbers: its leaf, which hides
// actor, target and reason, and the row that opens it.
func (j *Journal) Incident(ctx context.Context, now time.Time, r Request, kind uint8) (Entry, error) {
	return j.act(ctx, now, &r, func(g *group, salt protocol.Salt) (Entry, error) {
		return g.leaf(now, &protocol.Incident{Kind: kind, Digest: r.incident(salt)})
	})
}

func (r *Request) incident(salt protocol.Salt) protocol.Digest {
	return protocol.IncidentDigest(salt, r.Actor.Actor(), r.Target, r.Reason)
}
