// Package submit is the engine of "td submit": it gets a receipt for every event of
// an input and writes it to a directory. What it does there survives an interruption:
// the next run continues it, and no event is accepted twice.
package submit

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/receipt"
)

// Options say what is submitted, to which server, and where the receipts are kept.
type Options struct {
	Server     *remote.Server
	Submission client.Submission // everything but the event
	Push       bool              // the server proves
	Input      input.Options
	Check      bool                // only check the events; Dir and Trust are not used, and Server is not asked
	Dir        string              // of receipts, openings and the state; made if it is not there
	Trust      *receipt.TrustStore // keeps the checkpoints, and the member list of the submission
	// AllowSelfAsserted also keeps receipts of a log that nothing vouches for.
	AllowSelfAsserted bool

	Total func(events int)   // called once for a file, before the first event is sent
	Print func(Result) error // called once for each event, also concurrently; its error ends the run
}

// Result is the outcome of one event.
type Result struct {
	Line    int    `json:"line"`
	Request string `json:"request_id,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	Receipt string `json:"receipt,omitempty"` // path
	Opening string `json:"opening,omitempty"` // path
	Earlier bool   `json:"earlier,omitempty"` // by an earlier run
	Code    string `json:"code,omitempty"`    // why there is no receipt
	Detail  string `json:"detail,omitempty"`
	Numbers int    `json:"numbers_from_text,omitempty"` // texts that became numbers
}

// Report is the outcome of a run, also of one that ended with an error.
type Report struct {
	Receipted int // events that got their receipt in this run
	Earlier   int // events that have one of an earlier run
	Refused   int // events that get none
	Unvouched int // of the receipts of this run
	Changed   int // events in which texts became numbers
	Checked   int // events that could be submitted, if they were only checked

	Origins  []string // logs whose checkpoints were recorded as believed, sorted
	Warnings []string // of all receipts, sorted
}

// Run submits every event of the input. An event that is refused for its own sake does
// not stop the others. After an error the same call with the same directory continues.
//
// All events of a file are checked before the first one is sent. Those of a stream are
// checked and sent one after the other.
func Run(ctx context.Context, o Options) (report Report, err error) {
	r := newRun(ctx, o)
	if r.input, err = within(ctx, func() (*input.Reader, error) { return input.Open(o.Input) }); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, r.input.Close()) }()
	send := !o.Check
	if o.Check || r.input.Rewindable() {
		send, err = r.checkAll(ctx)
	}
	if send && err == nil {
		err = r.sendAll(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fault.New(fault.Interrupted, "interrupted", "the same command goes on where this one stopped")
	}
	r.report.Origins, r.report.Warnings = slices.Sorted(maps.Keys(r.origins)), slices.Sorted(maps.Keys(r.warnings))
	return r.report, err
}

// sendAll submits every event of the input.
func (r *run) sendAll(ctx context.Context) (err error) {
	if r.Submission.List != nil {
		if err := r.Trust.AddList(r.Submission.List); err != nil {
			return err
		}
	}
	if r.state, err = openState(r.Dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.state.close()) }()
	return r.run(ctx)
}

// NewProver returns a prover for the claim of a submission alone.
func NewProver(s *client.Submission) (*claim.Prover, error) {
	if s.Claim != claim.Group {
		return claim.NewProver(s.Claim)
	}
	p, err := claim.NewProver(claim.Open) // none at all would mean all six
	if err != nil {
		return nil, err
	}
	return p, p.AddList(s.List)
}
