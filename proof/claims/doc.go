// Package claims has the first claims of suite 2 at the level of elements: what is
// committed to, what a proof shows, and the circuits. docs/spec/suite-2.md
// describes them. Events, params and pointers are not here yet.
//
//   - [Open]: I know e and r behind cm = C(C(e, r), T).
//   - [RecordRange]: leaf number Field of the record of 8 values behind cm is an
//     integer in [Lo, Hi].
//   - [Member]: I hold the secret of a member of a list, and Nullifier is mine
//     for this scope. The list is a Merkle tree of public depth.
//
// A proof shows one statement, or up to 64 of one claim with one field or depth,
// which is shorter. A [Suite] compiles a circuit when it is first needed, which takes milliseconds,
// and keeps it. What is public about a circuit, as the field of a record and the
// depth of a list, is part of the circuit and so of its digest.
package claims
