// Package claim defines what can be proved about an event, and makes and
// verifies the proofs. It is sections 5 and 6 of docs/spec/td-1.md, to which
// section numbers in comments refer.
//
// A claim ([ID]) is a circuit and a native rule. The rule reads public
// parameters ([ParseParams]) and derives from them and from the commitment to
// an event the public values of a [Statement]; claim id, parameters and
// commitment are all it depends on. The circuit shows, for these public values,
// that the prover knows the opening of the commitment ([Commit]) and that the
// claim holds for it. The same rule is applied when a challenge is issued, when
// a proof is accepted, and when a receipt is verified years later.
//
// # From an event to a proof
//
// The holder of an event prepares it with the parameters ([Prepare]), draws a blind
// ([NewBlind]) and commits:
//
//	p, err := Prepare(id, params, event)
//	cm, assignment, err := Commit(p.Params(), p.Event(), NewBlind())
//	statement, err := NewStatement(p.Params(), cm)
//	err = statement.Check(assignment)
//
// Once a challenge has supplied anchor, context and tag, [Prover.Prove] makes
// the proof over [Statement.Inputs], and [Verify] checks it under the claim's
// [VerifyingKey].
//
// # Parameters
//
// Parameters are a JSON object whose bytes equal its RFC 8785 form, at most 2
// KiB, with exactly the members of the claim:
//
//	open/1           {}
//	range/1          offset, scale, values: 1 to 7 of {at, hi, lo}
//	sum/1            at: 1 to 14 pointers, hi, lo, scale
//	record-range/1   field, hi, lo, offset, scale, schema: 1 to 8 pointers
//	record-equals/1  field, offset, scale, schema, value
//	record-oneof/1   field, offset, scale, schema, values: 1 to 8
//	group/1          list, name, nullifier, scope
//
// Pointers are JSON Pointers in strict form and all different. A number x of
// the event or of the parameters becomes the integer x·10^scale + offset by
// exact decimal arithmetic; one that is not exact or out of range is refused. A
// bound of record-range/1 that no JSON number can hold exactly, such as 2^64-1,
// is a text with a plain decimal. The claimed field of a record, and the values
// that it is compared with, are numbers, texts, true, false or null.
//
// # Errors
//
// Refusals have these codes. malformed_request: parameters, lists and secrets
// that break a rule. unknown_claim: unknown claims. event_not_encodable:
// events without an encoding. statement_false: assignments that do not satisfy
// their statement. proof_rejected: proofs that are malformed or false.
//
// The text of an error holds nothing of the event or of the parameters. A
// [Refusal] inside has a second text with pointer, value and rule, for the
// holder of the event alone: servers never ask for it.
//
// # Proposals
//
// [Propose] makes parameters of sample events. Their bounds are a guess, because
// a claim shows something only if its bounds were agreed on before the values.
//
// # Secrets
//
// An [Assignment] and a [MemberSecret] print as "redacted" in every way. They
// live in ordinary memory: the Go heap of the client, or of the prover in push
// mode.
package claim
