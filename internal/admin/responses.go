package admin

import (
	"context"
	"time"

	"github.com/terradourada/td/internal/limit"
	"github.com/terradourada/td/internal/principal"
	"github.com/terradourada/td/protocol"
)

// Responses are the penalties that the server imposes by itself.
type Responses interface {
	Responses(now time.Time) ResponseList
	// Lift fails with not_found if the subject has no penalty.
	Lift(now time.Time, s limit.Subject) error
}

// The modes of the automatic response.
const (
	ResponseOff    = "off"
	ResponseDryRun = "dry-run" // the list is what would be in force
	ResponseOn     = "on"
)

// ResponseList answers GET responses.
type ResponseList struct {
	Mode      string     `json:"mode"`
	Responses []Response `json:"responses"` // the first to end first
}

// Response is one penalty.
type Response struct {
	Subject string `json:"subject"` // client:NAME or network:PREFIX
	Step    string `json:"step"`    // costly, slow or blocked
	Strikes int    `json:"strikes"` // penalties of the subject, this one included
	Since   Moment `json:"since"`
	Until   Moment `json:"until"`
	Rule    string `json:"rule"`    // of the alert that led to it
	Refused uint64 `json:"refused"` // requests that a block has refused, or would have
}

// LiftRequest ends a penalty.
type LiftRequest struct {
	Reason
	Subject string `json:"subject"`
}

func (q *request) responses() (any, error) {
	if err := q.takes(); err != nil {
		return nil, err
	}
	return q.s.cfg.Responses.Responses(q.now), nil
}

// subjectOf parses the subject of a penalty.
func subjectOf(text string) (limit.Subject, error) {
	s, err := limit.ParseSubject(text)
	if err != nil {
		return s, protocol.Wrap(protocol.CodeMalformedRequest, "a subject is client:NAME or network:PREFIX", err)
	}
	if s.Client != "" {
		return s, principal.CheckClientID(s.Client)
	}
	return s, nil
}

func (q *request) lift(b *LiftRequest) (*Done, error) {
	s, err := subjectOf(b.Subject)
	if err != nil {
		return nil, err
	}
	return newDone(), q.audited(s.String(), func(context.Context) error { return q.s.cfg.Responses.Lift(q.now, s) })
}

// Responses lists the penalties that the server has imposed by itself.
func (c *Conn) Responses(ctx context.Context) (*ResponseList, error) {
	return get[ResponseList](ctx, c, "responses", nil)
}

// Lift ends a penalty.
func (c *Conn) Lift(ctx context.Context, r LiftRequest) (*Done, error) {
	return post[Done](ctx, c, "responses/lift", r)
}
