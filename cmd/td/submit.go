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
	"github.com/terradourada/td/internal/input"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/internal/termui"
	"github.com/terradourada/td/protocol"
)

// submitFlags are the flags of "td submit".
type submitFlags struct {
	*draft.Subject
	server, serverUser, token, out, trust string
	name, inputName                       string
	push, selfAsserted, check             bool
	input                                 input.Flags
	retry                                 time.Duration
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
first line is a whole object. All events of a file are checked before the first
one is sent; --check does only that. With --csv it holds a row of names and rows.
Of other formats td says how to convert them.

For each event DIR gets REQUEST.receipt.json, which anyone may see, and
REQUEST.opening, which only its owner can read and which discloses the event.
DIR/td-submit.index.jsonl says for each receipt, in a JSON object on a line, the
input, the line, the request id, the index in the log, and the names of receipt and
opening. With --name the receipts have other names: --name '{input}-{line:06}' makes
events-000007.receipt.json of line 7 of events.jsonl. A file is never replaced.

The checkpoint of every receipt is recorded in the trust store as read live from
this server, so that td verify needs no server later. The first one binds the
server to its log; another log of this server is refused then.

So the server must be the right one: it is reached by https, or it is on this
machine and root, you or --server-user holds the port. Nothing is sent to any
other server, unless --allow-self-asserted is set. Receipts are unvouched then, and
td verify does not accept them without the same flag or td trust add.

An interrupted run is continued by running the same command again: events that
have their receipt are skipped, the server is asked about answers that may have
arrived, and no event is accepted twice. The events of one input are submitted to
DIR once: equal lines are so many events, and the same command again finds them done.
An equal event of another input is another event, gets a receipt of its own, and is
reported as equal. An input is known by its path as seen from DIR; after it was
moved, --input-name with its old name, as in the index, continues it. With --push
there is a gap: if the server's first answer about an event is lost, only the server
knows of it, and the event is submitted again.

--retry DURATION waits for a server that is restarted, busy or frozen, as long as it
asks and DURATION allows. A restart ends the requests that were pending: their
events get new ones, and what was accepted before keeps its receipt.

An event that does not satisfy the claim, or has no encoding under it, is
reported with its line and does not stop the others; the exit code is then 3. A
receipt that should not be relied on ends the run with 3, 10 or 11, as td verify
does, and is kept as REQUEST.refused.json.`,
		Example: `  td submit --claim open/1 --out receipts event.json
  td submit --claim range/1 --params params.json --out receipts readings.jsonl
  td submit --claim open/1 --out receipts --name '{input}-{line:06}' day1.jsonl
  td submit --member me.secret --list board.json --scope board/2026-11 --out votes vote.json`,
		Args: oneArg("INPUT"),
	}
	f := submitFlags{Subject: subjectFlags(cmd)}
	serverFlag(cmd, &f.server)
	retryFlag(cmd, &f.retry)
	tokenFlag(cmd, &f.token)
	serverUserFlag(cmd, &f.serverUser)
	trustFlag(cmd, &f.trust)
	selfAssertedFlag(cmd, &f.selfAsserted)
	cmd.Flags().StringVar(&f.out, "out", "receipts", "directory for receipts and openings; made if it is not there")
	cmd.Flags().StringVar(&f.name, "name", "", "pattern for the names of receipts, of {line}, {input}, {request}, {index}; {line:06} pads with zeros (default {request})")
	cmd.Flags().StringVar(&f.inputName, "input-name", "", "name under which the events of INPUT are recorded (default its path as seen from DIR, - for standard input)")
	cmd.Flags().BoolVar(&f.push, "push", false, "let the server prove; its prover sees the events")
	cmd.Flags().BoolVar(&f.check, "check", false, "only check all events, and send and write nothing")
	inputFlags(cmd, &f.input)
	f.progress, f.output = progressFlag(cmd), outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.submit(cmd.Context(), &f, args[0]) }
	return cmd
}

// submit gets a receipt for every event of the input.
func (a *app) submit(ctx context.Context, f *submitFlags, name string) error {
	start := time.Now()
	out := &submitOutput{
		stdout: a.stdout, stderr: a.stderr, asJSON: f.output.value == "json", stderrJSON: f.progress.value == "json",
		progress: termui.NewProgress(a.stderr, f.progress.value, "submit", start),
	}
	o, err := f.options(remote.Patience{For: f.retry, Say: out.say})
	if err != nil {
		return err
	}
	o.Input.Name, o.Input.Stdin = name, a.stdin
	o.Total, o.Print = out.progress.Expect, out.print
	report, err := submit.Run(ctx, o)
	out.progress.Finish()
	if out.stderrJSON {
		_ = json.NewEncoder(a.stderr).Encode(struct {
			Stage string `json:"stage"`
			*submit.Report
		}{"summary", &report})
	} else {
		summarize(a.stderr, &report, o.Dir, o.Check, time.Since(start))
		if report.Changed > 0 {
			fmt.Fprintf(a.stderr, "texts became numbers in %s before they were committed to (--numbers-from-text)\n", termui.Count(report.Changed, "event"))
		}
	}
	if err == nil {
		err = refusals(&report, o.Check)
	}
	return err
}

// refusals returns a fault if an event was refused.
func refusals(r *submit.Report, check bool) error {
	all := r.Refused + r.Receipted + r.Earlier + r.Checked
	switch {
	case r.Refused == 0:
		return nil
	case check:
		return fault.New(fault.Negative, fmt.Sprintf("%d of %d events cannot be submitted", r.Refused, all), "the lines above say why")
	}
	return fault.New(fault.Negative, fmt.Sprintf("%d of %d events got no receipt", r.Refused, all), "the lines above say why; the others have theirs")
}

// options reads what the flags name; nothing is sent or written.
func (f *submitFlags) options(p remote.Patience) (o submit.Options, err error) {
	sub, err := f.Load()
	if err != nil {
		return o, err
	}
	if f.push && sub.Claim == claim.Group {
		return o, fault.New(fault.Usage, "group/1 is proved by its member only", "leave --push out")
	}
	o = submit.Options{Submission: *sub, Push: f.push, Dir: f.out, InputName: f.inputName, Name: f.name, Check: f.check, AllowSelfAsserted: f.selfAsserted}
	params, err := claim.ReadParams(sub.Claim, sub.Params)
	if err != nil {
		return o, err
	}
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return o, err
	}
	o.Input = input.Options{Flags: f.input, Command: "td submit ... -", Numbers: params.Numbers()}
	if o.Server, err = remote.DialLive(f.server, f.serverUser, token, f.selfAsserted, p); err != nil || f.check {
		return o, err
	}
	o.Trust, err = remote.OpenTrust(f.trust)
	return o, err
}

// submitOutput prints the outcome of each event.
type submitOutput struct {
	stdout, stderr io.Writer
	progress       *termui.Progress
	asJSON         bool
	stderrJSON     bool // every line of standard error is an object
	headed         bool // the table has its head; guarded by the progress
}

// print prints one event: an object or a line of the table on standard output,
// and refusals on standard error for people.
func (o *submitOutput) print(s submit.Result) error {
	now := time.Now()
	defer o.progress.Step(now)
	err := o.progress.Print(func() error {
		if o.asJSON {
			return json.NewEncoder(o.stdout).Encode(s)
		}
		if s.Code != "" && o.stderrJSON {
			return json.NewEncoder(o.stderr).Encode(struct {
				Stage string `json:"stage"`
				submit.Result
			}{"refused", s})
		}
		if s.Code != "" {
			_, err := fmt.Fprintf(o.stderr, "line %d: %s (%s)\n", s.Line, s.Detail, s.Code)
			return err
		}
		if !o.headed {
			o.headed = true
			fmt.Fprintf(o.stdout, "%-8s%-8s%s\n", "LINE", "INDEX", "RECEIPT")
		}
		_, err := fmt.Fprintf(o.stdout, "%-8d%-8d%s\n", s.Line, s.Index, protocol.Escaped(s.Receipt))
		return err
	})
	if err != nil {
		return fault.New(fault.Unexpected, fmt.Sprintf("what was done cannot be printed: %v", err), "the same command goes on where this one stopped")
	}
	return nil
}

// say prints a line for people between the lines of progress.
func (o *submitOutput) say(line string) {
	_ = o.progress.Print(func() error {
		if o.stderrJSON {
			return json.NewEncoder(o.stderr).Encode(struct {
				Stage  string `json:"stage"`
				Detail string `json:"detail"`
			}{"waiting", line})
		}
		_, err := fmt.Fprintln(o.stderr, line)
		return err
	})
}

// summarize prints the outcome of the run.
func summarize(w io.Writer, r *submit.Report, dir string, check bool, took time.Duration) {
	switch {
	case check && r.Checked+r.Refused > 0:
		fmt.Fprintf(w, "%s can be submitted; nothing was sent\n", termui.Count(r.Checked, "event"))
		return
	case r.Receipted+r.Earlier+r.Refused == 0:
		return // an error follows, which says why
	}
	written := "no receipt"
	if r.Receipted > 0 {
		written = termui.Count(r.Receipted, "receipt")
	}
	fmt.Fprintf(w, "%s written to %s in %s", written, protocol.Escaped(dir), took.Round(time.Second/10))
	if r.Earlier > 0 {
		fmt.Fprintf(w, "; %d there already", r.Earlier)
	}
	if r.Refused > 0 {
		fmt.Fprintf(w, "; %s refused", termui.Count(r.Refused, "event"))
	}
	fmt.Fprintln(w)
	if first := r.FirstEqual; r.Equal > 0 {
		own := "a receipt of its own"
		if r.Equal > 1 {
			own = "receipts of their own"
		}
		fmt.Fprintf(w, "%s equal to one of another input and got %s; the first is line %d, equal to %s, line %d; --input-name continues an input that was moved\n",
			termui.CountAre(r.Equal, "event"), own, first.Line, protocol.Escaped(first.EqualTo.Input), first.EqualTo.Line)
	}
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
