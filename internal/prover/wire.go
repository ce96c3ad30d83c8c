package prover

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/protocol"
)

// Limits of what is sent, in bytes.
const (
	maxRequest = 16 << 10
	maxAnswer  = 4 << 10
	maxHeader  = 4 << 10
)

const (
	provePath   = "/v1/prove"
	healthPath  = "/healthz"
	posturePath = "/posture"
	contentType = "application/json"
)

// Job is one proof to be made. It holds private values: see [claim.Assignment].
type Job struct {
	Claim      claim.ID
	Params     []byte // exact RFC 8785 form
	Commitment protocol.Commitment
	Inputs     []protocol.Element // x = [a, c, t, s1..sk]
	Assignment *claim.Assignment
	Tag        protocol.Tag
	Deadline   time.Time
}

// Format writes "redacted" for every verb and flag.
func (Job) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// Answer is what a prover returns. Nothing about it has been checked but its
// form.
type Answer struct {
	Proof []byte // protocol.ProofSize bytes
	Tag   protocol.Tag
	Took  time.Duration // without the wait for a prover
}

// Format writes "redacted" for every verb and flag.
func (Answer) Format(s fmt.State, verb rune) { protocol.Tag{}.Format(s, verb) }

// request is a job on the wire.
type request struct {
	Claim      string              `json:"claim"`
	Params     string              `json:"params"`
	Commitment protocol.Commitment `json:"commitment"`
	Inputs     []protocol.Element  `json:"inputs"`
	Assignment string              `json:"assignment"`
	Tag        string              `json:"tag"`
	TimeoutMS  int64               `json:"timeout_ms"`
}

// answer is an [Answer] on the wire.
type answer struct {
	Proof string `json:"proof"`
	Tag   string `json:"tag"`
}

// refusal is any other answer.
type refusal struct {
	Code   protocol.Code `json:"code"`
	Detail string        `json:"detail"`
}

// encodeJob is the body of the request for a job. It carries private values.
func encodeJob(j *Job, now time.Time) ([]byte, error) {
	assignment, err := j.Assignment.MarshalBinary()
	if err != nil {
		return nil, err
	}
	defer clear(assignment)
	return json.Marshal(request{
		Claim:      string(j.Claim),
		Params:     protocol.EncodeBase64(j.Params),
		Commitment: j.Commitment,
		Inputs:     j.Inputs,
		Assignment: protocol.EncodeBase64(assignment),
		Tag:        protocol.EncodeBase64(j.Tag[:]),
		TimeoutMS:  j.Deadline.Sub(now).Milliseconds(),
	})
}

// task is a job as the prover has it: parsed, and for a known claim.
type task struct {
	statement  *claim.Statement
	inputs     []protocol.Element
	assignment claim.Assignment
	tag        string
	timeout    time.Duration
}

// decodeTask reads the body of a request, strictly.
func decodeTask(body []byte) (*task, error) {
	var r request
	if err := protocol.DecodeStrict(body, protocol.JSONLimits{Size: maxRequest}, &r); err != nil {
		return nil, err
	}
	if r.TimeoutMS < 1 || r.TimeoutMS > protocol.MaxTTL {
		return nil, protocol.Fail(protocol.CodeMalformedRequest, "timeout_ms is out of range")
	}
	t := &task{inputs: r.Inputs, tag: r.Tag, timeout: time.Duration(r.TimeoutMS) * time.Millisecond}
	if err := new(protocol.Tag).UnmarshalText([]byte(r.Tag)); err != nil {
		return nil, err
	}
	if err := t.setStatement(&r); err != nil {
		return nil, err
	}
	private, err := protocol.DecodeBase64(r.Assignment)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	return t, t.assignment.UnmarshalBinary(private)
}

func (t *task) setStatement(r *request) error {
	id, err := claim.ParseID(r.Claim)
	if err != nil {
		return err
	}
	raw, err := protocol.DecodeBase64(r.Params)
	if err != nil {
		return err
	}
	params, err := claim.ParseParams(id, raw)
	if err != nil {
		return err
	}
	t.statement, err = claim.NewStatement(params, r.Commitment)
	return err
}

// decodeAnswer reads the body of a 200. Whatever is wrong with it is
// prover_bad_response.
func decodeAnswer(body []byte) (Answer, error) {
	var a answer
	if err := protocol.DecodeStrict(body, protocol.JSONLimits{Size: maxAnswer}, &a); err != nil {
		return Answer{}, badResponse("the prover's answer is malformed", err)
	}
	proof, err := protocol.DecodeBase64(a.Proof)
	if err != nil || len(proof) != protocol.ProofSize {
		return Answer{}, badResponse("the prover's answer holds no proof", err)
	}
	out := Answer{Proof: proof}
	if err := out.Tag.UnmarshalText([]byte(a.Tag)); err != nil {
		return Answer{}, badResponse("the prover's answer holds no tag", err)
	}
	return out, nil
}

func badResponse(detail string, cause error) error {
	return protocol.Wrap(protocol.CodeProverBadResponse, detail, cause)
}

// status is the HTTP status of a code.
func status(c protocol.Code) int {
	switch c {
	case protocol.CodeMalformedRequest:
		return http.StatusBadRequest
	case protocol.CodeNotFound, protocol.CodeUnknownClaim:
		return http.StatusNotFound
	case protocol.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case protocol.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case protocol.CodeStatementFalse:
		return http.StatusUnprocessableEntity
	case protocol.CodeOverloaded:
		return http.StatusServiceUnavailable
	case protocol.CodeProverTimeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
