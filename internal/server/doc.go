// Package server is the public HTTP listener: it decodes a request, calls the
// gate or a reader, and writes the answer or one row of the error table.
//
// # What is refused before anything is called
//
// Each operation names the media types it takes and the most bytes its body may
// have; a body must arrive within [Config.BodyTimeout]. JSON bodies must pass
// protocol.DecodeStrict: what section 4 of docs/spec/td-1.md refuses in an
// event is refused in every body, and so are unknown, missing and null members.
// The number of slots for requests is bounded; a request without a slot is
// answered overloaded at once. The slot is released while a body arrives; the
// arriving bodies have a bound for each operation. It is also released while a
// request waits. The number of connections is bounded too: one too many takes
// the place of the one that has been without a request for longest. Paths that
// are not in their shortest form are not found, never redirected.
//
// A request for a host that [Config.Host] does not accept is forbidden.
// Nothing else depends on the Host header.
//
// # What an error looks like
//
// Every error is a problem document of at most api.MaxProblem bytes, built from
// the table in problem.go and the detail sentence of a protocol.Error. Nothing
// of the request is repeated in it. submission_rejected and internal have no
// detail at all.
//
// # huma
//
// The OpenAPI description and the routes come from one table of operations by
// way of huma. Its request binding, validation, content negotiation, error
// writer and documentation pages are not used: they amplify errors, accept
// repeated members, match base64 with regular expressions, echo the Host header
// in schema links and load scripts from elsewhere. Handlers do not use it.
//
// # Waiting
//
// "Prefer: wait=n" (RFC 7240) makes an answer wait up to n seconds, at most
// api.MaxWait, for a receipt or for the outcome of a push. The number of
// requests that may wait is half of the number of slots; further ones are
// answered without the wait. "Prefer: respond-async" makes a push answer 202 at
// once.
//
// # Self-asserted logs
//
// POST /v1/verify runs the offline verifier with [Config.Verify]. Anyone can
// fabricate a whole log, so a receipt whose checkpoint key nothing vouches for
// is a negative verdict; "?allow_self_asserted=true" accepts it, and the
// report still says identity self_asserted. A client that does not trust the
// server can run the same check on its own machine.
package server
