// Package server is the public HTTP listener: it decodes a request, calls the
// gate or a reader, and writes the answer or one row of the one error table.
//
// # What is refused before anything is called
//
// Each operation names the media types it takes and the most bytes its body may
// have; a body must arrive within [Config.BodyTimeout]. JSON bodies pass
// protocol.DecodeStrict whole: what section 4 of docs/spec/td-1.md refuses in an
// event is refused everywhere, and so are unknown, missing and null members.
// The number of requests in hand is bounded; one too many is answered
// overloaded at once. A request whose body is on its way is not in hand; such
// bodies have a bound for each operation. Nor is one that waits. The number of connections is bounded
// too: one too many takes the place of the one that has been without a request
// for longest. Paths that are not in their shortest form are not found, never
// redirected.
//
// A request that is addressed to a host that [Config.Host] does not know is
// forbidden. Nothing else depends on the Host header.
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
// in schema links and load scripts from elsewhere. Handlers know nothing of it.
//
// # Waiting
//
// "Prefer: wait=n" (RFC 7240) makes an answer wait up to n seconds, at most
// api.MaxWait, for a receipt or for the outcome of a push. Half as many requests
// as may be in hand may wait; further ones are answered as if they had not asked
// to. "Prefer: respond-async" makes a push answer 202 at once.
//
// # Self-asserted logs
//
// POST /v1/verify runs the offline verifier with [Config.Verify]. Anybody can
// fabricate a whole log, so a receipt whose checkpoint key nothing vouches for
// is a negative verdict; "?allow_self_asserted=true" takes it for what it is,
// and the report still says identity self_asserted. Whoever trusts no server
// runs the same check on his own machine.
package server
