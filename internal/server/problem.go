package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

// row is the public form of one code. The problem's type is api.ProblemType
// with the code; the code's text is the metric label too.
type row struct {
	status     int
	title      string
	retryAfter int  // seconds; such a request may succeed later. 0: it will not succeed
	mute       bool // one body for all causes: no detail
}

// rows is the one error table (section 14), indexed by code.
var rows = [...]row{
	protocol.CodeMalformedRequest:        {status: 400, title: "The request is not well formed."},
	protocol.CodeTooLarge:                {status: 413, title: "The request is too large."},
	protocol.CodeUnsupportedMedia:        {status: 415, title: "The body's media type is not taken here."},
	protocol.CodeUnauthenticated:         {status: 401, title: "The client could not be identified."},
	protocol.CodeForbidden:               {status: 403, title: "This client may not do this."},
	protocol.CodeNotFound:                {status: 404, title: "There is no such thing."},
	protocol.CodeMethodNotAllowed:        {status: 405, title: "The path does not take this method."},
	protocol.CodeUnknownClaim:            {status: 404, title: "The claim is not known or not in force."},
	protocol.CodeEventNotCanonicalisable: {status: 422, title: "The event has no canonical form."},
	protocol.CodeEventNotEncodable:       {status: 422, title: "The event has no encoding under this claim."},
	protocol.CodeStatementFalse:          {status: 422, title: "The event does not satisfy the claim."},
	protocol.CodeRateLimited:             {status: 429, title: "Too many requests from this client.", retryAfter: 1},
	protocol.CodeOverloaded:              {status: 503, title: "The service is busy.", retryAfter: 1},
	protocol.CodeFrozen:                  {status: 503, title: "An operator has frozen this operation.", retryAfter: 60},
	protocol.CodeDraining:                {status: 503, title: "The service is changing its keys.", retryAfter: 2},
	protocol.CodeLedgerUnavailable:       {status: 503, title: "The journal cannot be reached.", retryAfter: 5},
	protocol.CodeSubmissionRejected:      {status: 403, title: "The answer does not belong to a pending request of this client.", mute: true},
	protocol.CodeAlreadyConsumed:         {status: 409, title: "The request was answered with another proof."},
	protocol.CodeConflict:                {status: 409, title: "The request collides with another one."},
	protocol.CodeNullifierUsed:           {status: 409, title: "This member has answered in this scope already."},
	protocol.CodeExpired:                 {status: 410, title: "The challenge has expired."},
	protocol.CodeInvalidated:             {status: 410, title: "The request was ended by the service."},
	protocol.CodeProofRejected:           {status: 422, title: "The proof is malformed or false."},
	protocol.CodeProverTimeout:           {status: 504, title: "No prover answered in time."},
	protocol.CodeProverBadResponse:       {status: 502, title: "The prover's answer was no valid proof."},
	protocol.CodeProverTagMismatch:       {status: 502, title: "The prover's answer carried another tag."},
	protocol.CodeInternal:                {status: 500, title: "Internal error; the server's log has the cause.", mute: true},
}

// maxDetail bounds the detail of a problem, in bytes. JSON writes a byte with
// at most six, so the document stays within api.MaxProblem.
const maxDetail = 512

// problemTypes are the types of the problems, indexed by code.
var problemTypes = func() (types [len(rows)]string) {
	for code := range types {
		types[code] = api.ProblemType + protocol.Code(code).String()
	}
	return types
}()

// newProblem returns the document for a code.
func newProblem(code protocol.Code, detail string) api.Problem {
	if int(code) >= len(rows) || rows[code].status == 0 {
		code = protocol.CodeInternal
	}
	r := rows[code]
	if r.mute {
		detail = ""
	}
	return api.Problem{
		Type:       problemTypes[code],
		Title:      r.title,
		Status:     r.status,
		Code:       code,
		Detail:     shorten(detail),
		Retryable:  r.retryAfter > 0,
		RetryAfter: time.Duration(r.retryAfter) * time.Second,
	}
}

// timed is an error that names a time after which to try again.
type timed interface {
	error
	RetryAfter() time.Duration
}

// ProblemOf converts any error into its document, as [problemOf] does.
func ProblemOf(err error) *api.Problem {
	p := problemOf(err)
	return &p
}

// problemOf converts any error into its document. An error may name a time after which to
// try again.
func problemOf(err error) api.Problem {
	p := newProblem(codeOf(err), protocol.DetailOf(err))
	if errors.Is(err, protocol.ErrPermanent) {
		p.Retryable, p.RetryAfter = false, 0
	}
	if p.Retryable {
		if later, ok := errors.AsType[timed](err); ok {
			p.RetryAfter = max(later.RetryAfter(), time.Second)
		}
	}
	return p
}

// codeOf is protocol.CodeOf, except that a context error without a code means
// that the request's time was not enough.
func codeOf(err error) protocol.Code {
	code := protocol.CodeOf(err)
	ended := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if ended && code == protocol.CodeInternal && !errors.Is(err, protocol.CodeInternal) {
		return protocol.CodeOverloaded
	}
	return code
}

// shorten cuts a detail to maxDetail bytes of whole characters.
func shorten(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	n := maxDetail
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// problemHeaders sets the headers of a problem document.
func problemHeaders(h http.Header, p *api.Problem) {
	h["Content-Type"] = mediaProblem
	h["Cache-Control"] = noStore
	if p.Code == protocol.CodeUnauthenticated {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfter > 0 {
		seconds := (p.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
}

// encode returns JSON without the escapes for HTML, which would be a second text
// for a receipt's log lines. It is valid until the next call.
func (e *exchange) encode(v any) ([]byte, error) {
	var err error
	if a, ok := v.(jsonAppender); ok {
		e.text, err = a.AppendJSON(e.text[:0])
	} else {
		e.text, err = protocol.EncodeJSON(v)
	}
	e.text = append(e.text, '\n')
	return e.text, err
}

// encodeProblem is encode for a problem, which it leaves on the stack.
func (e *exchange) encodeProblem(p *api.Problem) []byte {
	var err error
	if e.text, err = p.AppendJSON(e.text[:0]); err != nil {
		panic("server: internal error: problem has no JSON form")
	}
	e.text = append(e.text, '\n')
	return e.text
}

// jsonAppender is an answer that writes its own JSON.
type jsonAppender interface {
	AppendJSON(b []byte) ([]byte, error)
}
