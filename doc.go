// Package td is the module of Terra Dourada, a server that turns a private event into
// a zero-knowledge proof. Anyone can check the proof later, offline; no key remains
// that could forge one. The package itself holds no code.
//
// Begin with README.md and "make demo". The protocol is TD/1, docs/spec/td-1.md.
//
// # Which package to read
//
// A developer who submits events from Go reads:
//
//   - client: commits to an event, asks for a challenge, proves, answers, and fetches
//     the receipt.
//   - claim: what can be proved about an event, and the form of its parameters.
//   - api: the requests and answers of the HTTP interface, for other languages too;
//     docs/openapi.json describes the same.
//
// An auditor or a verifier reads:
//
//   - receipt: verifies one receipt with no server, and keeps the trust store that
//     says whose logs are believed.
//   - audit: checks every entry of a log against its rules.
//   - protocol: the values that travel and last, byte for byte.
//
// An operator needs no Go: cmd/td is the whole program, docs/operate.md runs it, and
// docs/reference lists its commands, settings and errors.
//
// A developer of the server begins with docs/life-of-an-event.md. The packages below
// internal are the server's and the command's parts. floors_test.go lists them from
// the bottom up: a package imports lower floors only.
package td
