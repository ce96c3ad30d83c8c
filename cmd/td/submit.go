package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/api"
	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/client"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
	"github.com/terradourada/td/receipt"
)

// submitFlags are the flags of "td submit".
type submitFlags struct {
	*subject
	server, serverUser, out, trust *string
	push, selfAsserted             *bool
	progress, output               *choice
}

func submitCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit --claim ID --out DIR INPUT",
		Short: "Get receipts for events",
		Long: `Commits to each event of INPUT, asks the server for a challenge, proves, answers,
and writes the receipt. The event never leaves this machine, unless --push lets
the server prove; then its prover sees the event.

INPUT is a file, or - for standard input. It holds one event, a JSON object, or
one on each line: the latter if its name ends in .jsonl or .ndjson, or if its
first line is a whole object and not the only one.

For each event DIR gets REQUEST.receipt.json, which anyone may see, and
REQUEST.opening, which only its owner can read and which discloses the event.
The checkpoint of every receipt is recorded in the trust store as read live from
this server, so that td verify needs no server later. The first one binds the
server to its log; another log of this server is refused then.

So the server must be the right one: it is reached by https, or it is on this
machine and root, you or --server-user holds the port. Nothing is sent to any
other. --allow-self-asserted sends all the same; receipts are unvouched then, and
td verify does not accept them without the same flag or td trust add.

An interrupted run is continued by running the same command again: events that
have their receipt are passed over, answers that may have arrived are asked
after, and no event is accepted twice. So an event that was submitted to DIR
before is not submitted again; give another DIR if it should be. With --push
there is a gap: if the server's first answer about an event is lost, only the
server knows of it, and the event is submitted anew.

An event that does not satisfy the claim, or has no encoding under it, is
reported with its line and does not stop the others; the exit code is then 3. A
receipt that should not be relied on ends the run with 3, 10 or 11, as td verify
does, and is kept as REQUEST.refused.json.`,
		Example: `  td submit --claim open/1 --out receipts event.json
  td submit --claim range/1 --params params.json --out receipts readings.jsonl
  td submit --member me.secret --list board.json --scope board/2026-11 --out votes vote.json`,
		Args: oneArg("INPUT"),
	}
	f := submitFlags{subject: subjectFlags(cmd), server: serverFlag(cmd), serverUser: serverUserFlag(cmd), trust: trustFlag(cmd)}
	f.selfAsserted = selfAssertedFlag(cmd)
	f.out = cmd.Flags().String("out", "receipts", "directory for receipts and openings; made if it is not there")
	f.push = cmd.Flags().Bool("push", false, "let the server prove; its prover sees the events")
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.submit(cmd.Context(), &f, args[0]) }
	return cmd
}

// submit gets a receipt for every event of the input.
func (a *app) submit(ctx context.Context, f *submitFlags, input string) (err error) {
	r, err := a.newSubmitRun(f)
	if err != nil {
		return err
	}
	if r.input, err = within(ctx, func() (*events, error) { return openEvents(input, a.stdin) }); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.input.close()) }()
	if r.state, err = openState(*f.out); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.state.close()) }()
	r.met = sync.OnceValue(func() error { return r.meet(ctx) })
	r.progress.Expect(r.input.total)
	err = r.run(ctx)
	r.progress.Finish()
	r.summarize(a.stderr, time.Now())
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fault.New(fault.Interrupted, "interrupted", "the same command goes on where this one stopped")
	}
	return r.verdict(err)
}

// newSubmitRun reads what the flags name; nothing is written yet but the member
// list into the trust store.
func (a *app) newSubmitRun(f *submitFlags) (*submitRun, error) {
	sub, err := f.load()
	if err != nil {
		return nil, err
	}
	if *f.push && sub.Claim == claim.Group {
		return nil, fault.New(fault.Usage, "group/1 is proved by its member only", "leave --push out")
	}
	server, err := remote.DialLive(*f.server, *f.serverUser, *f.selfAsserted)
	if err != nil {
		return nil, err
	}
	trust, err := remote.OpenTrust(*f.trust)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := &submitRun{
		server: server, template: *sub, push: *f.push, dir: *f.out, start: now,
		trust: trust, log: client.NewLog(server.Client),
		progress: termui.NewProgress(a.stderr, f.progress.value, "submit", now),
		stdout:   a.stdout, stderr: a.stderr, asJSON: f.output.value == "json",
		origins: map[string]bool{}, warnings: map[string]bool{},
	}
	r.verify.AllowSelfAsserted = *f.selfAsserted
	r.prepare(sub)
	return r, trustList(trust, sub.List)
}

