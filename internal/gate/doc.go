// Package gate is the machine: Open, Prove and Accept. It owns the order of
// section 10 of docs/spec/td-1.md and declares the small interfaces it needs of
// the organs around it.
//
// A request's lifecycle is [lifecycle.Step]; the functions here find out the
// facts, put them to it as events and carry out the effects that come back:
//
//	Open    params, statement -> hold? place? epoch? -> tagger -> signer -> session
//	Accept  session, client, tag -> redeem -> verify, place in the issued tree -> journal -> index
//	Push    event -> commitment -> Open -> prover -> verify -> Accept
//	Receipt journal row -> published checkpoint -> proofs of inclusion
//
// docs/life-of-an-event.md has the same steps with what survives a crash
// between them. Whoever wins a session goes on to the end whatever becomes of
// the client that asked.
package gate
