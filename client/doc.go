// Package client is the Go SDK: it commits to an event, asks for a challenge,
// checks it, proves, answers and fetches the receipt.
//
// [Client.Submit] is the whole pull flow; the event never leaves the process.
// For the same in steps, across files or devices, make a [Draft] and use
// [Client.Challenge], [Draft.Check], [Draft.Prove] and [Client.Send].
// [Client.Push] hands the event to the operator's provers instead.
//
// # What is not believed
//
// A server can lie. [CheckChallenge] recomputes everything about a challenge
// that the client can know and refuses one that differs before anything is
// proved. What a receipt is worth is the question of package receipt, which
// needs no server; [NewLog] and [NewLogDir] read the log's files and make the
// proofs it asks for, which it verifies.
//
// # Live
//
// A checkpoint that a client reads says whose log it is only if the server
// itself answered. [Client.Live] returns nil if every connection so far was
// authenticated:
//
//   - https: the certificate was verified, which this client never leaves out;
//   - http to localhost or a loopback address, on Linux: the kernel shows that the listening
//     socket there belongs to root, to the own user or to [Config].ServerUID,
//     both before and after the connection was made.
//
// Everything else is not live: http to another machine or through a proxy, a
// port of loopback that another user holds, a transport of the caller's.
// [Client.Source] is what receipt.TrustStore takes with a checkpoint; the trust
// store binds a log to its server only by live reads. [Config].LiveOnly refuses
// other connections before anything is sent.
//
// # Errors
//
// An error answer is a [*Problem]; errors.Is(err, protocol.CodeFrozen) works.
// Texts of a problem are cut to printable characters. Other errors come from the
// network or say what a server's answer lacked ([ErrAnswer], [ErrChallenge]).
//
// # Retries
//
// Answers 429 and 503 that say so are tried again, after the time they name or
// after a growing pause with jitter, until the count of [Config] or the context
// ends. A longer time than [Config].MaxPause is not waited for: the problem is
// returned with its RetryAfter. A connection that fails is tried again only where
// the same request twice means the same: reads, and [Client.Send]. Redirects are
// never followed: the request may carry a tag.
package client
