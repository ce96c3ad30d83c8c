package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/claim"
	"github.com/terradourada/td/internal/draft"
	"github.com/terradourada/td/internal/fault"
	"github.com/terradourada/td/internal/probe"
	"github.com/terradourada/td/internal/remote"
	"github.com/terradourada/td/internal/submit"
	"github.com/terradourada/td/receipt"
)

// probeFlags are the flags of "td probe".
type probeFlags struct {
	server, user, token, trust, claim string
	wait, timeout, every              time.Duration
	count                             count
	selfAsserted                      bool
}

func probeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Make one whole request and say how long each part took",
		Long: `Makes one request as a client would: asks for a challenge, proves, sends the proof, waits
for the receipt, records its checkpoint, and verifies the receipt without a network. It
prints how long each part took and, if one failed, which and why. The exit status is that
of the failure.

The event is an example and is committed to as any other: each probe adds one leaf to the
log. With --every probes follow each other, one line for each, until --count of them were
made or the command is interrupted; the exit status is that of the last one that failed.
A failure does not end the series.`,
		Example: "  td probe\n  td probe --server https://td.example -o json\n  td probe --every 1m --count 60 -o json >> probes.jsonl",
		Args:    noArgs,
	}
	var f probeFlags
	fl := cmd.Flags()
	output := outputFlag(cmd)
	serverFlag(cmd, &f.server)
	tokenFlag(cmd, &f.token)
	serverUserFlag(cmd, &f.user)
	trustFlag(cmd, &f.trust)
	fl.StringVar(&f.claim, "claim", claim.Open.String(), "claim of the request, one of those without a member list")
	fl.DurationVar(&f.wait, "wait", submit.ReceiptWait, "how long to wait for the receipt")
	fl.DurationVar(&f.timeout, "timeout", time.Minute, "how long a whole probe may take")
	fl.DurationVar(&f.every, "every", 0, "time between the begins of two probes")
	fl.Var(&f.count, "count", "with --every: number of probes; 0 means no end")
	selfAssertedFlag(cmd, &f.selfAsserted)
	_ = cmd.RegisterFlagCompletionFunc("claim", cobra.FixedCompletions(draft.ClaimIDs(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.probe(cmd.Context(), &f, output) }
	return cmd
}

func (a *app) probe(ctx context.Context, f *probeFlags, output *choice) error {
	if f.every < 0 || f.timeout <= 0 || f.count > 0 && f.every == 0 {
		return fault.New(fault.Usage, "--every and --timeout are positive, and --count is for --every", "td probe --help shows how it is used")
	}
	p, err := newProbe(f)
	if err != nil {
		return err
	}
	if f.every == 0 {
		r := runProbe(ctx, p, f.timeout)
		if err := a.show(output, r, func(w io.Writer) error { return probeTable(w, r) }); err != nil {
			return err
		}
		return r.Err
	}
	return a.probeEvery(ctx, p, f, output)
}

// newProbe reads what the flags name and makes the prover.
func newProbe(f *probeFlags) (*probe.Probe, error) {
	id, err := claim.ParseID(f.claim)
	if err != nil || id == claim.Group {
		ids := slices.DeleteFunc(claim.IDs(), func(id claim.ID) bool { return id == claim.Group })
		return nil, fault.New(fault.Usage, fmt.Sprintf("--claim does not take %q", f.claim), "it is one of "+strings.Trim(fmt.Sprint(ids), "[]"))
	}
	token, err := remote.ReadToken(f.token)
	if err != nil {
		return nil, err
	}
	server, err := remote.DialLive(f.server, f.user, token, f.selfAsserted, remote.Patience{})
	if err != nil {
		return nil, err
	}
	trust, err := remote.OpenTrust(f.trust)
	if err != nil {
		return nil, err
	}
	prover, err := claim.NewProver(id)
	if err != nil {
		return nil, err
	}
	return &probe.Probe{
		Server: server, Claim: id, Prover: prover, Wait: f.wait,
		Verify: receipt.Options{Trust: trust, Lists: receipt.NewLists(), AllowSelfAsserted: f.selfAsserted},
	}, nil
}

func runProbe(ctx context.Context, p *probe.Probe, timeout time.Duration) *probe.Report {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p.Run(ctx)
}

// probeEvery makes one probe after another.
func (a *app) probeEvery(ctx context.Context, p *probe.Probe, f *probeFlags, output *choice) error {
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	if output.value == "table" {
		fmt.Fprintf(a.stdout, "%-20s  %-8s", "TIME", "RESULT")
		for _, name := range probe.Names() {
			fmt.Fprintf(a.stdout, "  %8s", strings.ToUpper(name))
		}
		fmt.Fprintf(a.stdout, "  %8s\n", "ALL")
	}
	var last error
	for n := 1; ; n++ {
		r := runProbe(ctx, p, f.timeout)
		if ctx.Err() != nil {
			return last // interrupted, as it is meant to be
		}
		if err := a.show(output, r, func(w io.Writer) error { return probeLine(w, r) }); err != nil {
			return err
		}
		if r.Err != nil {
			last = r.Err
			if output.value == "table" {
				fmt.Fprintf(a.stderr, "%s failed: %s\n", r.Failed, r.Error)
			}
		}
		if n == int(f.count) {
			return last
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

// probeTable prints one probe, a part on each line.
func probeTable(w io.Writer, r *probe.Report) error {
	t := columns(w)
	fmt.Fprintln(t, "PART\tSTATE\tMS")
	for _, p := range r.Parts {
		fmt.Fprintf(t, "%s\t%s\t%s\n", p.Name, p.State, tookText(p))
	}
	result := probe.OK
	if !r.OK {
		result = probe.Failed
	}
	fmt.Fprintf(t, "all\t%s\t%.1f\n", result, r.Took)
	if err := t.Flush(); err != nil {
		return err
	}
	if r.OK {
		fmt.Fprintf(w, "request %s is accepted as leaf %d, and its receipt verifies offline\n", r.RequestID, *r.Index)
	}
	return nil
}

// probeLine prints one probe on one line.
func probeLine(w io.Writer, r *probe.Report) error {
	result := probe.OK
	if !r.OK {
		result = probe.Failed
	}
	fmt.Fprintf(w, "%-20s  %-8s", r.At.Format(time.RFC3339), result)
	for _, p := range r.Parts {
		fmt.Fprintf(w, "  %8s", tookText(p))
	}
	_, err := fmt.Fprintf(w, "  %8.1f\n", r.Took)
	return err
}

func tookText(p probe.Part) string {
	if p.State == probe.Skipped {
		return "-"
	}
	return fmt.Sprintf("%.1f", p.Took)
}
