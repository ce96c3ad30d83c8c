// Package attack holds no code, only tests: they attack real servers with bounded load,
// and measure what the attack costs the others. "make attack" runs them; without
// TD_ATTACK they are skipped.
//
// # Parts
//
//   - limiter: TestLimiterGate of internal/limit, in virtual time.
//   - uniformity: answers to an unknown id, with a wrong tag, to another client's request,
//     to one of an epoch that has ended and to one of the server before its restart are
//     the same bytes, and take the same time.
//   - overload: ten times the load that the server can complete, with constant and with
//     random think times, beside one quiet client with an API key.
//   - floods: wrong tags, unknown ids, malformed proofs, slow bodies, slow readers and
//     half-closed connections, from one address and from 10,000, beside one honest
//     client.
//
// # How capacity is measured
//
// The server with its children is bound to one processor and this process to another.
// An exchange is a challenge and its answer. Nine of ten answers have the right tag and
// a well-formed proof of another statement, which costs a full verification; the tenth
// is a real proof, made beforehand for a request with a long lifetime. An exchange is
// completed when its answer is decided: accepted, or refused after the verification.
// Capacity is what some clients complete a second that begin the next exchange as soon
// as one has ended. The overload offers ten times as many, on a schedule that does not
// wait for answers; the number of outstanding requests is bounded. A challenge is lost
// if its client sent an answer that was not decided. Nothing is sent again. A server that
// paces its challenges uses less than the whole processor for its capacity; the result says
// how much.
//
// The quiet client has a computer of its own in reality. Its thread therefore runs before
// the load on their processor, without load as under it; that of the server has no such
// help. The load is compared with the better of two measurements without it, because
// other work of the machine slows an idle server down more than a busy one: each of the
// wake-ups of its processes waits for that work.
//
// A short run has both kinds of think times at once. It takes one second and measures too
// little for the figures: half of the capacity is enough, and the times of the quiet client
// are only printed.
//
// # How times are compared
//
// One connection sends the kinds of answers in random order. Every kind has as many
// samples. Samples above the median of all kinds are dropped, then Welch's t is
// computed for each pair, as dudect does. Times are different if |t| is 4.5 or more. A
// control has one kind do more work on purpose, and must be detected.
//
// # Addresses
//
// As root the whole run is in a network namespace of its own, in which 10.0.0.0/8 and
// 2001:db8::/48 are addresses of this machine, so that a source can be any of them.
// Elsewhere these floods are left out, and the result names them. No packet leaves the
// machine.
package attack
