package protocol

import (
	"errors"
	"fmt"
)

// Code is one of the closed list of error codes of section 14. Its text is
// stable: clients switch on it. A Code is itself an error, so that
// errors.Is(err, CodeFrozen) works through any wrapping.
type Code uint8

// The codes of section 14, in its order. CodeNone is no error.
const (
	CodeNone Code = iota
	CodeMalformedRequest
	CodeTooLarge
	CodeUnsupportedMedia
	CodeUnauthenticated
	CodeForbidden
	CodeNotFound
	CodeMethodNotAllowed
	CodeUnknownClaim
	CodeEventNotCanonicalisable
	CodeEventNotEncodable
	CodeStatementFalse
	CodeRateLimited
	CodeOverloaded
	CodeFrozen
	CodeDraining
	CodeLedgerUnavailable
	CodeSubmissionRejected
	CodeAlreadyConsumed
	CodeConflict
	CodeNullifierUsed
	CodeExpired
	CodeInvalidated
	CodeProofRejected
	CodeProverTimeout
	CodeProverBadResponse
	CodeProverTagMismatch
	CodeInternal
	codeEnd
)

var codeText = [codeEnd]string{
	CodeNone:                    "none",
	CodeMalformedRequest:        "malformed_request",
	CodeTooLarge:                "too_large",
	CodeUnsupportedMedia:        "unsupported_media",
	CodeUnauthenticated:         "unauthenticated",
	CodeForbidden:               "forbidden",
	CodeNotFound:                "not_found",
	CodeMethodNotAllowed:        "method_not_allowed",
	CodeUnknownClaim:            "unknown_claim",
	CodeEventNotCanonicalisable: "event_not_canonicalisable",
	CodeEventNotEncodable:       "event_not_encodable",
	CodeStatementFalse:          "statement_false",
	CodeRateLimited:             "rate_limited",
	CodeOverloaded:              "overloaded",
	CodeFrozen:                  "frozen",
	CodeDraining:                "draining",
	CodeLedgerUnavailable:       "ledger_unavailable",
	CodeSubmissionRejected:      "submission_rejected",
	CodeAlreadyConsumed:         "already_consumed",
	CodeConflict:                "conflict",
	CodeNullifierUsed:           "nullifier_used",
	CodeExpired:                 "expired",
	CodeInvalidated:             "invalidated",
	CodeProofRejected:           "proof_rejected",
	CodeProverTimeout:           "prover_timeout",
	CodeProverBadResponse:       "prover_bad_response",
	CodeProverTagMismatch:       "prover_tag_mismatch",
	CodeInternal:                "internal",
}

// Codes lists every code but [CodeNone], in the order of section 14.
func Codes() []Code {
	all := make([]Code, 0, codeEnd-1)
	for c := CodeMalformedRequest; c < codeEnd; c++ {
		all = append(all, c)
	}
	return all
}

// ParseCode reads the stable text of a code; it returns [CodeInternal] and
// false for an unknown text.
func ParseCode(s string) (Code, bool) {
	for c, text := range codeText {
		if text == s && Code(c) != CodeNone {
			return Code(c), true
		}
	}
	return CodeInternal, false
}

// String returns the stable text of the code.
func (c Code) String() string {
	if c < codeEnd {
		return codeText[c]
	}
	return codeText[CodeInternal]
}

// Error returns the stable text, so that a Code is an error.
func (c Code) Error() string { return c.String() }

// MarshalText returns the stable text of the code.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the stable text of a code.
func (c *Code) UnmarshalText(text []byte) error {
	v, ok := ParseCode(string(text))
	if !ok {
		return errors.New("protocol: unknown error code")
	}
	*c = v
	return nil
}

// Error is a refusal: its code, one sentence for the client, and the cause
// for the log. Detail never repeats input.
type Error struct {
	Code   Code
	Detail string
	Err    error // for the log only, may be nil
}

// Fail returns an [Error] without a cause. The detail is a sentence fit to be
// shown to the client; it must hold nothing of the client's input.
func Fail(c Code, detail string) error { return &Error{Code: c, Detail: detail} }

// Failf is [Fail] with a formatted detail; the arguments must be numbers and
// names of this program, never input.
func Failf(c Code, format string, args ...any) error {
	return &Error{Code: c, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns an [Error] with a cause. The cause is logged and never sent to
// the client.
func Wrap(c Code, detail string, cause error) error {
	return &Error{Code: c, Detail: detail, Err: cause}
}

// ErrPermanent is the cause of a refusal that no retry changes, whatever its code.
var ErrPermanent = errors.New("permanent")

// Error returns code, detail and cause; it is for logs.
func (e *Error) Error() string {
	s := e.Code.String()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is makes errors.Is(err, code) true for the error's code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of an error: CodeNone for nil, CodeInternal for an
// error without one.
func CodeOf(err error) Code {
	if err == nil {
		return CodeNone
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if c, ok := errors.AsType[Code](err); ok {
		return c
	}
	return CodeInternal
}

// DetailOf returns the sentence for the client in an error, or "".
func DetailOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return ""
}
