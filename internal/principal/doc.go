// Package principal says who makes a request, and what they may do. It does no
// input or output; the time is an argument.
//
// A [Principal] is one of five: an anonymous client, a client with an API key, a
// local user whom the kernel names, the holder of a client certificate, or the core
// itself. [Principal.Actor] is the text by which audit rows name them.
//
// # API keys
//
// The text of a [Key] is 68 characters: "tdk_" and 64 of lower-case base32 (RFC 4648,
// a-z and 2-7) for 40 bytes: the key's id (5), the secret (32), and a checksum (3).
// The prefix and the fixed length let scanners of source code find a key. The checksum
// is the start of D("TD-V1-api-key-check", id, secret): a key that was cut off or
// mistyped is refused without a look into the registry.
//
// The text is shown once. What is stored is the id and SHA-256 of the text. A slow
// hash would not help: it protects passwords, which can be guessed, and the secret
// here is 256 random bits.
//
// # Timing
//
// [Registry.Authenticate] finds the record by the public id, and compares the digest in
// constant time. A malformed key, and one whose id is unknown, is compared with a
// record that matches none. All refusals are one error with one text.
package principal