// trustList keeps the list that the member has named, so that receipts of the
// claim verify on this machine without it.
func trustList(trust *receipt.TrustStore, l *claim.List) error {
	if l == nil {
		return nil
	}
	return trust.AddList(l)
}

// submitted is what is printed about one event.
type submitted struct {
	Line    int    `json:"line"`
	Request string `json:"request_id,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	Receipt string `json:"receipt,omitempty"` // path
	Opening string `json:"opening,omitempty"` // path
	Earlier bool   `json:"earlier,omitempty"` // by an earlier run
	Code    string `json:"code,omitempty"`    // why there is no receipt
	Detail  string `json:"detail,omitempty"`
}

// tell prints one event: an object or a line of the table on standard output,
// and refusals on standard error for people.
func (r *submitRun) tell(s submitted) error {
	now := time.Now()
	defer r.progress.Step(now)
	return r.progress.Print(func() error {
		if r.asJSON {
			return json.NewEncoder(r.stdout).Encode(s)
		}
		if s.Code != "" {
			_, err := fmt.Fprintf(r.stderr, "line %d: %s (%s)\n", s.Line, s.Detail, s.Code)
			return err
		}
		if !r.headed {
			r.headed = true
			fmt.Fprintf(r.stdout, "%-8s%-8s%s\n", "LINE", "INDEX", "RECEIPT")
		}
		_, err := fmt.Fprintf(r.stdout, "%-8d%-8d%s\n", s.Line, s.Index, s.Receipt)
		return err
	})
}

// summarize tells what came of the run.
func (r *submitRun) summarize(w io.Writer, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.receipted+r.earlier+r.refused == 0 {
		return // an error follows, which says why
	}
	written := "no receipt"
	if r.receipted > 0 {
		written = termui.Count(r.receipted, "receipt")
	}
	fmt.Fprintf(w, "%s written to %s in %s", written, r.dir, now.Sub(r.start).Round(time.Second/10))
	if r.earlier > 0 {
		fmt.Fprintf(w, "; %d there already", r.earlier)
	}
	if r.refused > 0 {
		fmt.Fprintf(w, "; %s refused", termui.Count(r.refused, "event"))
	}
	fmt.Fprintln(w)
	for origin := range r.origins {
		fmt.Fprintf(w, "log %s: checkpoints recorded; td verify needs no server for these receipts\n", origin)
	}
	for _, warning := range slices.Sorted(maps.Keys(r.warnings)) {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if r.unvouched > 0 {
		fmt.Fprintf(w, "%s unvouched: nothing shows whose log it is; td trust add --server URL records it once the server is reached safely\n", termui.CountAre(r.unvouched, "receipt"))
	}
}

// verdict turns the end of the run into its exit code.
func (r *submitRun) verdict(err error) error {
	if err != nil {
		return err
	}
	if r.refused > 0 {
		return fault.New(fault.Negative, fmt.Sprintf("%d of %d events got no receipt", r.refused, r.refused+r.receipted+r.earlier), "the lines above say why; the others have theirs")
	}
	return nil
}

// notProvable reports whether a refusal is about the event alone, so that the
// others go on.
func notProvable(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.CodeEventNotCanonicalisable, protocol.CodeEventNotEncodable, protocol.CodeStatementFalse,
		protocol.CodeNullifierUsed:
		return true
	}
	return false
}

// startOver reports whether a request ended without acceptance for a reason
// that does not lie in its event.
func startOver(err error) bool {
	switch protocol.CodeOf(err) {
	case protocol.CodeExpired, protocol.CodeInvalidated, protocol.CodeSubmissionRejected,
		protocol.CodeProverTimeout, protocol.CodeProverBadResponse, protocol.CodeProverTagMismatch:
		return true
	}
	return false
}

// eventRequest is the push form of a submission.
func eventRequest(id claim.ID, params, event []byte, ttl time.Duration) api.EventRequest {
	return api.EventRequest{Claim: id.String(), Params: params, Event: event, TTLMillis: uint32(ttl / time.Millisecond)}
}
