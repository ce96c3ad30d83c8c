package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/bench"
	"github.com/terradourada/td/internal/fault"
)

func benchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a server on this machine against its budgets",
		Long: `Starts real servers on loopback in a temporary directory, puts load on them and
compares what they cost with the budgets of the project. Costs are ratios inside
one run: processor time of the server and all its children against that of the
bare signature or proof verification, measured in turns, so that the result does
not depend on the speed of the machine. Times of starts and answers, and that of
the anomaly detectors for an event, are absolute. A budget that seems not to hold
is measured again, up to three times.

The exit code is 0 if every budget holds and 3 if one does not.`,
		Example: "  td bench\n  td bench --short\n  td bench -o json",
		Args:    noArgs,
	}
	output := outputFlag(cmd)
	short := cmd.Flags().Bool("short", false, "smaller numbers, for a minute or two; memory is measured at a tenth of the sessions")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := bench.Options{Size: bench.Full(), Progress: a.stderr, Version: version}
		if *short {
			o.Size = bench.Short()
		}
		report, err := bench.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if err := a.show(output, report, report.Table); err != nil {
			return err
		}
		return benchVerdict(report)
	}
	return cmd
}

// benchVerdict names the budgets that do not hold.
func benchVerdict(r *bench.Report) error {
	broken := r.Broken()
	if len(broken) == 0 {
		return nil
	}
	return fault.New(fault.Negative, fmt.Sprintf("%d of %d budgets do not hold: %s", len(broken), len(r.Budgets), strings.Join(broken, ", ")),
		"other work on the machine disturbs latencies most and ratios least; run td bench again on an idle one")
}
