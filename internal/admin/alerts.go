package admin

import (
	"context"
	"net/url"
	"time"

	"github.com/terradourada/td/internal/notify"
	"github.com/terradourada/td/internal/watch"
	"github.com/terradourada/td/protocol"
)

// Actions whose rows say which silences are in force; see [SilenceRequest].
const (
	ActionSilence   = "alerts/silence"
	ActionUnsilence = "alerts/unsilence"
)

// Alerts are the alerts of a server, and the sinks that they are sent to.
type Alerts interface {
	Alerts(now time.Time) AlertList
	AlertState() AlertState
	// Cosigners returns the state of those that the server submits its checkpoints to.
	Cosigners() []Cosigner
	Rules() []watch.Rule
	CheckSilence(now time.Time, s watch.Silence) error
	Silence(now time.Time, s watch.Silence) (watch.Silence, error)
	Unsilence(id string) error
	Feedback(fingerprint, word string) error

	Sinks(ctx context.Context) ([]notify.Sink, error)
	// AddSink returns the secret of a webhook, which nothing can show again.
	AddSink(ctx context.Context, kind, url string) (id, secret string, err error)
	RemoveSink(ctx context.Context, id string) error
	// TestSink delivers a test. An error says what the receiver has answered.
	TestSink(ctx context.Context, now time.Time, id string) error
}

// AlertList answers GET alerts.
type AlertList struct {
	Alerts   []watch.Alert   `json:"alerts"` // the most severe first
	Silences []watch.Silence `json:"silences"`
	Dropped  uint64          `json:"dropped"` // alerts that found no place since the start, counted at each reading
}

// AlertRules answers GET alerts/rules.
type AlertRules struct {
	Rules []AlertRule `json:"rules"`
}

// AlertRule is a rule in force.
type AlertRule struct {
	Name     string         `json:"name"`
	Severity watch.Severity `json:"severity"`
	Reads    string         `json:"reads"`
	Fire     float64        `json:"fire"`
	Clear    float64        `json:"clear"`
	Below    bool           `json:"below,omitempty"` // fires at or below
	Ticks    int            `json:"ticks"`           // for which the value stays there before it fires
	Runbook  string         `json:"runbook"`
}

// AlertSinks answers GET alerts/sinks.
type AlertSinks struct {
	Sinks []notify.Sink `json:"sinks"`
}

// SilenceRequest hides alerts of a rule, a scope or both for a time. Rule and Scope are "*"
// for all.
type SilenceRequest struct {
	Reason
	Rule  string `json:"rule"`
	Scope string `json:"scope"`
	For   int64  `json:"for_ms"`
}

// Silenced is the answer to SilenceRequest.
type Silenced struct {
	Done
	Silence watch.Silence `json:"silence"`
}

// UnsilenceRequest ends a silence.
type UnsilenceRequest struct {
	Reason
	ID string `json:"id"`
}

// FeedbackRequest says whether an alert was "useful", "useless" or "false".
type FeedbackRequest struct {
	Reason
	Alert   string `json:"alert"` // its fingerprint
	Verdict string `json:"verdict"`
}

// AddSinkRequest adds a sink.
type AddSinkRequest struct {
	Reason
	Kind string `json:"kind"` // webhook or alertmanager
	URL  string `json:"url"`
}

// NewSink is the answer to AddSinkRequest. Secret is that of a webhook. It is shown once.
type NewSink struct {
	Done
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"`
}

// SinkRequest removes or tests a sink.
type SinkRequest struct {
	Reason
	ID string `json:"id"`
}

func (q *request) alerts() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	return q.s.cfg.Alerts.Alerts(q.now), nil
}

func (q *request) alertRules() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	a := AlertRules{Rules: []AlertRule{}}
	for _, r := range q.s.cfg.Alerts.Rules() {
		a.Rules = append(a.Rules, AlertRule{r.Name, r.Severity, r.Reads, r.Fire, r.Clear, r.Below, r.For, "docs/runbooks/" + r.Runbook})
	}
	return a, nil
}

func (q *request) alertSinks() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	sinks, err := q.s.cfg.Alerts.Sinks(q.ctx)
	return AlertSinks{sinks}, err
}

// silence adds a silence. Its row holds all that puts it in force again after a restart.
func (q *request) silence(b *SilenceRequest) (*Silenced, error) {
	lasts, err := span("for_ms", b.For, time.Second, watch.MaxSilence)
	if err != nil {
		return nil, err
	}
	s := watch.Silence{Rule: b.Rule, Scope: b.Scope, Author: q.who.Actor(), Reason: q.reason, Until: q.now.Add(lasts).Truncate(time.Second)}
	if err := q.s.cfg.Alerts.CheckSilence(q.now, s); err != nil {
		return nil, err
	}
	a := &Silenced{Done: *newDone()}
	return a, q.audited(s.Rule+" "+s.Scope+" "+s.Until.Format(time.RFC3339), func(context.Context) (err error) {
		a.Silence, err = q.s.cfg.Alerts.Silence(q.now, s)
		return err
	})
}

