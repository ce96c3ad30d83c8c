// Package probe is the engine of "td probe": it makes one whole request against a server,
// as a client would, and measures its parts.
//
//	issue    commit to an event and ask for a challenge; check the challenge
//	prove    make the proof, on this machine
//	send     send the proof; the server decides
//	receipt  wait for the receipt; check that it is about this request
//	record   compare the checkpoint with those that are known, and record it
//	verify   verify the receipt without any network
package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// Probe makes requests against one server.
type Probe struct {
	Server *remote.Server
	Claim  claim.ID
	Prover client.Prover
	Wait   time.Duration   // for the receipt
	Verify receipt.Options // Trust keeps the checkpoints
}

// The states of a part.
const (
	OK      = "ok"
	Failed  = "failed"
	Skipped = "skipped"
)

// Part is one part of a request.
type Part struct {
	Name  string  `json:"part"`
	State string  `json:"state"`
	Took  float64 `json:"took_ms"`
}

// Report is the outcome of one request.
type Report struct {
	OK        bool                `json:"ok"`
	At        time.Time           `json:"at"`
	Claim     claim.ID            `json:"claim"`
	RequestID *protocol.RequestID `json:"request_id,omitempty"`
	Index     *uint64             `json:"index,omitempty"`
	Parts     []Part              `json:"parts"`
	Took      float64             `json:"took_ms"`
	Failed    string              `json:"failed,omitempty"` // the part
	Code      string              `json:"code,omitempty"`   // of the refusal, if it was one
	Error     string              `json:"error,omitempty"`
	Exit      int                 `json:"exit_code"`

	Err error `json:"-"`
}

// state is one request under way.
type state struct {
	*Probe
	draft     *client.Draft
	challenge *api.Challenge
	proof     []byte
	accepted  *client.Accepted
	receipt   *receipt.Receipt
}

// Names lists the parts in their order.
func Names() []string {
	var all []string
	for _, p := range new(state).parts() {
		all = append(all, p.name)
	}
	return all
}

// part is a step and its name.
type part struct {
	name string
	run  func(context.Context) error
}

func (s *state) parts() []part {
	return []part{{"issue", s.issue}, {"prove", s.prove}, {"send", s.send}, {"receipt", s.fetch}, {"record", s.record}, {"verify", s.verify}}
}

// Run makes one request. What fails is in the report; the parts after it are skipped.
func (p *Probe) Run(ctx context.Context) *Report {
	s := &state{Probe: p}
	r := &Report{OK: true, At: time.Now().UTC().Truncate(time.Millisecond), Claim: p.Claim}
	begun := time.Now()
	for _, step := range s.parts() {
		if !r.OK {
			r.Parts = append(r.Parts, Part{Name: step.name, State: Skipped})
			continue
		}
		from := time.Now()
		err := step.run(ctx)
		done := Part{Name: step.name, State: OK, Took: millis(time.Since(from))}
		if err != nil {
			done.State = Failed
			r.fail(step.name, err)
		}
		r.Parts = append(r.Parts, done)
	}
	r.Took = millis(time.Since(begun))
	if s.challenge != nil {
		r.RequestID = &s.challenge.RequestID
	}
	if s.accepted != nil {
		r.Index = &s.accepted.Index
	}
	return r
}

// fail records the part that failed and why.
func (r *Report) fail(name string, err error) {
	f := fault.Of(err)
	r.OK, r.Failed, r.Error, r.Exit, r.Err = false, name, f.What, f.Exit, err
	if f.Code != protocol.CodeNone {
		r.Code = f.Code.String()
	}
}

// millis returns a duration in milliseconds, in whole microseconds.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *state) issue(ctx context.Context) (err error) {
	example := claim.Describe(s.Claim)
	sub := &client.Submission{Claim: s.Claim, Params: []byte(example.Params), Event: []byte(example.Event)}
	if s.draft, err = client.NewDraft(sub, protocol.Element{}); err != nil {
		return err
	}
	if s.challenge, err = s.Server.Challenge(ctx, s.draft.Request()); err != nil {
		return s.Server.Failure(ctx, err)
	}
	if _, err = s.draft.Check(s.challenge, s.Server.ClientID()); err != nil {
		return fault.New(fault.Negative, err.Error(), remote.DoNotRely)
	}
	return nil
}

func (s *state) prove(ctx context.Context) (err error) {
	s.proof, err = s.draft.Prove(ctx, s.Prover, s.challenge, s.Server.ClientID())
	return err
}

func (s *state) send(ctx context.Context) (err error) {
	s.accepted, err = s.Server.Send(ctx, s.challenge.RequestID, s.challenge.Tag, s.proof, 0)
	return s.Server.Failure(ctx, err)
}

func (s *state) fetch(ctx context.Context) (err error) {
	if s.receipt, err = s.Server.Receipt(ctx, s.challenge.RequestID, s.Wait); err != nil {
		return s.Server.Failure(ctx, err)
	}
	leaf, err := protocol.ParseLeaf(s.receipt.Leaf)
	if err == nil {
		err = client.CompareLeaf(&leaf, s.challenge, s.accepted)
	}
	if err != nil {
		return fault.New(fault.Negative, fmt.Sprintf("the receipt is not about this request: %v", err), remote.DoNotRely)
	}
	return nil
}

func (s *state) record(ctx context.Context) error {
	cp, err := s.receipt.Checkpoint()
	if err != nil {
		return fault.New(fault.Negative, "the server sent a receipt that does not verify: "+remote.Detail(err), remote.DoNotRely)
	}
	err = receipt.RecordCheckpoint(ctx, cp, s.Verify, client.NewLog(s.Server.Client), s.Server.Source(), time.Now())
	if bad := new(receipt.NegativeError); errors.As(err, &bad) {
		return fault.New(fault.ExitOfVerdict(bad.Verdict), bad.Error(), remote.AdviceOnReceipt(bad, s.Server))
	}
	return s.Server.Failure(ctx, err)
}

// verify verifies the receipt against what is recorded. The options name no log that could
// be read, so nothing is sent.
func (s *state) verify(ctx context.Context) error {
	if report := receipt.Verify(ctx, s.receipt, s.Verify); !report.OK {
		return fault.New(fault.ExitOfVerdict(report.Verdict), fmt.Sprintf("the receipt is %s: step %s", report.Verdict, report.FailedStep), "td verify says why")
	}
	return nil
}
