package telemetry

import (
	"errors"

	"github.com/terradourada/td/protocol"
)

// Cause is why a request was refused, more precisely than its code. It is for logs,
// metrics and detectors, never for the client: what an answer hides from its client, a
// cause tells apart.
type Cause uint8

// The causes. Each code has one that stands for it where no other was given; see
// [CauseOf].
const (
	NoCause         Cause = iota
	Malformed             // the request is not one of the protocol: syntax, size, media type, path
	Unauthenticated       // no key, or a key that is not known, expired or revoked
	Forbidden             // the key or this server does not allow the operation
	NotFound              // no such record
	UnknownClaim          // the server does not offer the claim, or not for this list
	WrongInputs           // parameters, event or commitment do not give public inputs of the claim
	UnknownID             // no request with this id is pending or remembered
	WrongClient           // the request belongs to another client
	WrongTag              // the tag is not that of the request
	ForeignEpoch          // the request belongs to an epoch that has ended or is not held here
	Ended                 // the request was invalidated for another reason
	Late                  // the deadline has passed
	Replayed              // the request, or its commitment, was accepted with another proof before
	NullifierUsed         // the member has answered in this scope before
	Undecided             // another answer to the request is being decided
	MalformedProof        // the proof does not decode
	FalseProof            // the proof does not verify
	Disagreement          // the tagger refused a tag that the core holds for right
	ProverLate            // no prover returned a proof in time
	ProverWrong           // a prover returned a proof that does not verify, or none
	ProverWrongTag        // a prover returned another tag
	Held                  // a hold covers the operation
	NoEpoch               // no epoch is active, or the server stops
	Behind                // journal or log do not take more
	Limited               // the quota of the client or its network is used up
	Overloaded            // the server had no place for the request
	Slow                  // the client sent or read too slowly
	Gone                  // the client left before the answer
	Fault                 // the server failed
	causeEnd
)

var causeText = [causeEnd]string{
	NoCause: "none", Malformed: "malformed", Unauthenticated: "unauthenticated", Forbidden: "forbidden", NotFound: "not_found",
	UnknownClaim: "unknown_claim", WrongInputs: "wrong_inputs", UnknownID: "unknown_id", WrongClient: "wrong_client",
	WrongTag: "wrong_tag", ForeignEpoch: "foreign_epoch", Ended: "ended", Late: "late", Replayed: "replayed",
	NullifierUsed: "nullifier_used", Undecided: "undecided", MalformedProof: "malformed_proof", FalseProof: "false_proof",
	Disagreement: "disagreement", ProverLate: "prover_late", ProverWrong: "prover_wrong", ProverWrongTag: "prover_wrong_tag",
	Held: "held", NoEpoch: "no_epoch", Behind: "behind", Limited: "limited", Overloaded: "overloaded", Slow: "slow",
	Gone: "gone", Fault: "fault",
}

// Causes lists every cause but [NoCause].
func Causes() []Cause {
	all := make([]Cause, 0, causeEnd-1)
	for c := NoCause + 1; c < causeEnd; c++ {
		all = append(all, c)
	}
	return all
}

// String returns the stable name of the cause.
func (c Cause) String() string {
	if c < causeEnd {
		return causeText[c]
	}
	return causeText[Fault]
}

// ofCode holds the cause of each code where the refusal names none.
var ofCode = map[protocol.Code]Cause{
	protocol.CodeNone:                    NoCause,
	protocol.CodeMalformedRequest:        Malformed,
	protocol.CodeTooLarge:                Malformed,
	protocol.CodeUnsupportedMedia:        Malformed,
	protocol.CodeUnauthenticated:         Unauthenticated,
	protocol.CodeForbidden:               Forbidden,
	protocol.CodeNotFound:                NotFound,
	protocol.CodeMethodNotAllowed:        Malformed,
	protocol.CodeUnknownClaim:            UnknownClaim,
	protocol.CodeEventNotCanonicalisable: WrongInputs,
	protocol.CodeEventNotEncodable:       WrongInputs,
	protocol.CodeStatementFalse:          WrongInputs,
	protocol.CodeRateLimited:             Limited,
	protocol.CodeOverloaded:              Overloaded,
	protocol.CodeFrozen:                  Held,
	protocol.CodeDraining:                NoEpoch,
	protocol.CodeLedgerUnavailable:       Behind,
	protocol.CodeSubmissionRejected:      UnknownID,
	protocol.CodeAlreadyConsumed:         Replayed,
	protocol.CodeConflict:                Replayed,
	protocol.CodeNullifierUsed:           NullifierUsed,
	protocol.CodeExpired:                 Late,
	protocol.CodeInvalidated:             Ended,
	protocol.CodeProofRejected:           FalseProof,
	protocol.CodeProverTimeout:           ProverLate,
	protocol.CodeProverBadResponse:       ProverWrong,
	protocol.CodeProverTagMismatch:       ProverWrongTag,
	protocol.CodeInternal:                Fault,
}

// caused is an error with the cause of a refusal. It reads, unwraps and is answered as
// the error in it.
type caused struct {
	error
	cause Cause
}

// Unwrap returns the error without its cause.
func (c *caused) Unwrap() error { return c.error }

// Because returns an error with the cause of a refusal, which [CauseOf] reads. It
// changes neither the text nor the code of the error. It returns nil for nil.
func Because(cause Cause, err error) error {
	if err == nil {
		return nil
	}
	return &caused{err, cause}
}

// CauseOf returns the cause that was given to an error, otherwise that of its code.
func CauseOf(err error) Cause {
	var c *caused
	if errors.As(err, &c) {
		return c.cause
	}
	return ofCode[protocol.CodeOf(err)]
}
