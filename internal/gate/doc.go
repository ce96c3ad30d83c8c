// Package gate opens, accepts and pushes requests. It owns the order of section 10 of
// docs/spec/td-1.md and declares the small interfaces of the services that it needs.
//
// The lifecycle of a request is [lifecycle.Step]. The gate finds out the facts,
// applies them as events, and carries out the effects:
//
//	Open    params, statement -> hold? place? epoch? -> tagger -> signer -> session
//	Accept  session, client, tag -> redeem -> verify, place in the issued tree -> journal -> index
//	Push    event -> commitment -> Open -> prover -> verify -> Accept
//	Receipt journal row -> published checkpoint -> proofs of inclusion
//
// One loop applies the events of a session, and one switch carries out the effects:
// see effects.go. A call that has claimed a session decides it, even if its client
// disconnects.
//
// The costly work, that of the keyholders for a challenge and the verification of a
// proof, is done in places, one for each processor, with one queue before them. Several
// challenges share a place. An answer takes its place before anything is consumed, and
// what needs none, such as a wrong tag, does not wait for one. Challenges are paced to
// what can be verified: see docs/overload.md.
//
// docs/life-of-an-event.md has the same steps with what survives a crash between them.
package gate
