// Package addcheckpoint is the client's side of C2SP tlog-witness v1.0.0: the request for
// a cosignature, and how a cosigner is asked for one. It holds no key. The server and the
// command that submits by hand use it, and package cosign answers with it.
//
// A request is a POST to /add-checkpoint below the URL of a cosigner. Its body is
//
//	old SIZE
//	HASH        up to 63 lines in base64, a consistency proof of RFC 6962
//
//	the checkpoint, a signed note
//
// with an empty line before the checkpoint. Numbers and base64 are canonical. The answer
// is 200 with signature lines, 409 of the type text/x.tlog.size with the size that the
// proof has to start from, or another status.
package addcheckpoint
