// Package prover is the prover process and the core's side of it (section 9,
// push). A prover receives a claim, its public inputs, the private assignment and
// the tag, and returns a proof and the tag. It decides nothing: the core verifies
// the proof and compares the tag.
//
// # Protocol
//
// HTTP/1.1 over a Unix socket whose two ends are of one user.
//
//	POST /v1/prove   {"claim","params","commitment","inputs","assignment","tag","timeout_ms"}
//	                 200 {"proof","tag"}
//	GET  /healthz    204 once circuits and keys are loaded
//	GET  /posture    200 and the text of the process's posture (see sandbox)
//
// params are the exact bytes and assignment is the binary form of
// [claim.Assignment]; both, the proof and the tag are base64url, as field
// elements are. All members are required and no others allowed. timeout_ms is
// what is left of the job's time when it is sent, so that no two clocks are
// compared. Any other status than 200 comes with {"code","detail"}, the code
// one of section 14: malformed_request 400, unknown_claim 404, not_found 404,
// method_not_allowed 405, too_large 413, statement_false 422, internal 500,
// overloaded 503, prover_timeout 504.
//
// Requests are at most 16 KiB, answers 4 KiB.
//
// # Processes
//
// [Pool] keeps one local prover running: the same binary started again, with
// an empty environment and one socket. Connections to it are not made by
// name. Each is a socket pair of which the core sends one end over that one
// socket, so that nothing else on the machine can reach the prover. Before the first
// of them it drops everything else: files, new sockets, other programs (package
// sandbox). Its descriptors are 0 to 2, /dev/null, that socket,
// the connections and the two of the runtime's poller. It ends when the core
// does. [Serve] also serves an ordinary listener, for a prover that is run by
// hand.
//
// [Client] is the side of the core.
package prover
