package telemetry

import (
	"context"
	"time"

	"github.com/terradourada/td/protocol"
)

// Details are what the gate knows of a request and the server does not: which claim it
// is about, and which id it has. The gate fills them in before its call returns.
type Details struct {
	Claim    string
	ID       protocol.RequestID
	Waited   time.Duration // for a place for costly work
	Answered time.Duration // from the issue of the challenge to its answer; 0 without one
	Verified time.Duration // that the verification of the proof took; 0 without one
	Mark     Mark          // of the proof of an answer, or of the anchor of a challenge
	Place    Mark          // of the epoch and position of a challenge
}

// Into copies the details into the report of their request, and adds the wait to its own.
func (d *Details) Into(r *Request) {
	r.Claim, r.ID, r.Answered, r.Verified = d.Claim, d.ID, d.Answered, d.Verified
	r.Mark, r.Place = d.Mark, d.Place
	r.Waited += d.Waited
}

type detailsKey struct{}

// WithDetails returns a context whose calls fill in the details.
func WithDetails(ctx context.Context, d *Details) context.Context {
	return context.WithValue(ctx, detailsKey{}, d)
}

// DetailsOf returns the details that a call fills in. If its caller asked for none, they
// are dropped.
func DetailsOf(ctx context.Context) *Details {
	if d, ok := ctx.Value(detailsKey{}).(*Details); ok {
		return d
	}
	return new(Details)
}
