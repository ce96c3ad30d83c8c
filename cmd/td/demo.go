package main

import (
	"github.com/spf13/cobra"

	"github.com/terradourada/td/internal/demo"
)

func demoCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run everything once: seven receipts, nine attacks, an offline check",
		Long: `Starts a real server with its signer, tagger and prover on loopback in a
temporary directory, gets a receipt for one event of each claim, attacks it,
stops it, and verifies every receipt offline.

The log's checkpoints are recorded in a trust store of the demo. With --out it is
kept as the folder trust beside the receipts, so that td verify --trust accepts them
later.`,
		Example: "  td demo\n  td demo --out receipts\n  td demo -o json",
		Args:    noArgs,
	}
	output := outputFlag(cmd)
	out := cmd.Flags().String("out", "", "keep the receipts and openings in this directory")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := demo.Options{Out: *out, Progress: a.stderr}
		if output.value == "table" {
			o.Progress = a.stdout
		}
		report, err := demo.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		if output.value == "json" {
			return a.printJSON(report)
		}
		return nil
	}
	return cmd
}
