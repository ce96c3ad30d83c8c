package server_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/protocol"
)

const errorsFile = "../../docs/reference/errors.md"

const errorsHead = `# Error codes

Generated from the list in [package protocol](../../protocol/code.go) and the error table of [package server](../../internal/server/problem.go);
do not edit it, run ` + "`go generate ./internal/server`" + `.

Every error is a problem document (RFC 9457), ` + "`%s`" + `, of at most %d bytes. Its ` + "`type`" + ` is ` + "`%s`" + ` and the code. Switch on ` + "`code`" + `: it is stable, the texts are for people.
Nothing of a request is repeated in an answer. *Try again* says whether the same request may succeed later (member ` + "`retryable`" + `) and what the header
Retry-After says unless the cause knows better.

| code | status | title | try again | what to do |
|---|---|---|---|---|
`

// advice is the action of a caller for each code.
var advice = map[protocol.Code]string{
	protocol.CodeMalformedRequest:        "Correct the request; `detail` says what is wrong with it. Nothing was consumed.",
	protocol.CodeTooLarge:                "Send less: an event has at most 64 KiB.",
	protocol.CodeUnsupportedMedia:        "Send the media type that the operation names in `/openapi.json`.",
	protocol.CodeUnauthenticated:         "Authenticate.",
	protocol.CodeForbidden:               "Ask the operator. `detail` says whether it is the host name, which the operator allows with `--allow-host`, or a server that only reads a copy.",
	protocol.CodeNotFound:                "Check the path or the id. For a receipt: nothing was accepted under this id, or not yet.",
	protocol.CodeMethodNotAllowed:        "Use the method that the header Allow names.",
	protocol.CodeUnknownClaim:            "See `GET /v1/claims`; a list of members must be registered by the operator. A retired claim is not issued for any more.",
	protocol.CodeEventNotCanonicalisable: "Correct the event: `detail` has a reason and a byte offset (section 4 of the specification).",
	protocol.CodeEventNotEncodable:       "The event lacks a field that the parameters point to, or a value is not exact under `scale` and `offset`.",
	protocol.CodeStatementFalse:          "The event does not satisfy the claim. No proof of it can exist.",
	protocol.CodeRateLimited:             "Wait and send the same request again.",
	protocol.CodeOverloaded:              "Wait and send the same request again.",
	protocol.CodeFrozen:                  "Stopped on purpose, by an operator or by the core itself when journal and log disagree. Nothing was consumed; receipts and verification go on. Try again later, unless `retryable` is false: then the log is sealed for good.",
	protocol.CodeDraining:                "No epoch is active for a moment. Send the same request again.",
	protocol.CodeLedgerUnavailable:       "Do not assume a refusal: ask `GET /v1/receipts/{id}`, or send the very same answer again.",
	protocol.CodeSubmissionRejected:      "Unknown request, wrong tag or wrong client; which one is not said. After a restart of the server: ask for the receipt, then open a new request.",
	protocol.CodeAlreadyConsumed:         "The request was accepted with another proof. Ask for its receipt.",
	protocol.CodeConflict:                "The request is being decided, or its commitment was accepted before. Ask for the receipt; else commit anew with a fresh blind.",
	protocol.CodeNullifierUsed:           "This member has answered in this scope. There is nothing to repeat.",
	protocol.CodeExpired:                 "Open a new request; ask for a longer `ttl_ms` if proving takes long.",
	protocol.CodeInvalidated:             "The request is over: its epoch ended, acceptance was frozen in between, or a fault was met. Open a new request.",
	protocol.CodeProofRejected:           "The proof does not decode or does not verify. The request is over; open a new one.",
	protocol.CodeProverTimeout:           "The request is over. Push again, or prove on your side.",
	protocol.CodeProverBadResponse:       "The request is over. Push again, or prove on your side; tell the operator.",
	protocol.CodeProverTagMismatch:       "The request is over. Push again, or prove on your side; tell the operator.",
	protocol.CodeInternal:                "A fault of the service; its log has details. Whether a request was accepted, its receipt shows.",
}

// TestErrorsAreDocumented compares docs/reference/errors.md with the answers
// of the listener.
func TestErrorsAreDocumented(t *testing.T) {
	s := start(t, nil)
	var b strings.Builder
	fmt.Fprintf(&b, errorsHead, api.MediaProblem, api.MaxProblem, api.ProblemType)
	for _, code := range protocol.Codes() {
		s.fake.set(func(f *fake) { f.err = protocol.Fail(code, "a detail") })
		r := s.do(http.MethodGet, "/v1/status", nil)
		p := s.problem(r, code)
		again := "no"
		if p.Retryable {
			again = "after " + r.Header.Get("Retry-After") + " s"
		}
		if advice[code] == "" {
			t.Errorf("nothing says what to do about %s", code)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", code, p.Status, p.Title, again, advice[code])
	}
	if *update {
		if err := os.WriteFile(errorsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(errorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Error("docs/reference/errors.md is not what the code says; run go generate ./internal/server")
	}
}
