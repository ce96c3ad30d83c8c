// Package fault is the type of the errors that td shows to its user: what happened,
// what to do about it, and the exit status for scripts.
//
// The exit statuses of td are:
//
//	0    ok
//	1    unexpected
//	2    wrong use: a flag, an argument, a file of the user
//	3    negative: invalid, or refused by the server
//	4    not found
//	5    denied
//	6    frozen
//	7    unavailable: no answer, or a copy that cannot be read
//	8    configuration, or a machine that does not offer what is asked for
//	9    rate limited
//	10   contradicted
//	11   unvouched
//	12   flagged
//	130  interrupted
package fault

import "github.com/terradourada/td/protocol"

// Exit statuses.
const (
	OK          = 0
	Unexpected  = 1
	Usage       = 2
	Negative    = 3
	NotFound    = 4
	Denied      = 5
	Frozen      = 6
	Unavailable = 7
	Config      = 8
	RateLimited = 9

	Contradicted = 10
	Unvouched    = 11
	Flagged      = 12

	Interrupted = 130
)

// Fault is an error in words.
type Fault struct {
	Exit int           // the exit status
	What string        // what happened, lower case, without a period
	Hint string        // what to do; "" if there is nothing to say
	Code protocol.Code // CodeNone if it is no refusal of the protocol
}

// Error returns what happened.
func (f *Fault) Error() string { return f.What }

// New returns a fault that is no refusal of the protocol.
func New(exit int, what, hint string) error { return &Fault{Exit: exit, What: what, Hint: hint} }

// ExitOf returns the exit status of a refusal.
func ExitOf(c protocol.Code) int {
	switch c {
	case protocol.CodeNotFound:
		return NotFound
	case protocol.CodeUnauthenticated, protocol.CodeForbidden:
		return Denied
	case protocol.CodeFrozen:
		return Frozen
	case protocol.CodeRateLimited:
		return RateLimited
	case protocol.CodeMalformedRequest, protocol.CodeUnknownClaim, protocol.CodeTooLarge:
		return Usage
	case protocol.CodeInternal, protocol.CodeNone:
		return Unexpected
	default:
		return Negative
	}
}
