package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/internal/termui"
)

// submitFlags are the flags of "td submit".
type submitFlags struct {
	*draft.Subject
	server, serverUser, token, out, trust string
	push, selfAsserted                    bool
	progress, output                      *choice
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
other server, unless --allow-self-asserted is set. Receipts are unvouched then, and
td verify does not accept them without the same flag or td trust add.

An interrupted run is continued by running the same command again: events that
have their receipt are skipped, the server is asked about answers that may have
arrived, and no event is accepted twice. An event that was submitted to DIR before
is not submitted again; to do so, name another DIR. With --push there is a gap: if
the server's first answer about an event is lost, only the server knows of it, and
the event is submitted again.

An event that does not satisfy the claim, or has no encoding under it, is
reported with its line and does not stop the others; the exit code is then 3. A
receipt that should not be relied on ends the run with 3, 10 or 11, as td verify
does, and is kept as REQUEST.refused.json.`,
		Example: `  td submit --claim open/1 --out receipts event.json
  td submit --claim range/1 --params params.json --out receipts readings.jsonl
  td submit --member me.secret --list board.json --scope board/2026-11 --out votes vote.json`,
		Args: oneArg("INPUT"),
	}
	f := submitFlags{Subject: subjectFlags(cmd)}
	serverFlag(cmd, &f.server)
	tokenFlag(cmd, &f.token)
	serverUserFlag(cmd, &f.serverUser)
	trustFlag(cmd, &f.trust)
	selfAssertedFlag(cmd, &f.selfAsserted)
	cmd.Flags().StringVar(&f.out, "out", "receipts", "directory for receipts and openings; made if it is not there")
	cmd.Flags().BoolVar(&f.push, "push", false, "let the server prove; its prover sees the events")
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.submit(cmd.Context(), &f, args[0]) }
	return cmd
}

// submit gets a receipt for every event of the input.
func (a *app) submit(ctx context.Context, f *submitFlags, input string) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	o.Input, o.Stdin = input, a.stdin
	start := time.Now()
	out := &submitOutput{
		stdout: a.stdout, stderr: a.stderr, asJSON: f.output.value == "json",
		progress: termui.NewProgress(a.stderr, f.progress.value, "submit", start),
	}
	o.Total, o.Print = out.progress.Expect, out.print
	report, err := submit.Run(ctx, o)
	out.progress.Finish()
	summarize(a.stderr, &report, o.Dir, time.Since(start))
	if err == nil && report.Refused > 0 {
		err = fault.New(fault.Negative, fmt.Sprintf("%d of %d events got no receipt", report.Refused, report.Refused+report.Receipted+report.Earlier), "the lines above say why; the others have theirs")
	}
	return err
}

// options reads what the flags name; nothing is sent or written.
func (f *submitFlags) options() (o submit.Options, err error) {
	sub, err := f.Load()
	if err != nil {
		return o, err
	}
	if f.push && sub.Claim == claim.Group {
		return o, fault.New(fault.Usage, "group/1 is proved by its member only", "leave --push out")
	}
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return o, err
	}
	server, err := remote.DialLive(f.server, f.serverUser, token, f.selfAsserted)
	if err != nil {
		return o, err
	}
	trust, err := remote.OpenTrust(f.trust)
	return submit.Options{Server: server, Submission: *sub, Push: f.push, Dir: f.out, Trust: trust, AllowSelfAsserted: f.selfAsserted}, err
}

// submitOutput prints the outcome of each event.
type submitOutput struct {
	stdout, stderr io.Writer
	progress       *termui.Progress
	asJSON         bool
	headed         bool // the table has its head; guarded by the progress
}

// print prints one event: an object or a line of the table on standard output,
// and refusals on standard error for people.
func (o *submitOutput) print(s submit.Result) error {
	now := time.Now()
	defer o.progress.Step(now)
	return o.progress.Print(func() error {
		if o.asJSON {
			return json.NewEncoder(o.stdout).Encode(s)
		}
		if s.Code != "" {
			_, err := fmt.Fprintf(o.stderr, "line %d: %s (%s)\n", s.Line, s.Detail, s.Code)
			return err
		}
		if !o.headed {
			o.headed = true
			fmt.Fprintf(o.stdout, "%-8s%-8s%s\n", "LINE", "INDEX", "RECEIPT")
		}
		_, err := fmt.Fprintf(o.stdout, "%-8d%-8d%s\n", s.Line, s.Index, s.Receipt)
		return err
	})
}

// summarize prints the outcome of the run.
func summarize(w io.Writer, r *submit.Report, dir string, took time.Duration) {
	if r.Receipted+r.Earlier+r.Refused == 0 {
		return // an error follows, which says why
	}
	written := "no receipt"
	if r.Receipted > 0 {
		written = termui.Count(r.Receipted, "receipt")
	}
	fmt.Fprintf(w, "%s written to %s in %s", written, dir, took.Round(time.Second/10))
	if r.Earlier > 0 {
		fmt.Fprintf(w, "; %d there already", r.Earlier)
	}
	if r.Refused > 0 {
		fmt.Fprintf(w, "; %s refused", termui.Count(r.Refused, "event"))
	}
	fmt.Fprintln(w)
	for _, origin := range r.Origins {
		fmt.Fprintf(w, "log %s: checkpoints recorded; td verify needs no server for these receipts\n", origin)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if r.Unvouched > 0 {
		fmt.Fprintf(w, "%s unvouched: nothing shows whose log it is; td trust add --server URL records it once the server is reached safely\n", termui.CountAre(r.Unvouched, "receipt"))
	}
}
