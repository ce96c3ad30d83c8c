// Package claims has the claims of suite 2: what is committed to, what a proof shows, and
// the circuits. docs/spec/suite-2.md describes them to the byte. proof/ts has them a second
// time, in TypeScript; make suite2 compares both.
//
// The holder of an event reads the parameters ([ParseParams]), draws a blind ([NewBlind])
// and commits ([Commit]). The witness is bound to the session of a challenge
// ([Witness.In]) and proved ([Suite.Prove]). A verifier makes the statement from the
// parameters and the commitment ([Params.Statement]) and calls [Suite.Verify] with it and
// the session. Where a session comes from is not checked here.
//
//   - [Open]: I know e and r behind cm = C(C(e, r), T).
//   - [Range]: each of up to 7 values behind cm lies in its own interval.
//   - [Sum]: the sum of up to 14 values behind cm lies in an interval.
//   - [RecordRange], [RecordEquals], [RecordOneOf]: one field of the record of 8
//     values behind cm is an integer in an interval, a public value, or one of 8.
//   - [Member]: I hold the secret of a member of a list, and Nullifier is mine
//     for this scope. The list is a Merkle tree of public depth.
//   - [Series]: each of up to 1,024 readings behind cm lies in one interval, and
//     their sum in another one. The count is public.
//
// A proof shows one statement, or up to 64 with the same circuit, which is shorter.
// A [Suite] compiles a circuit when it is first needed, which takes milliseconds, and
// keeps it. What is public about a circuit, as the field of a record, the depth of a
// list or the number of values, is part of the circuit and so of its digest.
package claims
