package api

import (
	"time"

	"github.com/terradourada/td/protocol"
)

// ProblemType is the prefix of the type member of a problem; the code follows
// it.
const ProblemType = "urn:terradourada:error:"

// Problem is every error answer (RFC 9457). Clients switch on Code; the other
// texts are for people. It repeats nothing of the request.
//
// A Problem is an error, and errors.Is(err, protocol.CodeFrozen) compares its
// code.
type Problem struct {
	Type      string              `json:"type" doc:"urn:terradourada:error: and the code."`
	Title     string              `json:"title" doc:"What the code means, the same for each occurrence."`
	Status    int                 `json:"status" doc:"The HTTP status."`
	Code      protocol.Code       `json:"code" doc:"Stable; switch on this."`
	Detail    string              `json:"detail,omitempty" doc:"What is wrong with this request."`
	RequestID *protocol.RequestID `json:"request_id,omitempty" doc:"The request that was issued before it failed."`
	Retryable bool                `json:"retryable" doc:"True if the same request may succeed later."`

	// RetryAfter is the Retry-After header of the answer; zero if there was none.
	RetryAfter time.Duration `json:"-"`
}

// Error returns one line for people.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail + " (" + p.Code.String() + ")"
	}
	return p.Title + " (" + p.Code.String() + ")"
}

// Is makes errors.Is(err, code) true for the problem's code.
func (p *Problem) Is(target error) bool {
	c, ok := target.(protocol.Code)
	return ok && c == p.Code
}

// Unwrap returns the code, so that protocol.CodeOf finds it.
func (p *Problem) Unwrap() error { return p.Code }
