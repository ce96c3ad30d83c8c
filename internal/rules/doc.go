// Package rules has the native rules of claims that depend on no proof system: how
// parameters are read, which values of an event they name, and which integers, texts and
// literals these are. It is section 6 of docs/spec/td-1.md without its field elements.
//
// Package claim turns the results into elements for PLONK, package proof/claims into those
// of suite 2. An event that one of them encodes is therefore encoded by the other.
//
// [Parse] reads parameters. Each claim has a type, whose method Encode returns what the
// claim says of an event, and whose method Falsity says why an event does not satisfy it.
// Both take the event in canonical form, see [CheckEvent].
//
// Errors have the codes malformed_request, for parameters, and event_not_encodable. Their
// text holds nothing of the input; a [Refusal] has a second one for the holder of the input.
package rules
