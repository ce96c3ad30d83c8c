// Package submit is the engine of "td submit": it gets a receipt for every event of
// an input and writes it to a directory. What it does there survives an interruption:
// the next run continues it, and no event is accepted twice.
//
// # Index
//
// The file td-submit.index.jsonl, mode 0600, says which receipt belongs to which line of
// which input. It is JSON Lines, and each receipt has one line, in the order in which they
// were written:
//
//	{"input": "…", "line": 7, "request_id": "…", "index": 19, "receipt": "…", "opening": "…"}
//
// input is the name of the input: its path as seen from the directory of the index, with
// slashes, "-" for standard input, or what --input-name says; "" if an earlier version
// submitted the event. line is the line in it, from 1, when the event was submitted.
// request_id is the id of the request and index the number of the leaf in the log.
// receipt and opening are names of files in the same directory. A later version may add
// members. No member has a value of an event.
//
// A line is on disk before its event is reported. The index follows the state (see
// state.go): when a run begins, a last line that was cut short by a crash is removed, and
// the line of every receipt that has none is added. So an index that is lost is written
// anew, in the order of the requests. A receipt that was moved or removed keeps its line.
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
	// InputName is the name under which the events of the input are recorded; "" is that
	// of the file. Events are compared with those of inputs of the same name only.
	InputName string
	Name      string              // pattern for the names of receipts; "" names them by request
	Check     bool                // only check the events; Dir and Trust are not used, and Server is not asked
	Dir       string              // of receipts, openings, index and state; made if it is not there
	Trust     *receipt.TrustStore // keeps the checkpoints, and the member list of the submission
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
	EqualTo *Place `json:"equal_to,omitempty"`          // an equal event of another input
}

// Place is where an event was in an earlier run.
type Place struct {
	Input string `json:"input"`
	Line  int    `json:"line"`
}

// Report is the outcome of a run, also of one that ended with an error.
type Report struct {
	Receipted int `json:"receipted"`                   // events that got their receipt in this run
	Earlier   int `json:"earlier"`                     // events that have one of an earlier run
	Refused   int `json:"refused"`                     // events that get none
	Unvouched int `json:"unvouched"`                   // of the receipts of this run
	Equal     int `json:"equal"`                       // of the receipts of this run, about events equal to one of another input
	Changed   int `json:"numbers_from_text,omitempty"` // events in which texts became numbers
	Checked   int `json:"checked,omitempty"`           // events that could be submitted, if they were only checked

	Origins  []string `json:"logs,omitempty"`     // logs whose checkpoints were recorded as believed, sorted
	Warnings []string `json:"warnings,omitempty"` // of all receipts, sorted

	FirstEqual Result `json:"-"` // the first about an event equal to one of another input
}

// Run submits every event of the input. An event that is refused for its own sake does
// not stop the others. After an error the same call with the same directory continues.
//
// All events of a file are checked before the first one is sent. Those of a stream are
// checked and sent one after the other.
func Run(ctx context.Context, o Options) (report Report, err error) {
	r := newRun(ctx, o)
	name := inputName(o.Dir, o.Input.Name, o.InputName)
	if r.names, err = parsePattern(o.Name, name); err != nil {
		return report, err
	}
	if r.input, err = within(ctx, func() (*input.Reader, error) { return input.Open(o.Input) }); err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, r.input.Close()) }()
	send := !o.Check
	if o.Check || r.input.Rewindable() {
		send, err = r.checkAll(ctx)
	}
	if send && err == nil {
		err = r.sendAll(ctx, name)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = fault.New(fault.Interrupted, "interrupted", "the same command goes on where this one stopped")
	}
	r.report.Origins, r.report.Warnings = slices.Sorted(maps.Keys(r.origins)), slices.Sorted(maps.Keys(r.warnings))
	return r.report, err
}

// sendAll submits every event of the input, which is recorded under a name.
func (r *run) sendAll(ctx context.Context, name string) (err error) {
	if r.Submission.List != nil {
		if err := r.Trust.AddList(r.Submission.List); err != nil {
			return err
		}
	}
	if r.state, err = openState(r.Dir, name); err != nil {
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