// maxName bounds an id in a request, in bytes.
const maxName = 64

// plain refuses a text that is no id, so that it can be part of a row.
func plain(text string) error {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return errPlain
		}
	}
	if text == "" || len(text) > maxName {
		return errPlain
	}
	return nil
}

var errPlain = protocol.Fail(protocol.CodeMalformedRequest, "an id or verdict is 1 to 64 of a-z 0-9")

// about does something about a target that is an id.
func (q *request) about(id, target string, effect func(context.Context) error) (*Done, error) {
	if err := plain(id); err != nil {
		return nil, err
	}
	return newDone(), q.audited(target, effect)
}

func (q *request) unsilence(b *UnsilenceRequest) (*Done, error) {
	return q.about(b.ID, b.ID, func(context.Context) error { return q.s.cfg.Alerts.Unsilence(b.ID) })
}

func (q *request) feedback(b *FeedbackRequest) (*Done, error) {
	if err := plain(b.Verdict); err != nil {
		return nil, err
	}
	return q.about(b.Alert, b.Alert+" "+b.Verdict, func(context.Context) error { return q.s.cfg.Alerts.Feedback(b.Alert, b.Verdict) })
}

func (q *request) testSink(b *SinkRequest) (*Done, error) {
	return q.about(b.ID, b.ID, func(ctx context.Context) error { return q.s.cfg.Alerts.TestSink(ctx, q.now, b.ID) })
}

func (q *request) removeSink(b *SinkRequest) (*Done, error) {
	return q.about(b.ID, b.ID, func(ctx context.Context) error { return q.s.cfg.Alerts.RemoveSink(ctx, b.ID) })
}

// addSink adds a sink. The row holds no path of the URL, which may be a secret.
func (q *request) addSink(b *AddSinkRequest) (*NewSink, error) {
	if err := plain(b.Kind); err != nil {
		return nil, err
	}
	u, err := url.Parse(b.URL)
	if err != nil || u.Host == "" || len(b.URL) > maxReason {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "url is not a URL with a host")
	}
	a := &NewSink{Done: *newDone()}
	return a, q.audited(protocol.Printable(b.Kind+" "+u.Scheme+"://"+u.Host), func(ctx context.Context) (err error) {
		a.ID, a.Secret, err = q.s.cfg.Alerts.AddSink(ctx, b.Kind, b.URL)
		return err
	})
}

// Alerts lists the alerts and the silences.
func (c *Conn) Alerts(ctx context.Context) (*AlertList, error) {
	return get[AlertList](ctx, c, "alerts", nil)
}

// AlertRules lists the rules in force.
func (c *Conn) AlertRules(ctx context.Context) (*AlertRules, error) {
	return get[AlertRules](ctx, c, "alerts/rules", nil)
}

// AlertSinks lists the sinks of alerts.
func (c *Conn) AlertSinks(ctx context.Context) (*AlertSinks, error) {
	return get[AlertSinks](ctx, c, "alerts/sinks", nil)
}

// Silence hides alerts for a time.
func (c *Conn) Silence(ctx context.Context, r SilenceRequest) (*Silenced, error) {
	return post[Silenced](ctx, c, ActionSilence, r)
}

// Unsilence ends a silence.
func (c *Conn) Unsilence(ctx context.Context, r UnsilenceRequest) (*Done, error) {
	return post[Done](ctx, c, ActionUnsilence, r)
}

// Feedback says whether an alert was useful.
func (c *Conn) Feedback(ctx context.Context, r FeedbackRequest) (*Done, error) {
	return post[Done](ctx, c, "alerts/feedback", r)
}

// TestSink delivers a test to a sink.
func (c *Conn) TestSink(ctx context.Context, r SinkRequest) (*Done, error) {
	return post[Done](ctx, c, "alerts/test", r)
}

// AddSink adds a sink of alerts.
func (c *Conn) AddSink(ctx context.Context, r AddSinkRequest) (*NewSink, error) {
	return post[NewSink](ctx, c, "alerts/sinks/add", r)
}

// RemoveSink removes a sink of alerts.
func (c *Conn) RemoveSink(ctx context.Context, r SinkRequest) (*Done, error) {
	return post[Done](ctx, c, "alerts/sinks/remove", r)
}
