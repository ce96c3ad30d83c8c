// Package client is the Go SDK: it commits to an event, asks for a challenge,
// checks it, proves, answers and fetches the receipt.
//
// [Client.Submit] is the whole pull flow; the event never leaves the process. For the
// same in steps, across files or devices, make a [Draft] and use [Client.Challenge],
// [Draft.Check], [Draft.Prove] and [Client.Send]. [Client.Push] sends the event to the
// provers of the operator instead.
//
// # Trust
//
// The server is not trusted. [CheckChallenge] recomputes everything about a challenge
// that the client can know, and refuses one that differs before anything is proved.
// Package receipt verifies receipts and needs no server for it. [NewLog] and
// [NewLogDir] read the files of a log and make proofs, which package receipt verifies.
//
// # Live
//
// A checkpoint shows whose log it is only if the server itself sent it. [Client.Live] returns nil if every connection so far was
// authenticated:
//
//   - https: the certificate was verified, which this client never leaves out;
//   - http to localhost or a loopback address, on Linux: the kernel shows that the listening
//     socket there belongs to root, to the own user or to [Config].ServerUID,
//     both before and after the connection was made.
//
// Everything else is not live: http to another machine or through a proxy, a port on
// loopback where another user listens, a transport of the caller.
// [Client.Source] is what receipt.TrustStore takes with a checkpoint; the trust
// store binds a log to its server only by live reads. [Config].LiveOnly refuses
// other connections before anything is sent.
//
// # Errors
//
// An error answer is a [*Problem]; errors.Is(err, protocol.CodeFrozen) works.
// Texts of a problem are cut to printable characters. An answer about something else than
// was asked holds a [*DiffersError], which shows both. Other errors come from the
// network or say what a server's answer lacked ([ErrAnswer], [ErrChallenge]).
//
// An event or parameters that are refused here are a [*claim.Refusal]. Its Error holds
// no values and may be logged; its Explain names pointer, value and rule.
//
// # Retries
//
// Retryable answers with status 429 and 503 are retried after the time that they name,
// or after a growing pause with jitter, until [Config].Retries or the end of the context.
// If the time is longer than [Config].MaxPause, the problem is returned with its
// RetryAfter. After a failed connection only idempotent requests are retried: reads, and
// [Client.Send]. Redirects are never followed, because the request may carry a tag.
package client
