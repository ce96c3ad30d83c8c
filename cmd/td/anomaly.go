package main

import "github.com/spf13/cobra"

func anomalyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "anomaly",
		Short:   "Run the server's anomaly detectors on files",
		Example: "  td anomaly replay events.jsonl",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(anomalyReplayCommand(a))
	return cmd
}
