package telemetry

import (
	"errors"

	"github.com/terradourada/td/protocol"
)

// Cause is why a request was refused, more precisely than its code. It is for logs,
// metrics and detectors, never for the client: refusals that look alike outside have
// causes of their own.
type Cause uint8

// The causes. Each code has one that stands for it where no other was given; see
// [CauseOf].
const (
	NoCause Cause = iota
	Malformed
	Unauthenticated
	Forbidden
	NotFound
	UnknownClaim
	WrongInputs
	UnknownID
	WrongClient
	WrongTag
	ForeignEpoch
	Ended
	Late
	Replayed
	NullifierUsed
	Undecided
	MalformedProof
	FalseProof
	Disagreement
	ProverLate
	ProverWrong
	ProverWrongTag
	Held
	NoEpoch
	Behind
	Limited
	Overloaded
	Slow
	Gone
	Fault
	ForeignTag
	RepeatedAnchor
	causeEnd
)

// causes holds the stable name of each cause, and what it means.
var causes = [causeEnd]struct{ name, meaning string }{
	NoCause:         {"none", "the request was not refused"},
	Malformed:       {"malformed", "the request is not one of the protocol: syntax, size, media type, path"},
	Unauthenticated: {"unauthenticated", "no key, or a key that is not known, expired or revoked"},
	Forbidden:       {"forbidden", "the key or this server does not allow the operation"},
	NotFound:        {"not_found", "no such record"},
	UnknownClaim:    {"unknown_claim", "the server does not offer the claim, or not for this list"},
	WrongInputs:     {"wrong_inputs", "parameters, event or commitment do not give public inputs of the claim"},
	UnknownID:       {"unknown_id", "no request with this id is pending or remembered"},
	WrongClient:     {"wrong_client", "the request belongs to another client"},
	WrongTag:        {"wrong_tag", "the tag is not that of the request"},
	ForeignEpoch:    {"foreign_epoch", "the request belongs to an epoch that has ended or is not held here"},
	Ended:           {"ended", "the request was invalidated for another reason"},
	Late:            {"late", "the deadline has passed"},
	Replayed:        {"replayed", "the request, or its commitment, was accepted with another proof before"},
	NullifierUsed:   {"nullifier_used", "the member has answered in this scope before"},
	Undecided:       {"undecided", "another answer to the request is being decided"},
	MalformedProof:  {"malformed_proof", "the proof does not decode"},
	FalseProof:      {"false_proof", "the proof does not verify"},
	Disagreement:    {"disagreement", "the tagger refused a tag that the core holds for right"},
	ProverLate:      {"prover_late", "no prover returned a proof in time"},
	ProverWrong:     {"prover_wrong", "a prover returned a proof that does not verify, or none"},
	ProverWrongTag:  {"prover_wrong_tag", "a prover returned another tag"},
	Held:            {"held", "a hold covers the operation"},
	NoEpoch:         {"no_epoch", "no epoch is active, or the server stops"},
	Behind:          {"behind", "journal or log do not take more"},
	Limited:         {"limited", "the quota of the client or its network is used up"},
	Overloaded:      {"overloaded", "the server had no place for the request"},
	Slow:            {"slow", "the client sent or read too slowly"},
	Gone:            {"gone", "the client left before the answer"},
	Fault:           {"fault", "the server failed"},
	ForeignTag:      {"foreign_tag", "the tag is right, and the request belongs to another client"},
	RepeatedAnchor:  {"repeated_anchor", "the anchor or the id of the request was accepted before, which no client can cause"},
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
		return causes[c].name
	}
	return causes[Fault].name
}

// Served reports whether a request of this outcome has taken a place of the server, or has
// found none. Other requests were refused for what they are, or for a state of the server:
// they cost their sender next to nothing.
func (c Cause) Served() bool {
	switch c {
	case NoCause, FalseProof, Disagreement, ProverLate, ProverWrong, ProverWrongTag, Overloaded, Fault:
		return true
	default:
		return false
	}
}

// CauseNamed returns the cause with a stable name, [NoCause] if there is none.
func CauseNamed(name string) Cause {
	for _, c := range Causes() {
		if c.String() == name {
			return c
		}
	}
	return NoCause
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
	if c, ok := errors.AsType[*caused](err); ok {
		return c.cause
	}
	return ofCode[protocol.CodeOf(err)]
}
