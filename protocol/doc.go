// Package protocol holds the values of TD/1 that travel and last: the payload,
// its derivations, the leaves of the log and the codes.
//
// Everything here is pure: no I/O, no clock, no randomness, no secrets, no
// goroutines. The normative text is docs/spec/td-1.md; section numbers in
// comments refer to it.
//
// # Text forms
//
// Identifiers (request, epoch, instance, list), members and nullifiers are
// lower-case hexadecimal of their exact length in JSON. Every other binary
// value is base64url without padding. A text whose unused trailing bits are
// not zero is refused, so that each value has one text.
//
// # Field elements
//
// [Element] and the types derived from it hold canonical 32-byte big-endian
// values of the BLS12-381 scalar field; anything not below the modulus is
// refused by the parsers, never reduced.
//
// # JSON
//
// [Canonicalize] returns the one form of an event. [CheckJSON] and
// [DecodeStrict] read request bodies under the same strict rules. A refusal is
// a keyword and a byte offset; it never holds what was sent.
package protocol
