// Package server is the public HTTP listener: it decodes a request, calls the
// gate or a reader, and writes the answer or one row of the error table.
//
// # What is refused before anything is called
//
// The cheapest check is first; docs/overload.md lists all. The operations are in
// lanes, each with a number of slots; a request without a slot is answered
// overloaded at once. The slot is released while a body arrives, while a request
// waits, and while its answer leaves. Then come the quotas ([Config.Limits]), and
// for a challenge or an event whether its answer could be verified ([Gate]).
//
// Each operation names the media types it takes and the most bytes its body may
// have, which must have a Content-Length. It must begin at once, keep a least
// pace, and arrive within [Config.BodyTimeout]. Bodies that arrive, and long
// answers that leave, are bounded by their bytes, in all and of each source; one
// too many takes the room of the one that has been under way for longest. JSON
// bodies must pass protocol.DecodeStrict: what section 4 of docs/spec/td-1.md
// refuses in an event is refused in every body, and so are unknown, missing and
// null members. The number of connections is bounded too: one too many takes the
// place of the one that has been without work for longest, which a body that
// arrives is not. Paths that are not in their shortest form are not found, never
// redirected.
//
// The work on a request does not end when its client half-closes the connection.
// Only HTTP/1.1 is offered. The library answers what is no request of it by
// itself; the description of the API names these answers.
//
// A request for a host that [Config.Host] does not accept is forbidden.
// Nothing else depends on the Host header.
//
// # What an error looks like
//
// Every error is a problem document of at most api.MaxProblem bytes, built from
// the table in problem.go and the detail sentence of a protocol.Error. Nothing
// of the request is repeated in it. submission_rejected and internal have no
// detail at all. Each request is reported once ([Config.Observe]), with a cause that
// its answer does not show.
//
// # huma
//
// The OpenAPI description and the routes come from one table of operations, the
// description by way of huma. Its router adapter, request binding, validation,
// content negotiation, error writer and documentation pages are not used: they
// cost every request something, amplify errors, accept
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
